# SPDX-License-Identifier: GPL-3.0-or-later
"""devicemapper when things go wrong: full, sick, busy, killed, many at once."""

import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostkit.storage.errors import StorageError
from hostkit.storage.thinpool.pool import PoolFull, PoolUnfit
from hostkit.system import loop
from hostkit.system.dm import DeviceMapper
from hostkit_drivers.devicemapper.driver import DeviceMapperDriver
from tests.lab.faults import Mapped, command, flakey, healthy, mounted
from tests.lab.uml import ROOT

pytestmark = pytest.mark.lab(disks=("400M", "96M", "4M"), mem="512M", timeout=400)
MIB = 1 << 20
SMALL = {
    "dm.basesize": "200M",
    "dm.fs": "ext4",
    "dm.loopdatasize": "256M",
    "dm.loopmetadatasize": "8M",
    "dm.mkfsarg": "-O ^has_journal -m 0",
}


@pytest.fixture
def root(disks: list[str], tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, and after the test nothing is left of the pool."""
    command("mkfs.ext4", "-q", "-E", "nodiscard", disks[0])
    with mounted(disks[0], tmp_path / "disk") as place:
        yield place
        assert DeviceMapper().devices() == []
        backing = [f"/sys/block/{name}/loop/backing_file" for name in os.listdir("/sys/block")]
        assert not [path for path in backing if os.path.exists(path)]


def write(driver: DeviceMapperDriver, layer: str, size: int, name: str = "file") -> None:
    """So much in one file, on the disk."""
    with driver.mount(layer) as mount, open(f"{mount.path}/{name}", "wb") as file:
        file.writelines(os.urandom(MIB) for _ in range(size // MIB))
        file.flush()
        os.fsync(file.fileno())


def issues(driver: DeviceMapperDriver) -> list[str]:
    return [f"{one.code} {one.subject} {one.text}" for one in driver.check()]


def fill(path: Path) -> None:
    with path.open("wb") as file:
        while True:
            file.write(bytes(MIB))


def many_layers(driver: DeviceMapperDriver) -> None:
    """Each takes blocks of metadata of its own."""
    for number in range(400):
        driver.create(f"layer-{number}", "base", read_write=True)
        with driver.mount(f"layer-{number}") as mount:
            Path(mount.path, "file").write_bytes(bytes(1 << 16))


# Full.


def test_a_full_pool_tells_its_writers_at_once_and_is_got_out_of(root: Path) -> None:
    small = SMALL | {"dm.loopdatasize": "64M"}
    with DeviceMapperDriver(str(root), small) as driver:
        driver.create("base")
        write(driver, "base", MIB)
        driver.commit("base")
        driver.create("top", "base", read_write=True)
        begin = time.monotonic()
        with pytest.raises(OSError) as error:  # noqa: PT011 - its number is looked at
            write(driver, "top", 120 * MIB)
        assert error.value.errno in (errno.ENOSPC, errno.EIO)
        assert time.monotonic() - begin < 30
        assert "thinpool-full" in " ".join(issues(driver))
        with pytest.raises(PoolFull, match=r"dm\.min_free_space") as refused:
            driver.create("more", "base")
        assert "make the pool larger" in refused.value.hint
        driver.remove("top")
        assert issues(driver) == []
        driver.create("more", "base", read_write=True)
        write(driver, "more", 4 * MIB)
    # Or larger files: smaller ones are never made, whatever the options say.
    with DeviceMapperDriver(str(root), SMALL) as driver:
        write(driver, "more", 80 * MIB)
        assert dict(driver.status())["Data Space Total"] == "268.4MB"
    with DeviceMapperDriver(str(root), small) as driver:
        driver.remove("more")
        assert dict(driver.status())["Data Space Total"] == "268.4MB"
        assert issues(driver) == []


def test_an_active_pool_grows_when_larger_files_are_asked_for(root: Path) -> None:
    with DeviceMapperDriver(str(root), SMALL) as first:
        first.create("layer", read_write=True)
        with first.mount("layer"):
            larger = SMALL | {"dm.loopdatasize": "300M", "dm.loopmetadatasize": "12M"}
            with DeviceMapperDriver(str(root), larger) as second:
                second.create("other")
                rows = dict(second.status())
        assert rows["Data Space Total"] == "314.6MB"
        assert rows["Metadata Space Total"] == "12.58MB"


def test_a_full_disk_below_the_files_ends_no_store(root: Path) -> None:
    with DeviceMapperDriver(str(root), SMALL) as driver:
        driver.create("base")
        write(driver, "base", MIB)
        driver.commit("base")
        driver.create("top", "base", read_write=True)
        with pytest.raises(OSError, match="No space left"):
            fill(root / "filler")
        with pytest.raises(OSError):  # noqa: PT011 - what it says is the kernel's
            write(driver, "top", 60 * MIB)
    os.unlink(root / "filler")
    # The metadata lie on that disk too: whether a write of theirs was refused is chance.
    with DeviceMapperDriver(str(root), SMALL) as driver:
        try:
            driver.remove("top")
        except PoolUnfit:
            pass
    metadata = root / "devicemapper/devicemapper/metadata"
    command("thin_check", "--clear-needs-check-flag", str(metadata))
    with DeviceMapperDriver(str(root), SMALL) as driver:
        driver.cleanup()
        assert not driver.exists("top")
        driver.create("again", "base", read_write=True)
        write(driver, "again", 4 * MIB)
        assert issues(driver) == []


def test_metadata_that_are_full_ask_for_a_check_and_say_the_way_out(root: Path) -> None:
    tiny = SMALL | {"dm.loopmetadatasize": "1M", "dm.min_free_space": "0"}
    tiny |= {"dm.loopdatasize": "2G"}
    with DeviceMapperDriver(str(root), tiny) as driver:
        driver.create("base")
        write(driver, "base", MIB)
        driver.commit("base")
        with pytest.raises((OSError, PoolUnfit, PoolFull)):
            many_layers(driver)
        with pytest.raises(PoolUnfit) as refused:
            driver.create("one-more", "base")
        assert "thin_check" in refused.value.hint
        assert "thinpool-metadata-damaged" in " ".join(issues(driver))
    files = root / "devicemapper/devicemapper"
    command("thin_check", "--clear-needs-check-flag", str(files / "metadata"))
    larger = tiny | {"dm.loopmetadatasize": "16M"}
    with DeviceMapperDriver(str(root), larger) as driver:
        driver.cleanup()
        driver.create("one-more", "base")
        write(driver, "one-more", MIB)
    with DeviceMapperDriver(str(root), larger, read_only=True) as driver:
        assert issues(driver) == []


# Sick.


def test_metadata_that_cannot_be_written_change_nothing_that_was_there(
    disks: list[str], tmp_path: Path
) -> None:
    data, metadata = disks[1:]
    options = {"dm.thinpooldev": "/dev/mapper/sick-pool", "dm.fs": "ext4", "dm.basesize": "48M"}
    table = "0 {} thin-pool /dev/mapper/sick-meta {} 128 0 1 error_if_no_space"
    size = int(command("blockdev", "--getsz", data)) // 128 * 128
    with Mapped("sick-meta", healthy(metadata)) as below:
        with (
            Mapped("sick-pool", table.format(size, data)),
            DeviceMapperDriver(str(tmp_path), options) as driver,
        ):
            driver.create("base")
            write(driver, "base", MIB)
            driver.commit("base")
            below.load(flakey(metadata, "error_writes"))
            with pytest.raises((OSError, StorageError)):
                driver.create("top", "base")
            with pytest.raises(PoolUnfit):
                driver.create("other", "base")
            assert "thinpool-metadata-damaged" in " ".join(issues(driver))
            below.load(healthy(metadata))
        command("thin_check", "--clear-needs-check-flag", below.path)
        with (
            Mapped("sick-pool", table.format(size, data)),
            DeviceMapperDriver(str(tmp_path), options) as driver,
        ):
            driver.cleanup()
            assert [layer.id for layer in driver.layers()] == ["base"]
            driver.create("top", "base")
            write(driver, "top", MIB)
            codes = {issue.code for issue in driver.check()} - {"thinpool-not-monitored"}
            assert codes == set()
    command("thin_check", metadata)


# Busy.

_SLEEPER = "import os, time; os.chdir({!r}); os.write(1, b'1'); time.sleep(60)"


def leak(path: str) -> "subprocess.Popen[bytes]":
    """A process in another mount namespace that keeps a mount busy."""
    argv = ["unshare", "--mount", "--propagation=private", sys.executable, "-c"]
    reader, writer = os.pipe()
    leaked = subprocess.Popen([*argv, _SLEEPER.format(path)], stdout=writer)
    os.close(writer)
    os.read(reader, 1)
    os.close(reader)
    return leaked


def test_a_leaked_mount_delays_the_removal_and_nothing_else(root: Path) -> None:
    with DeviceMapperDriver(str(root), SMALL) as driver:
        driver.create("base")
        driver.commit("base")
        driver.create("top", "base", read_write=True)
        with driver.mount("top") as mount:
            leaked = leak(mount.path)
        driver.remove("top")
        assert not driver.exists("top")
        assert [issue.code for issue in driver.check()] == ["device-deletion-pending"]
        leaked.kill()
        leaked.wait()
        time.sleep(0.5)
        driver.cleanup()
        assert issues(driver) == []
        assert len(driver.notes.names()) == 2


def test_a_layer_whose_name_waits_for_its_removal_can_be_made_again(root: Path) -> None:
    with DeviceMapperDriver(str(root), SMALL) as driver:
        driver.create("top", read_write=True)
        with driver.mount("top") as mount:
            Path(mount.path, "old").write_text("")
            leaked = leak(mount.path)
        driver.remove("top")
        with pytest.raises(StorageError):
            driver.create("top")
        leaked.kill()
        leaked.wait()
        time.sleep(0.5)
        driver.create("top")
        with driver.mount("top") as mount:
            assert os.listdir(mount.path) == []


# Killed, and many at once.

_WORKER = """
import sys
from pathlib import Path
from hostkit.system import mounts
mounts.enter_private_namespace()
from hostkit_drivers.devicemapper.driver import DeviceMapperDriver
import json
root, name, times, options = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
with DeviceMapperDriver(root, options) as driver:
    driver.recover()
    for number in range(times):
        one, two = f"{name}-{number}", f"{name}-{number}-child"
        driver.create(one, "base")
        with driver.mount(one) as mount:
            Path(mount.path, "file").write_text(one)
        driver.commit(one)
        driver.create(two, one, read_write=True)
        with driver.mount(two) as mount:
            assert Path(mount.path, "file").read_text() == one
        driver.remove(two)
        if number % 2:
            driver.remove(one)
"""


def worker(root: Path, name: str, times: int) -> "subprocess.Popen[bytes]":
    import json

    argv = [sys.executable, "-c", _WORKER, str(root), name, str(times), json.dumps(SMALL)]
    paths = f"{ROOT}:{ROOT}/drivers"
    return subprocess.Popen(argv, env={**os.environ, "PYTHONPATH": paths})


def with_base(root: Path) -> None:
    with DeviceMapperDriver(str(root), SMALL) as driver:
        driver.create("base")
        driver.commit("base")


def test_eight_processes_at_once(root: Path) -> None:
    with_base(root)
    workers = [worker(root, f"w{number}", 4) for number in range(8)]
    assert [one.wait(timeout=200) for one in workers] == [0] * 8
    with DeviceMapperDriver(str(root), SMALL, read_only=True) as driver:
        assert sorted(layer.id for layer in driver.layers()) == sorted(
            ["base", *(f"w{number}-{at}" for number in range(8) for at in (0, 2))]
        )
        assert issues(driver) == []


def test_killed_at_any_moment_it_goes_on_where_it_was(root: Path) -> None:
    with_base(root)
    chance = random.Random(7)
    for number in range(10):
        one = worker(root, f"k{number}", 100)
        time.sleep(0.8 + chance.random() * 1.5)
        one.send_signal(signal.SIGKILL)
        one.wait()
    with DeviceMapperDriver(str(root), SMALL) as driver:
        driver.recover()
        assert issues(driver) == []
        for layer in list(driver.layers()):
            with driver.mount(layer.id, read_only=True) as mount:
                if layer.id != "base" and layer.state.value == "committed":
                    assert Path(mount.path, "file").read_text() == layer.id
        driver.cleanup()
    with DeviceMapperDriver(str(root), SMALL, read_only=True) as driver:
        assert issues(driver) == []


# Loop devices.


def test_a_loop_device_is_found_by_its_file_under_another_name(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(MIB))
    os.link(file, tmp_path / "other")
    assert loop.find(str(file)) is None
    with loop.attach(str(file)) as device:
        found = loop.find(str(tmp_path / "other"))
        assert found is not None
        assert (found.path, found.number) == (device.path, device.number)
        found.close()
        os.truncate(file, 2 * MIB)
        device.refresh()
        assert command("blockdev", "--getsize64", device.path).strip() == str(2 * MIB)
    assert loop.find(str(file)) is None
