# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin pools read by us and by a kernel side by side, at rest and while they are written to."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostkit.errors import InputError
from hostkit.storage.thin.blocks import open_readable
from hostkit.storage.thin.check import check
from hostkit.storage.thin.content import ThinReader, export
from hostkit.storage.thin.dockerpool import DockerPool, read_pool
from hostkit.storage.thin.dump import dump
from hostkit.storage.thin.inventory import inventory, owners
from hostkit.storage.thin.metadata import open_metadata
from tests.lab.faults import SECTOR, Mapped, command, mounted, sectors

pytestmark = pytest.mark.lab(disks=("docker_loop_lvm", "64M", "4M"), mem="768M")
CHUNK = 128  # sectors
MIB = 1 << 20


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data root of a Docker that was stopped."""
    with mounted("/dev/ubda", tmp_path_factory.mktemp("docker")) as place:
        yield place


@pytest.fixture(scope="module")
def noted(root: Path) -> DockerPool:
    return read_pool(str(root))


def loop(file: str) -> str:
    """A loop device that writes to no file."""
    return command("losetup", "--find", "--show", "--read-only", file).strip()


def test_dockers_pool_is_sound_and_dumped_as_thin_dump_does(noted: DockerPool) -> None:
    with open_metadata(noted.metadata) as metadata:
        assert check(metadata).faults == ()
        assert "".join(dump(metadata)) == command("thin_dump", noted.metadata)


def test_every_device_of_docker_has_its_note_and_its_owner(root: Path, noted: DockerPool) -> None:
    with open_metadata(noted.metadata) as metadata:
        found = inventory(noted, owners(str(root)), metadata)
    assert (found.missing, found.doubled, found.unfinished) == ((), (), None)
    kinds = [entry.owner.kind if entry.owner else entry.note for entry in found.entries]
    assert kinds[0] == next(note for note in noted.notes if note.name == "base")
    assert sorted(map(str, kinds[1:])) == ["container"] * 2 + ["init"] * 2 + ["layer"] * 2
    assert found.used > found.shared > 0


def test_every_device_of_docker_reads_as_the_kernel_reads_it(noted: DockerPool) -> None:
    size = os.path.getsize(noted.data) // SECTOR
    devices = [loop(noted.metadata), loop(noted.data)]
    table = f"0 {size} thin-pool {' '.join(devices)} {CHUNK} 0 2 skip_block_zeroing read_only"
    data = open_readable(noted.data)
    with open_metadata(noted.metadata) as metadata, Mapped("pool", table) as pool:
        with pytest.raises(InputError, match="in use by dm-"):
            open_metadata(noted.metadata)
        for note in noted.notes:
            thin = f"0 {note.size // SECTOR} thin {pool.path} {note.device}"
            with Mapped("thin", thin) as theirs:
                ours = ThinReader(metadata, note.device, data, note.size)
                assert differing(ours, theirs.path) == [], note
    os.close(data)
    command("losetup", "--detach", *devices)


def differing(ours: ThinReader, theirs: str) -> list[int]:
    """Offsets around everything that is mapped where a device reads otherwise."""
    file = os.open(theirs, os.O_RDONLY)
    wrong: list[int] = []
    for extent in ours.extents():
        first = max(0, extent.offset - MIB)
        for offset in range(first, min(ours.size, extent.offset + extent.length + MIB), MIB):
            ours.seek(offset)
            if ours.read(MIB) != os.pread(file, MIB, offset):
                wrong.append(offset)
    os.close(file)
    return wrong


def test_a_container_is_exported_and_its_files_are_there(
    root: Path, noted: DockerPool, tmp_path: Path
) -> None:
    owned = owners(str(root))
    written = [
        note for note in noted.notes if (own := owned.get(note.name)) and own.kind == "container"
    ]
    data = open_readable(noted.data)
    found: list[str] = []
    with open_metadata(noted.metadata) as metadata:
        for note in written:
            with (tmp_path / "device").open("wb") as target:
                export(ThinReader(metadata, note.device, data, note.size), target.fileno())
            options = ("loop", "ro", "nouuid", "norecovery")
            with mounted(str(tmp_path / "device"), tmp_path / "mnt", *options) as place:
                file = place / "rootfs/own"
                found += [file.read_text()] if file.exists() else []
    os.close(data)
    assert found == ["written\n"]


def test_an_active_pool_is_read_through_its_metadata_snapshot_only(
    disks: list[str], tmp_path: Path
) -> None:
    data, metadata_device = disks[1:]
    table = f"0 {sectors(data)} thin-pool {metadata_device} {data} {CHUNK} 0"
    with Mapped("pool", table) as pool:
        pool.message("create_thin 3")
        with Mapped("thin", f"0 {32 * MIB // SECTOR} thin {pool.path} 3") as thin:
            command("mkfs.ext4", "-q", thin.path)
            with mounted(thin.path, tmp_path / "mnt") as place:
                (place / "before").write_bytes(b"1" * MIB)
                os.sync()
                pool.message("reserve_metadata_snap")
                (place / "after").write_bytes(b"2" * 4 * MIB)
                os.sync()
                assert_held_is_read(metadata_device)
                pool.message("release_metadata_snap")
    with open_metadata(metadata_device) as metadata:
        assert check(metadata).faults == ()
        assert "".join(dump(metadata)) == command("thin_dump", metadata_device)


def assert_held_is_read(device: str) -> None:
    with pytest.raises(InputError, match="in use by dm-"):
        open_metadata(device)
    with open_metadata(device, held=True) as metadata:
        mapped = metadata.device(3).mapped
        assert sum(run.length for run in metadata.runs(3)) == mapped
        # The snapshot does not say how large the data are; we do, and thin_dump says 0.
        theirs = command("thin_dump", "-m", device).replace('data_blocks="0"', 'data_blocks="1024"')
        assert "".join(dump(metadata)) == theirs
        report = check(metadata)
        assert report.sound
        assert not report.compared
