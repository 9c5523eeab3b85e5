# SPDX-License-Identifier: GPL-3.0-or-later
"""The engines' daemons that run: found by name in /proc, their command lines read."""

from typing import Literal

from hostkit import text
from hostkit.facts.fact import Fact, Facts, read_text, refuse
from hostkit.host.answer import Answer, Known, Unreadable
from hostkit.host.base import Host
from hostkit.value import NamedTuple

Role = Literal["dockerd", "containerd", "podman"]
# /proc/PID/comm holds 15 characters; RHEL's builds end in -current or -latest.
_CANDIDATES = frozenset(
    (
        "dockerd",
        "dockerd-current",
        "dockerd-latest",
        "docker",
        "docker-current",
        "containerd",
        "docker-containe",
        "podman",
    )
)
_COMMAND_LIMIT = 1 << 16
_PROCESSES_LIMIT = 20000
_PID_DIGITS = 10
PID_FILE_PATH = "/var/run/docker.pid"


class Process(NamedTuple):
    """A daemon. `nested`: it lives in a PID namespace below ours, so in a container."""

    pid: int
    role: Role
    argv: tuple[str, ...]
    nested: bool = False


_ONLY_TELLS = frozenset(("--version", "-v", "--help", "-h", "--validate"))


class EngineProcesses(NamedTuple):
    """Every daemon of an engine."""

    processes: tuple[Process, ...]

    def running(self, role: Role) -> tuple[Process, ...]:
        """Those of the host itself, not of a container in it."""
        return tuple(one for one in self.processes if one.role == role and not one.nested)


def parse_cmdline(content: bytes) -> tuple[str, ...]:
    r"""The words of a /proc/PID/cmdline.

    >>> parse_cmdline(b"/usr/bin/dockerd\0-H\0fd://\0")
    ('/usr/bin/dockerd', '-H', 'fd://')
    """
    return tuple(text.decode(word) for word in content.rstrip(b"\0").split(b"\0"))


def role_of(argv: tuple[str, ...]) -> Role | None:
    """What a command line is the daemon of, or None: a client, a shim, something else.

    A daemon asked only for its version, by us or by another, serves nobody.

    >>> role_of(("/usr/bin/docker", "daemon", "-H", "fd://")), role_of(("docker", "ps"))
    ('dockerd', None)
    >>> role_of(("dockerd", "--version"))
    """
    if not _ONLY_TELLS.isdisjoint(argv[1:]):
        return None
    name = argv[0].rpartition("/")[2] if argv else ""
    name = name.removesuffix("-current").removesuffix("-latest")
    if name == "dockerd" or (name == "docker" and argv[1:2] in (("daemon",), ("-d",))):
        return "dockerd"
    if name in ("containerd", "docker-containerd"):
        return "containerd"
    if name == "podman" and "system" in argv[1:] and "service" in argv[1:]:
        return "podman"
    return None


def is_nested(status: str) -> bool:
    r"""Whether a /proc/PID/status names several PID namespaces (Linux 4.1 and later).

    >>> is_nested("Name:\tdockerd\nNSpid:\t4242\t1\n")
    True
    """
    for line in status.splitlines():
        if line.startswith("NSpid:"):
            return len(line.split()) > 2  # noqa: PLR2004 - the label and our own number
    return False


def _gather(facts: Facts) -> Answer[EngineProcesses]:
    host = facts.host
    names = host.listdir("/proc")
    if not isinstance(names, Known):
        return names
    pids = [int(name) for name in names.value if name.isascii() and name.isdigit()]
    if not pids:
        return Unreadable("/proc", "lists no process")
    if len(pids) > _PROCESSES_LIMIT:
        return Unreadable("/proc", f"not read: it lists {len(pids)} processes")
    found = [process for pid in sorted(pids) if (process := _process(host, pid)) is not None]
    return Known(EngineProcesses(tuple(found)), "/proc")


def _process(host: Host, pid: int) -> Process | None:
    """One process when it is a daemon; one that ended while we looked is none."""
    name = host.read(f"/proc/{pid}/comm", 64)
    if not isinstance(name, Known) or text.decode(name.value).strip() not in _CANDIDATES:
        return None
    command = host.read(f"/proc/{pid}/cmdline", _COMMAND_LIMIT)
    argv = parse_cmdline(command.value) if isinstance(command, Known) else ()
    role = role_of(argv)
    if role is None:
        return None
    status = host.read(f"/proc/{pid}/status", _COMMAND_LIMIT)
    nested = isinstance(status, Known) and is_nested(text.decode(status.value))
    return Process(pid, role, argv, nested)


class PidFile(NamedTuple):
    """docker.pid: the process that it names. `argv` is empty when that one is gone."""

    path: str
    pid: int
    argv: tuple[str, ...]

    @property
    def names_dockerd(self) -> bool:
        """Whether the process is a dockerd, so that the file is right."""
        return role_of(self.argv) == "dockerd"


def parse_pid(content: str) -> int:
    """The number in a pid file; 1 and below is nobody's.

    >>> parse_pid(" 4242 ")
    4242
    """
    word = content.strip()
    if not (word.isascii() and word.isdigit()) or len(word) > _PID_DIGITS or int(word) <= 1:
        refuse("not the number of a process")
    return int(word)


def _pid_file(facts: Facts) -> Answer[PidFile]:
    answer = read_text(facts.host, PID_FILE_PATH, parse_pid, 64)
    if not isinstance(answer, Known):
        return answer
    pid = answer.value
    command = facts.host.read(f"/proc/{pid}/cmdline", _COMMAND_LIMIT)
    if isinstance(command, Unreadable):
        return command
    argv = parse_cmdline(command.value) if isinstance(command, Known) else ()
    return Known(PidFile(PID_FILE_PATH, pid, argv), PID_FILE_PATH)


PID_FILE: Fact[PidFile] = Fact("docker.pid", _pid_file, waits=False)
# Hundreds of small reads: worth doing beside the facts that wait for a program.
ENGINE_PROCESSES: Fact[EngineProcesses] = Fact("engine processes", _gather, waits=True)
