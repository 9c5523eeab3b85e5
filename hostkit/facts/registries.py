# SPDX-License-Identifier: GPL-3.0-or-later
"""The registries and mirrors that the configuration of Docker and Podman names."""

from collections.abc import Mapping

from hostkit.facts.daemonconfig import DAEMON_CONFIG
from hostkit.facts.daemonjson import Table, Value
from hostkit.facts.fact import Fact, Facts
from hostkit.facts.podmanconfig import ADMINISTRATOR, ConfigFiles
from hostkit.facts.proxies import without_credentials
from hostkit.facts.tomlfile import TomlFile, refused
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.host.base import Host
from hostkit.value import NamedTuple


class Mirror(NamedTuple):
    """A mirror's URL or host without credentials, and where it is configured."""

    location: str
    source: str
    line: int
    insecure: bool = False

    @property
    def host(self) -> str:
        """The host, without scheme, port and path.

        >>> Mirror("https://reg.example.org:5000/v2/", "f", 1).host
        'reg.example.org'
        """
        rest = self.location.partition("://")[2] or self.location
        return rest.partition("/")[0].rpartition("@")[2].partition(":")[0].lower()


class Registries(NamedTuple):
    """`insecure`: hosts that may be spoken to without TLS."""

    mirrors: tuple[Mirror, ...]
    insecure: tuple[Mirror, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()


def registries_of(file: TomlFile) -> Mapping[str, Registries]:
    r"""Both formats of registries.conf, by prefix (containers-registries.conf(5)).

    >>> from hostkit.facts.tomlfile import parse_toml
    >>> data = b'[[registry]]\nlocation = "docker.io"\n[[registry.mirror]]\nlocation = "m.org"\n'
    >>> registries_of(parse_toml(data, "f"))["docker.io"].mirrors
    (Mirror(location='m.org', source='f', line=4, insecure=False),)
    """
    found: dict[str, Registries] = {}
    settings = {one.key: one for one in file.settings}
    tables = settings.get("registry")
    for table in _tables(tables.value) if tables else ():
        line = tables.line if tables else 0
        mirrors = tuple(_mirror(one, file, line) for one in _tables(table.get("mirror")))
        itself = (_mirror(table, file, line),) if table.get("insecure") is True else ()
        prefix = table.get("prefix") or table.get("location")
        found[str(prefix)] = Registries(mirrors, itself)
    old = settings.get("registries.insecure.registries")
    for word in old.value if old and isinstance(old.value, tuple) else ():
        if old and isinstance(word, str):
            line = file.line_of(word, old.line)
            one = Mirror(without_credentials(word), file.path, line, insecure=True)
            found.setdefault(word, Registries((), (one,)))
    return found


def _tables(value: Value) -> tuple[Table, ...]:
    if not isinstance(value, tuple) or isinstance(value, Table):
        return ()
    return tuple(one for one in value if isinstance(one, Table))


def _mirror(table: Table, file: TomlFile, after: int) -> Mirror:
    location = table.get("location") or table.get("prefix")
    location = location if isinstance(location, str) else ""
    line = file.line_of(location, after)
    return Mirror(without_credentials(location), file.path, line, table.get("insecure") is True)


def _of_podman(host: Host) -> Registries:
    """Of registries.conf and its drop-ins: a later one replaces what has the same prefix."""
    files = ConfigFiles(host, "registries")
    paths = (*files.main(ADMINISTRATOR), *files.drop_ins(f"{ADMINISTRATOR}/registries.conf.d"))
    merged: dict[str, Registries] = {}
    unreadable = list(files.unreadable.values())
    for answer in map(files.toml.get, paths):
        if isinstance(answer, Unreadable):
            unreadable.append(answer)
        elif isinstance(answer, Known) and answer.value.fault:
            unreadable.append(refused(answer.source, answer.value.fault))
        elif isinstance(answer, Known):
            merged.update(registries_of(answer.value))
    return Registries(
        tuple(one for said in merged.values() for one in said.mirrors),
        tuple(one for said in merged.values() for one in said.insecure),
        tuple(unreadable),
    )


def _gather(facts: Facts) -> Answer[Registries]:
    mirrors: list[Mirror] = []
    insecure: list[Mirror] = []
    unreadable: list[Unreadable] = []
    config = facts.get(DAEMON_CONFIG)
    if isinstance(config, Unreadable):
        unreadable.append(config)
    elif isinstance(config, Known):
        for key, sink in (("registry-mirrors", mirrors), ("insecure-registries", insecure)):
            setting = config.value.get(key)
            if setting is not None:
                sink += [
                    Mirror(without_credentials(word), setting.source, setting.line)
                    for word in config.value.words(key)
                ]
    podman = _of_podman(facts.host)
    mirrors += podman.mirrors
    insecure += podman.insecure
    unreadable += podman.unreadable
    if not mirrors and not insecure:
        return unreadable[0] if unreadable else Absent("daemon.json", "no mirror is configured")
    return Known(Registries(tuple(mirrors), tuple(insecure), tuple(unreadable)), "daemon.json")


REGISTRIES: Fact[Registries] = Fact("registries", _gather, waits=True)
