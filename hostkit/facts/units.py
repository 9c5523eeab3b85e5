# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd says of the services that containers rest on: one `systemctl show` for all."""

from collections.abc import Mapping

from hostkit.facts.fact import Fact, Facts, run_text
from hostkit.host.answer import Absent, Answer, Known
from hostkit.host.commands import SYSTEMCTL_SHOW
from hostkit.value import NamedTuple

NAMES = (
    "docker.service",
    "docker.socket",
    "containerd.service",
    "docker-storage-setup.service",
    "podman.socket",
    "firewalld.service",
    "iptables.service",
    "nftables.service",
    "ufw.service",
    "lvm2-monitor.service",
    "systemd-networkd.service",
    "NetworkManager.service",
)
# Older systemd leaves out the properties it does not have (NRestarts came with 235).
PROPERTIES = (
    "Id",
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "Result",
    "ActiveEnterTimestampMonotonic",
    "MainPID",
    "ExecMainStatus",
    "NRestarts",
    "FragmentPath",
    "DropInPaths",
    "NeedDaemonReload",
    "Environment",
    "LimitNOFILE",
    "TasksMax",
    "MountFlags",
)
_UNSET = 2**64 - 1
_PROPAGATION = {str(1 << 20): "shared", str(1 << 19): "slave", str(1 << 18): "private"}
_INFINITY = ("infinity", str(_UNSET))


class Unit(NamedTuple):
    """One unit. `active_enter_s`: since boot, 0.0 when it was never active; -1: no limit.

    `mount_flags`: shared, slave or private, empty when the unit does not say.
    """

    name: str
    load: str = ""
    state: str = ""
    sub: str = ""
    enabled: str = ""
    result: str = ""
    active_enter_s: float = 0.0
    main_pid: int = 0
    exit_status: int = 0
    restarts: int = 0
    path: str = ""
    drop_ins: tuple[str, ...] = ()
    needs_reload: bool = False
    environment: tuple[tuple[str, str], ...] = ()
    limit_nofile: int | None = None
    tasks_max: int | None = None
    mount_flags: str = ""

    @property
    def installed(self) -> bool:
        """Whether systemd has found a file for it, be it masked or broken."""
        return self.load not in ("", "not-found")

    @property
    def active(self) -> bool:
        """Whether it runs (a socket: listens)."""
        return self.state in ("active", "reloading")


class Units(NamedTuple):
    """The units asked for; those that are not installed are among them."""

    units: tuple[Unit, ...]

    def get(self, name: str) -> Unit | None:
        """The unit of that name when it is installed, else None."""
        return next((unit for unit in self.units if unit.name == name and unit.installed), None)


def parse_systemctl_show(content: str) -> Units:
    r"""The blocks of `systemctl show NAME... -p PROPERTY...`, parted by empty lines.

    >>> units = parse_systemctl_show(
    ...     "Id=docker.service\nLoadState=loaded\nActiveState=failed\nResult=exit-code\n"
    ...     "ExecMainStatus=1\n\nId=podman.socket\nLoadState=not-found\n")
    >>> units.get("docker.service").result, units.get("podman.socket")
    ('exit-code', None)
    """
    units: list[Unit] = []
    for block in content.split("\n\n"):
        values: dict[str, str] = {}
        for line in block.splitlines():
            name, equals, value = line.partition("=")
            if equals:
                values[name] = value
        if "Id" in values:
            units.append(_unit(values))
    return Units(tuple(units))


def _unit(values: Mapping[str, str]) -> Unit:
    return Unit(
        name=values["Id"],
        load=values.get("LoadState", ""),
        state=values.get("ActiveState", ""),
        sub=values.get("SubState", ""),
        enabled=values.get("UnitFileState", ""),
        result=values.get("Result", ""),
        active_enter_s=_number(values, "ActiveEnterTimestampMonotonic") / 1e6,
        main_pid=_number(values, "MainPID"),
        exit_status=_number(values, "ExecMainStatus"),
        restarts=_number(values, "NRestarts"),
        path=values.get("FragmentPath", ""),
        drop_ins=tuple(values.get("DropInPaths", "").split()),
        needs_reload=values.get("NeedDaemonReload") == "yes",
        environment=parse_environment(values.get("Environment", "")),
        limit_nofile=_limit(values.get("LimitNOFILE", "")),
        tasks_max=_limit(values.get("TasksMax", "")),
        mount_flags=_propagation(values.get("MountFlags", "")),
    )


def _number(values: Mapping[str, str], name: str) -> int:
    value = values.get(name, "")
    return int(value) if value.isascii() and value.isdigit() else 0


def _limit(value: str) -> int | None:
    if value in _INFINITY:
        return -1
    return int(value) if value.isascii() and value.isdigit() else None


def _propagation(value: str) -> str:
    """Of `MountFlags`: systemd 219 shows the number of mount(2), later ones the word."""
    return _PROPAGATION.get(value, value if value in _PROPAGATION.values() else "")


def parse_environment(value: str) -> tuple[tuple[str, str], ...]:
    r"""Names and values as systemd writes them: parted by blanks, quoted where needed.

    >>> parse_environment('HTTP_PROXY=http://proxy:3128 "NO_PROXY=localhost, 10.0.0.0/8"')
    (('HTTP_PROXY', 'http://proxy:3128'), ('NO_PROXY', 'localhost, 10.0.0.0/8'))
    """
    pairs: list[tuple[str, str]] = []
    for word in split_words(value):
        name, equals, said = word.partition("=")
        if equals and name:
            pairs.append((name, said))
    return tuple(pairs)


def split_words(value: str) -> tuple[str, ...]:
    r"""Words parted by blanks; quotes keep blanks, a backslash keeps the next character.

    >>> split_words("a 'b c' \"d e\"f")
    ('a', 'b c', 'd ef')
    """
    words: list[str] = []
    word: list[str] | None = None
    quote = ""
    characters = iter(value)
    for character in characters:
        if character == "\\":
            word = word if word is not None else []
            word.append(next(characters, ""))
        elif quote and character == quote:
            quote = ""
        elif not quote and character in "\"'":
            quote = character
            word = word if word is not None else []
        elif not quote and character.isspace():
            if word is not None:
                words.append("".join(word))
            word = None
        else:
            word = word if word is not None else []
            word.append(character)
    return tuple(words) if word is None else (*words, "".join(word))


def _gather(facts: Facts) -> Answer[Units]:
    running = facts.host.stat("/run/systemd/system")
    if isinstance(running, Absent):
        return Absent("/run/systemd/system", "systemd does not run here")
    if not isinstance(running, Known):
        return running
    return run_text(facts.host, SYSTEMCTL_SHOW, parse_systemctl_show, *NAMES, *_WANTED)


_WANTED = tuple(word for name in PROPERTIES for word in ("-p", name))
UNITS: Fact[Units] = Fact("units", _gather, waits=True)
