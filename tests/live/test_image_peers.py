# SPDX-License-Identifier: GPL-3.0-or-later
"""Images held against the real skopeo and the real Docker, each way."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rig.images import Skopeo, layer_tar
from tests.rig.sickhost import SickHost
from tests.rig.tools import DOCKER, ENGINES, IPTABLES, ToolsUnavailableError, engine_root, unpack

pytestmark = pytest.mark.root
HOSTKIT = f"{sys.prefix}/bin/hostkit"


class Hostkit:
    """hostkit with a data root of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __call__(self, *words: str, stdin: bytes = b"") -> Any:
        done = subprocess.run(
            [HOSTKIT, *words, "--root", str(self.root), "--format", "json"],
            input=stdin,
            capture_output=True,
            check=False,
            timeout=120,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        )
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout) if done.stdout else None

    def images(self) -> dict[str, list[str]]:
        """Ids, and the names of each."""
        return {one["id"]: one["names"] for one in self("image", "ls")["images"]}


@pytest.fixture
def ours(tmp_path: Path) -> Hostkit:
    return Hostkit(tmp_path / "root")


@pytest.fixture
def theirs(tmp_path: Path) -> Hostkit:
    return Hostkit(tmp_path / "other-root")


@pytest.fixture
def skopeo(tmp_path: Path) -> Skopeo:
    try:
        return Skopeo(tmp_path)
    except ToolsUnavailableError as error:
        pytest.skip(f"no real skopeo to test with: {error}")


@pytest.fixture
def image(ours: Hostkit, tmp_path: Path) -> str:
    """An image of two layers, with what is hard to keep."""
    tar = tmp_path / "files.tar"
    tar.write_bytes(layer_tar({"bin": None, "bin/sh": b"#!" * 5000, "bin/x -> /bin/sh": None}))
    done = ours("image", "import", str(tar), "team/app:1", "--change", 'CMD ["sh"]')
    found: str = done["images"][0]["id"]
    return found


@pytest.mark.parametrize("kind", ["docker", "oci"])
def test_skopeo_copies_what_we_save(
    ours: Hostkit, theirs: Hostkit, skopeo: Skopeo, image: str, tmp_path: Path, kind: str
) -> None:
    saved, copied = tmp_path / "saved.tar", tmp_path / "copied"
    ours("image", "save", "team/app:1", "--kind", kind, "-o", str(saved))
    said = json.loads(skopeo.run("inspect", "--config", f"{kind}-archive:{saved}"))
    assert said["config"]["Cmd"] == ["sh"]
    skopeo.run("copy", f"{kind}-archive:{saved}", f"dir:{copied}")
    manifest = json.loads((copied / "manifest.json").read_text())
    assert manifest["config"]["digest"] == image


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive", "oci"])
def test_what_skopeo_writes_is_loaded_with_the_same_id(
    ours: Hostkit, theirs: Hostkit, skopeo: Skopeo, image: str, tmp_path: Path, kind: str
) -> None:
    saved, written = tmp_path / "saved.tar", tmp_path / "written"
    ours("image", "save", "team/app:1", "-o", str(saved))
    target = f"{kind}:{written}:docker.io/team/app:1"
    skopeo.run("copy", f"docker-archive:{saved}", target)
    theirs("image", "load", "-i", str(written))
    names = list(theirs.images().values())
    assert names == [["team/app:1"]]
    if kind == "docker-archive":  # the others write a configuration of their own
        assert list(theirs.images()) == [image]
    assert theirs("storage", "check")["issues"] == []


def test_zstd_layers_of_skopeo_are_loaded(
    ours: Hostkit, theirs: Hostkit, skopeo: Skopeo, image: str, tmp_path: Path
) -> None:
    saved, written = tmp_path / "saved.tar", tmp_path / "written"
    ours("image", "save", "team/app:1", "-o", str(saved))
    options = ("--dest-compress-format", "zstd", "--dest-compress", "--format", "oci")
    skopeo.run("copy", *options, f"docker-archive:{saved}", f"oci:{written}:x/app:1")
    manifests = [
        path for path in (written / "blobs/sha256").iterdir() if path.stat().st_size < 9999
    ]
    assert any("tar+zstd" in path.read_text(errors="replace") for path in manifests)
    theirs("image", "load", "-i", str(written))
    assert list(theirs.images().values()) == [["x/app:1"]]


@pytest.fixture(scope="module")
def tools() -> tuple[Path, ...]:
    try:
        return unpack(IPTABLES), unpack(DOCKER)
    except ToolsUnavailableError as error:
        pytest.skip(f"no real engine to test with: {error}")


@pytest.fixture
def host(tools: tuple[Path, ...]) -> Iterator[SickHost]:
    with SickHost(*tools) as sick:
        yield sick


def said(host: SickHost, *words: str) -> Any:
    done = host.hostkit(*words, "--format", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def the_id(host: SickHost, name: str) -> str:
    return host.run("docker", "inspect", "-f", "{{.Id}}", name).stdout.strip()


def small_image(host: SickHost) -> str:
    """An image of three layers made by Docker itself."""
    host.import_busybox("base:1")
    host.shell(
        "for i in 1 2; do"
        " id=$(docker create base:1 sh -c true) &&"
        " docker start -a $id;"
        ' mkdir -p /tmp/in$i/d/e && echo "$i" > /tmp/in$i/d/e/f && ln /tmp/in$i/d/e/f /tmp/in$i/g;'
        " docker cp /tmp/in$i/. $id:/ && docker commit -c 'ENV N='$i $id base:1 && docker rm $id;"
        " done; docker tag base:1 x/app:2"
    )
    return the_id(host, "x/app:2")


def test_docker_and_we_load_each_others_archives(host: SickHost) -> None:
    host.start_dockerd()
    image = small_image(host)
    host.run("docker", "save", "x/app:2", "-o", "/tmp/theirs.tar")
    loaded = said(host, "image", "load", "-i", "/tmp/theirs.tar", "--root", "/tmp/r")
    assert [(one["id"], one["names"]) for one in loaded["images"]] == [(image, ["x/app:2"])]
    said(host, "image", "save", "x/app:2", "-o", "/tmp/ours.tar", "--root", "/tmp/r")
    host.shell("docker image prune -af")
    assert "x/app:2" in host.run("docker", "load", "-i", "/tmp/ours.tar").stdout
    assert the_id(host, "x/app:2") == image
    assert said(host, "storage", "check", "--root", "/tmp/r")["issues"] == []
    piped = host.shell(
        f"docker save x/app:2 | gzip | {HOSTKIT} image load --root /tmp/r2 --format json"
    )
    assert json.loads(piped)["images"][0]["id"] == image


def times_of(host: SickHost) -> set[str]:
    """Everything in Docker's data root with its size and times, also that of the last access."""
    found = host.shell("cd /var/lib/docker; find . -xdev -printf '%p %T@ %A@ %C@ %s\\n'")
    return set(found.splitlines())


@pytest.mark.parametrize("driver", ["overlay2", "vfs"])
def test_a_data_root_of_docker_is_read_and_not_changed(host: SickHost, driver: str) -> None:
    host.start_dockerd(f"--storage-driver={driver}")
    image = small_image(host)
    host.shell("docker run -d --name one x/app:2 sleep 99")
    root = ("--root", "/var/lib/docker")
    times_of(host)  # which reads every folder for the first time
    before = times_of(host)
    listed = said(host, "image", "ls", *root)
    assert listed["driver"] == driver
    assert {one["id"]: one["names"] for one in listed["images"]}[image] == ["base:1", "x/app:2"]
    assert next(one["containers"] for one in listed["images"] if one["id"] == image)
    done = host.hostkit("storage", "check", *root, "--format", "json")
    assert json.loads(done.stdout)["issues"] == [], done.stdout
    assert "metadata.db" in json.loads(done.stdout)["engine"]
    status = said(host, "storage", "status", *root)
    assert status["containers"] == 1
    said(host, "image", "inspect", image, *root)
    host.hostkit("image", "save", "x/app:2", *root, "-o", "/tmp/read.tar")
    assert sorted(times_of(host) ^ before) == []
    refused = host.hostkit("image", "rm", "x/app:2", *root)
    assert refused.returncode == 5
    assert "an engine is running" in refused.stderr
    host.shell("docker rm -f one; docker image prune -af")
    host.run("docker", "load", "-i", "/tmp/read.tar")
    assert the_id(host, "x/app:2") == image


def test_dockerd_runs_an_image_on_a_data_root_that_we_wrote(host: SickHost) -> None:
    host.start_dockerd("--storage-driver=overlay2")
    image = small_image(host)
    host.run("docker", "save", "x/app:2", "-o", "/tmp/theirs.tar")
    host.stop_dockerd()
    host.shell("umount /var/lib/docker/overlay2 2>/dev/null; rm -rf /var/lib/docker/*")
    said(host, "image", "load", "-i", "/tmp/theirs.tar", "--root", "/var/lib/docker")
    host.start_dockerd("--storage-driver=overlay2")
    assert the_id(host, "x/app:2") == image
    network = ("--network", "none")
    ran = host.run(
        "docker",
        "run",
        "--rm",
        *network,
        "x/app:2",
        "sh",
        "-c",
        "echo $N; read a < /d/e/f; echo $a",
    )
    assert ran.stdout == "2\n2\n"
    host.shell("docker rmi x/app:2")
    host.stop_dockerd()
    assert said(host, "image", "ls", "--root", "/var/lib/docker")["images"] == []


@pytest.mark.skipif(os.environ.get("HOSTKIT_ENGINES") != "1", reason="`make engines` runs it")
@pytest.mark.parametrize("suite", sorted(ENGINES))
def test_later_dockers_and_we_load_each_others_archives(
    ours: Hostkit, tmp_path: Path, suite: str
) -> None:
    try:
        root = engine_root(suite)
    except ToolsUnavailableError as error:
        pytest.skip(f"no root file system of {suite}: {error}")
    with SickHost(root=root) as host:
        host.start_dockerd()
        image = small_image(host)
        host.run("docker", "save", "x/app:2", "-o", "/tmp/theirs.tar")
        archive = tmp_path / "archive.tar"
        with archive.open("wb") as file:  # that root has no libraries for our Python
            subprocess.run([*host.entering(), "cat", "/tmp/theirs.tar"], stdout=file, check=True)
        loaded = ours("image", "load", "-i", str(archive))
        assert [(one["id"], one["names"]) for one in loaded["images"]] == [(image, ["x/app:2"])]
        for kind in ("docker", "oci"):
            ours("image", "save", image, "--kind", kind, "-o", str(archive))
            with archive.open("rb") as file:
                send = [*host.entering(), "sh", "-c", "cat > /tmp/ours.tar"]
                subprocess.run(send, stdin=file, check=True)
            host.shell("docker image prune -af && docker load -i /tmp/ours.tar")
            assert the_id(host, "x/app:2") == image
