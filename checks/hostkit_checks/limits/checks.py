# SPDX-License-Identifier: GPL-3.0-or-later
"""Countable things that run out: memory, tasks, open files, inotify; and a clock behind."""

import time
from collections.abc import Iterator

from hostkit.diagnosis.check import Check, check
from hostkit.diagnosis.finding import Evidence, Finding, Outcome, Passed, Severity, Unknown
from hostkit.facts.clock import CLOCK
from hostkit.facts.fact import Facts
from hostkit.facts.limits import ENGINE_LIMITS, LIMITS, Used
from hostkit.facts.memory import MEMINFO, MEMORY
from hostkit.facts.units import UNITS
from hostkit.host.answer import Absent, Known, Unreadable
from hostkit_checks.limits.keys import QUOTA_CHECKS

_MIB = 1 << 20
_LOW_MEMORY = 64 * _MIB
_FULL = 0.9  # of a limit that is used
# The kernel's own defaults up to 5.10; what is below was lowered by somebody.
_INSTANCES, _WATCHES = 128, 8192
_ENGINE_FILES = 4096
_UNIT_TASKS = 1024
_BEHIND_S = 3600.0  # time zones of a hardware clock shift mtimes by hours for a moment


@check(
    "memory",
    title="Is there memory left for a container?",
    problems=("memory-low",),
    needs=(MEMORY,),
)
def memory(facts: Facts) -> Iterator[Outcome]:
    """What can be had without swapping, and the swap that is free."""
    found = facts.value(MEMORY)
    left = found.available + found.swap_free
    note = f"{found.available // _MIB} MiB of {found.total // _MIB} MiB are available"
    if left < _LOW_MEMORY:
        yield Finding(
            problem="memory-low",
            severity=Severity.WARNING,
            summary=f"{note} and {found.swap_free // _MIB} MiB of swap",
            evidence=(Evidence(MEMINFO, f"MemAvailable: {found.available // 1024} kB"),),
        )
    else:
        yield Passed(note)


@check(
    "tasks",
    title="Can more processes be started?",
    problems=("task-limit-reached",),
    needs=(LIMITS,),
    uses=(UNITS,),
    settles=False,  # a unit, a container or a user may be at a limit of its own
)
def tasks(facts: Facts) -> Iterator[Outcome]:
    """Every thread takes a number below kernel.pid_max and counts for kernel.threads-max."""
    limits = facts.value(LIMITS)
    if limits.tasks is None:
        yield Unknown("/proc/loadavg or kernel.threads-max is not readable")
        return
    most = min(limits.tasks.most, limits.pids or limits.tasks.most)
    if limits.tasks.used > _FULL * most:
        yield Finding(
            problem="task-limit-reached",
            severity=Severity.ERROR,
            summary=f"{limits.tasks.used} of at most {most} tasks exist",
            evidence=(Evidence("/proc/loadavg", f"{limits.tasks.used} tasks"),),
        )
        return
    found = tuple(_units_with_few_tasks(facts))
    yield from found
    if not found:
        yield Passed(f"{limits.tasks.used} of at most {most} tasks")


def _units_with_few_tasks(facts: Facts) -> Iterator[Finding]:
    """With the 512 of systemd 228 dockerd crashed at some 40 containers (moby#22690)."""
    units = facts.known(UNITS)
    for name in ("docker.service", "containerd.service"):
        unit = units.get(name) if units else None
        if unit is None or unit.tasks_max is None or not 0 <= unit.tasks_max < _UNIT_TASKS:
            continue
        yield Finding(
            problem="task-limit-reached",
            severity=Severity.WARNING,
            summary=f"{name} may have {unit.tasks_max} tasks:"
            f" about {unit.tasks_max * 40 // 512} containers take them all",
            evidence=(Evidence(f"systemctl show {name}", f"TasksMax={unit.tasks_max}"),),
        )


@check(
    "open-files",
    title="Can the engine open more files?",
    problems=("open-files-limit",),
    needs=(LIMITS,),
    uses=(ENGINE_LIMITS, UNITS),
    settles=False,  # one container may have used up its own limit
)
def open_files(facts: Facts) -> Iterator[Outcome]:
    """The machine's table of open files, and the limit of dockerd itself."""
    files = facts.value(LIMITS).files
    engine = facts.get(ENGINE_LIMITS)
    if files is None:
        yield Unknown("/proc/sys/fs/file-nr is not readable")
    elif files.used > _FULL * files.most:
        yield _files_used(files)
    elif isinstance(engine, Known) and 0 <= engine.value.files < _ENGINE_FILES:
        yield Finding(
            problem="open-files-limit",
            severity=Severity.WARNING,
            summary=f"dockerd may open {engine.value.files} files: a few hundred containers",
            evidence=(Evidence(engine.source, f"Max open files {engine.value.files}"),),
        )
    elif isinstance(engine, Unreadable):
        yield Unknown(f"{engine.source}: {engine.reason}", needs_root=engine.needs_root)
    elif isinstance(engine, Absent) and (found := _unit_with_few_files(facts)):
        yield found
    else:
        yield Passed(f"{files.used} files are open")


def _unit_with_few_files(facts: Facts) -> Finding | None:
    """What dockerd would get at its next start, where none runs that could be asked."""
    units = facts.known(UNITS)
    unit = units.get("docker.service") if units else None
    limit = unit.limit_nofile if unit else None
    if limit is None or not 0 <= limit < _ENGINE_FILES:
        return None
    return Finding(
        problem="open-files-limit",
        severity=Severity.WARNING,
        summary=f"dockerd will be allowed {limit} open files: a few hundred containers",
        evidence=(Evidence("systemctl show docker.service", f"LimitNOFILE={limit}"),),
    )


def _files_used(files: Used) -> Finding:
    return Finding(
        problem="open-files-limit",
        severity=Severity.ERROR,
        summary=f"{files.used} of at most {files.most} files are open on this host",
        evidence=(Evidence("/proc/sys/fs/file-nr", f"{files.used} 0 {files.most}"),),
    )


@check(
    "inotify",
    title="Can programs in containers watch files?",
    problems=("inotify-limit",),
    needs=(LIMITS,),
    settles=False,  # how many one user has taken is not known
)
def inotify(facts: Facts) -> Iterator[Outcome]:
    """Containers of one user share that user's watches."""
    limit = facts.value(LIMITS).inotify
    if limit is None:
        yield Unknown("fs.inotify.* is not readable")
    elif limit.instances < _INSTANCES or limit.watches < _WATCHES:
        yield Finding(
            problem="inotify-limit",
            severity=Severity.INFO,
            summary=f"a user has {limit.instances} inotify instances, {limit.watches} watches",
            evidence=(
                Evidence("/proc/sys/fs/inotify/max_user_instances", str(limit.instances)),
                Evidence("/proc/sys/fs/inotify/max_user_watches", str(limit.watches)),
            ),
        )
    else:
        yield Passed(f"{limit.instances} instances and {limit.watches} watches a user")


@check(
    "clock",
    title="Can the clock be right?",
    problems=("clock-skew",),
    needs=(CLOCK,),
    settles=False,  # a clock that runs ahead leaves no trace here
)
def clock(facts: Facts) -> Iterator[Outcome]:
    """A file that was written later than now says that the clock went back."""
    found = facts.value(CLOCK)
    if found.behind_s > _BEHIND_S:
        yield Finding(
            problem="clock-skew",
            severity=Severity.ERROR,
            summary=f"the clock says {_day(found.now)}, but {found.witness} is of "
            f"{_day(found.newest)}",
            evidence=(Evidence(found.witness, f"modified {_day(found.newest)}"),),
        )
    else:
        yield Passed(f"no file is from the future ({_day(found.now)})")


def _day(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(max(0.0, min(moment, 9e10))))


CHECKS: tuple[Check, ...] = (memory, tasks, open_files, inotify, clock, *QUOTA_CHECKS)
