# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin pools as the kernel's own tools see them: what we read, count and refuse is the same."""

import random
from pathlib import Path

import pytest

from hostkit.errors import HostkitError
from hostkit.storage.thin.check import check
from hostkit.storage.thin.dump import dump
from hostkit.storage.thin.metadata import open_metadata
from hostkit.storage.thin.usage import usage
from tests.rig.thinpool import BLOCK, Pool, Thin, kind_of, sealed
from tests.rig.thintools import ThinTools
from tests.rig.tools import ToolsUnavailableError

DATA_BLOCKS = 40_000  # three bitmaps
DAMAGES = 150


@pytest.fixture(scope="module")
def thin() -> ThinTools:
    try:
        return ThinTools()
    except ToolsUnavailableError as error:
        pytest.skip(f"no thin-provisioning-tools: {error}")


def some_devices(seed: int) -> dict[int, Thin]:
    """Devices with long runs, short ones and single blocks, much of it shared."""
    dice = random.Random(seed)
    devices: dict[int, Thin] = {}
    for number in sorted(dice.sample(range(1, 1000), 8)):
        runs: list[tuple[int, int, int, int]] = []
        begin = 0
        for _ in range(dice.choice((0, 5, 300))):
            begin += dice.choice((0, 0, 1, 5000))
            length = dice.choice((1, 1, 2, 40))
            time = dice.randrange(3)
            runs.append((begin, dice.randrange(DATA_BLOCKS - length), length, time))
            begin += length
        devices[number] = Thin(runs)
    return devices


def xml_of(devices: dict[int, Thin]) -> str:
    lines = [
        '<superblock uuid="" time="3" transaction="9" flags="0" version="2"'
        f' data_block_size="128" nr_data_blocks="{DATA_BLOCKS}">'
    ]
    for number, device in devices.items():
        mapped = sum(run[2] for run in device.runs)
        lines.append(
            f'<device dev_id="{number}" mapped_blocks="{mapped}" transaction="{number % 9}"'
            f' creation_time="1" snap_time="2">'
        )
        lines.extend(
            f'<range_mapping origin_begin="{begin}" data_begin="{data}" length="{length}"'
            f' time="{time}"/>'
            for begin, data, length, time in device.runs
        )
        lines.append("</device>")
    return "\n".join([*lines, "</superblock>"])


@pytest.mark.parametrize("seed", range(6))
def test_restored_pools_are_read_counted_and_dumped_alike(
    seed: int, thin: ThinTools, tmp_path: Path
) -> None:
    pool = tmp_path / "pool"
    thin.restore(xml_of(some_devices(seed)), pool, 16 << 20)
    with open_metadata(str(pool)) as metadata:
        assert "".join(dump(metadata)) == thin.dump(pool)
        assert check(metadata).faults == ()


def test_exclusive_and_shared_blocks_are_those_of_thin_ls(thin: ThinTools, tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    runs = {n: Thin([(0, 0, 900, 0), (1000, n * 2000, 10 * n, 1)]) for n in range(1, 9)}
    pool.write_bytes(
        Pool(blocks=2048, data_blocks=DATA_BLOCKS, fanout=99).build({**runs, 20: Thin(shares=3)})
    )
    assert thin.sound(pool)
    wanted = "DEV,MAPPED_BLOCKS,EXCLUSIVE_BLOCKS,SHARED_BLOCKS"
    listed = thin.run("thin_ls", "--no-headers", "-o", wanted, str(pool)).stdout
    with open_metadata(str(pool)) as metadata:
        found = usage(metadata)
        ours = [
            (device.id, device.mapped, alone, device.mapped - alone)
            for device in metadata.devices()
            if (alone := found.exclusive[device.id]) >= 0
        ]
    assert ours == [tuple(map(int, line.split())) for line in listed.splitlines()]


def test_pools_of_the_unit_tests_are_pools_to_the_tools_too(
    thin: ThinTools, tmp_path: Path
) -> None:
    pool = tmp_path / "pool"
    pool.write_bytes(damageable())
    assert thin.sound(pool)
    with open_metadata(str(pool)) as metadata:
        assert "".join(dump(metadata)) == thin.dump(pool)


def damageable() -> bytes:
    devices = {n: Thin([(0, 0, 30, 0), (50, 40 * n, 20, 1)]) for n in range(1, 7)}
    return Pool(blocks=200).build({**devices, 30: Thin(shares=1)})


def refused(path: Path) -> bool:
    try:
        with open_metadata(str(path)) as metadata:
            return not check(metadata).sound
    except HostkitError:
        return True


@pytest.mark.parametrize("repaired", [False, True], ids=["wrong checksums", "right checksums"])
def test_nothing_passes_that_thin_check_refuses(
    repaired: bool, thin: ThinTools, tmp_path: Path
) -> None:
    pool = tmp_path / "pool"
    sound = damageable()
    used = [at for at in range(len(sound) // BLOCK) if kind_of(sound[at * BLOCK :][:BLOCK])]
    dice = random.Random(8)
    theirs = 0
    for _ in range(DAMAGES):
        number = dice.choice(used)
        block = bytearray(sound[number * BLOCK : (number + 1) * BLOCK])
        kind = kind_of(bytes(block))
        at = dice.choice((dice.randrange(4, 100), dice.randrange(4, BLOCK)))
        block[at] ^= 1 << dice.randrange(8)
        if repaired and kind is not None:
            block[:] = sealed(number, kind, bytes(block))
        pool.write_bytes(sound[: number * BLOCK] + block + sound[(number + 1) * BLOCK :])
        if not thin.sound(pool):
            theirs += 1
            assert refused(pool), f"byte {at} of block {number}, {kind}"
    assert theirs >= DAMAGES // 6
