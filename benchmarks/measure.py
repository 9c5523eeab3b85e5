# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole processes, timed side by side: round after round, so that noise hits all alike."""

import os
import resource
import statistics
import subprocess  # noqa: TID251 - whole processes are what is measured
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple


class Contestant(NamedTuple):
    """One command line; `missing` says why it cannot run here."""

    name: str
    argv: tuple[str, ...]
    missing: str = ""


class Sample(NamedTuple):
    """One run: wall and processor seconds, and the most memory held, in bytes."""

    wall: float
    cpu: float
    rss: int


class Measured(NamedTuple):
    """All runs of one contestant."""

    contestant: Contestant
    samples: tuple[Sample, ...]

    @property
    def wall(self) -> float:
        """The median wall time in seconds."""
        return statistics.median(sample.wall for sample in self.samples)

    @property
    def cpu(self) -> float:
        """The median processor time in seconds."""
        return statistics.median(sample.cpu for sample in self.samples)

    @property
    def rss(self) -> int:
        """The largest memory of any run, in bytes."""
        return max(sample.rss for sample in self.samples)

    @property
    def spread(self) -> str:
        """The fastest and the slowest run."""
        walls = [sample.wall for sample in self.samples]
        return f"{min(walls) * 1000:.0f}-{max(walls) * 1000:.0f}"


def own_rss() -> int:
    """The most memory this process has held, in bytes; the kernel counts it to its children."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def once(argv: Sequence[str]) -> Sample:
    """Run a command with its output thrown away. Its exit code is its own affair."""
    started = time.perf_counter()
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - started
    return Sample(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def race(contestants: Sequence[Contestant], rounds: int) -> tuple[Measured, ...]:
    """Each contestant once a round; a first round, not counted, fills the caches."""
    able = [one for one in contestants if not one.missing]
    samples: dict[str, list[Sample]] = {one.name: [] for one in able}
    for counted in [False, *[True] * rounds]:
        for one in able:
            sample = once(one.argv)
            if counted:
                samples[one.name].append(sample)
    return tuple(Measured(one, tuple(samples[one.name])) for one in able)


def hostkit_command() -> tuple[str, ...]:
    """How hostkit is called."""
    program = os.path.join(os.path.dirname(sys.executable), "hostkit")
    return (program,) if os.path.exists(program) else (sys.executable, "-m", "hostkit")
