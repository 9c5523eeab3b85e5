# SPDX-License-Identifier: GPL-3.0-or-later
"""The log of dm-log-writes: every write of a device in order, to be replayed up to any point.

What a power cut would have left on the disk is the log replayed to some entry. The kernel
logs a write when a later flush makes it durable, so each prefix is a state that a disk
which keeps the order of its writes can really be in.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_MAGIC = 0x6A736677736872
_SUPER = struct.Struct("<QQQI")
_ENTRY = struct.Struct("<QQQQ")
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
_END = "dm-log-writes-end"  # the kernel's own, when the device is removed
_UNIT = 1 << 20


class Entry(NamedTuple):
    """One request; `start` and `length` in bytes, its data `at` bytes into the log."""

    start: int
    length: int
    flags: int
    at: int
    mark: str = ""


def read_log(log: Path) -> Iterator[Entry]:
    """The entries in the order they became durable."""
    with log.open("rb") as file:
        magic, version, count, sector = _SUPER.unpack(file.read(_SUPER.size))
        if magic != _MAGIC or version != 1:
            raise ValueError(f"{log} is no log of dm-log-writes")
        at = sector
        for _ in range(count):
            file.seek(at)
            start, length, flags, marked = _ENTRY.unpack(file.read(_ENTRY.size))
            mark = file.read(marked).decode() if flags & MARK else ""
            at += sector
            if mark == _END:
                return
            yield Entry(start * sector, length * sector, flags, at, mark)
            if not flags & DISCARD:
                at += length * sector


def apply(entry: Entry, log: int, target: int) -> None:
    """Do to the open file `target` what was done to the device."""
    for offset in range(0, entry.length, _UNIT):
        size = min(_UNIT, entry.length - offset)
        at = entry.at + offset
        data = bytes(size) if entry.flags & DISCARD else os.pread(log, size, at)
        os.pwrite(target, data, entry.start + offset)


def replay(log: Path, target: Path) -> Iterator[Entry]:
    """Yield after each entry that was applied to `target`, which holds that prefix then."""
    source, sink = os.open(log, os.O_RDONLY), os.open(target, os.O_RDWR)
    try:
        for entry in read_log(log):
            apply(entry, source, sink)
            yield entry
    finally:
        os.close(source)
        os.close(sink)
