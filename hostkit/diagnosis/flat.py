# SPDX-License-Identifier: GPL-3.0-or-later
"""A text made flat: escapes and colours undone, every run of white space one blank.

Text is handled as UTF-8, in blocks of whole lines that each end with a newline.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate

from hostkit import text

BLOCK_BYTES = 1 << 17
LINE_LIMIT = 1 << 20  # of one line, this much is looked at
_ANSI = rb"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[@-_])"  # terminal colours
# What logs in JSON or logfmt put before quotes, tabs and newlines, and web pages for them.
# Each pattern begins with one plain byte: `re` looks for such a byte at 2 GB/s. It must be the
# first of a run of backslashes, else a long run takes the square of its length.
_RUN = rb"\\(?<!\\\\)\\*+"
_BEFORE_QUOTE = _RUN + rb"""(?=["'/])"""
_ESCAPED_BLANK = _RUN + rb"[nrt](?![a-z0-9])"
_HEXADECIMAL = _RUN + rb"u00(2[267]|3[ce])"
_ENTITY = rb"&(?:quot|#34|#39|apos|lt|gt|amp);"
_ENTITIES = {
    b"&quot;": b'"', b"&#34;": b'"', b"&#39;": b"'", b"&apos;": b"'", b"&lt;": b"<",
    b"&gt;": b">", b"&amp;": b"&",
}  # fmt: skip
_CURLIES = {"\u2018": b"'", "\u2019": b"'", "\u201c": b'"', "\u201d": b'"'}
_WIDE_BLANKS = (
    rb"\xe2(?:\x80[\x80-\x8a\xa8\xa9\xaf]|\x81\x9f)", rb"\xc2[\x85\xa0]",
    rb"\xe1\x9a\x80", rb"\xe3\x80\x80",
)  # fmt: skip
_BLANKS = b"\t\v\f\r\x1c\x1d\x1e\x1f"
_IN_A_LINE = bytes.maketrans(_BLANKS, b" " * len(_BLANKS))
_EVERYWHERE = bytes.maketrans(_BLANKS + b"\n", b" " * (len(_BLANKS) + 1))


class Flat:
    r"""Whole lines as one, its `words`; `glue` joins the lines.

    >>> flat = Flat(b'msg="a \\"b\\"",\n\n   c\td\n')
    >>> flat.words, flat.starts
    (b'msg="a "b"", c d ', [0, 13, 13])
    """

    def __init__(self, block: bytes, glue: bytes = b" ") -> None:
        self.block = block
        self._glue = glue
        self.words = flat_words(block) if glue else b"".join(self._pieces())

    @cached_property
    def starts(self) -> Sequence[int]:
        """Where each line of the block begins in `words`."""
        return list(accumulate(map(len, self._pieces()), initial=0))[:-1]

    def _pieces(self) -> Iterator[bytes]:
        for line in _plain(self.block).translate(_IN_A_LINE).split(b"\n")[:-1]:
            piece = b" ".join(line.split())
            yield piece + self._glue if piece else piece

    def line(self, place: int) -> tuple[int, str]:
        """The line of a place in `words`, counted from 0: its number and itself."""
        index = bisect_right(self.starts, place) - 1
        return index, text.decode(self.block.split(b"\n")[index])


def flatten(lines: Iterable[str | bytes], glue: bytes = b" ") -> Flat:
    """Lines as one; b"" glues those that a terminal cut in the middle of a word."""
    return Flat(b"".join(blocks_of(lines)), glue)


def flat_words(raw: bytes) -> bytes:
    """Every run of white space one blank, none at the beginning."""
    return re.sub(b"  +", b" ", _plain(raw).translate(_EVERYWHERE)).lstrip(b" ")


def _plain(block: bytes) -> bytes:
    """The same lines without escapes and unusual quotes and blanks."""
    if not block.isascii():
        for pattern in _WIDE_BLANKS:
            block = re.sub(pattern, b" ", block)
        for curly, plain in _CURLIES.items():
            block = block.replace(curly.encode(), plain)
    if b"\\" in block:
        block = re.sub(_BEFORE_QUOTE, b"", block)
        block = re.sub(_ESCAPED_BLANK, b" ", block)
        block = re.sub(_HEXADECIMAL, lambda digits: bytes([int(digits[1], 16)]), block)
    if b"&" in block:
        block = re.sub(_ENTITY, lambda entity: _ENTITIES[entity[0]], block)
    return block


def blocks_of(lines: Iterable[str | bytes]) -> Iterator[bytes]:
    """The lines gathered into blocks; an item may be several lines, without its last end."""
    held: list[bytes] = []
    size = 0
    for line in lines:
        held.append(line if isinstance(line, bytes) else line.encode("utf-8", "replace"))
        size += len(held[-1]) + 1
        if size >= BLOCK_BYTES:
            yield _block(held)
            held, size = [], 0
    if held:
        yield _block(held)


def _block(lines: Sequence[bytes]) -> bytes:
    block = _bounded(b"\n".join([*lines, b""]))
    return re.sub(_ANSI, b"", block) if b"\x1b" in block else block


def _bounded(block: bytes) -> bytes:
    """Without what a line has beyond the limit."""
    kept: list[bytes] = []
    begin = end = 0
    while end < len(block):
        last = block.rfind(b"\n", end, end + LINE_LIMIT + 1)
        if last >= 0:
            end = last + 1
        else:
            kept.append(block[begin : end + LINE_LIMIT])
            begin = block.index(b"\n", end + LINE_LIMIT)
            end = begin + 1
    return b"".join([*kept, block[begin:]]) if kept else block
