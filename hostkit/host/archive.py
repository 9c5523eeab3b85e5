# SPDX-License-Identifier: GPL-3.0-or-later
"""The snapshot's container: a .tar.gz of small plain members, read from anybody, in bounds.

Only what this module writes is accepted: regular members with relative names. Links,
devices and the extension headers of tar have no place in it and are refused, and nothing
is ever unpacked to a disk.
"""

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterable, Iterator

from hostkit import files, text
from hostkit.errors import InputError
from hostkit.value import NamedTuple

MEMBER_COUNT = 200_000
MEMBER_BYTES = 64 << 20
TOTAL_BYTES = 512 << 20
_BLOCK = 512
_PADDING = 1 << 16  # tar programs fill the last record with zeros
_COMPRESS_FROM = 1 << 12  # a member that large is kept compressed: a bomb stays small
_AGAIN = "take a new one on that host: hostkit collect -o FILE"


class Member(NamedTuple):
    """A name and its bytes."""

    name: str
    data: bytes


class Blob:
    """The bytes of one member; large ones are held compressed."""

    __slots__ = ("_data", "_packed", "size")

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self._packed = len(data) >= _COMPRESS_FROM
        self._data = zlib.compress(data, 1) if self._packed else data

    def get(self) -> bytes:
        return zlib.decompress(self._data) if self._packed else self._data


def pack(members: Iterable[Member], mtime: int) -> bytes:
    """The archive; the same members always give the same bytes."""
    sink = io.BytesIO()
    with gzip.GzipFile(fileobj=sink, mode="wb", compresslevel=6, mtime=mtime) as stream:
        for member in members:
            info = tarfile.TarInfo(member.name)
            info.size = len(member.data)
            info.mode = 0o600
            info.mtime = mtime
            stream.write(info.tobuf(tarfile.USTAR_FORMAT))
            stream.write(member.data)
            stream.write(bytes(-len(member.data) % _BLOCK))
        stream.write(bytes(2 * _BLOCK))
    return sink.getvalue()


def refuse(path: str, reason: str) -> InputError:
    """The error for an archive that cannot be used; raise it."""
    return InputError(f"{text.printable(path)} is not a usable snapshot: {reason}", _AGAIN)


def unpack(path: str) -> Iterator[Member]:
    """The members in their order. Raises InputError for whatever is not as we write it."""
    try:
        descriptor = files.open_regular(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"cannot open {text.printable(path)}: {reason}", "name a file of hostkit collect"
        ) from error
    try:
        with open(descriptor, "rb") as raw, gzip.GzipFile(fileobj=raw) as stream:
            yield from _members(path, stream)
    except EOFError as error:
        raise refuse(path, "it ends too early") from error
    except (OSError, zlib.error) as error:
        raise refuse(path, _why(error)) from error


def _why(error: OSError | zlib.error) -> str:
    """What is wrong with the compressed file, in plain words."""
    if isinstance(error, OSError) and error.strerror:
        return f"it cannot be read ({error.strerror})"
    if str(error).startswith("Not a gzipped file"):
        return "it cannot be unpacked: it is no gzip file, or something was added to it"
    return "it cannot be unpacked: it is damaged"


def _members(path: str, stream: gzip.GzipFile) -> Iterator[Member]:
    seen: set[str] = set()
    left = TOTAL_BYTES
    while True:
        header = stream.read(_BLOCK)
        if header == bytes(_BLOCK):
            if stream.read(_PADDING).strip(b"\0"):  # to the end, where the checksum is
                raise refuse(path, "it goes on after its end")
            return
        if len(header) < _BLOCK:
            raise refuse(path, "it ends too early" if seen else "it is not a tar archive")
        info = _header(path, header, first=not seen)
        _judge(path, info, seen)
        left -= info.size
        if left < 0:
            raise refuse(path, f"its members hold more than {TOTAL_BYTES >> 20} MiB")
        seen.add(info.name)
        data = stream.read(info.size)
        padding = stream.read(-info.size % _BLOCK)
        if len(data) < info.size or len(padding) < -info.size % _BLOCK:
            raise refuse(path, f"it ends too early, in {info.name}")
        yield Member(info.name, data)


def _header(path: str, header: bytes, *, first: bool) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(header, "utf-8", "strict")
    except (tarfile.HeaderError, ValueError) as error:
        reason = "it is not a tar archive" if first else "a header in it is damaged"
        raise refuse(path, reason) from error


def _judge(path: str, info: tarfile.TarInfo, seen: set[str]) -> None:
    name = text.shorten(text.printable(info.name), 60)
    if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        raise refuse(path, f"{name} in it is not a regular file")
    if info.name.startswith("/") or ".." in info.name.split("/") or not info.name.isprintable():
        raise refuse(path, f"{name} in it points out of it")
    if info.name in seen:
        raise refuse(path, f"{name} is in it twice")
    if len(seen) >= MEMBER_COUNT:
        raise refuse(path, f"it has more than {MEMBER_COUNT} members")
    if not 0 <= info.size <= MEMBER_BYTES:
        raise refuse(path, f"{name} in it is larger than {MEMBER_BYTES >> 20} MiB")
