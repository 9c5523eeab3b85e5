# SPDX-License-Identifier: GPL-3.0-or-later
r"""Where anchors may stand in a text that is as it came: found in one pass.

An anchor is looked for as it is, and as far as the first of its blanks, quotes or slashes
that is written otherwise: "No such file" stands in "No such\n   file" too, and there the
stub "No such" before an odd byte is found. Whether it does stand there, others must see.
"""

import re
from collections.abc import Collection, Iterator
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ahocorasick_rs import BytesAhoCorasick

# What may be written otherwise: \", \/, &quot;, a curly quote, \u003c, more than one blank.
SEPARATORS = " \"'/<>&"
# What each other way of writing begins with; the last four begin blanks and quotes in UTF-8.
_ODD_BYTES = b"\t\n\v\f\r\x1c\x1d\x1e\x1f\\&\xc2\xe1\xe2\xe3"
_ODD = b"\n"
_AS_ODD = bytes.maketrans(_ODD_BYTES, _ODD * len(_ODD_BYTES))
# Where a core begins: at a word that is rare by its length and not the last, else at any.
_RARE_WORD = f"[^{re.escape(SEPARATORS)}]{{8,}}(?=.{{5}})"
_WORD = f"[^{re.escape(SEPARATORS)}]{{4}}"
_WORTH = 0.8  # of the anchors left: it is worth it to build anew without those that are lost


def core(anchor: str) -> str:
    """An anchor from its first word of some length on, to its last: where places begin.

    >>> core(": No space left on device "), core("is not recognized as a command")
    ('space left on device', 'recognized as a command')
    """
    begin = re.search(_RARE_WORD, anchor) or re.search(_WORD, anchor)
    return anchor[begin.start() if begin else 0 :].strip(SEPARATORS) or anchor


def spellings(anchor: str) -> Iterator[bytes]:
    r"""An anchor's core and its stubs, in which every odd byte is the same.

    >>> sorted(spellings("loop device "))
    [b'loop\n', b'loop \n', b'loop  ', b'loop device']
    """
    whole = core(anchor).encode().translate(_AS_ODD)
    yield whole
    for at, character in enumerate(whole):
        if chr(character) in SEPARATORS or character == _ODD[0]:
            yield whole[:at] + _ODD
        if character == ord(" "):
            yield whole[:at] + b"  "
            yield whole[: at + 1] + _ODD


@cache
def _spellings(anchor: str) -> frozenset[bytes]:
    return frozenset(spellings(anchor))


class Finder:
    """Finds the places of all anchors that are still `sought`, which may lose some meanwhile."""

    def __init__(self, sought: Collection[str]) -> None:
        self._sought = sought
        self._built = 0
        self.anchors: tuple[tuple[str, ...], ...] = ()  # that may begin with each spelling
        self._automaton: BytesAhoCorasick | None = None

    def ready(self) -> bool:
        """Whether anchors can be found in one pass: it takes a library, loaded only now."""
        if self._automaton and len(self._sought) > _WORTH * self._built:
            return True
        try:
            import ahocorasick_rs as library  # noqa: PLC0415 - short texts do without
        except ImportError:
            return False
        spelled: dict[bytes, list[str]] = {}
        for anchor in self._sought:
            for spelling in _spellings(anchor):
                spelled.setdefault(spelling, []).append(anchor)
        self.anchors = tuple(map(tuple, spelled.values()))
        self._automaton = library.BytesAhoCorasick(
            tuple(spelled), implementation=library.Implementation.DFA
        )
        self._built = len(self._sought)
        return True

    def places(self, raw: bytes) -> list[tuple[int, int, int]]:
        """Where cores may begin, in order: the number of a spelling, its beginning, its end."""
        assert self._automaton is not None
        return self._automaton.find_matches_as_indexes(raw.translate(_AS_ODD), overlapping=True)
