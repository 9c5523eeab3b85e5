# SPDX-License-Identifier: GPL-3.0-or-later
"""What we read in a data root, held against the real engine that wrote it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rig.sickhost import SickHost
from tests.rig.tools import DOCKER, IPTABLES, ToolsUnavailableError, unpack

pytestmark = pytest.mark.root


@pytest.fixture(scope="session")
def tools() -> tuple[Path, ...]:
    try:
        return unpack(IPTABLES), unpack(DOCKER)
    except ToolsUnavailableError as error:
        pytest.skip(f"no real engine to test with: {error}")


@pytest.fixture
def host(tools: tuple[Path, ...]) -> Iterator[SickHost]:
    with SickHost(*tools) as sick:
        yield sick


def findings(host: SickHost, *args: str) -> dict[str, dict[str, Any]]:
    done = host.hostkit(*args, "--format", "json")
    assert done.stdout, done.stderr
    return {one["problem"]: one for one in json.loads(done.stdout)["findings"] if not one["past"]}


def test_dangling_images_are_those_that_docker_counts(host: SickHost) -> None:
    host.start_dockerd()
    host.import_busybox("app:1")
    assert "dangling-images-reclaimable" not in findings(host, "preflight")
    # app:1 again: the first loses its name. A child of the second, then named no more.
    host.shell("echo 2 > /tmp/image/two")
    host.import_busybox("app:1")
    host.shell(
        "docker tag app:1 base:1 && id=$(docker create base:1 true) &&"
        " docker commit $id child:1 && docker rm $id && docker rmi base:1 app:1"
    )
    counted = host.shell("docker images -q --filter dangling=true | wc -l").strip()
    assert counted == "1"  # the second has a child, so it only lost its name
    summary = findings(host, "preflight")["dangling-images-reclaimable"]["summary"]
    assert summary.startswith(f"{counted} of 3 images has")


def test_several_drivers_are_what_stops_the_real_dockerd(host: SickHost) -> None:
    host.shell("mkdir -p /var/lib/docker/overlay2/l /var/lib/docker/devicemapper/metadata")
    said = host.shell("timeout 20 dockerd --iptables=false --bridge=none 2>&1", check=False)
    assert "contains several valid graphdrivers" in said
    found = findings(host, "preflight")["several-graphdrivers-present"]
    assert "devicemapper, overlay2" in found["summary"]
    assert found["severity"] == "error"
    host.write("/tmp/said", said)
    assert "several-graphdrivers-present" in findings(host, "doctor", "--text", "/tmp/said")
    host.write("/etc/docker/daemon.json", '{"storage-driver": "overlay2"}')
    assert "several-graphdrivers-present" not in findings(host, "preflight")
