# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin-pool metadata: what is read of a sound pool, and how much of it is held in memory."""

import os
import struct
from pathlib import Path

import pytest

from hostkit.errors import HostkitError, InputError
from hostkit.storage.thin import crc32c
from hostkit.storage.thin.blocks import DamagedMetadata, holders
from hostkit.storage.thin.check import Harm, check
from hostkit.storage.thin.dump import dump
from hostkit.storage.thin.metadata import Device, Run, open_metadata
from hostkit.storage.thin.superblock import SpaceMapRoot
from hostkit.storage.thin.usage import usage
from tests.rig.thinpool import LEAF, Pool, Thin

DIVISOR = 0x11EDC6F41
RUNS = [(0, 0, 10, 0), (20, 50, 3, 1), (23, 53, 1, 2), (40, 70, 1, 2)]
DEVICES = {
    1: Thin(RUNS),
    2: Thin(shares=1),
    5: Thin([(0, 0, 2, 0), (5, 900, 2, 2)]),
    9: Thin(),
}


def written(path: Path, image: bytes) -> str:
    path.write_bytes(image)
    return str(path)


@pytest.fixture
def pool(tmp_path: Path) -> str:
    """A pool of four devices, of which two share all and one shares a little."""
    return written(tmp_path / "metadata", Pool().build(DEVICES, transaction=7, time=2))


def remainder(message: int) -> int:
    """What the division of polynomials over two elements leaves: the slow way."""
    while message.bit_length() > 32:
        message ^= DIVISOR << message.bit_length() - 33
    return message


@pytest.mark.parametrize("exponents", crc32c.MULTIPLES)
def test_what_the_checksum_subtracts_is_a_multiple_of_the_divisor(
    exponents: tuple[int, ...],
) -> None:
    assert remainder(1 | sum(1 << exponent for exponent in exponents)) == 0


@pytest.mark.parametrize("block", [bytes(4096), b"\xff" * 4096, os.urandom(4096), b"4321" * 1024])
def test_the_checksum_is_that_of_a_division(block: bytes) -> None:
    bits = "".join(f"{byte:08b}"[::-1] for byte in block[4:])
    code = remainder((int(bits, 2) ^ 0xFFFFFFFF << len(bits) - 32) << 32)
    assert crc32c.checksum(block) == int(f"{code:032b}"[::-1], 2)


def test_devices_and_their_mappings_are_read(pool: str) -> None:
    with open_metadata(pool) as metadata:
        assert [device.id for device in metadata.devices()] == [1, 2, 5, 9]
        assert metadata.device(5) == Device(5, 4, 0, 0, 0)
        assert list(metadata.runs(1)) == [Run(*run) for run in RUNS]
        assert list(metadata.runs(2)) == list(metadata.runs(1))
        assert not list(metadata.runs(9))
        assert metadata.superblock.transaction == 7
        assert metadata.superblock.data_map[:2] == (1000, 17)


def test_part_of_a_device_is_read(pool: str) -> None:
    with open_metadata(pool) as metadata:
        assert list(metadata.runs(1, 3, 4)) == [Run(3, 3, 2, 0)]
        assert list(metadata.runs(1, 9, 21)) == [Run(9, 9, 1, 0), Run(20, 50, 2, 1)]
        assert not list(metadata.runs(1, 10, 19))
        assert list(metadata.runs(1, 30)) == [Run(40, 70, 1, 2)]


def test_a_device_that_is_not_there_is_said(pool: str) -> None:
    with open_metadata(pool) as metadata:
        with pytest.raises(InputError, match="no device 3"):
            metadata.device(3)
        with pytest.raises(InputError, match="no device 3"):
            metadata.root(3)


def test_a_deep_tree_is_read_like_a_flat_one(tmp_path: Path) -> None:
    runs = [(3 * at, 7 * at % 1000, 1, at % 5) for at in range(900)]
    image = Pool(blocks=1000, fanout=3).build({1: Thin(runs)})
    with open_metadata(written(tmp_path / "deep", image)) as metadata:
        assert list(metadata.runs(1)) == [Run(*run) for run in runs]
        assert list(metadata.runs(1, 300, 330)) == [Run(*run) for run in runs[100:111]]


def test_who_uses_what_is_counted(pool: str) -> None:
    with open_metadata(pool) as metadata:
        used = usage(metadata)
    assert (used.used, used.shared) == (17, 15)
    assert used.exclusive == {1: 0, 2: 0, 5: 2, 9: 0}


def test_the_dump_names_every_device_and_run(pool: str) -> None:
    with open_metadata(pool) as metadata:
        text = "".join(dump(metadata))
    assert text.startswith('<superblock uuid="" time="2" transaction="7" flags="0" version="2" ')
    assert text.count("<device ") == 4
    assert '<range_mapping origin_begin="20" data_begin="50" length="3" time="1"/>' in text
    assert '<single_mapping origin_block="40" data_block="70" time="2"/>' in text


def test_a_sound_pool_has_no_faults(pool: str) -> None:
    with open_metadata(pool) as metadata:
        report = check(metadata)
    assert report.sound
    assert report.compared
    assert (report.devices, report.data_used) == (4, 17)


def test_counts_that_two_bits_do_not_hold_are_compared(tmp_path: Path) -> None:
    many = {number: Thin([(0, 0, 3, 0), (9, number, 1, 0)]) for number in range(1, 400)}
    image = Pool(blocks=2000).build(many)
    with open_metadata(written(tmp_path / "shared", image)) as metadata:
        assert check(metadata).faults == ()
        assert usage(metadata).shared == 3


def test_needs_check_is_a_fault_of_its_own(tmp_path: Path) -> None:
    path = written(tmp_path / "flagged", Pool().build(DEVICES, flags=1))
    with open_metadata(path) as metadata:
        assert [fault.harm for fault in check(metadata).faults] == [Harm.FLAG]


def test_leaks_and_blocks_at_risk_are_told_apart(tmp_path: Path) -> None:
    pool = Pool()
    root = pool.mappings(RUNS)
    pool.references.update((root,))
    top = pool.tree({1: root.to_bytes(8, "little")})
    details = pool.tree({1: struct.pack("<QQII", 14, 0, 0, 0)}, 24)
    pool.references.update((top, details))
    pool.data.update({300: 1, 301: 1, 302: 1})
    del pool.data[51]
    maps = pool.space_of_data(), pool.space_of_metadata()
    pool.superblock(top, details, *maps)
    with open_metadata(written(tmp_path / "wrong", pool.image())) as metadata:
        found = {(fault.harm, fault.text) for fault in check(metadata).faults}
    assert found == {
        (Harm.LEAK, "data blocks 300-302 are used 0 times and counted once"),
        (Harm.AT_RISK, "data block 51 is used once and counted 0 times"),
        (Harm.TOTAL, "device 1 has 15 blocks and is said to have 14"),
    }


def test_a_device_without_mappings_or_without_an_entry_is_a_fault(tmp_path: Path) -> None:
    pool = Pool()
    root = pool.mappings(RUNS)
    top = pool.tree({1: root.to_bytes(8, "little")})
    details = pool.tree({2: struct.pack("<QQII", 0, 0, 0, 0)}, 24)
    pool.references.update((root, top, details))
    pool.superblock(top, details, pool.space_of_data(), pool.space_of_metadata())
    with open_metadata(written(tmp_path / "wrong", pool.image())) as metadata:
        texts = {fault.text for fault in check(metadata).faults}
    assert texts == {
        "device 2 is listed and has no mappings",
        "device 1 has mappings and is not listed",
    }


def snapshot(pool: Pool) -> bytes:
    """A pool with device 1, whose metadata snapshot has device 2 instead."""
    roots = [pool.mappings(runs) for runs in (RUNS, RUNS[:1])]
    pool.references.update(roots)
    trees: list[tuple[int, int]] = []
    for number, root, mapped in ((1, roots[0], 15), (2, roots[1], 10)):
        top = pool.tree({number: root.to_bytes(8, "little")})
        details = pool.tree({number: struct.pack("<QQII", mapped, 0, 0, 0)}, 24)
        pool.references.update((top, details))
        trees.append((top, details))
    held = pool.allocate()
    pool.references.update((held,))
    nothing = 0, 0, 0, 0
    pool.superblock(*trees[1], nothing, nothing, number=held, transaction=3)
    pool.superblock(
        *trees[0], pool.space_of_data(), pool.space_of_metadata(), held=held, transaction=5
    )
    return pool.image()


def test_the_metadata_snapshot_is_read_when_it_is_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path / "held", snapshot(Pool()))
    with open_metadata(path) as metadata:
        assert [device.id for device in metadata.devices()] == [1]
        assert metadata.state.transaction == 5
        assert check(metadata).faults == ()
    with open_metadata(path, held=True) as metadata:
        assert [device.id for device in metadata.devices()] == [2]
        assert metadata.state.transaction == 3
        assert list(metadata.runs(2)) == [Run(*RUNS[0])]
        report = check(metadata)
        assert report.sound
        assert not report.compared


def test_a_metadata_snapshot_that_is_not_there_is_said_with_what_makes_one(pool: str) -> None:
    with pytest.raises(InputError, match="no metadata snapshot") as caught:
        open_metadata(pool, held=True)
    assert "reserve_metadata_snap" in caught.value.hint


def sysfs(folder: Path, path: str, holder: str) -> str:
    """A /sys with a loop device on a file, and what holds that."""
    loop = folder / "block/loop3"
    (loop / "loop").mkdir(parents=True)
    (loop / "loop/backing_file").write_text(f"{path}\n")
    (loop / "holders").mkdir()
    if holder:
        (loop / "holders" / holder).touch()
    (folder / "block/loop4").mkdir()
    (folder / "block/sda").mkdir()
    return str(folder)


def test_what_uses_a_loop_file_is_found(pool: str, tmp_path: Path) -> None:
    assert holders(pool, sysfs(tmp_path / "sys", pool, "dm-0")) == ("dm-0",)
    assert not holders(pool, sysfs(tmp_path / "free", pool, ""))
    assert not holders(pool, sysfs(tmp_path / "other", f"{pool}2", "dm-0"))


def test_the_metadata_of_an_active_pool_is_refused(
    pool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hostkit.storage.thin.blocks._SYSFS", sysfs(tmp_path / "s", pool, "dm-0"))
    with pytest.raises(InputError, match="in use by dm-0") as caught:
        open_metadata(pool)
    assert "reserve_metadata_snap" in caught.value.hint


def test_only_files_and_block_devices_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in ("/dev/null", str(tmp_path), str(tmp_path / "fifo"), str(tmp_path / "none")):
        with pytest.raises(InputError):
            open_metadata(path)


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"version": 3}, "version 3"),
        ({"sectors": 100}, "100 sectors"),
        ({"features": 1}, "newer kernel"),
    ],
)
def test_a_superblock_that_is_not_understood_is_refused(
    fields: dict[str, int], what: str, tmp_path: Path
) -> None:
    path = written(tmp_path / "odd", Pool().build(DEVICES, **fields))
    with pytest.raises(DamagedMetadata, match=what) as caught:
        open_metadata(path)
    assert caught.value.block == 0


def test_what_is_no_metadata_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"x" * 100, bytes(1 << 16), os.urandom(1 << 16)):
        with pytest.raises(DamagedMetadata, match="block 0"):
            open_metadata(written(tmp_path / "other", content))


def test_a_node_that_is_its_own_child_ends_the_walk(tmp_path: Path) -> None:
    pool = Pool()
    root = pool.allocate()
    pool.node(1, [0], root.to_bytes(8, "little"), 8, root)
    image = hostile(pool, root)
    with open_metadata(written(tmp_path / "cycle", image)) as metadata:
        with pytest.raises(DamagedMetadata, match="levels below the root"):
            list(metadata.runs(1))
        with pytest.raises(DamagedMetadata):
            usage(metadata)
        assert "is below itself" in check(metadata).faults[-1].text


def hostile(pool: Pool, root: int) -> bytes:
    """A pool whose device 1 has its mappings at `root`."""
    top = pool.tree({1: root.to_bytes(8, "little")})
    details = pool.tree({1: bytes(24)}, 24)
    pool.references.update((root, top, details))
    pool.superblock(top, details, pool.space_of_data(), pool.space_of_metadata())
    return pool.image()


def test_a_child_that_many_keys_lead_to_is_not_followed_for_each(tmp_path: Path) -> None:
    pool = Pool()
    block = pool.node(LEAF, [0], bytes(8), 8)
    for _ in range(12):  # 252**12 leaves, were it believed
        block = pool.node(1, range(252), block.to_bytes(8, "little") * 252, 8)
    with open_metadata(written(tmp_path / "bomb", hostile(pool, block))) as metadata:
        with pytest.raises(DamagedMetadata, match="its parent has elsewhere"):
            list(metadata.runs(1))
        with pytest.raises(DamagedMetadata, match="its parent has elsewhere"):
            usage(metadata)
        assert not check(metadata).sound


def test_a_mapping_beyond_the_data_is_named(tmp_path: Path) -> None:
    pool = Pool(data_blocks=40)
    image = hostile(pool, pool.node(LEAF, [0], (40 << 24).to_bytes(8, "little"), 8))
    with open_metadata(written(tmp_path / "beyond", image)) as metadata:
        with pytest.raises(DamagedMetadata, match="maps to block 40 of the data, which has 40"):
            list(metadata.runs(1))
        assert check(metadata).faults[-1].harm is Harm.BROKEN


def test_metadata_that_is_cut_off_is_said(pool: str) -> None:
    os.truncate(pool, 40 * 4096)
    with open_metadata(pool) as metadata:
        texts = [fault.text for fault in check(metadata).faults]
    assert texts == ["the metadata has 40 blocks and is said to have 64: it is cut off"]


def test_a_pool_too_large_to_count_is_said_and_takes_no_memory(tmp_path: Path) -> None:
    pool = Pool()
    top, details = pool.tree({}), pool.tree({}, 24)
    data = (1 << 40, 0, pool.tree({}, 16), pool.tree({}, 4))
    pool.superblock(top, details, data, pool.space_of_metadata())
    with open_metadata(written(tmp_path / "large", pool.image())) as metadata:
        assert metadata.superblock.data_map == SpaceMapRoot(*data)
        for question in (usage, check):
            with pytest.raises(HostkitError, match="more than can be counted"):
                question(metadata)
