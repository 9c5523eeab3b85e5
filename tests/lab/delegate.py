# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests of tests/lab/guest run inside a guest: one boot a file, its results mapped back.

    pytestmark = pytest.mark.lab(disks=("64M",), mem="512M")

says what the guest of a file needs: `disks` are sizes, `mem`, `timeout` for the whole file.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.lab import inside
from tests.lab.uml import ROOT, Guest, GuestLostError, Lab
from tests.rig.tools import ToolsUnavailableError

DISKS = "HOSTKIT_LAB_DISKS"
_TIMEOUT_S = 120.0


def run_file(items: Sequence[pytest.Item]) -> dict[str, list[pytest.TestReport]]:
    """Run the tests of one file in a guest of their own; reports by node id.

    One that the guest did not finish is a failure with the guest's last words.
    """
    config = items[0].config
    marker = items[0].get_closest_marker("lab")
    wants: dict[str, Any] = dict(marker.kwargs) if marker else {}
    timeout = wants.pop("timeout", _TIMEOUT_S)
    sizes: Sequence[str] = wants.pop("disks", ())
    try:
        with Lab() as lab:
            disks = [lab.disk(size) for size in sizes]
            with lab.boot(disks, **wants) as guest:
                return run_in_guest(guest, config, items, len(disks), timeout)
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
    argv = [*command, *plain, *map(_plain_id, items)]
    try:
        done = guest.start(*argv, cwd=str(ROOT), environment=environment).wait(timeout)
        said = (done.stdout + done.stderr).decode(errors="replace")
        reason = f"pytest in the guest exited {done.status}:\n{said}"
    except GuestLostError as error:
        reason = str(error)
    return _completed(items, _read(config, reports), reason)


def _plain_id(item: pytest.Item) -> str:
    """The node id without what xdist puts behind it."""
    group = item.get_closest_marker("xdist_group")
    return item.nodeid.removesuffix(f"@{group.args[0]}") if group else item.nodeid


def _completed(
    items: Sequence[pytest.Item], found: dict[str, list[pytest.TestReport]], reason: str
) -> dict[str, list[pytest.TestReport]]:
    """Reports by our own node ids; a test that was not finished failed, the first says why."""
    complete: dict[str, list[pytest.TestReport]] = {}
    for item in items:
        reports = found.get(_plain_id(item), [])
        for report in reports:
            report.nodeid = item.nodeid
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
