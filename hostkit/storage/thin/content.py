# SPDX-License-Identifier: GPL-3.0-or-later
"""What is on a thin device, read from the pool's data without device-mapper.

What was never written reads as zeros. The pool does not know how large a device is: Docker
notes it in its JSON (`dockerpool`), LVM in the metadata of the volume group.

A metadata snapshot of an active pool keeps mappings, not data: what a mounted device writes
to a block of its own changes under the reader. Read devices that nobody writes to.
"""

import io
import os
import stat
import struct
from collections.abc import Callable, Iterator
from fcntl import ioctl
from mmap import mmap
from typing import TYPE_CHECKING

from hostkit.errors import InputError
from hostkit.storage.errors import Damaged
from hostkit.storage.thin.metadata import Metadata
from hostkit.value import NamedTuple

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PIECE = 1 << 18  # bytes copied at a time
_GRAIN = 4096  # zeros of that many bytes become a hole
_ZEROS = bytes(_GRAIN)
_FICLONERANGE = 0x4020940D  # linux/fs.h
_CLONE_RANGE = struct.Struct("=qQQQ")


class Extent(NamedTuple):
    """Bytes of a device from `offset` on, and where in the pool's data they lie."""

    offset: int
    length: int
    data: int


class ThinReader(io.RawIOBase):
    """A thin device as a file that can be read: `read`, `seek`, and `pread_into` of its own.

    `data` is a descriptor of the pool's data (`blocks.open_readable`); whoever opened it
    closes it. Reading raises Damaged where the metadata or the data end too early.
    """

    def __init__(self, metadata: Metadata, device: int, data: int, size: int) -> None:
        super().__init__()
        self._metadata = metadata
        self._device = device
        self._root = metadata.root(device)
        self._at = 0
        self.data = data
        self.size = size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"seek to {base + offset}, before the start")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        with memoryview(buffer).cast("B") as view:
            count = self.pread_into(view, self._at)
        self._at += count
        return count

    def pread_into(self, view: memoryview, offset: int) -> int:
        """Fill a view from an offset; how many bytes there were before the end."""
        count = max(0, min(len(view), self.size - offset))
        done = 0
        for extent in self.extents(offset, offset + count):
            start = extent.offset - offset
            _clear(view, done, start)
            done = start + extent.length
            self.fill(view[start:done], extent.data)
        _clear(view, done, count)
        return count

    def extents(self, begin: int = 0, end: int | None = None) -> Iterator[Extent]:
        """What is mapped between two offsets, in order; what lies in a row is one extent."""
        end = self.size if end is None else min(end, self.size)
        if begin >= end:
            return
        block = self._metadata.block_size
        offset = length = data = 0
        for run in self._metadata.runs_below(self._root, begin // block, (end - 1) // block):
            start = max(begin, run.begin * block)
            source = run.data * block + start - run.begin * block
            size = min(end, (run.begin + run.length) * block) - start
            if length and start == offset + length and source == data + length:
                length += size
                continue
            if length:
                yield Extent(offset, length, data)
            offset, length, data = start, size, source
        if length:
            yield Extent(offset, length, data)

    def fill(self, view: memoryview, position: int) -> None:
        """Fill a view from the pool's data. Raises Damaged when that ends first."""
        while view:
            count = os.preadv(self.data, [view], position)
            if not count:
                raise Damaged(
                    f"{self._metadata.blocks.name}: device {self._device} has data at byte"
                    f" {position}, where the pool's data has ended",
                    "is this the data of the same pool, and whole?",
                )
            view = view[count:]
            position += count


def _clear(view: memoryview, start: int, stop: int) -> None:
    for at in range(start, stop, PIECE):
        end = min(stop, at + PIECE)
        view[at:end] = bytes(end - at)


def export(reader: ThinReader, target: int, progress: Callable[[int], None] | None = None) -> int:
    """Write a device into an empty file, open for writing; how many bytes were mapped.

    What is not mapped, and zeros, become holes. On a file system that can, blocks are cloned
    and not copied. `progress` is told how many bytes more are done. Nothing is synced.
    """
    status = os.fstat(target)
    if not stat.S_ISREG(status.st_mode) or status.st_size:
        raise InputError("a thin device is written to an empty file only")
    os.ftruncate(target, reader.size)
    copier: _Copier | None = None
    total = 0
    for extent in reader.extents():
        if copier is None and not _clone(reader.data, extent, target):
            copier = _Copier(reader, target)
        if copier is not None:
            copier.copy(extent)
        total += extent.length
        if progress is not None:
            progress(extent.length)
    if copier is not None:
        copier.flush()
    return total


def _clone(data: int, extent: Extent, target: int) -> bool:
    """Let the target share the blocks of the data, if the file system can."""
    wanted = _CLONE_RANGE.pack(data, extent.data, extent.length, extent.offset)
    try:
        ioctl(target, _FICLONERANGE, wanted)
    except OSError:  # not on one file system, or one that cannot; copying says what else is wrong
        return False
    return True


class _Copier:
    """Gathers what lies in a row on the device, wherever it lies in the data."""

    def __init__(self, reader: ThinReader, target: int) -> None:
        self._reader = reader
        self._target = target
        self._buffer = mmap(-1, PIECE)  # begins at a page: the kernel copies to it faster
        self._view = memoryview(self._buffer)
        self._begin: int = 0  # what is in the buffer, as offsets of the device
        self._end: int = 0

    def copy(self, extent: Extent) -> None:
        done = 0
        while done < extent.length:
            at = extent.offset + done
            if at != self._end or self._end - self._begin == PIECE:
                self.flush()
                self._begin, self._end = at, at
            used = self._end - self._begin
            count = min(PIECE - used, extent.length - done)
            self._reader.fill(self._view[used : used + count], extent.data + done)
            self._end += count
            done += count

    def flush(self) -> None:
        """Write what was gathered, but for zeros."""
        for begin, end in _written(self._buffer, self._end - self._begin):
            _write(self._target, self._view[begin:end], self._begin + begin)
        self._begin = self._end


def _written(buffer: mmap, count: int) -> Iterator[tuple[int, int]]:
    """Where a buffer is something else than zeros."""
    begin = -1
    for at in range(0, count, _GRAIN):
        end = min(at + _GRAIN, count)
        if not buffer[at] and buffer[at:end] == _ZEROS[: end - at]:
            if begin >= 0:
                yield begin, at
            begin = -1
        elif begin < 0:
            begin = at
    if begin >= 0:
        yield begin, count


def _write(target: int, view: memoryview, offset: int) -> None:
    while view:
        count = os.pwrite(target, view, offset)
        view = view[count:]
        offset += count
