# SPDX-License-Identifier: GPL-3.0-or-later
"""Tar streams written: ustar blocks, with a pax header before a member that needs one.

What is written depends on the members alone, so the same tree gives the same bytes.
"""

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
    records = {XATTR_PREFIX + key: value for key, value in member.xattrs.items()}
    prefix, name = _split_name(member.name)
    if not _plain(member.name) or len(name) > _NAME:
        records[b"path"] = member.name
        prefix, name = b"", name[:_NAME]
    link = member.linkname
    if not _plain(link) or len(link) > _LINK:
        records[b"linkpath"] = link
        link = link[:_LINK]
    seconds, fraction = divmod(member.mtime_ns, NS)
    if fraction or not 0 <= seconds <= _LARGE:
        records[b"mtime"] = _pax_time(member.mtime_ns)
    fields = [
        name.ljust(_NAME, b"\0"),
        b"%07o\0" % member.mode,
        _octal(member.uid, _SMALL, b"uid", records),
        _octal(member.gid, _SMALL, b"gid", records),
        _octal(member.size, _LARGE, b"size", records),
        b"%011o\0" % min(max(seconds, 0), _LARGE),
        b"        ",
        member.type,
        link.ljust(_LINK, b"\0"),
        b"ustar\x0000",
        bytes(64),
    ]
    if member.type in (CHARACTER, BLOCK_DEVICE):
        fields += [b"%07o\0" % member.devmajor, b"%07o\0" % member.devminor]
    else:
        fields.append(bytes(16))
    fields += [prefix.ljust(_PREFIX, b"\0"), bytes(12)]
    block = b"".join(fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:], records


def _octal(value: int, most: int, key: bytes, records: dict[bytes, bytes]) -> bytes:
    if not 0 <= value <= most:
        records[key] = b"%d" % value
        value = 0
    return b"%07o\0" % value if most == _SMALL else b"%011o\0" % value


def _split_name(name: bytes) -> tuple[bytes, bytes]:
    """The prefix and name fields of ustar, where a slash allows it."""
    if len(name) <= _NAME:
        return b"", name
    slash = name.find(b"/", max(0, len(name) - _NAME - 1))
    if 0 < slash <= _PREFIX and len(name) - slash - 1 <= _NAME and slash < len(name) - 1:
        return name[:slash], name[slash + 1 :]
    return b"", name


def _plain(name: bytes) -> bool:
    """Old headers are read in whatever encoding; a pax header says UTF-8, and may hold any."""
    return name.isascii()


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
