# SPDX-License-Identifier: GPL-3.0-or-later
"""What dockerd runs, or would start, with: daemon.json and flags, each with its origin."""

from collections.abc import Iterator, Mapping

from hostkit.facts.daemonjson import LIMIT, DaemonJson, Setting, Table, Value, parse_daemon_json
from hostkit.facts.fact import Fact, Facts
from hostkit.facts.processes import ENGINE_PROCESSES, Process
from hostkit.facts.unitfiles import DOCKER_SERVICE, Word
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.value import NamedTuple

DEFAULT_FILE = "/etc/docker/daemon.json"
DEFAULT_DATA_ROOT = "/var/lib/docker"
# Flags whose key in daemon.json has another name, with their short forms.
_KEYS: Mapping[str, str] = {
    "H": "hosts",
    "host": "hosts",
    "D": "debug",
    "g": "data-root",
    "graph": "data-root",
    "s": "storage-driver",
    "l": "log-level",
    "b": "bridge",
    "p": "pidfile",
    "G": "group",
    "add-registry": "add-registry",
    "add-runtime": "runtimes",
    "authorization-plugin": "authorization-plugins",
    "cluster-store-opt": "cluster-store-opts",
    "default-address-pool": "default-address-pools",
    "default-network-opt": "default-network-opts",
    "default-ulimit": "default-ulimits",
    "dns-opt": "dns-opts",
    "exec-opt": "exec-opts",
    "feature": "features",
    "insecure-registry": "insecure-registries",
    "label": "labels",
    "log-opt": "log-opts",
    "node-generic-resource": "node-generic-resources",
    "registry-mirror": "registry-mirrors",
    "storage-opt": "storage-opts",
}
# Keys that a flag may give several times.
_LISTS = frozenset(
    (
        *(key for key in _KEYS.values() if key.endswith("s") and key != "hosts"),
        "hosts",
        "dns",
        "dns-search",
        "add-registry",
        "block-registry",
        "allow-nondistributable-artifacts",
        "cdi-spec-dir",
        "host-gateway-ip",
    )
)
# Flags that take no word after them; with `=` they may be given a value.
_SWITCHES = frozenset(
    (
        "allow-direct-routing",
        "d",
        "debug",
        "disable-legacy-registry",
        "experimental",
        "help",
        "icc",
        "init",
        "ip-forward",
        "ip-forward-no-drop",
        "ip-masq",
        "ip6tables",
        "iptables",
        "ipv6",
        "live-restore",
        "no-new-privileges",
        "raw-logs",
        "rootless",
        "selinux-enabled",
        "signature-verification",
        "tls",
        "tlsverify",
        "userland-proxy",
        "validate",
        "version",
    )
)
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
Version = tuple[int, ...]
# Defaults that a version changed, newest first, with the first version of each.
_DEFAULTS: Mapping[str, tuple[tuple[Version, Value], ...]] = {
    "ip6tables": (((27,), True), ((), False)),
}
# The first that takes systemd's control groups unasked, on cgroup v2 where systemd runs.
SYSTEMD_CGROUPS_SINCE: Version = (20, 10)


class Conflict(NamedTuple):
    """A key that stands in daemon.json and on the command line; dockerd refuses to start."""

    flag: Setting
    file: Setting


class DaemonConfig(NamedTuple):
    """`flags` of the running daemon, else those it would start with; `file`: daemon.json."""

    flags: tuple[Setting, ...]
    file: tuple[Setting, ...]
    path: str = DEFAULT_FILE
    running: bool = False

    def get(self, key: str) -> Setting | None:
        """A key as daemon.json spells it, when it is configured; the default is not."""
        return next((one for one in (*self.flags, *self.file) if one.key == key), None)

    def text(self, key: str, default: str = "") -> str:
        """A key that holds one word."""
        setting = self.get(key)
        return setting.value if setting and isinstance(setting.value, str) else default

    def switch(self, key: str, default: bool) -> bool:
        """A key that is on or off."""
        setting = self.get(key)
        return setting.value if setting and isinstance(setting.value, bool) else default

    def effective(self, key: str, version: Version | None) -> Setting:
        """A key of `_DEFAULTS`: as configured, else the version's default, whose source says so.

        Without a version, the default of the newest.
        """
        setting = self.get(key)
        if setting is not None:
            return setting
        every = _DEFAULTS[key]
        first, value = next(
            (one for one in every if version is None or version >= one[0]), every[-1]
        )
        since = f" {'.'.join(map(str, first))} and later" if first else ", of old"
        return Setting(key, value, f"the default of Docker{since}", 0)

    @property
    def cgroup_driver(self) -> str:
        """Who makes control groups, systemd or cgroupfs; empty: dockerd chooses."""
        name = "native.cgroupdriver="
        words = [word for word in self.words("exec-opts") if word.startswith(name)]
        return words[-1][len(name) :] if words else ""

    def words(self, key: str) -> tuple[str, ...]:
        """A key that holds several words, such as hosts or storage-opts."""
        setting = self.get(key)
        if setting is None or isinstance(setting.value, Table):
            return ()
        if isinstance(setting.value, tuple):
            return tuple(one for one in setting.value if isinstance(one, str))
        return (setting.value,) if isinstance(setting.value, str) else ()

    @property
    def data_root(self) -> str:
        """The folder that holds images, containers and volumes."""
        return self.text("data-root") or self.text("graph") or DEFAULT_DATA_ROOT

    @property
    def storage_driver(self) -> str:
        """The driver that was chosen; empty: dockerd chooses."""
        return self.text("storage-driver")

    def conflicts(self) -> tuple[Conflict, ...]:
        """Keys given twice. dockerd lets `runtimes` stand in both places."""
        flags = {flag.key: flag for flag in self.flags if flag.key != "runtimes"}
        return tuple(Conflict(flags[one.key], one) for one in self.file if one.key in flags)


def parse_flags(words: tuple[Word, ...]) -> tuple[Setting, ...]:
    """The settings of a dockerd command line; its first word is the program.

    >>> words = ("dockerd", "-H", "fd://", "--iptables=false", "--dns", "10.0.0.1")
    >>> [(s.key, s.value) for s in parse_flags(tuple(Word(w, "f", 1) for w in words))]
    [('hosts', ('fd://',)), ('iptables', False), ('dns', ('10.0.0.1',))]
    """
    found: dict[str, Setting] = {}
    for name, raw, word in _pairs(words):
        key = _KEYS.get(name, name)
        before = found.get(key)
        value: Value = raw
        if key in _LISTS:
            value = (*_members(before), raw)
        elif name in _SWITCHES or _KEYS.get(name, "") in _SWITCHES or raw in ("true", "false"):
            value = raw in _TRUE
        found[key] = Setting(key, value, word.source, word.line)
    return tuple(found.values())


def _members(setting: Setting | None) -> tuple[Value, ...]:
    if setting is None or isinstance(setting.value, Table):
        return ()
    return setting.value if isinstance(setting.value, tuple) else ()


def _pairs(words: tuple[Word, ...]) -> Iterator[tuple[str, str, Word]]:
    """(flag, value, word) of each flag; a switch without a value is true."""
    rest = iter(words[1:])
    for word in rest:
        if not word.text.startswith("-") or word.text in ("-", "--"):
            continue
        name, equals, value = word.text.lstrip("-").partition("=")
        if not word.text.startswith("--") and len(name) > 1 and name[0] in "HgslbpG":
            name, value, equals = name[0], name[1:] + equals + value, "="  # -Htcp://...
        if not equals:
            is_switch = _KEYS.get(name, name) in _SWITCHES
            value = "true" if is_switch else next(rest, Word("", "", 0)).text
        yield name, value, word


def _running(facts: Facts) -> Process | None:
    processes = facts.known(ENGINE_PROCESSES)
    daemons = processes.running("dockerd") if processes else ()
    return daemons[0] if daemons else None


def _flags(facts: Facts) -> Answer[tuple[Setting, ...]]:
    """The running daemon's flags, with the unit's lines for those that stand there."""
    service = facts.get(DOCKER_SERVICE)
    process = _running(facts)
    if process is None:
        if isinstance(service, Known):
            return Known(parse_flags(service.value.command), service.source)
        return Known((), DEFAULT_FILE) if isinstance(service, Absent) else service
    source = f"/proc/{process.pid}/cmdline"
    running = parse_flags(tuple(Word(word, source, 0) for word in process.argv))
    written = parse_flags(service.value.command) if isinstance(service, Known) else ()
    origin = {(one.key, one.value): one for one in written}
    return Known(tuple(origin.get((one.key, one.value), one) for one in running), source)


def _gather_json(facts: Facts) -> Answer[DaemonJson]:
    flags = facts.get(_FLAGS)
    path = DEFAULT_FILE
    if isinstance(flags, Known):
        named = next((flag.value for flag in flags.value if flag.key == "config-file"), None)
        path = named if isinstance(named, str) and named.startswith("/") else path
    answer = facts.host.read(path, LIMIT)
    if not isinstance(answer, Known):
        return answer
    return Known(parse_daemon_json(answer.value, path), path)


def _gather(facts: Facts) -> Answer[DaemonConfig]:
    flags = facts.get(_FLAGS)
    if not isinstance(flags, Known):
        return flags
    running = _running(facts) is not None
    answer = facts.get(DAEMON_JSON)
    if isinstance(answer, Unreadable):
        return answer
    if isinstance(answer, Absent):
        return Known(DaemonConfig(flags.value, (), running=running), flags.source)
    fault = answer.value.fault
    if fault is not None:
        where = f"line {fault.line}: " if fault.line else ""
        return Unreadable(answer.value.path, f"{where}{fault.message}")
    config = DaemonConfig(flags.value, answer.value.settings, answer.value.path, running)
    return Known(config, answer.value.path)


_FLAGS: Fact[tuple[Setting, ...]] = Fact("dockerd flags", _flags, waits=False)
DAEMON_JSON: Fact[DaemonJson] = Fact("daemon.json", _gather_json, waits=True)
DAEMON_CONFIG: Fact[DaemonConfig] = Fact("daemon configuration", _gather, waits=True)
