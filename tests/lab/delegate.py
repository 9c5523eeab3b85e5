# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests of tests/lab/guest run inside a guest: one boot a file, its results mapped back.

    pytestmark = pytest.mark.lab(disks=("64M", "docker_loop_lvm"), tools=("docker",), mem="1024M")

says what the guest of a file needs: its disks by size, or by the name of a golden one, programs
besides those of LVM and the file systems, memory, and the `timeout` for all of its tests.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest

from tests.lab import golden, inside
from tests.lab.uml import ROOT, Disk, Guest, GuestLostError, Lab
from tests.rig.tools import DOCKER, IPTABLES, ToolsUnavailableError, unpack

DISKS = "HOSTKIT_LAB_DISKS"
_TOOLS = {"docker": DOCKER, "iptables": IPTABLES}


class _Wants(NamedTuple):
    disks: Sequence[str] = ()
    mem: str = "512M"
    tools: Sequence[str] = ()
    timeout: float = 120


def _disk(lab: Lab, name: str) -> Disk:
    made = golden.DISKS.get(name)
    return lab.disk(golden=made() / golden.DISK) if made else lab.disk(name)


def run_file(items: Sequence[pytest.Item]) -> dict[str, list[pytest.TestReport]]:
    """Run the tests of one file in a guest of their own; reports by node id.

    One that the guest did not finish is a failure with the guest's last words.
    """
    config = items[0].config
    marker = items[0].get_closest_marker("lab")
    wants = _Wants(**(marker.kwargs if marker else {}))
    try:
        with Lab() as lab:
            disks = [_disk(lab, name) for name in wants.disks]
            tools = [unpack(_TOOLS[name]) for name in wants.tools]
            with lab.boot(disks, wants.mem, tools) as guest:
                return run_in_guest(guest, config, items, len(disks), wants.timeout)
    except ToolsUnavailableError as error:
        return {item.nodeid: [_skipped(item, f"no lab: {error}")] for item in items}
    except GuestLostError as error:
        return _completed(items, {}, str(error))


def run_in_guest(
    guest: Guest,
    config: pytest.Config,
    items: Sequence[pytest.Item],
    disks: int,
    timeout: float,
) -> dict[str, list[pytest.TestReport]]:
    """Run tests in a guest that is up."""
    reports = guest.share / "reports"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.lab.inside"]
    plain = ["-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", str(ROOT)]
    environment = {
        inside.REPORTS: str(reports),
        DISKS: " ".join(f"/dev/ubd{letter}" for letter in "abcdefgh"[:disks]),
    }
    argv = [*command, *plain, *(item.nodeid for item in items)]
    try:
        done = guest.start(*argv, cwd=str(ROOT), environment=environment).wait(timeout)
        said = (done.stdout + done.stderr).decode(errors="replace")
        reason = f"pytest in the guest exited {done.status}:\n{said}"
    except GuestLostError as error:
        reason = str(error)
    return _completed(items, _read(config, reports), reason)


def _completed(
    items: Sequence[pytest.Item], found: dict[str, list[pytest.TestReport]], reason: str
) -> dict[str, list[pytest.TestReport]]:
    """All reports; a test that was not finished failed, and the first of them says why."""
    complete: dict[str, list[pytest.TestReport]] = {}
    for item in items:
        reports = found.get(item.nodeid, [])
        if not any(report.when == "teardown" for report in reports):
            reports.append(_report(item, "failed", reason))
            reason = "the guest had ended before"
        complete[item.nodeid] = reports
    return complete


def _read(config: pytest.Config, path: Path) -> dict[str, list[pytest.TestReport]]:
    found: dict[str, list[pytest.TestReport]] = {}
    if path.exists():
        for line in path.read_text().splitlines():
            data = json.loads(line)
            report = config.hook.pytest_report_from_serializable(config=config, data=data)
            if report.skipped:
                report.longrepr = tuple(report.longrepr)  # a list in JSON
            found.setdefault(report.nodeid, []).append(report)
    return found


def _skipped(item: pytest.Item, reason: str) -> pytest.TestReport:
    path, line, _ = item.location
    return _report(item, "skipped", (path, line or 0, f"Skipped: {reason}"))


def _report(item: pytest.Item, outcome: Any, words: Any) -> pytest.TestReport:
    keywords: dict[str, Literal[1]] = {str(word): 1 for word in item.keywords}
    return pytest.TestReport(item.nodeid, item.location, keywords, outcome, words, "call")
