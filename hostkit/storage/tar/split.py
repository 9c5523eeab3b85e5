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
from collections.abc import Callable, Iterator
from typing import BinaryIO, cast

from hostkit.storage.errors import Damaged
from hostkit.value import NamedTuple

_FILE, _SEGMENT = 1, 2
_LINE_LIMIT = 4 << 20  # a segment is at most 1 MiB, base64
_CHUNK = 1 << 20


class Segment(NamedTuple):
    """Bytes as they stand in the stream."""

    data: bytes


class Content(NamedTuple):
    """A file whose content belongs here; `crc` is None for an empty one."""

    name: bytes
    size: int
    crc: int | None


class SplitWriter:
    """Records a stream while it is read; a `Recorder` of `hostkit.storage.tar.reader`."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        from fastcrc import crc64  # noqa: PLC0415 - 3 GB/s; only who writes layers needs it

        self._crc64 = crc64.go_iso
        self._write = write
        self._position = 0
        self._raw = bytearray()
        self._name = b""
        self._size = 0
        self._crc: int | None = None

    def raw(self, data: bytes | memoryview) -> None:
        """Bytes that are not the content of a file."""
        self._raw += data
        if len(self._raw) > _CHUNK:
            self._flush()

    def begin(self, name: bytes, size: int) -> None:
        """A member whose content follows."""
        self._flush()
        self._name, self._size, self._crc = name, size, None

    def payload(self, data: memoryview) -> None:
        """A piece of the content."""
        self._crc = self._crc64(bytes(data), self._crc)

    def end(self) -> None:
        """The member is complete."""
        crc = None if self._crc is None else self._crc.to_bytes(8, "big")
        fields: dict[str, object] = {"type": _FILE}
        try:
            fields["name"] = self._name.decode()
        except UnicodeDecodeError:
            fields["name_raw"] = base64.b64encode(self._name).decode()
        if self._size:
            fields["size"] = self._size
        fields["payload"] = None if crc is None else base64.b64encode(crc).decode()
        self._entry(json.dumps(fields, ensure_ascii=False)[1:-1])

    def close(self) -> None:
        """The stream has ended."""
        self._flush()

    def _flush(self) -> None:
        for start in range(0, len(self._raw), _CHUNK):
            data = base64.b64encode(self._raw[start : start + _CHUNK]).decode()
            self._entry(f'"type":{_SEGMENT},"payload":"{data}"')
        self._raw.clear()

    def _entry(self, fields: str) -> None:
        self._write(f'{{{fields},"position":{self._position}}}\n'.encode())
        self._position += 1


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
