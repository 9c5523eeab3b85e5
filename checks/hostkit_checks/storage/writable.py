# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an engine can write at all: to its data root, and to /run for what it starts."""

from collections.abc import Iterator

from hostkit.diagnosis.check import Check, check
from hostkit.diagnosis.finding import (
    Evidence,
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Severity,
)
from hostkit.facts.dataroot import VOLUMES
from hostkit.facts.fact import Facts
from hostkit.facts.filesystems import RUN_FOLDER, RUN_SPACE
from hostkit.facts.mounts import MOUNTS, PATH
from hostkit.host.answer import Absent

# What the state of one container takes is less; below it, nothing new starts.
_LEAST_BYTES, _LEAST_FILES = 1 << 20, 64
_FULL_PERCENT = 95


@check(
    "data-root-writable",
    title="Is the file system of the images mounted for writing?",
    problems=("filesystem-read-only",),
    needs=(VOLUMES,),
    required=("docker", "hostkit"),
    settles=False,  # XFS that has shut down still says rw, and texts name other devices
)
def data_root_writable(facts: Facts) -> Iterator[Outcome]:
    """By the options of the mount and of the file system, either of which may say ro."""
    for volume in facts.value(VOLUMES):
        mount = volume.mount
        if not mount.read_only:
            yield Passed(f"{mount.target} is mounted for writing")
            continue
        device = mount.source.rpartition("/")[2]
        yield Finding(
            problem="filesystem-read-only",
            severity=Severity.ERROR,
            summary=f"{mount.target} is mounted read-only: {volume.path} cannot be written"[:100],
            evidence=(Evidence(PATH, f"{mount.target} {mount.fstype} {mount.source} ro"),),
            params=(("device", device), ("mount", mount.target), ("path", volume.path)),
        )


@check(
    "run-space",
    title="Is there space in /run for the state of containers?",
    problems=("run-full",),
    uses=(RUN_SPACE, MOUNTS),
)
def run_space(facts: Facts) -> Iterator[Outcome]:
    """A file system in memory, of bounded size: a log that grows there fills it."""
    if isinstance(facts.get(RUN_SPACE), Absent):
        yield NotApplicable(f"there is no {RUN_FOLDER}, as on EL 6")
        return
    mount = facts.value(MOUNTS).at(RUN_FOLDER)
    space = facts.value(RUN_SPACE)
    if mount is None or not space.total:
        yield NotApplicable(f"{RUN_FOLDER} is no file system of its own")
        return
    percent = 100 - 100 * space.available // space.total
    none_left = space.available < _LEAST_BYTES
    few_files = space.inodes > 0 and space.inodes_free < _LEAST_FILES
    if not none_left and not few_files and percent < _FULL_PERCENT:
        yield Passed(f"{percent} % of {RUN_FOLDER} are taken")
        return
    what = "has no inodes left" if few_files and not none_left else f"is {percent} % full"
    effect = "no container starts" if none_left or few_files else "soon no container starts"
    yield Finding(
        problem="run-full",
        severity=Severity.ERROR if none_left or few_files else Severity.WARNING,
        summary=f"{RUN_FOLDER} {what}: {effect}",
        evidence=(
            Evidence(
                f"statvfs {RUN_FOLDER}",
                f"{space.available} of {space.total} bytes, {space.inodes_free} inodes free",
            ),
        ),
    )


WRITABLE_CHECKS: tuple[Check, ...] = (data_root_writable, run_space)
