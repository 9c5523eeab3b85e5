# SPDX-License-Identifier: GPL-3.0-or-later
"""tar-split: what of a tar is not in the unpacked tree, so that it can be put together again.

A gzip of JSON lines in the order of the stream, as Docker's layer store keeps it
(`layerdb/.../tar-split.json.gz`; github.com/vbatts/tar-split). Type 2 holds bytes as they
stand: headers, padding, the end. Type 1 is a file, whose content is taken from the tree and
checked by CRC-64 (ISO polynomial, as Go has it).
"""

import base64
import json
import os
from binascii import b2a_base64
from collections.abc import Callable, Iterator
from typing import BinaryIO, cast

from hostkit.storage.errors import Damaged
from hostkit.storage.tar.member import normal_name
from hostkit.value import NamedTuple

_FILE, _SEGMENT = 1, 2
_LINE_LIMIT = 4 << 20  # a segment is at most 1 MiB, base64
_CHUNK = 1 << 20
_WRITTEN = 1 << 18  # lines are handed on together
_PLAIN = bytes(set(range(0x20, 0x7F)) - set(b'"\\'))  # what JSON says as it stands


class Segment(NamedTuple):
    """Bytes as they stand in the stream."""

    data: bytes


class Content(NamedTuple):
    """A file whose content belongs here; `crc` is None for an empty one."""

    name: bytes
    size: int
    crc: int | None


class SplitWriter:
    """Records a stream while it is read; a `Recorder` of `hostkit.storage.tar.reader`.

    Docker refuses a tar-split that names a file twice. So the later one is written as bytes
    that stand for themselves.
    """

    def __init__(self, write: Callable[[bytes], object]) -> None:
        from fastcrc import crc64  # noqa: PLC0415 - 3 GB/s; only who writes layers needs it

        self.is_exact = True  # False: a content may have been replaced; compare a digest
        self._crc64 = crc64.go_iso
        self._write = write
        self._lines: list[bytes] = []
        self._waiting = 0  # bytes in the lines
        self._position = 0
        self._raw: list[bytes] = []
        self._raw_size = 0
        self._names: set[bytes] = set()
        self._name = b""
        self._size = 0
        self._crc: int | None = None
        self._twice = False

    def raw(self, data: bytes) -> None:
        """Bytes that stand for themselves."""
        self._raw.append(data)
        self._raw_size += len(data)
        if self._raw_size >= _CHUNK:
            self._segment()

    def whole(self, raw: bytes, name: bytes, data: bytes | memoryview) -> None:
        """Raw bytes, and a member with all its content."""
        self.raw(raw)
        clean = _clean(name)
        if clean in self._names:
            if data:
                self.raw(bytes(data))
            return
        self._names.add(clean)
        self._segment()
        if data:
            self._file(name, len(data), self._crc64(data, None))
        else:
            self._line(b'"type":1,%s,"payload":null' % _name_field(name))

    def begin(self, name: bytes, size: int) -> None:
        """A member; its content follows."""
        clean = _clean(name)
        self._twice = clean in self._names
        if not self._twice:
            self._names.add(clean)
            self._segment()
            self._name, self._size, self._crc = name, size, None

    def payload(self, data: bytes | memoryview) -> None:
        """A piece of the content."""
        if self._twice:
            self.raw(bytes(data))
        else:
            self._crc = self._crc64(data, self._crc)

    def end(self) -> None:
        """The content is complete."""
        if not self._twice:
            self._file(self._name, self._size, self._crc or 0)

    def replaced(self) -> None:
        """What the tree holds may differ from what was recorded."""
        self.is_exact = False

    def close(self) -> None:
        """The stream has ended."""
        self._segment()
        self._write(b"".join(self._lines))
        self._lines.clear()

    def _segment(self) -> None:
        if not self._raw:
            return
        data = b"".join(self._raw) if len(self._raw) > 1 else self._raw[0]
        self._raw.clear()
        self._raw_size = 0
        for start in range(0, len(data), _CHUNK):
            piece = b2a_base64(data[start : start + _CHUNK], newline=False)
            self._line(b'"type":2,"payload":"%s"' % piece)

    def _file(self, name: bytes, size: int, crc: int) -> None:
        words = (_name_field(name), size, b2a_base64(crc.to_bytes(8, "big"), newline=False))
        self._line(b'"type":1,%s,"size":%d,"payload":"%s"' % words)

    def _line(self, fields: bytes) -> None:
        line = b'{%s,"position":%d}\n' % (fields, self._position)
        self._lines.append(line)
        self._position += 1
        self._waiting += len(line)
        if self._waiting > _WRITTEN:
            self._write(b"".join(self._lines))
            self._lines.clear()
            self._waiting = 0


def _name_field(name: bytes) -> bytes:
    if not name.translate(None, _PLAIN):
        return b'"name":"%s"' % name
    try:
        return b'"name":' + json.dumps(name.decode(), ensure_ascii=False).encode()
    except UnicodeDecodeError:
        return b'"name_raw":"%s"' % b2a_base64(name, newline=False)


def _clean(name: bytes) -> bytes:
    try:
        return normal_name(name)
    except ValueError:  # it leads out, and will be refused
        return name


def entries(lines: BinaryIO) -> Iterator[Segment | Content]:
    """What a tar-split (not compressed) says, in order. Raises Damaged."""
    number = 0
    while line := lines.readline(_LINE_LIMIT):
        number += 1
        try:
            yield _parse(line)
        except (ValueError, TypeError, RecursionError) as problem:
            raise Damaged(f"tar-split line {number}: {problem}") from None


def _parse(line: bytes) -> Segment | Content:
    tree: object = json.loads(line)
    if not isinstance(tree, dict):
        raise ValueError("not an object")
    fields = cast("dict[str, object]", tree)
    kind, payload = fields.get("type"), fields.get("payload")
    data = base64.b64decode(payload, validate=True) if isinstance(payload, str) else b""
    if kind == _SEGMENT:
        return Segment(data)
    if kind != _FILE:
        raise ValueError(f"type {kind!r}")
    raw, name, size = fields.get("name_raw"), fields.get("name", ""), fields.get("size", 0)
    if not isinstance(name, str) or not isinstance(size, int) or size < 0:
        raise ValueError("name or size")
    path = base64.b64decode(raw) if isinstance(raw, str) else os.fsencode(name)
    return Content(path, size, int.from_bytes(data, "big") if data else None)


def reassemble(
    split: BinaryIO, open_content: Callable[[bytes], BinaryIO], *, check: bool = False
) -> Iterator[bytes]:
    """The stream as it was, byte for byte, from a tar-split and the files of the tree.

    `check` compares each file's CRC, to name the one that is damaged; a digest of the whole
    stream covers more. Raises Damaged, OSError.
    """
    for entry in entries(split):
        if isinstance(entry, Segment):
            yield entry.data
        elif entry.size:
            yield from _content(entry, open_content, check=check)


def _content(
    entry: Content, open_content: Callable[[bytes], BinaryIO], *, check: bool
) -> Iterator[bytes]:
    from fastcrc import crc64  # noqa: PLC0415 - see SplitWriter

    crc: int | None = None
    left = entry.size
    with open_content(entry.name) as file:
        while left:
            data = file.read(min(left, _CHUNK))
            if not data:
                raise Damaged(f"{_shown(entry.name)} is shorter than it was")
            left -= len(data)
            if check:
                crc = crc64.go_iso(data, crc)
            yield data
    if check and crc != entry.crc:
        raise Damaged(f"the content of {_shown(entry.name)} has changed")


def _shown(name: bytes) -> str:
    return repr(name.decode("utf-8", "replace"))
