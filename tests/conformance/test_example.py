# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver of docs/drivers.md passes what a stranger's would have to, run as he would."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hostkit.storage.plugin import DriverPlugin
from hostkit.testing.cases.layers import Layers, ReadOnly
from hostkit.testing.cases.use import Use
from hostkit.testing.conformance import Conformance
from hostkit.testing.subject import THOROUGH
from tests.conformance import example_driver

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


class TestExample(Layers, ReadOnly, Use):
    """What shows that the whole of it is a driver; `make soak` runs every case."""

    @pytest.fixture
    def driver_plugin(self) -> DriverPlugin:
        return example_driver.PLUGIN


class TestExampleWhole(Conformance):
    __test__ = THOROUGH

    @pytest.fixture
    def driver_plugin(self) -> DriverPlugin:
        return example_driver.PLUGIN


def test_the_page_shows_the_driver_as_it_is() -> None:
    assert (HERE / "example_driver.py").read_text() in (ROOT / "docs/drivers.md").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root (mounts)")
def test_the_command_of_the_page_proves_an_installed_driver(tmp_path: Path) -> None:
    """As an installed package of another project would be found, far from our tests."""
    (tmp_path / "stranger.py").write_text((HERE / "example_driver.py").read_text())
    metadata = tmp_path / "stranger-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[hostkit.drivers]\ncopies = stranger:PLUGIN\n")
    roots = tmp_path / "roots"
    roots.mkdir()
    table = tmp_path / "table.md"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "hostkit.testing", "--driver", "copies"]
    command += ["--driver-root", str(roots), "--driver-table", str(table)]
    command += ["-p", "no:cacheprovider", "-k", "deep_stack or closing_twice"]
    done = subprocess.run(
        [*command, "--pyargs", "hostkit.testing.conformance"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| copies |" in table.read_text()
    assert list(roots.iterdir()) == []
