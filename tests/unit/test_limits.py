# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory, limits, the clock: the parsers, and what is made of them."""

from typing import Any

from hostkit.diagnosis.check import Check
from hostkit.diagnosis.finding import Finding, Outcome, Passed, Severity, Unknown
from hostkit.diagnosis.runner import run_checks
from hostkit.facts import memory
from hostkit.facts.clock import CLOCK, Clock
from hostkit.facts.fact import Fact
from hostkit.facts.limits import ENGINE_LIMITS, LIMITS, Inotify, Limits, ProcessLimits, Used
from hostkit.facts.memory import MEMORY, Memory
from hostkit.host.answer import Absent, Known, Unreadable
from hostkit_checks.limits import checks
from tests.fakes import TAKEN_AT, fake_stat, make_facts

MIB = 1 << 20
FINE = Limits(Used(5, 1000), Used(5, 1000), 1000, Inotify(128, 8192))
PROCESS = (
    "Limit                     Soft Limit           Hard Limit           Units     \n"
    "Max processes             unlimited            unlimited            processes \n"
    "Max open files            1024                 4096                 files     \n"
)


def outcomes(check: Check, **given_facts: Any) -> tuple[Outcome, ...]:
    facts: dict[str, Fact[Any]] = {
        "limits": LIMITS,
        "engine": ENGINE_LIMITS,
        "memory": MEMORY,
        "clock": CLOCK,
    }
    told = {facts[name]: value for name, value in given_facts.items()}
    (result,) = run_checks(make_facts(given=told), [check])
    return result.outcomes


def finding(check: Check, **given_facts: Any) -> Finding:
    (outcome,) = outcomes(check, **given_facts)
    assert isinstance(outcome, Finding)
    return outcome


def test_memory_before_and_after_linux_3_14() -> None:
    old = "MemTotal: 100 kB\nMemFree: 10 kB\nBuffers: 5 kB\nCached: 20 kB\n"
    assert memory.parse_meminfo(old).available == 35 * 1024
    assert memory.parse_meminfo(old + "MemAvailable: 30 kB\n").available == 30 * 1024


def test_memory_from_psutil_where_proc_is_not_there() -> None:
    told = {"memory": {"total": 4, "available": 3}, "swap": {"total": 2, "free": 1}}
    facts = make_facts({}, native={"psutil.memory": told})
    assert facts.get(MEMORY) == Known(Memory(4, 3, 2, 1), "psutil.memory")
    assert isinstance(make_facts({}).get(MEMORY), Absent)
    broken = make_facts({"/proc/meminfo": "x"}, native={"psutil.memory": [1]})
    assert isinstance(broken.get(MEMORY), Unreadable)


def test_limits_are_gathered_and_gaps_stay_gaps() -> None:
    files = {
        "/proc/sys/fs/file-nr": "1568\t0\t9223372036854775807\n",
        "/proc/loadavg": "0.20 0.18 0.12 1/80 11206\n",
        "/proc/sys/kernel/threads-max": "1000\n",
        "/proc/sys/kernel/pid_max": "32768\n",
        "/proc/sys/fs/inotify/max_user_instances": "128\n",
    }
    found = make_facts(files).value(LIMITS)
    assert found == Limits(Used(1568, 2**63 - 1), Used(80, 1000), 32768, None)


def test_limits_of_dockerd_only_of_a_living_one() -> None:
    files = {"/run/docker.pid": "42\n", "/proc/42/limits": PROCESS, "/proc/42/comm": "dockerd\n"}
    assert make_facts(files).value(ENGINE_LIMITS) == ProcessLimits(42, 1024, -1)
    files["/proc/42/comm"] = "bash\n"
    assert isinstance(make_facts(files).get(ENGINE_LIMITS), Absent)
    assert isinstance(make_facts({"/run/docker.pid": "x"}).get(ENGINE_LIMITS), Absent)


def test_memory_that_is_low() -> None:
    assert finding(checks.memory, memory=Memory(512 * MIB, 20 * MIB, 0, 0)).problem == "memory-low"
    swap = Memory(512 * MIB, 20 * MIB, 512 * MIB, 400 * MIB)
    assert isinstance(outcomes(checks.memory, memory=swap)[0], Passed)


def test_tasks_that_run_out_at_the_smaller_limit() -> None:
    found = finding(checks.tasks, limits=FINE._replace(tasks=Used(950, 90_000)))
    assert found.problem == "task-limit-reached"
    assert found.summary == "950 of at most 1000 tasks exist"
    assert isinstance(outcomes(checks.tasks, limits=FINE)[0], Passed)
    assert isinstance(outcomes(checks.tasks, limits=FINE._replace(tasks=None))[0], Unknown)


def test_open_files_of_the_host_and_of_dockerd() -> None:
    none = Absent("/run/docker.pid")
    full = FINE._replace(files=Used(990, 1000))
    assert finding(checks.open_files, limits=full, engine=none).severity is Severity.ERROR
    few = ProcessLimits(1, 1024, -1)
    assert "1024 files" in finding(checks.open_files, limits=FINE, engine=few).summary
    for engine in (none, ProcessLimits(1, -1, -1), ProcessLimits(1, 1048576, -1)):
        assert isinstance(outcomes(checks.open_files, limits=FINE, engine=engine)[0], Passed)
    blind = FINE._replace(files=None)
    assert isinstance(outcomes(checks.open_files, limits=blind, engine=none)[0], Unknown)


def test_inotify_below_the_kernels_own_default() -> None:
    low = FINE._replace(inotify=Inotify(16, 8192))
    assert finding(checks.inotify, limits=low).severity is Severity.INFO
    assert isinstance(outcomes(checks.inotify, limits=FINE)[0], Passed)
    assert isinstance(outcomes(checks.inotify, limits=FINE._replace(inotify=None))[0], Unknown)


def test_a_clock_that_went_back() -> None:
    found = finding(checks.clock, clock=Clock(0.0, 1.6e9, "/var/log/wtmp"))
    assert found.summary == (
        "the clock says 1970-01-01 00:00 UTC, but /var/log/wtmp is of 2020-09-13 12:26 UTC"
    )
    assert isinstance(outcomes(checks.clock, clock=Clock(1.6e9, 1.5e9, "/x"))[0], Passed)


def test_the_clock_is_held_against_the_newest_file() -> None:
    stats = {
        "/var/log/wtmp": fake_stat(mtime=TAKEN_AT - 5),
        "/etc/ld.so.cache": fake_stat(mtime=TAKEN_AT + 9000),
    }
    found = make_facts({}, stats=stats).value(CLOCK)
    assert (found.witness, found.behind_s) == ("/etc/ld.so.cache", 9000.0)
    assert isinstance(make_facts({}).get(CLOCK), Absent)
