# SPDX-License-Identifier: GPL-3.0-or-later
"""What lab tests may ask for, outside a guest and inside one."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab import golden, inside
from tests.lab.delegate import DISKS, run_file
from tests.lab.uml import Disk, Lab
from tests.rig.tools import ToolsUnavailableError

HERE = Path(__file__).parent
GUEST = HERE / "guest"
INSIDE = inside.REPORTS in os.environ
_reports = pytest.StashKey[dict[str, list[pytest.TestReport]]]()


@pytest.fixture
def lab() -> Iterator[Lab]:
    """A lab of this test's own."""
    try:
        made = Lab()
    except ToolsUnavailableError as error:
        pytest.skip(f"no lab: {error}")
    with made:
        yield made


@pytest.fixture(scope="session")
def thin_pool_files() -> Path:
    """A folder with `data`, `metadata`, `metadata.xml`, `expected.json`: see golden.thin_pool."""
    return _golden(golden.thin_pool)


@pytest.fixture(scope="session")
def docker_loop_lvm() -> Path:
    """A folder with `disk` and `expected.json`: see golden.docker_loop_lvm."""
    return _golden(golden.docker_loop_lvm)


@pytest.fixture
def docker_loop_lvm_disk(lab: Lab, docker_loop_lvm: Path) -> Disk:
    """A copy of that disk for the guests of this test."""
    return lab.disk(golden=docker_loop_lvm / golden.DISK)


def _golden(make: Callable[[], Path]) -> Path:
    try:
        return make()
    except ToolsUnavailableError as error:
        pytest.skip(f"no lab: {error}")


@pytest.fixture(scope="session")
def disks() -> list[str]:
    """Inside a guest: its disks, as the file asked for them."""
    return os.environ[DISKS].split()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All here is marked `lab`."""
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("lab") is None:
            item.add_marker(pytest.mark.lab)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Report what the guest said of a test of its own instead of running that here."""
    if INSIDE or GUEST not in item.path.parents:
        return None
    reports = item.session.stash.setdefault(_reports, {})
    if item.nodeid not in reports:
        reports.update(run_file([one for one in item.session.items if one.path == item.path]))
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in reports[item.nodeid]:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    state = item.session._setupstate  # pyright: ignore[reportPrivateUsage] - as pytest's runner
    state.teardown_exact(nextitem)
    return True
