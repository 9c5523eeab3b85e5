# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams of archives: compressed or not, counted, and kept from filling the disk."""

import bz2
import lzma
import os
from collections.abc import Callable
from typing import BinaryIO, Protocol, cast

import zstandard

from hostkit.storage.compression import GZIP_DAMAGE, gunzipped
from hostkit.storage.errors import BadArchive, StorageError
from hostkit.storage.image.zstdframes import ZstdFrames
from hostkit.storage.tar.reader import CHUNK, Source

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_XZ = b"\xfd7zXZ\x00"
_BZIP2 = b"BZh"
_MAGIC = 6
_WINDOW = 128 << 20  # what zstd -22 wants; those in the field ask for 8 MiB
_LZMA_MEMORY = 128 << 20  # xz -9 wants 65 MiB
_BETWEEN = 32 << 20  # bytes between two looks at the free space
_LEAST_FREE = 256 << 20
_LEAST_SHARE = 50  # one of so many parts of the file system stays free
_LEAST_INODES = 1000
_DAMAGE: tuple[type[Exception], ...] = (*GZIP_DAMAGE, zstandard.ZstdError, lzma.LZMAError)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Section:
    """A part of a file, by its own offset: several may be read side by side."""

    def __init__(self, descriptor: int, start: int, size: int) -> None:
        self._descriptor = descriptor
        self._at = start
        self.left = size

    def read(self, size: int, /) -> bytes:
        """As a file reads. Raises BadArchive when the file is shorter than it was."""
        data = os.pread(self._descriptor, min(size, self.left), self._at)
        if not data and self.left and size:
            raise BadArchive("the archive has become shorter while it was read")
        self._at += len(data)
        self.left -= len(data)
        return data


class Counted:
    """Tells somebody how much was read."""

    def __init__(self, source: Source, tell: Callable[[int], object]) -> None:
        self._source = source
        self._tell = tell

    def read(self, size: int, /) -> bytes:
        """As the source reads."""
        data = self._source.read(size)
        self._tell(len(data))
        return data


class Sparing:
    """A source that ends with an error before what it brings fills a file system."""

    def __init__(self, source: Source, folder: str) -> None:
        self._source = source
        self._folder = folder
        self._until_look = 0

    def read(self, size: int, /) -> bytes:
        """As the source reads. Raises StorageError when there is too little room."""
        if self._until_look <= 0:
            refuse_full(self._folder)
            self._until_look = _BETWEEN
        data = self._source.read(size)
        self._until_look -= len(data)
        return data


def refuse_full(folder: str) -> None:
    """Raises StorageError when a file system is nearly full: a full one harms the whole host."""
    volume = os.statvfs(folder)
    free = volume.f_bavail * volume.f_frsize
    least = min(_LEAST_FREE, volume.f_blocks * volume.f_frsize // _LEAST_SHARE)
    if free < least + _BETWEEN:
        raise StorageError(
            f"{folder} has {free >> 20} MiB free, and {least + _BETWEEN >> 20} MiB are kept",
            "free some space: the archive unpacks to more than there is room for",
        )
    if volume.f_files and volume.f_favail < _LEAST_INODES:
        raise StorageError(f"{folder} has {volume.f_favail} inodes left", "remove some files")


class _Headed:
    """A source whose beginning has been looked at."""

    def __init__(self, head: bytes, source: Source) -> None:
        self._head = head
        self._source = source

    def read(self, size: int = CHUNK, /) -> bytes:
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
            return data
        return self._source.read(size)

    def readinto(self, buffer: memoryview, /) -> int:
        """As isal asks."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class _Guarded:
    """What unpacks another source; its own kinds of failure become BadArchive."""

    def __init__(self, kind: str, unpacking: _Readable) -> None:
        self._kind = kind
        self._unpacking = unpacking

    def read(self, size: int, /) -> bytes:
        try:
            return self._unpacking.read(size)
        except _DAMAGE as problem:
            raise BadArchive(f"the {self._kind} stream is damaged: {problem}") from None
        except OSError as problem:
            if problem.errno is not None:
                raise
            raise BadArchive(f"the {self._kind} stream is damaged: {problem}") from None


def unpacked(source: Source) -> Source:
    """The source itself, or what it holds when it is compressed, by its first bytes.

    gzip, zstd, xz, bzip2. Raises BadArchive when nothing comes; reading raises it for a
    damaged stream.
    """
    head = b""
    while len(head) < _MAGIC and (more := source.read(_MAGIC - len(head))):
        head += more
    if not head:
        raise BadArchive("it is empty")
    headed = _Headed(head, source)
    if head.startswith(_GZIP):
        return _Guarded("gzip", gunzipped(headed))
    if head.startswith(_ZSTD):
        opener = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        frames = cast("BinaryIO", ZstdFrames(headed))
        reader = opener.stream_reader(frames, CHUNK, read_across_frames=True)
        return _Guarded("zstd", reader)
    if head.startswith(_XZ):
        return _Guarded("xz", _Blocks(headed, lambda: lzma.LZMADecompressor(memlimit=_LZMA_MEMORY)))
    if head.startswith(_BZIP2):
        return _Guarded("bzip2", _Blocks(headed, bz2.BZ2Decompressor))
    return headed


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int = ...) -> bytes: ...


class _Blocks:
    """A compressed stream of one or more members, unpacked in bounded pieces."""

    def __init__(self, source: Source, make: Callable[[], _Decompressor]) -> None:
        self._source = source
        self._make = make
        self._work = make()
        self._waiting = b""

    def read(self, size: int, /) -> bytes:
        while True:
            if self._work.eof:
                self._waiting = self._work.unused_data or self._source.read(CHUNK)
                self._waiting = self._waiting.lstrip(b"\0")
                if not self._waiting:
                    return b""
                self._work = self._make()
            if not self._waiting and self._work.needs_input:
                self._waiting = self._source.read(CHUNK)
                if not self._waiting:
                    raise EOFError("it ends too early")
            data = self._work.decompress(self._waiting, size)
            self._waiting = b""
            if data:
                return data


def spooled(source: Source, folder: str) -> int:
    """A descriptor of a file in a folder, without a name, that holds all of a source.

    Nothing is left of it when the process ends. Raises StorageError when the disk is full.
    """
    path = f"{folder}/.hostkit-spool-{os.urandom(8).hex()}"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.unlink(path)
        sparing = Sparing(source, folder)
        while data := sparing.read(CHUNK):
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
