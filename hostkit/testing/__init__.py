# SPDX-License-Identifier: GPL-3.0-or-later
"""A pytest plug-in that proves a storage driver, ours or another project's.

    python -m pytest -p hostkit.testing --driver NAME --pyargs hostkit.testing.conformance

docs/drivers.md says more. hostkit itself imports nothing of this, so it needs no pytest.
"""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

pytest.register_assert_rewrite("hostkit.testing")

from hostkit import plugins  # noqa: E402 - what follows is rewritten
from hostkit.storage.plugin import DriverPlugin  # noqa: E402
from hostkit.testing import leftovers  # noqa: E402
from hostkit.testing.subject import Subject, touching  # noqa: E402

_PLACE = "hostkit-driver"  # of a case, among its properties
_OUTCOMES = ("passed", "skipped", "failed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of a run from the command line."""
    group = parser.getgroup("hostkit", "storage drivers")
    group.addoption("--driver", metavar="NAME", help="the driver, as its entry point names it")
    group.addoption("--driver-root", metavar="DIR", help="where the cases make their roots")
    group.addoption(
        "--driver-option", metavar="NAME=VALUE", action="append", default=[], help="for the driver"
    )
    group.addoption("--driver-table", metavar="FILE", help="write the table of results there")


@pytest.fixture
def driver_plugin(request: pytest.FixtureRequest) -> DriverPlugin:
    """The driver to prove: that of --driver. A test class may give another."""
    name = request.config.getoption("--driver")
    if not name:
        pytest.fail("name the driver: --driver NAME")
    found = [one for one in plugins.load().drivers if one.name == name and one.open]
    if not found:
        pytest.fail(f"no driver {name} that can be opened is installed")
    return found[0]


@pytest.fixture
def driver_folder(request: pytest.FixtureRequest) -> str | None:
    """Where the cases make their roots, None for the folder of temporary files."""
    given: str | None = request.config.getoption("--driver-root")
    return given


@pytest.fixture
def driver_options(request: pytest.FixtureRequest) -> Mapping[str, str]:
    """Options for the driver, as --driver-option gives them."""
    given: list[str] = request.config.getoption("--driver-option") or []
    return {name: value for name, _, value in (one.partition("=") for one in given)}


@pytest.fixture
def driver_root(driver_folder: str | None) -> Iterator[str]:
    """A root for this case alone; what stays in it afterwards is removed."""
    root = tempfile.mkdtemp(prefix="driver-", dir=driver_folder)
    try:
        yield root
    finally:
        shutil.rmtree(root)


@pytest.fixture
def subject(
    driver_plugin: DriverPlugin,
    driver_root: str,
    driver_options: Mapping[str, str],
    record_property: Callable[[str, object], None],
) -> Iterator[Subject]:
    """The driver, opened; after the case nothing of it may be left."""
    if os.geteuid() != 0:
        pytest.skip("a storage driver needs root")
    record_property(_PLACE, _place(driver_plugin.name, driver_root))
    with leftovers.private_mounts():
        before = leftovers.state(driver_root)
        subject = Subject(driver_plugin, driver_root, driver_options)
        try:
            _use_once(subject)
            home = subject.driver.home
            empty = leftovers.names_below(home)
            yield subject
            subject.driver.cleanup()
            subject.remove_all()
        finally:
            subject.close()
        left = leftovers.left_behind(before, leftovers.state(driver_root))
        assert not left, "left behind:\n" + "\n".join(left)
        files = leftovers.names_below(home) - empty
        assert not files, f"left behind below {home}: {sorted(files)}"


def _use_once(subject: Subject) -> None:
    """What a driver makes once and keeps is made before the case begins."""
    for name, parent in (("first-base", None), ("first", "first-base")):
        subject.active(name, parent, touching("file"))
        subject.look(name)
        subject.driver.commit(name)
        subject.diff(name)
        list(subject.driver.changes(name))
        subject.look(name)
    subject.remove_all()


def _place(driver: str, root: str) -> str:
    """Driver, kernel and file system, as a row of the table names them."""
    kind = _filesystem(root)
    return f"{driver} | {os.uname().release} | {kind}"


def _filesystem(path: str) -> str:
    best, kind = "", "?"
    for line in Path("/proc/self/mounts").read_text(errors="replace").splitlines():
        _, point, fstype = line.split(" ")[:3]
        within = f"{os.path.realpath(path)}/".startswith(point.rstrip("/") + "/")
        if within and len(point) >= len(best):
            best, kind = point, fstype
    return kind


class _Table:
    """Counts the cases of each driver, kernel and file system, also those of other processes."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._counts: dict[str, Counter[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        place = next((str(value) for key, value in report.user_properties if key == _PLACE), "")
        if place and (report.when == "call" or not report.passed):
            outcome = "expected to fail" if hasattr(report, "wasxfail") else report.outcome
            self._counts.setdefault(place, Counter())[outcome] += 1

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._counts:
            return
        more = sorted({one for counts in self._counts.values() for one in counts} - {*_OUTCOMES})
        titles = (*_OUTCOMES, *more)
        lines = [f"| driver | kernel | file system | {' | '.join(titles)} |"]
        lines.append("|---" * (len(titles) + 3) + "|")
        for place, counts in sorted(self._counts.items()):
            lines.append(f"| {place} | {' | '.join(str(counts[one]) for one in titles)} |")
        terminalreporter.section("storage drivers")
        for line in lines:
            terminalreporter.write_line(line)
        if self._path:
            Path(self._path).write_text("\n".join((*lines, "")))


def pytest_configure(config: pytest.Config) -> None:
    """The table is made where the run is summed up."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Table(config.getoption("--driver-table")))
