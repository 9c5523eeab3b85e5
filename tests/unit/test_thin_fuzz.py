# SPDX-License-Identifier: GPL-3.0-or-later
"""Damaged thin-pool metadata: one error that names the block, or faults; never anything else."""

import os
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from hostkit.errors import HostkitError
from hostkit.storage.thin.blocks import DamagedMetadata
from hostkit.storage.thin.btree import COUNT, POINTER, parse_node
from hostkit.storage.thin.check import Harm, check
from hostkit.storage.thin.content import ThinReader
from hostkit.storage.thin.dump import dump
from hostkit.storage.thin.metadata import DETAILS, Metadata, open_metadata
from hostkit.storage.thin.spacemap import ENTRY
from hostkit.storage.thin.superblock import parse_superblock
from hostkit.storage.thin.usage import usage
from tests.rig.thinpool import BLOCK, Pool, Thin, kind_of, sealed

ENOUGH = 10_000  # runs, far more than the sound pool has
MANY = {
    number: Thin([(0, 0, 20, 0), (30, 10 * number, 8, 1), (90, 7 * number, 1, 2)])
    for number in range(1, 6)
}
SOUND = Pool(blocks=128, fanout=3).build({**MANY, 20: Thin(shares=1), 21: Thin()})
USED = [
    number
    for number in range(len(SOUND) // BLOCK)
    if kind_of(SOUND[number * BLOCK : (number + 1) * BLOCK])
]
# Where the numbers of every kind of block lie that something depends on.
INTERESTING = [*range(4, 64), *range(64, 100), *range(192, 224), *range(320, 364)]


@contextmanager
def stored(image: bytes) -> Generator[str]:
    """The path of a file with these bytes, in memory where that can be had."""
    with tempfile.NamedTemporaryFile(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as file:
        file.write(image)
        file.flush()
        yield file.name


def list_runs(metadata: Metadata) -> None:
    for device in islice(metadata.devices(), 100):
        runs = list(islice(metadata.runs(device.id), ENOUGH))
        assert len(runs) < ENOUGH


def dump_all(metadata: Metadata) -> None:
    assert sum(len(text) for text in islice(dump(metadata), ENOUGH)) < 1 << 20


def read_content(metadata: Metadata) -> None:
    with open(os.devnull, "rb") as nothing:
        for device in islice(metadata.devices(), 100):
            reader = ThinReader(metadata, device.id, nothing.fileno(), 1 << 23)
            assert sum(1 for _ in islice(reader.extents(), ENOUGH)) < ENOUGH
            reader.read(1 << 16)


QUESTIONS: tuple[Callable[[Metadata], object], ...] = (
    list_runs,
    dump_all,
    read_content,
    usage,
    check,
)


def broken_blocks(image: bytes) -> set[int | None]:
    """The blocks that a check names as broken; block 0 for a refusal to begin."""
    with stored(image) as path:
        try:
            with open_metadata(path) as metadata:
                faults = check(metadata).faults
        except DamagedMetadata as error:
            return {error.block}
    return {fault.block for fault in faults if fault.harm is Harm.BROKEN}


def refusal(path: str, question: Callable[[Metadata], object]) -> HostkitError | None:
    try:
        with open_metadata(path) as metadata:
            question(metadata)
    except HostkitError as error:
        return error
    return None


def ask_everything(image: bytes) -> None:
    """Every question gets an answer, or one error of ours with words in it."""
    with stored(image) as path:
        for question in QUESTIONS:
            error = refusal(path, question)
            assert error is None or error.message


def flipped(number: int, changes: dict[int, int], repair: bool) -> bytes:
    """The sound pool with bytes of one block changed, and its checksum made right if wanted."""
    block = bytearray(SOUND[number * BLOCK : (number + 1) * BLOCK])
    kind = kind_of(bytes(block))
    for at, bits in changes.items():
        block[at] ^= bits
    changed = sealed(number, kind, bytes(block)) if kind and repair else bytes(block)
    return SOUND[: number * BLOCK] + changed + SOUND[(number + 1) * BLOCK :]


positions = st.sampled_from(INTERESTING) | st.integers(4, BLOCK - 1)
damages = st.dictionaries(positions, st.integers(1, 255), min_size=1, max_size=4)


def test_the_sound_pool_is_sound() -> None:
    with stored(SOUND) as path, open_metadata(path) as metadata:
        assert check(metadata).sound
    assert len(USED) > 30


@given(st.sampled_from(USED), damages)
def test_no_change_of_a_block_passes_with_a_wrong_checksum(
    number: int, changes: dict[int, int]
) -> None:
    image = flipped(number, changes, repair=False)
    ask_everything(image)
    assert number in broken_blocks(image)


@given(st.sampled_from(USED), damages)
def test_a_change_with_a_right_checksum_ends_well(number: int, changes: dict[int, int]) -> None:
    ask_everything(flipped(number, changes, repair=True))


@given(st.integers(0, len(SOUND)))
def test_any_part_of_a_pool_ends_well(length: int) -> None:
    ask_everything(SOUND[:length])


@given(st.sampled_from(USED), st.sampled_from(USED))
def test_a_block_in_the_place_of_another_is_noticed(one: int, other: int) -> None:
    if one == other:
        return
    block = SOUND[other * BLOCK : (other + 1) * BLOCK]
    image = SOUND[: one * BLOCK] + block + SOUND[(one + 1) * BLOCK :]
    ask_everything(image)
    assert one in broken_blocks(image)


@given(st.binary(max_size=300), st.sampled_from([POINTER, COUNT, DETAILS, ENTRY]))
def test_any_bytes_are_a_node_or_refused(start: bytes, code: str) -> None:
    try:
        node = parse_node(start.ljust(BLOCK, b"\1"), code)
    except ValueError:
        return
    assert len(node.values) == len(node.keys) * (1 if node.internal else len(code))


@given(st.binary(max_size=400))
def test_any_bytes_are_a_superblock_or_refused(data: bytes) -> None:
    for candidate in (data, SOUND[:300] + data, SOUND[:64] + data.ljust(BLOCK - 64)):
        with suppress(ValueError):
            parse_superblock(candidate)
