# SPDX-License-Identifier: GPL-3.0-or-later
"""Data roots that are really full, on file systems made for it in a namespace of their own."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.rig.sickhost import SickHost

pytestmark = pytest.mark.root
NOBODY = 65534
# An ext4 of 64 MiB with 512 inodes; -m 0: no blocks kept for root.
MAKE = """
set -e
truncate -s 64M /tmp/data.img
mkfs.ext4 -q -F -m 0 -N 512 /tmp/data.img
mount -o loop /tmp/data.img /var/lib/docker
"""


@pytest.fixture
def host() -> Iterator[SickHost]:
    with SickHost() as sick:
        sick.shell(MAKE)
        yield sick
        sick.shell("umount /var/lib/docker")  # and the loop device goes with it


def findings(host: SickHost, user: int = 0) -> dict[str, dict[str, Any]]:
    done = host.hostkit("preflight", "--for", "docker", "--format", "json", user=user)
    assert done.stdout, done.stderr
    return {one["problem"]: one for one in json.loads(done.stdout)["findings"]}


@pytest.mark.parametrize("user", [0, NOBODY])
def test_a_full_data_root(host: SickHost, user: int) -> None:
    host.shell("head -c 200M /dev/zero > /var/lib/docker/fill 2>/dev/null || true")
    found = findings(host, user)
    assert found["docker-root-disk-full"]["severity"] == "error"
    assert "/var/lib/docker" in found["docker-root-disk-full"]["summary"]
    assert "inodes-exhausted" not in found
    host.shell("rm /var/lib/docker/fill")
    assert "docker-root-disk-full" not in findings(host, user)


def test_a_data_root_without_inodes(host: SickHost) -> None:
    host.shell("cd /var/lib/docker && seq -f f%g 600 | xargs touch 2>/dev/null || true")
    found = findings(host)
    assert found["inodes-exhausted"]["severity"] == "error"
    assert "docker-root-disk-full" not in found
    host.shell("rm -f /var/lib/docker/f*")
    assert "inodes-exhausted" not in findings(host)


def test_a_data_root_on_an_overlay(host: SickHost) -> None:
    host.shell(
        "mkdir /tmp/l /tmp/u /tmp/w && mount -t overlay overlay"
        " -o lowerdir=/tmp/l,upperdir=/tmp/u,workdir=/tmp/w /var/lib/docker"
    )
    assert findings(host)["nested-overlay"]["severity"] == "error"
    host.shell("umount /var/lib/docker")
    assert "nested-overlay" not in findings(host)


def test_data_of_a_driver_that_the_engine_no_longer_has(host: SickHost) -> None:
    image = "a" * 64
    host.shell(
        "mkdir -p /var/lib/docker/devicemapper/metadata"
        f" /var/lib/docker/image/devicemapper/imagedb/content/sha256/{image}"
    )
    done = host.hostkit("preflight", "--for", "docker@29", "--format", "json")
    found = {one["problem"]: one for one in json.loads(done.stdout)["findings"]}
    assert "1 image of devicemapper" in found["storage-data-orphaned"]["summary"]
