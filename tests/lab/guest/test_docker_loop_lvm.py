# SPDX-License-Identifier: GPL-3.0-or-later
"""A real dockerd on loop-lvm, and what hostkit says of it while it runs and when it is stopped."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.docker import DATA_ROOT, Dockerd, mount_data_root
from tests.lab.faults import command
from tests.lab.guest.diagnosis import preflight

pytestmark = pytest.mark.lab(disks=("docker_loop_lvm",), tools=("docker",), mem="1024M")


@pytest.fixture(scope="module", autouse=True)
def data_root() -> Iterator[None]:
    mount_data_root("/dev/ubda")
    yield
    command("umount", str(DATA_ROOT))


@pytest.fixture
def dockerd(tmp_path: Path) -> Iterator[Dockerd]:
    with Dockerd(log=tmp_path / "dockerd.log") as daemon:
        yield daemon


def info() -> Any:
    return json.loads(command("docker", "info", "--format", "{{json .}}"))


def test_the_golden_data_root_starts_with_all_that_was_in_it(dockerd: Dockerd) -> None:
    names = command("docker", "ps", "-a", "--format", "{{.Names}}").split()
    assert sorted(names) == ["volume", "writer"]
    said = command("docker", "run", "--rm", "--network=none", "app:2", "cat", "/own")
    assert said == "written\n"


def test_preflight_sees_the_running_pool_as_dockerd_does(dockerd: Dockerd) -> None:
    status = dict(info()["DriverStatus"])
    found = preflight()
    loop = found["loop-lvm-in-use"]
    assert status["Data loop file"] in loop["summary"]
    assert loop["evidence"][0]["source"] == "/sys/block/loop0/loop/backing_file"
    assert status["Data file"] == "/dev/loop0"
    assert "107.3 GB" in found["loop-lvm-backing-fs-full"]["summary"]
    assert status["Data Space Total"] == "107.4GB"
    assert "daemon-not-running" not in found
    assert not [code for code, one in found.items() if one["severity"] == "error"]


def test_preflight_names_the_loop_files_of_a_stopped_one() -> None:
    found = preflight()
    assert "dockerd is stopped" in found["loop-lvm-in-use"]["summary"]
    assert "daemon-not-running" in found
