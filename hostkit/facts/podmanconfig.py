# SPDX-License-Identifier: GPL-3.0-or-later
"""What podman, run by root, is configured with: containers.conf and storage.conf.

Which files count depends on the version:

- containers.conf until 5.x (containers.conf(5)): the vendor's file, the administrator's and
  its drop-ins are all read, and each key of a later one replaces that of an earlier one.
- storage.conf until 5.x (containers-storage.conf(5)): one file, the administrator's, else the
  vendor's (that one only from 4.0 on: containers/storage#1042). Nothing is merged.
- both from 6.0 on (containers-config(5)): one main file, the administrator's, else the
  vendor's; then every drop-in, also the vendor's and those for root alone, in the order of
  their names, one that has the same name as another's in place of it.

The files of users, of root's home and of $CONTAINERS_CONF, and the libpod.conf of podman
before 2.0, are not read.
"""

from collections.abc import Iterable

from hostkit.facts.daemonjson import Setting, Table, Value
from hostkit.facts.engine import PODMAN
from hostkit.facts.fact import Fact, Facts
from hostkit.facts.target import TARGET
from hostkit.facts.tomlfile import FILES_LIMIT, Flaw, Layers, TomlFile, TomlFiles, whole
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.host.base import Host

VENDOR = "/usr/share/containers"
ADMINISTRATOR = "/etc/containers"
STORAGE_CONF_FILE = f"{ADMINISTRATOR}/storage.conf"
_ONE_MAIN_FILE = (6,)  # the first version with the rules of containers-config(5)
_VENDOR_STORAGE = (4,)
_USUAL = (5,)  # where no podman is installed yet, and none was asked for by version


class ConfigFiles:
    """The files of one name that there are."""

    def __init__(self, host: Host, name: str) -> None:
        self.name = name
        self.toml = TomlFiles(host)
        self.unreadable: dict[str, Unreadable] = {}

    def main(self, folder: str) -> tuple[str, ...]:
        """The main file of a folder when it is there."""
        path = f"{folder}/{self.name}.conf"
        return () if isinstance(self.toml.get(path), Absent) else (path,)

    def drop_ins(self, folder: str) -> tuple[str, ...]:
        """The drop-ins of a folder by their names."""
        answer = self.toml.host.listdir(folder)
        if isinstance(answer, Unreadable):
            self.unreadable[folder] = answer
        names = answer.value if isinstance(answer, Known) else ()
        found = [f"{folder}/{name}" for name in sorted(names) if name.endswith(".conf")]
        if len(found) > FILES_LIMIT:
            self.unreadable[folder] = Unreadable(folder, f"more than {FILES_LIMIT} files")
        return tuple(found[:FILES_LIMIT])

    def order(self, version: tuple[int, ...]) -> tuple[str, ...]:
        """The files that a version of podman reads, in its order."""
        vendor, mine = self.main(VENDOR), self.main(ADMINISTRATOR)
        if version >= _ONE_MAIN_FILE:
            by_name = {
                path.rpartition("/")[2]: path
                for folder in (VENDOR, ADMINISTRATOR)
                for kind in ("conf.d", "rootful.conf.d")
                for path in self.drop_ins(f"{folder}/{self.name}.{kind}")
            }
            return (mine or vendor) + tuple(by_name[name] for name in sorted(by_name))
        if self.name == "storage":
            return mine or (vendor if version >= _VENDOR_STORAGE else ())
        return vendor + mine + self.drop_ins(f"{ADMINISTRATOR}/{self.name}.conf.d")


def _layers(facts: Facts, name: str) -> Answer[Layers]:
    files = ConfigFiles(facts.host, name)
    orders = {one: files.order(one) for one in ((3,), _USUAL, _ONE_MAIN_FILE)}
    order = orders[_USUAL]
    if len(set(orders.values())) > 1:
        version = _version(facts)
        if isinstance(version, Unreadable):
            reason = f"which files count depends on podman's version: {version.reason}"
            return Unreadable(f"{ADMINISTRATOR}/{name}.conf", reason)
        order = files.order(version.value if isinstance(version, Known) else _USUAL)
    read = [files.toml.get(path) for path in order]
    refused = (one for one in read if isinstance(one, Unreadable))
    unreadable = (*files.unreadable.values(), *refused)
    known = [one.value for one in read if isinstance(one, Known)]
    source = order[-1] if order else f"{ADMINISTRATOR}/{name}.conf"
    if not known and not unreadable:
        return Absent(source)
    flaws = tuple(Flaw(one.path, one.fault) for one in known if one.fault)
    return Known(Layers(merge(known), order, flaws, unreadable), source)


def merge(files: Iterable[TomlFile]) -> tuple[Setting, ...]:
    """Later files over earlier ones; `{append=true}` adds to a list, from there on.

    >>> def said(words):
    ...     return TomlFile("f", (Setting("engine.Env", words, "f", 1),))
    >>> on, off = Table((("append", True),)), Table((("append", False),))
    >>> [one.value for one in merge((said(("a",)), said(("b", on)), said(("c",))))]
    [('a', 'b', 'c')]
    >>> [one.value for one in merge((said(("a",)), said(("b", on)), said(("c", off))))]
    [('c',)]
    """
    merged: dict[str, Setting] = {}
    appends: dict[str, bool] = {}
    for file in files:
        for one in file.settings:
            key = one.key.lower()  # the reader of these files does not mind capitals
            words, append = _attributed(one.value)
            appends[key] = appends.get(key, False) if append is None else append
            before = merged[key].value if key in merged and appends[key] else ()
            value = (*_members(before), *_members(words)) if _is_list(words) else words
            merged[key] = one._replace(key=key, value=value)
    return tuple(merged.values())


def _is_list(value: Value) -> bool:
    return isinstance(value, tuple) and not isinstance(value, Table)


def _members(value: Value) -> tuple[Value, ...]:
    return value if isinstance(value, tuple) and not isinstance(value, Table) else ()


def _attributed(value: Value) -> tuple[Value, bool | None]:
    """A list without the table that says whether it is added, and what that says."""
    if not isinstance(value, tuple) or isinstance(value, Table):
        return value, None
    said = [one.get("append") for one in value if isinstance(one, Table)]
    words = tuple(one for one in value if not isinstance(one, Table) or one.get("append") is None)
    flags = [one for one in said if isinstance(one, bool)]
    return (words, flags[-1]) if flags else (value, None)


def _version(facts: Facts) -> Answer[tuple[int, ...]]:
    """Of the podman that is to be served: the one asked for, else the installed one."""
    target = facts.known(TARGET)
    if target is not None and target.engine == "podman" and target.version:
        return Known(target.version, "--for")
    installed = facts.get(PODMAN)
    if not isinstance(installed, Known):
        return installed
    if not installed.value.version:
        return Unreadable(installed.source, f"no version: {installed.value.version_text}")
    return Known(installed.value.version, installed.value.source)


# As they are, faults and all; the configuration that follows is theirs when there are none.
CONTAINERS_LAYERS: Fact[Layers] = Fact(
    "containers.conf files", lambda facts: _layers(facts, "containers"), waits=True
)
STORAGE_LAYERS: Fact[Layers] = Fact(
    "storage.conf files", lambda facts: _layers(facts, "storage"), waits=True
)
CONTAINERS_CONF: Fact[Layers] = Fact(
    "containers.conf", lambda facts: whole(facts.get(CONTAINERS_LAYERS)), waits=True
)
STORAGE_CONF: Fact[Layers] = Fact(
    "storage.conf", lambda facts: whole(facts.get(STORAGE_LAYERS)), waits=True
)
PODMAN_VERSION: Fact[tuple[int, ...]] = Fact("podman version to serve", _version, waits=True)
