# SPDX-License-Identifier: GPL-3.0-or-later
"""What containerd runs, or would start, with: config.toml and all that it imports.

containerd reads its file, then the files that it imports, then theirs, each once; a later
one counts over an earlier one. Lists of the outermost level are joined. Of `plugins` (and
`proxy_plugins`, `stream_processors`) containerd 1.x takes the whole section of a plugin from
the last file that has it, 2.0 and later merge sections key by key (containerd#9982); what
else is empty, 0 or false takes nothing away. containerd 1.7 and later look for a relative
pattern in the folder of the file that imports it, 1.6 in its working folder, which systemd
makes /. A file that is imported by its name and not there keeps 1.x from starting; 2.x reads
no further.

A containerd that dockerd starts by itself has a file that dockerd writes anew at each start,
/run/docker/containerd/containerd.toml; it counts only where no other containerd runs.
"""

from collections.abc import Iterator

from hostkit.facts.daemonjson import Fault, Setting, Table
from hostkit.facts.engine import CONTAINERD
from hostkit.facts.fact import Fact, Facts
from hostkit.facts.processes import ENGINE_PROCESSES
from hostkit.facts.tomlfile import FILES_LIMIT, Flaw, Layers, TomlFile, TomlFiles, whole
from hostkit.facts.unitfiles import read_service
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.host.base import Host
from hostkit.value import NamedTuple

DEFAULT_FILE = "/etc/containerd/config.toml"
# The part that a kubelet talks to, as the first and the second version of the file call it,
# and the two plugins, of containers and of images, that have its keys from the third on.
_SHORT, _LONG = "cri", "io.containerd.grpc.v1.cri"
_PARTS = ("io.containerd.cri.v1.runtime", "io.containerd.cri.v1.images")
_SECOND, _THIRD = 2, 3
_MERGES_SECTIONS = (2,)
_PATTERNS_BESIDE = (1, 7)
_SECTIONS = ("plugins", "proxy_plugins", "stream_processors")
_DOCKERS = ("/run/docker/", "/var/run/docker/")


class ContainerdConfig(NamedTuple):
    """`old`: containerd is 1.x, None when its version is not known."""

    layers: Layers
    old: bool | None = None

    @property
    def version(self) -> int:
        """Of the format; a file without one is of the first."""
        setting = self.layers.get("version")
        return setting.value if setting and isinstance(setting.value, int) else 1

    def cri(self, *names: str) -> Setting | None:
        """A key of the plugin for kubelets, wherever this version of the file has it."""
        found = (self.layers.get("plugins", plugin, *names) for plugin in self._plugins())
        return next((one for one in found if one is not None), None)

    def _plugins(self) -> tuple[str, ...]:
        """The names that count; what stands under another is passed over without an error.

        As `containerd config dump` of 1.7.24 and 2.1.9 tells it.
        """
        if self.version >= _THIRD:
            return _PARTS
        if self.version == _SECOND:
            return (*_PARTS, _LONG)
        return {True: (_SHORT,), False: _PARTS, None: (*_PARTS, _SHORT)}[self.old]

    @property
    def cri_disabled(self) -> Setting | None:
        """`disabled_plugins` when the plugin for kubelets is among them."""
        setting = self.layers.get("disabled_plugins")
        names = setting.value if setting and isinstance(setting.value, tuple) else ()
        return setting if any(name in (_SHORT, _LONG, *_PARTS) for name in names) else None

    @property
    def systemd_cgroup(self) -> Setting | None:
        """Whether systemd is to make control groups for the runtime runc."""
        return self.cri("containerd", "runtimes", "runc", "options", "SystemdCgroup")

    @property
    def ignored_cri(self) -> tuple[Setting, ...]:
        """Keys under a name that this version of the file does not give the plugin."""
        used = self._plugins()
        return tuple(
            setting
            for plugin in (_LONG, _SHORT)
            if plugin not in used
            for setting in self.layers.under("plugins", plugin)
        )


def _path(facts: Facts) -> Answer[str]:
    """The file that containerd was, or would be, started with."""
    processes = facts.known(ENGINE_PROCESSES)
    running = processes.running("containerd") if processes else ()
    own = [one for one in running if not _named(one.argv).startswith(_DOCKERS)]
    if running:
        process = (own or running)[0]
        return Known(_named(process.argv) or DEFAULT_FILE, f"/proc/{process.pid}/cmdline")
    service = read_service(facts.host, "containerd.service")
    if isinstance(service, Known):
        words = tuple(word.text for word in service.value.command)
        return Known(_named(words) or DEFAULT_FILE, service.source)
    return Known(DEFAULT_FILE, "default")


def _named(argv: tuple[str, ...]) -> str:
    """The file that a command line names, or an empty word.

    >>> _named(("containerd", "--config", "/etc/c.toml")), _named(("containerd", "-c=/c.toml"))
    ('/etc/c.toml', '/c.toml')
    """
    for at, word in enumerate(argv):
        flag, equals, value = word.partition("=")
        if flag in ("-c", "--config", "-config"):
            return value if equals else "".join(argv[at + 1 : at + 2])
    return ""


class _Read(NamedTuple):
    """All files in their order, and what keeps containerd from reading them."""

    files: tuple[TomlFile, ...]
    flaws: tuple[Flaw, ...]
    unreadable: tuple[Unreadable, ...]


def _read(toml: TomlFiles, path: str, version: tuple[int, ...]) -> _Read:
    files: list[TomlFile] = []
    flaws: list[Flaw] = []
    unreadable: list[Unreadable] = []
    pending: list[tuple[str, Setting | None]] = [(path, None)]
    seen: set[str] = set()
    while pending:
        one, importer = pending.pop(0)
        if one in seen:
            continue
        if len(seen) == FILES_LIMIT:
            unreadable.append(Unreadable(path, f"it imports more than {FILES_LIMIT} files"))
            break
        seen.add(one)
        answer = toml.get(one)
        if isinstance(answer, Unreadable):
            unreadable.append(answer)
        elif isinstance(answer, Known):
            file = answer.value
            files.append(file)
            flaws += [Flaw(one, file.fault)] if file.fault else []
            imports = next((s for s in file.settings if s.key == "imports"), None)
            pending += [(name, imports) for name in _imported(toml.host, one, imports, version)]
        elif importer is not None and version < _MERGES_SECTIONS:
            missing = Fault(f"it imports {one}, which is not there", importer.line, 0, one)
            flaws.append(Flaw(importer.source, missing))
        else:  # 2.x stops reading there, and goes on with what it has
            break
    return _Read(tuple(files), tuple(flaws), tuple(unreadable))


def _imported(
    host: Host, path: str, setting: Setting | None, version: tuple[int, ...]
) -> Iterator[str]:
    value = setting.value if setting else ()
    words = value if isinstance(value, tuple) and not isinstance(value, Table) else ()
    folder = path.rpartition("/")[0]
    for word in words:
        if not isinstance(word, str) or not word:
            continue
        base = "" if "*" in word and version < _PATTERNS_BESIDE else folder
        absolute = _clean(word if word.startswith("/") else f"{base}/{word}")
        yield from _glob(host, absolute) if "*" in word else (absolute,)


def _clean(path: str) -> str:
    """A path without `.` and `..`, as filepath.Clean of Go makes it.

    >>> _clean("/etc/containerd/./../conf.d//a.toml")
    '/etc/conf.d/a.toml'
    """
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


def _glob(host: Host, pattern: str) -> tuple[str, ...]:
    """The files that a pattern means, sorted; never many more than may be read."""
    from fnmatch import fnmatchcase  # noqa: PLC0415 - few hosts have a pattern

    found = [""]
    for part in pattern.split("/")[1:]:
        if not any(mark in part for mark in "*?["):
            found = [f"{folder}/{part}" for folder in found]
            continue
        listed: list[str] = []
        for folder in found[: FILES_LIMIT + 1]:
            names = host.listdir(folder or "/")
            if isinstance(names, Known):
                listed += [f"{folder}/{one}" for one in names.value if fnmatchcase(one, part)]
        found = listed[: FILES_LIMIT + 1]
    return tuple(one for one in sorted(found) if not isinstance(host.stat(one), Absent))


def merge(files: tuple[TomlFile, ...], old: bool) -> tuple[Setting, ...]:
    r"""What all files say together.

    >>> one, two = (TomlFile(n, (Setting("disabled_plugins", (n,), n, 1),)) for n in "ab")
    >>> merge((one, two), old=False)[0].value
    ('a', 'b')
    """
    merged: dict[str, Setting] = {}
    for file in files:
        if old:
            given = {_section(one.key) for one in file.settings} - {""}
            merged = {key: one for key, one in merged.items() if _section(key) not in given}
        for one in file.settings:
            before = merged.get(one.key)
            if before is None or _in_sections(one.key):
                merged[one.key] = one
            elif isinstance(one.value, tuple) and isinstance(before.value, tuple):
                added = tuple(word for word in one.value if word not in before.value)
                merged[one.key] = one._replace(value=before.value + added) if added else before
            elif one.value:  # what is empty takes nothing away
                merged[one.key] = one
    return tuple(merged.values())


def _in_sections(key: str) -> bool:
    return key.startswith(tuple(f"{name}." for name in _SECTIONS))


def _section(key: str) -> str:
    """`plugins."io.containerd.x"` of a key in there, an empty word for others."""
    for name in _SECTIONS:
        if key.startswith(f"{name}."):
            rest = key[len(name) + 1 :]
            end = rest.find('"', 1) + 1 if rest.startswith('"') else rest.find(".")
            return f"{name}.{rest[:end] if end > 0 else rest}"
    return ""


def _effective(
    toml: TomlFiles, path: str, version: tuple[int, ...]
) -> tuple[_Read, tuple[Setting, ...]]:
    read = _read(toml, path, version)
    return read, merge(read.files, version < _MERGES_SECTIONS)


def _gather_layers(facts: Facts) -> Answer[Layers]:
    path = facts.value(_PATH)
    toml = TomlFiles(facts.host)
    first, *others = (_effective(toml, path, one) for one in ((2,), (1, 7), (1, 6)))
    read, merged = first
    if any(one != first for one in others):
        engine = facts.get(CONTAINERD)
        if isinstance(engine, Unreadable):
            reason = f"how its imports are read depends on containerd's version: {engine.reason}"
            return Unreadable(path, reason)
        if isinstance(engine, Known):
            read, merged = _effective(toml, path, engine.value.version)
    if not read.files and not read.unreadable:
        return Absent(path)
    names = tuple(file.path for file in read.files)
    return Known(Layers(merged, names, read.flaws, read.unreadable), path)


def _gather(facts: Facts) -> Answer[ContainerdConfig]:
    answer = whole(facts.get(CONTAINERD_LAYERS))
    if not isinstance(answer, Known):
        return answer
    # Asked for only where it matters: it may cost a run of `containerd --version`.
    version = answer.value.get("version")
    first = version is None or version.value == 1
    engine = facts.known(CONTAINERD) if first and answer.value.under("plugins") else None
    old = engine.version < _MERGES_SECTIONS if engine and engine.version else None
    return Known(ContainerdConfig(answer.value, old), answer.source)


_PATH: Fact[str] = Fact("path of containerd's configuration", _path, waits=True)
# The files as they are, faults and all.
CONTAINERD_LAYERS: Fact[Layers] = Fact("containerd's files", _gather_layers, waits=True)
CONTAINERD_CONFIG: Fact[ContainerdConfig] = Fact("containerd configuration", _gather, waits=True)
