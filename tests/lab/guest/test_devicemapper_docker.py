# SPDX-License-Identifier: GPL-3.0-or-later
"""One data root, two engines: a real dockerd 20.10 and our devicemapper, each after the other."""

import io
import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostkit.storage.driver import State
from hostkit.storage.errors import ReadOnlyStore, WrongState
from hostkit.storage.image import load, reference
from hostkit.storage.image.store import ImageStore
from hostkit.storage.layerstore import LayerStore
from hostkit.system import mounts
from hostkit_drivers.devicemapper.driver import DeviceMapperDriver
from tests.lab.docker import DATA_ROOT, Dockerd, mount_data_root
from tests.lab.faults import command

pytestmark = pytest.mark.lab(
    disks=("docker_loop_lvm", "2G"), tools=("docker",), mem="1024M", timeout=300
)
_SMALL = {
    "dm.basesize": "512M",
    "dm.fs": "ext4",
    "dm.loopdatasize": "1G",
    "dm.loopmetadatasize": "16M",
}


@pytest.fixture
def dockers(disks: list[str]) -> Iterator[str]:
    mount_data_root(disks[0])
    yield str(DATA_ROOT)
    command("umount", str(DATA_ROOT))


@pytest.fixture
def ours(disks: list[str]) -> Iterator[str]:
    command("mkfs.ext4", "-q", disks[1])
    mount_data_root(disks[1])
    yield str(DATA_ROOT)
    command("umount", str(DATA_ROOT))


def nothing_is_active() -> bool:
    names = os.listdir("/sys/block")
    return not any(
        name.startswith("dm-") or os.path.exists(f"/sys/block/{name}/loop/backing_file")
        for name in names
    )


def tree(root: str) -> dict[str, tuple[int, ...]]:
    """Every name below a folder, with all times."""
    found: dict[str, tuple[int, ...]] = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            info = os.lstat(path)
            found[path] = (info.st_mtime_ns, info.st_ctime_ns, info.st_atime_ns, info.st_size)
    return found


def test_a_data_root_of_docker_is_read_without_a_trace(dockers: str) -> None:
    before = tree(f"{dockers}/devicemapper/metadata")
    with DeviceMapperDriver(dockers, read_only=True) as driver:
        layers = list(driver.layers())
        assert {layer.state for layer in layers} == {State.FOREIGN}
        assert len(layers) == 6
        assert list(driver.check()) == []
        assert dict(driver.status())["Data Space Total"] == "107.4GB"
        assert driver.usage(layers[0].id).bytes > 1 << 20
        assert driver.metadata(layers[0].id)["DeviceSize"] == str(10 << 30)
        with pytest.raises(ReadOnlyStore):
            driver.mount(layers[0].id)
        with pytest.raises(ReadOnlyStore):
            driver.mount_spec(layers[0].id)
    assert nothing_is_active()
    assert tree(f"{dockers}/devicemapper/metadata") == before
    assert not os.path.exists(f"{dockers}/devicemapper/.hostkit")


def test_layers_of_docker_are_mounted_to_be_read_and_never_changed(dockers: str) -> None:
    with DeviceMapperDriver(dockers) as driver:
        own: list[str] = []
        for layer in list(driver.layers()):
            with driver.mount(layer.id) as mount:
                if os.path.exists(f"{mount.path}/own"):
                    own.append(Path(mount.path, "own").read_text())
                with pytest.raises(OSError, match="Read-only"):
                    Path(mount.path, "new").touch()
            with pytest.raises(WrongState):
                driver.remove(layer.id)
    assert own == ["written\n", "written\n"]  # in the container, and in the image made of it
    assert nothing_is_active()


def test_dockerd_goes_on_after_us_with_our_layers_beside_its_own(
    dockers: str, tmp_path: Path
) -> None:
    with DeviceMapperDriver(dockers) as driver:
        driver.create("mine")
        with driver.mount("mine") as mount:
            Path(mount.path, "file").write_text("ours")
        driver.commit("mine")
        driver.create("child", "mine")
    with Dockerd(log=tmp_path / "dockerd.log"):
        said = command("docker", "run", "--rm", "--network=none", "app:2", "cat", "/own")
        assert said == "written\n"
        command("docker", "rm", "volume")
    with DeviceMapperDriver(dockers) as driver:
        assert list(driver.check()) == []
        with driver.mount("child") as mount:
            assert Path(mount.path, "file").read_text() == "ours"
        driver.remove("child")
        driver.remove("mine")
        assert len(list(driver.layers())) == 4
    assert nothing_is_active()


def image() -> io.BytesIO:
    busybox = shutil.which("busybox")
    assert busybox is not None
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name in ("bin", "etc"):
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(info)
        for name, data in (
            ("bin/busybox", Path(busybox).read_bytes()),
            ("etc/settings", b"as we wrote it\n"),
        ):
            info = tarfile.TarInfo(name)
            info.mode, info.size = 0o755, len(data)
            tar.addfile(info, io.BytesIO(data))
        for name in ("sh", "cat"):
            info = tarfile.TarInfo(f"bin/{name}")
            info.type, info.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(info)
    made.seek(0)
    return made


def test_dockerd_starts_on_a_data_root_that_we_wrote(ours: str, tmp_path: Path) -> None:
    with DeviceMapperDriver(ours, _SMALL) as driver:
        store = ImageStore(ours, LayerStore(ours, driver))
        load.import_tar(store, image(), [reference.parse("app:1")], architecture="amd64")
    assert nothing_is_active()
    flags = [f"--storage-opt={name}={value}" for name, value in _SMALL.items()]
    with Dockerd(*flags, log=tmp_path / "dockerd.log"):
        (found,) = json.loads(command("docker", "inspect", "app:1"))
        assert found["GraphDriver"]["Name"] == "devicemapper"
        argv = ["docker", "run", "--name=one", "--network=none", "app:1"]
        said = command(*argv, "/bin/sh", "-c", "cat /etc/settings; echo new > /new")
        assert said == "as we wrote it\n"
        assert "A /new" in command("docker", "diff", "one").splitlines()
        command("docker", "commit", "one", "app:2")
    with DeviceMapperDriver(ours, _SMALL) as driver:
        assert list(driver.check()) == []
        states = sorted(layer.state.value for layer in driver.layers())
        assert states == ["committed", "foreign", "foreign", "foreign"]
    assert nothing_is_active()
    assert not [point for point in mounts.mount_points() if "devicemapper" in point]
