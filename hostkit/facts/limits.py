# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a countable thing there is: open files, tasks, inotify; for all and for dockerd."""

from hostkit import text
from hostkit.facts.fact import Fact, Facts, file_fact, parsed, read_text, refuse
from hostkit.facts.sysctl import sysctl
from hostkit.host.answer import Absent, Answer, Known
from hostkit.host.base import Host
from hostkit.value import NamedTuple

UNLIMITED = -1
_DIGITS = 19  # of 2**63
_SMALL = 64
# dockerd's default pid files; podman has no daemon.
PID_FILES = ("/run/docker.pid", "/var/run/docker.pid")
ENGINES = ("dockerd", "docker", "dockerd-current", "docker-current")


class Used(NamedTuple):
    """How many are in use, and how many there may be."""

    used: int
    most: int


class Inotify(NamedTuple):
    """What one user may have: instances, and watches over all of them."""

    instances: int
    watches: int


class Limits(NamedTuple):
    """System-wide limits; None where the kernel does not say."""

    files: Used | None
    tasks: Used | None
    pids: int | None
    inotify: Inotify | None


class ProcessLimits(NamedTuple):
    """The soft limits of one process, UNLIMITED for none."""

    pid: int
    files: int
    processes: int


def parse_number(content: str) -> int:
    r"""A file that holds one number.

    >>> parse_number("8192\n")
    8192
    """
    word = content.strip()
    if not (word.isascii() and word.isdigit() and len(word) <= _DIGITS):
        refuse(f"not a number: {text.shorten(word, 40)}")
    return int(word)


def parse_file_nr(content: str) -> Used:
    r"""Parse /proc/sys/fs/file-nr: allocated, free (0 since 2.6), most.

    >>> parse_file_nr("1568\t0\t9223372036854775807\n")
    Used(used=1568, most=9223372036854775807)
    """
    allocated, free, most = (parse_number(word) for word in _words(content, 3))
    return Used(max(0, allocated - free), most)


def parse_task_count(loadavg: str) -> int:
    r"""The tasks that exist, from /proc/loadavg.

    >>> parse_task_count("0.20 0.18 0.12 1/80 11206\n")
    80
    """
    _running, slash, all_of_them = _words(loadavg, 5)[3].partition("/")
    if not slash:
        refuse("no running/total")
    return parse_number(all_of_them)


def parse_process_limits(content: str, pid: int = 0) -> ProcessLimits:
    r"""Parse /proc/PID/limits.

    >>> parse_process_limits(
    ...     "Limit                     Soft Limit           Hard Limit           Units     \n"
    ...     "Max processes             unlimited            unlimited            processes \n"
    ...     "Max open files            1024                 4096                 files     \n")
    ProcessLimits(pid=0, files=1024, processes=-1)
    """
    soft: dict[str, int] = {}
    for line in content.splitlines():
        name, value = line[:26].strip(), line[26:].split(maxsplit=1)[:1]
        if name in ("Max open files", "Max processes") and value:
            soft[name] = UNLIMITED if value[0] == "unlimited" else parse_number(value[0])
    if len(soft) < 2:  # noqa: PLR2004 - the two asked for above
        refuse("no limits of open files and processes")
    return ProcessLimits(pid, soft["Max open files"], soft["Max processes"])


def _words(content: str, count: int) -> list[str]:
    words = content.split()
    if len(words) != count:
        refuse(f"{count} words expected, {len(words)} found")
    return words


_FILE_NR = file_fact("fs.file-nr", "/proc/sys/fs/file-nr", parse_file_nr)
_TASKS = file_fact("tasks", "/proc/loadavg", parse_task_count)


def _number(facts: Facts, key: str) -> int | None:
    raw = facts.get(sysctl(key))
    answer = parsed(raw.value, raw.source, parse_number) if isinstance(raw, Known) else raw
    return answer.value if isinstance(answer, Known) else None


def _gather(facts: Facts) -> Answer[Limits]:
    threads, tasks = _number(facts, "kernel.threads-max"), facts.known(_TASKS)
    instances = _number(facts, "fs.inotify.max_user_instances")
    watches = _number(facts, "fs.inotify.max_user_watches")
    return Known(
        Limits(
            files=facts.known(_FILE_NR),
            tasks=None if threads is None or tasks is None else Used(tasks, threads),
            pids=_number(facts, "kernel.pid_max"),
            inotify=None if instances is None or watches is None else Inotify(instances, watches),
        ),
        "/proc/sys",
    )


def _gather_engine(facts: Facts) -> Answer[ProcessLimits]:
    pid = _engine_pid(facts.host)
    if pid is None:
        return Absent(PID_FILES[0], "names no dockerd that runs")

    def parse(content: str) -> ProcessLimits:
        return parse_process_limits(content, pid)

    return read_text(facts.host, f"/proc/{pid}/limits", parse)


def _engine_pid(host: Host) -> int | None:
    for path in PID_FILES:
        pid = read_text(host, path, parse_number, _SMALL)
        if isinstance(pid, Known):
            number: int = pid.value
            name = host.read(f"/proc/{number}/comm", _SMALL)
            # A pid file may outlive its daemon, and another process may have its number.
            if isinstance(name, Known) and text.decode(name.value).strip() in ENGINES:
                return number
    return None


LIMITS: Fact[Limits] = Fact("limits", _gather, waits=False)
ENGINE_LIMITS: Fact[ProcessLimits] = Fact("limits of dockerd", _gather_engine, waits=False)
