# SPDX-License-Identifier: GPL-3.0-or-later
"""The content of a thin device: read at any place, and written to a file with its holes."""

import io
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.errors import InputError
from hostkit.storage.errors import Damaged
from hostkit.storage.thin.blocks import open_readable
from hostkit.storage.thin.content import Extent, ThinReader, export
from hostkit.storage.thin.metadata import Metadata, open_metadata
from tests.rig.thinpool import Pool, Thin

BLOCK = 64 << 10
# A hole at first, two that lie in a row though written at two times, one before them in the data.
RUNS = [(1, 5, 2, 0), (3, 7, 1, 1), (8, 2, 1, 1), (20, 9, 3, 1)]
SIZE = 22 * BLOCK + 1536  # ends within what is mapped


class Made(NamedTuple):
    """A pool with one device, and what must be read from it."""

    metadata: Metadata
    data: int
    content: bytes

    def reader(self) -> ThinReader:
        return ThinReader(self.metadata, 1, self.data, SIZE)


def made(folder: Path) -> Made:
    data = bytearray(random.Random(4).randbytes(12 * BLOCK))
    data[6 * BLOCK : 6 * BLOCK + 8192] = bytes(8192)
    data[2 * BLOCK : 3 * BLOCK] = bytes(BLOCK)
    content = bytearray(23 * BLOCK)
    for begin, at, length, _ in RUNS:
        content[begin * BLOCK : (begin + length) * BLOCK] = data[at * BLOCK : (at + length) * BLOCK]
    (folder / "data").write_bytes(data)
    (folder / "metadata").write_bytes(Pool(data_blocks=12).build({1: Thin(RUNS)}))
    metadata = open_metadata(str(folder / "metadata"))
    return Made(metadata, open_readable(str(folder / "data")), bytes(content[:SIZE]))


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """One pool for all that only read it."""
    one = made(tmp_path_factory.mktemp("pool"))
    yield one
    one.metadata.close()
    os.close(one.data)


def test_the_whole_device_is_read(pool: Made) -> None:
    assert io.BufferedReader(pool.reader(), 1 << 16).read() == pool.content
    assert pool.reader().readall() == pool.content


@given(at=st.integers(0, SIZE + BLOCK), length=st.integers(0, 3 * BLOCK))
def test_any_part_is_read(pool: Made, at: int, length: int) -> None:
    reader = pool.reader()
    assert reader.seek(at) == at
    assert reader.read(length) == pool.content[at : at + length]
    assert reader.tell() == at + len(pool.content[at : at + length])


def test_seeking_works_from_both_ends(pool: Made) -> None:
    reader = pool.reader()
    assert reader.seek(-512, os.SEEK_END) == SIZE - 512
    assert reader.read() == pool.content[-512:]
    assert reader.seek(-12, os.SEEK_CUR) == SIZE - 12
    assert reader.readable()
    assert reader.seekable()
    assert not reader.writable()
    with pytest.raises(ValueError, match="before the start"):
        reader.seek(-1)


def test_what_lies_in_a_row_is_one_extent(pool: Made) -> None:
    assert list(pool.reader().extents()) == [
        Extent(BLOCK, 3 * BLOCK, 5 * BLOCK),
        Extent(8 * BLOCK, BLOCK, 2 * BLOCK),
        Extent(20 * BLOCK, 2 * BLOCK + 1536, 9 * BLOCK),
    ]
    assert list(pool.reader().extents(BLOCK + 10, BLOCK + 30)) == [
        Extent(BLOCK + 10, 20, 5 * BLOCK + 10)
    ]
    assert not list(pool.reader().extents(SIZE, SIZE + 10))


def test_a_device_is_written_to_a_file_with_holes(pool: Made, tmp_path: Path) -> None:
    told: list[int] = []
    with (tmp_path / "device").open("wb") as target:
        copied = export(pool.reader(), target.fileno(), told.append)
    assert copied == sum(told) == 6 * BLOCK + 1536
    assert (tmp_path / "device").read_bytes() == pool.content
    # Neither the block of zeros nor what was never written takes room.
    assert (tmp_path / "device").stat().st_blocks * 512 <= 6 * BLOCK


def test_a_device_is_written_to_empty_files_only(pool: Made, tmp_path: Path) -> None:
    (tmp_path / "full").write_text("kept")
    with (tmp_path / "full").open("r+b") as target, pytest.raises(InputError, match="empty"):
        export(pool.reader(), target.fileno())
    with open(os.devnull, "wb") as target, pytest.raises(InputError, match="empty"):
        export(pool.reader(), target.fileno())


def test_data_that_ends_too_early_is_said_with_the_place(tmp_path: Path) -> None:
    with made(tmp_path).metadata as metadata, open(tmp_path / "data", "r+b") as data:
        data.truncate(10 * BLOCK + 100)
        reader = ThinReader(metadata, 1, data.fileno(), SIZE)
        assert len(reader.read(20 * BLOCK)) == 20 * BLOCK
        with pytest.raises(Damaged, match=f"device 1 has data at byte {10 * BLOCK + 100}"):
            reader.read()


def test_a_device_that_is_not_there_is_said(pool: Made) -> None:
    with pytest.raises(InputError, match="no device 2"):
        ThinReader(pool.metadata, 2, pool.data, SIZE)
