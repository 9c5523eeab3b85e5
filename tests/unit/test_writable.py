# SPDX-License-Identifier: GPL-3.0-or-later
"""A data root that is mounted read-only, and a /run that is full."""

from typing import Any

import pytest

from hostkit.diagnosis.check import Check
from hostkit.diagnosis.finding import Finding, NotApplicable, Outcome, Passed, Severity, Unknown
from hostkit.diagnosis.runner import run_checks
from hostkit.facts.dataroot import VOLUMES
from hostkit.facts.filesystems import DType, Volume
from hostkit.facts.mounts import parse_mountinfo
from hostkit.host.base import Space
from hostkit_checks.storage.writable import data_root_writable, run_space
from tests.fakes import make_facts

ROOT = "1 0 254:0 / / rw,relatime - xfs /dev/vda1 rw\n"
RUN = "2 1 0:22 / /run rw,nosuid - tmpfs tmpfs rw\n"
MIB = 1 << 20


def ask(check: Check, files: dict[str, str], given: dict[Any, Any], **host: Any) -> Outcome:
    (result,) = run_checks(make_facts(files, given=given, **host), (check,))
    (outcome,) = result.outcomes
    return outcome


def volume(line: str) -> Volume:
    (mount,) = parse_mountinfo(line).table
    return Volume("/var/lib/docker", mount, Space(9, 9, 9, 9, 9), DType.YES)


@pytest.mark.parametrize(
    "line",
    [
        "1 0 254:0 / / ro,relatime - xfs /dev/vda1 rw\n",
        "1 0 254:0 / / rw,relatime - ext4 /dev/vda1 ro,errors=remount-ro\n",
    ],
)
def test_a_data_root_that_is_mounted_read_only(line: str) -> None:
    found = ask(data_root_writable, {}, {VOLUMES: (volume(line),)})
    assert isinstance(found, Finding)
    assert found.problem == "filesystem-read-only"
    assert dict(found.params)["device"] == "vda1"


def test_a_data_root_that_can_be_written_proves_nothing_of_other_devices() -> None:
    assert isinstance(ask(data_root_writable, {}, {VOLUMES: (volume(ROOT),)}), Passed)
    assert not data_root_writable.settles


@pytest.mark.parametrize(
    ("space", "severity"),
    [
        (Space(200 * MIB, 0, 0, 50000, 40000), Severity.ERROR),
        (Space(200 * MIB, 90 * MIB, 90 * MIB, 50000, 3), Severity.ERROR),
        (Space(200 * MIB, 8 * MIB, 8 * MIB, 50000, 40000), Severity.WARNING),
        (Space(200 * MIB, 90 * MIB, 90 * MIB, 50000, 40000), None),
        (Space(200 * MIB, 90 * MIB, 90 * MIB, 0, 0), None),  # no limit on files
    ],
)
def test_run_is_judged_by_bytes_and_by_files(space: Space, severity: Severity | None) -> None:
    found = ask(run_space, {"/proc/self/mountinfo": ROOT + RUN}, {}, spaces={"/run": space})
    if severity is None:
        assert isinstance(found, Passed)
    else:
        assert isinstance(found, Finding)
        assert (found.problem, found.severity) == ("run-full", severity)


def test_run_on_the_disk_is_the_disk_s_matter() -> None:
    full = {"/": Space(9 * MIB, 0, 0, 9, 9)}
    found = ask(run_space, {"/proc/self/mountinfo": ROOT}, {}, spaces=full)
    assert isinstance(found, NotApplicable)


def test_a_run_that_cannot_be_seen_is_unknown() -> None:
    found = ask(run_space, {"/proc/self/mountinfo": ROOT + RUN}, {}, unreadable=["statvfs /run"])
    assert isinstance(found, Unknown)


def test_el_6_has_no_run() -> None:
    found = ask(run_space, {"/proc/self/mountinfo": ROOT}, {})
    assert isinstance(found, NotApplicable)
