# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks of thin-pool metadata, each believed only when its checksum and its number are right."""

import os
import stat
import struct
from enum import Enum
from types import TracebackType

from hostkit.errors import InputError
from hostkit.storage.errors import Damaged
from hostkit.storage.thin.crc32c import BLOCK, checksum

MOST_BLOCKS = 255 << 14  # the kernel uses no more of a metadata device (THIN_METADATA_MAX_SECTORS)
_HEADER = struct.Struct("<IIQ")  # the checksum, what differs by kind, the block's own number
_SYSFS = "/sys"


class Kind(Enum):
    """What a block is; the value is what its checksum is combined with."""

    SUPERBLOCK = 160774
    NODE = 121107
    BITMAP = 240779
    INDEX = 160478


_NAMES = {
    Kind.SUPERBLOCK: "a superblock",
    Kind.NODE: "a node of a tree",
    Kind.BITMAP: "a bitmap of a space map",
    Kind.INDEX: "the index of a space map",
}
_CODES = {kind: code for code, kind in enumerate(Kind, 1)}


class DamagedMetadata(Damaged):
    """Metadata that cannot be right: in which block, and what about it."""

    def __init__(self, name: str, block: int, what: str) -> None:
        super().__init__(
            f"{name}: block {block} {what}",
            "copy the metadata, then thin_repair(8) from the copy to a new file;"
            " never repair it in place",
        )
        self.block = block
        self.what = what


class Blocks:
    """A file or volume that holds the metadata of a pool; opened for reading only."""

    def __init__(self, path: str) -> None:
        self.name = path
        self._descriptor = open_readable(path)
        try:
            self.count = min(size_of(self._descriptor) // BLOCK, MOST_BLOCKS)
            # A volume is written past its page cache when the pool is active.
            os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        except OSError:
            self.close()
            raise
        self._verified = bytearray(self.count)  # the code of the kind that each was found to be

    def __enter__(self) -> "Blocks":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the descriptor back; a second time does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def read(self, number: int, kind: Kind) -> bytes:
        """A block of a kind. Raises DamagedMetadata when it is none."""
        if number >= self.count:
            raise self.damaged(number, f"lies behind the last one, {self.count - 1}")
        try:
            data = os.pread(self._descriptor, BLOCK, number * BLOCK)
        except OSError as error:
            raise self.damaged(number, f"cannot be read: {error.strerror}") from error
        if len(data) != BLOCK:
            raise self.damaged(number, "is cut off")
        if self._verified[number] != _CODES[kind]:
            self._verify(number, kind, data)
            self._verified[number] = _CODES[kind]
        return data

    def _verify(self, number: int, kind: Kind, data: bytes) -> None:
        written, _, own = _HEADER.unpack_from(data)
        computed = checksum(data) ^ kind.value
        if written != computed:
            what = f"is not {_NAMES[kind]}: its checksum is {written:#010x}, not {computed:#010x}"
            raise self.damaged(number, what)
        if own != number:
            raise self.damaged(number, f"was written as block {own}")

    def damaged(self, number: int, what: str) -> DamagedMetadata:
        """The error for one of these blocks."""
        return DamagedMetadata(self.name, number, what)


def open_readable(path: str) -> int:
    """A descriptor to read a file or a block device from. Raises InputError."""
    try:
        mode = os.stat(path).st_mode  # opening a fifo would wait, opening a tape rewinds it
        if not stat.S_ISREG(mode) and not stat.S_ISBLK(mode):
            raise InputError(f"{path} is neither a file nor a block device")
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def size_of(descriptor: int) -> int:
    """Bytes in an open file or block device."""
    return os.lseek(descriptor, 0, os.SEEK_END)


def holders(path: str, sysfs: str = "") -> tuple[str, ...]:
    """The device-mapper devices that use a volume, or a file through a loop device."""
    sysfs = sysfs or _SYSFS
    status = os.stat(path)
    if stat.S_ISBLK(status.st_mode):
        number = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
        return _names(f"{sysfs}/dev/block/{number}/holders")
    found: list[str] = []
    for name in _names(f"{sysfs}/block"):
        if name.startswith("loop") and _backs(f"{sysfs}/block/{name}/loop/backing_file", path):
            found.extend(_names(f"{sysfs}/block/{name}/holders"))
    return tuple(found)


def _names(folder: str) -> tuple[str, ...]:
    try:
        return tuple(sorted(os.listdir(folder)))
    except OSError:  # no such device, or no sysfs
        return ()


def _backs(note: str, path: str) -> bool:
    """Whether a loop device's note names this file."""
    try:
        with open(note, encoding="utf-8", errors="surrogateescape") as file:
            return os.path.samefile(file.read().rstrip("\n"), path)
    except (OSError, ValueError):  # a detached loop device has no note; its file may be gone
        return False
