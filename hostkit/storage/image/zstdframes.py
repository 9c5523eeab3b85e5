# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a zstd stream is whole: the library takes one that ends early for one that ended.

Only the lengths of frames and blocks are read here (RFC 8878, section 3).
"""

from collections.abc import Callable

from hostkit.storage.tar.reader import Source

_MAGIC = 0xFD2FB528
_SKIPPABLE = 0x184D2A50
_DICTIONARY = (0, 1, 2, 4)  # bytes, by the two lowest bits of the descriptor
_CONTENT = (0, 2, 4, 8)  # by the two highest, but 1 for 0 in a single segment
_CHECKSUM = 4
_BLOCK_HEADER = 3
_RLE = 1


class ZstdFrames:
    """Passes a stream on. Raises EOFError when it ends within a frame."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._wanted = b""  # the beginning of a header that goes on in the next piece
        self._need = 4
        self._skip = 0
        self._step: Callable[[bytes], None] = self._magic
        self._checksum = 0

    def read(self, size: int, /) -> bytes:
        """As the source reads."""
        data = self._source.read(size)
        if not data and (self._skip or self._wanted or self._step != self._magic):
            raise EOFError("it ends too early")
        self._follow(data)
        return data

    def _follow(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            if self._skip:
                passed = min(self._skip, len(data) - at)
                self._skip -= passed
                at += passed
                continue
            taken = data[at : at + self._need - len(self._wanted)]
            self._wanted += taken
            at += len(taken)
            if len(self._wanted) == self._need:
                header, self._wanted = self._wanted, b""
                self._step(header)

    def _next(self, need: int, step: Callable[[bytes], None], skip: int = 0) -> None:
        self._need, self._step, self._skip = need, step, skip

    def _magic(self, header: bytes) -> None:
        number = int.from_bytes(header, "little")
        if number == _MAGIC:
            self._next(1, self._descriptor)
        elif number & ~0xF == _SKIPPABLE:
            self._next(4, self._skipped)
        else:
            self._next(1, self._garbage)  # which the library refuses, or leaves unread

    def _garbage(self, _: bytes) -> None:
        """Not zstd any more: nothing is known of its length."""

    def _skipped(self, header: bytes) -> None:
        self._next(4, self._magic, int.from_bytes(header, "little"))

    def _descriptor(self, header: bytes) -> None:
        byte = header[0]
        single = byte >> 5 & 1
        content = _CONTENT[byte >> 6] or single
        self._checksum = _CHECKSUM if byte & 4 else 0
        self._next(_BLOCK_HEADER, self._block, _DICTIONARY[byte & 3] + content + 1 - single)

    def _block(self, header: bytes) -> None:
        number = int.from_bytes(header, "little")
        last, kind, size = number & 1, number >> 1 & 3, number >> 3
        skip = 1 if kind == _RLE else size
        if last:
            self._next(4, self._magic, skip + self._checksum)
        else:
            self._next(_BLOCK_HEADER, self._block, skip)
