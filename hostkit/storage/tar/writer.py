# SPDX-License-Identifier: GPL-3.0-or-later
"""Tar streams written: ustar blocks, with a pax header before a member that needs one.

What is written depends on the members alone, so the same tree gives the same bytes.
"""

from struct import Struct
from typing import Protocol

from hostkit.storage.tar.member import (
    BLOCK,
    BLOCK_DEVICE,
    CHARACTER,
    NS,
    PAX,
    XATTR_PREFIX,
    ZEROS,
    Member,
)

_NAME, _PREFIX, _LINK = 100, 155, 100
_SMALL = 0o7777777  # what seven octal digits hold
_LARGE = 0o77777777777
_RECORD = 20 * BLOCK
# name mode uid gid size mtime checksum type link magic (owner's names) devices prefix
_packed = Struct("100s7sx7sx7sx11sx11sx8sc100s8s64x16s155s12x").pack


class Sink(Protocol):
    """Where the bytes go."""

    def write(self, data: bytes | memoryview, /) -> object: ...


class TarWriter:
    """Members one after another; `close` ends the stream."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._written = 0

    def add(self, member: Member) -> None:
        """Write the header; `member.size` bytes of content must follow through `content`."""
        block, records = header(member)
        if records:
            data = b"".join(_pax_record(key, value) for key, value in sorted(records.items()))
            extended = Member(b"PaxHeaders/" + member.name[-64:].rpartition(b"/")[2], PAX)
            extended.size = len(data)
            self._write(header(extended)[0])
            self._write(data + bytes(-len(data) % BLOCK))
        self._write(block)

    def content(self, data: bytes | memoryview) -> None:
        """A piece of the content of the member last added."""
        self._write(data)

    def end_content(self, size: int) -> None:
        """The padding after a content of so many bytes."""
        if size % BLOCK:
            self._write(ZEROS[: -size % BLOCK])

    def close(self) -> None:
        """The two blocks of zeros, and what fills a record of 20 blocks as tar(1) does."""
        rest = self._written + 2 * BLOCK
        self._write(bytes(2 * BLOCK + -rest % _RECORD))

    def _write(self, data: bytes | memoryview) -> None:
        self._sink.write(data)
        self._written += len(data)


def header(member: Member) -> tuple[bytes, dict[bytes, bytes]]:
    """The ustar block, and what only a pax header can say."""
    records: dict[bytes, bytes] = {}
    prefix, name, link = b"", member.name, member.linkname
    if not name.isascii() or len(name) > _NAME:
        prefix, name = _fitted(name, records)
    if not link.isascii() or len(link) > _LINK:
        records[b"linkpath"] = link
        link = link[:_LINK]
    if records:
        _say_charset(records)
    seconds, fraction = divmod(member.mtime_ns, NS)
    if fraction or not 0 <= seconds <= _LARGE:
        records[b"mtime"] = _pax_time(member.mtime_ns)
        seconds = min(max(seconds, 0), _LARGE)
    for key, value in member.xattrs.items():
        records[XATTR_PREFIX + key.replace(b"%", b"%25").replace(b"=", b"%3D")] = value
    block = _packed(
        name,
        b"%07o" % member.mode,
        b"%07o" % _small(member.uid, b"uid", records),
        b"%07o" % _small(member.gid, b"gid", records),
        b"%011o" % _size(member.size, records),
        b"%011o" % seconds,
        b"        ",
        member.type,
        link,
        b"ustar\x0000",
        _devices(member),
        prefix,
    )
    return b"%s%06o\0 %s" % (block[:148], sum(block), block[156:]), records


def _fitted(name: bytes, records: dict[bytes, bytes]) -> tuple[bytes, bytes]:
    """Prefix and name as ustar has them; what does not fit, or is not ASCII, goes into pax."""
    prefix, rest = _split_name(name)
    if name.isascii() and len(rest) <= _NAME:
        return prefix, rest
    records[b"path"] = name
    return b"", name[:_NAME]


def _say_charset(records: dict[bytes, bytes]) -> None:
    """A pax header is UTF-8 unless it says that it is not."""
    try:
        for value in records.values():
            value.decode()
    except UnicodeDecodeError:
        records[b"hdrcharset"] = b"BINARY"


def _small(value: int, key: bytes, records: dict[bytes, bytes]) -> int:
    if 0 <= value <= _SMALL:
        return value
    records[key] = b"%d" % value
    return 0


def _size(value: int, records: dict[bytes, bytes]) -> int:
    if value <= _LARGE:
        return value
    records[b"size"] = b"%d" % value
    return 0


def _devices(member: Member) -> bytes:
    if member.type in (CHARACTER, BLOCK_DEVICE):
        return b"%07o\0%07o\0" % (member.devmajor, member.devminor)
    return bytes(16)


def _split_name(name: bytes) -> tuple[bytes, bytes]:
    """The prefix and name fields of ustar, where a slash allows it."""
    if len(name) <= _NAME:
        return b"", name
    slash = name.find(b"/", max(0, len(name) - _NAME - 1))
    if 0 < slash <= _PREFIX and len(name) - slash - 1 <= _NAME and slash < len(name) - 1:
        return name[:slash], name[slash + 1 :]
    return b"", name


def _pax_time(ns: int) -> bytes:
    """Seconds with as many decimals as there are, also before 1970."""
    whole, fraction = divmod(abs(ns), NS)
    digits = b".%09d" % fraction if fraction else b""
    return (b"-" if ns < 0 else b"") + b"%d" % whole + digits.rstrip(b"0")


def _pax_record(key: bytes, value: bytes) -> bytes:
    r"""`LENGTH KEY=VALUE\\n`, where LENGTH counts itself."""
    rest = len(key) + len(value) + 3
    length = rest + len(b"%d" % rest)
    if len(b"%d" % length) != len(b"%d" % rest):
        length = rest + len(b"%d" % length)
    return b"%d %s=%s\n" % (length, key, value)
