# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures found in a text: literals first, a regular expression only on a hit.

A signature is tried on flat text: escapes and colours undone, every run of white space one
blank. A short text is made flat as a whole. Of a long one (a block, with the neighbourhood of
its ends) only what is around the places where an anchor may be, all found in one pass; lines
that differ only in numbers are tried a few times. Memory stays that of some blocks.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from hostkit import text
from hostkit.diagnosis.anchors import Finder, core
from hostkit.diagnosis.finding import Evidence, Finding
from hostkit.diagnosis.flat import blocks_of, flat_words
from hostkit.diagnosis.flat import flatten as flatten  # noqa: PLC0414 - says that it is re-exported
from hostkit.diagnosis.signature import Signature
from hostkit.value import NamedTuple

AROUND_BYTES = 1 << 15  # of the text before and after a block
SHORT_BYTES = 1 << 16  # loading a library and building its automaton takes 20 ms
EXCERPT_CELLS = 300
# A hostile text may repeat anchors: so often is one signature tried in a block, so many places
# are looked at there, and so many lines that differ only in numbers in all the text.
TRIES_LIMIT, ALL_TRIES_LIMIT, SAME_LIMIT = 200, 4000, 3
_KNOWN_LINES = 1 << 16
_NARROWEST, _WIDEST, _SCREEN = 30, 250, 500  # cells, cells, lines of a copied screen
_LINE_BYTES = 2048  # of a line, to tell whether it was seen before
_ALL = -1  # counts the tries of all signatures
_WRAPPED_BYTES = 512  # that an anchor may take when it is wrapped and escaped
_UTF8_BYTES = 4  # of one character, at most
_NUMBERS = b"0123456789abcdef"  # in hexadecimal; that letters of words go too does no harm


class Hit(NamedTuple):
    """One signature in the text; `position` orders hits: the line, which counts from 1."""

    signature: Signature
    finding: Finding
    position: int


class _Stretch(NamedTuple):
    """A block of whole lines with what is before and after it, and its first line's number."""

    before: bytes
    block: bytes
    after: bytes
    first_line: int


def _stretches(lines: Iterable[str | bytes], before: bytes, end: bytes) -> Iterator[_Stretch]:
    block, first_line = b"", 1
    for after in blocks_of(lines):
        if block:
            yield _Stretch(before, block, after[:AROUND_BYTES], first_line)
            before = block[-AROUND_BYTES:]
            first_line += block.count(b"\n")
        block = after
    yield _Stretch(before, block, end, first_line)


def _cut_by_a_terminal(block: bytes) -> bool:
    """Whether full lines of one width, the longest there is, suggest a copied screen."""
    if block.count(b"\n") >= _SCREEN:
        return False
    widths = [len(line) for line in text.decode(block).split("\n")[:-1]]
    longest = max(widths, default=0)
    full = sum(width >= longest - 1 for width in widths)
    return _NARROWEST <= longest <= _WIDEST and len(widths) > 1 and full * 4 >= len(widths)


class _Search:
    """The signatures that are still sought, by first anchor, and the first hit of the others."""

    def __init__(self, signatures: Sequence[Signature], source: str) -> None:
        self._signatures = signatures
        self._source = source
        self._hits: dict[int, Hit] = {}
        self._sought: dict[str, list[int]] = {}
        for index, signature in enumerate(signatures):
            self._sought.setdefault(signature.anchors[0], []).append(index)
        self._finder = Finder(self._sought)
        self._literals = {one: (one.encode(), core(one).encode()) for one in self._sought}
        self._longest = max((len(literal) for literal, _ in self._literals.values()), default=0)
        self._counted = 0, 0  # newlines of the block up to a place
        self._tries: Counter[int] = Counter()  # in this block, by signature
        self._known: dict[int, int] = {}  # tries of lines, by their hash without numbers

    def look(self, stretch: _Stretch) -> None:
        """Try the signatures on a block."""
        self._tries.clear()
        self._counted = 0, 0
        if len(stretch.block) > SHORT_BYTES and self._finder.ready():
            self._look_at_places(stretch)
            return
        self._look_at_all(stretch, b" ")
        if not stretch.before and not stretch.after and _cut_by_a_terminal(stretch.block):
            self._look_at_all(stretch, b"")

    def _look_at_all(self, stretch: _Stretch, glue: bytes) -> None:
        """The plain way: look for every anchor in the flat text."""
        flat = flatten([stretch.block[:-1]], glue)
        before = flat_words(stretch.before)
        words = before + flat.words + flat_words(stretch.after)
        for anchor in tuple(self._sought):
            literal, begin = self._literals[anchor]
            lead = literal.find(begin)
            first, end = len(before) - lead, len(before) + len(flat.words) - lead
            at = words.find(literal, max(0, first), end + len(literal))
            while 0 <= at < end and anchor in self._sought:
                for index, params in self._tried(anchor, words, at):
                    self._found(index, params, stretch, flat.line(at - first))
                at = words.find(literal, at + 1, end + len(literal))

    def _look_at_places(self, stretch: _Stretch) -> None:
        """The quick way: make flat only what is around the places where an anchor may be."""
        raw = b"".join((stretch.before, stretch.block, stretch.after))
        first, end = len(stretch.before), len(stretch.before) + len(stretch.block)
        line_end, known = 0, False
        for spelling, at, _ in self._finder.places(raw[first : end + self._longest]):
            place = first + at
            if place >= line_end:
                line_end, known = self._known_line(raw, place)
            if not known and place < end:
                self._look_at_place(self._finder.anchors[spelling], raw, place, stretch)

    def _look_at_place(
        self, anchors: Sequence[str], raw: bytes, place: int, stretch: _Stretch
    ) -> None:
        """Try the signatures of the anchors that do begin there."""
        fresh = [anchor for anchor in anchors if self._is_fresh(anchor)]
        if not fresh:
            return
        self._tries[_ALL] += 1
        begun = b""
        for anchor in fresh:
            begin = self._literals[anchor][1]
            if not raw.startswith(begin, place):
                begun = begun or flat_words(raw[place : place + _WRAPPED_BYTES])
                if not begun.startswith(begin):
                    continue
            self._try_around(anchor, raw, place, stretch)

    def _is_fresh(self, anchor: str) -> bool:
        """Whether an anchor's signatures are sought, and were not tried too often hereabouts."""
        sought = self._sought.get(anchor, ())
        return self._tries[_ALL] < ALL_TRIES_LIMIT and any(
            self._tries[index] < TRIES_LIMIT for index in sought
        )

    def _known_line(self, raw: bytes, place: int) -> tuple[int, bool]:
        """The end of a line or of a share of it, and whether its like were tried often enough."""
        begin = raw.rfind(b"\n", place - _LINE_BYTES if place > _LINE_BYTES else 0, place)
        end = raw.find(b"\n", place, place + _LINE_BYTES)
        if begin < 0 or end < 0:  # it is at the beginning of the text, or long
            begin, end = max(0, begin, place - _LINE_BYTES), place + _LINE_BYTES
        key = hash(raw[begin:end].translate(None, _NUMBERS))
        tried = self._known.get(key, 0)
        if tried >= SAME_LIMIT:
            return end, True
        if len(self._known) > _KNOWN_LINES:
            self._known.clear()
        self._known[key] = tried + 1
        return end, False

    def _try_around(self, anchor: str, raw: bytes, place: int, stretch: _Stretch) -> None:
        """Try the signatures of an anchor of which the core begins at a place."""
        literal, begin = self._literals[anchor]
        reach = max(self._signatures[index].reach for index in self._sought[anchor])
        words, at = _flat_around(raw, place, reach + len(literal))
        at -= literal.find(begin)
        if words.startswith(literal, max(0, at)):
            for index, params in self._tried(anchor, words, at):
                self._found(index, params, stretch, self._line(stretch, place))

    def _line(self, stretch: _Stretch, place: int) -> tuple[int, str]:
        """The line of a place: its number in the block, from 0, and itself. They come in order."""
        block, at = stretch.block, place - len(stretch.before)
        counted, lines = self._counted
        if at > counted:
            counted, lines = at, lines + block.count(b"\n", counted, at)
        self._counted = counted, lines
        return lines, text.decode(block[block.rfind(b"\n", 0, at) + 1 : block.find(b"\n", at)])

    def _tried(self, anchor: str, words: bytes, at: int) -> Iterator[tuple[int, dict[str, str]]]:
        """The signatures that match at this place, and their params."""
        size = len(self._literals[anchor][0])
        for index in tuple(self._sought[anchor]):
            signature = self._signatures[index]
            self._tries[index] += 1
            if self._tries[index] <= TRIES_LIMIT:
                params = _params(_near(words, at, at + size, signature.reach), signature)
                if params is not None:
                    yield index, params

    def _found(
        self, index: int, params: dict[str, str], stretch: _Stretch, line: tuple[int, str]
    ) -> None:
        signature = self._signatures[index]
        seen = Evidence(self._source, line[1], stretch.first_line + line[0])
        self._hits[index] = _hit(signature, seen, params)
        anchor = signature.anchors[0]
        self._sought[anchor].remove(index)
        if not self._sought[anchor]:
            del self._sought[anchor]

    def hits(self) -> tuple[Hit, ...]:
        """One hit of each problem in each way of saying it, in the order of the text."""
        chosen: dict[tuple[str, str], Hit] = {}
        for _, hit in sorted(self._hits.items()):
            chosen.setdefault((hit.signature.problem, hit.signature.summary), hit)
        return tuple(sorted(chosen.values(), key=lambda hit: hit.position))


def scan(
    lines: Iterable[str | bytes],
    signatures: Sequence[Signature],
    source: str,
    *,
    before: bytes = b"",
    after: bytes = b"",
) -> tuple[Hit, ...]:
    """The first hit of each problem in each way of saying it, in the order of the text.

    An item of `lines` is one line, or several whole ones (without the end of the last). What
    stands `before` and `after` them is read along and is not searched itself.
    """
    search = _Search(signatures, source)
    for stretch in _stretches(lines, before[-AROUND_BYTES:], after[:AROUND_BYTES]):
        search.look(stretch)
    return search.hits()


def _flat_around(raw: bytes, place: int, reach: int) -> tuple[bytes, int]:
    """Flat text with `reach` characters on both sides, if there are; where in it the place is."""
    before = after = b""
    for wide in (reach * 5 // 4, reach * _UTF8_BYTES * 2, AROUND_BYTES):
        if _is_short(before, reach):
            before = flat_words(raw[max(0, place - wide) : place + 1])[:-1]
        if _is_short(after, reach):
            after = flat_words(raw[place : place + wide])
    return before + after, len(before)


def _is_short(words: bytes, reach: int) -> bool:
    return len(words) < (reach if words.isascii() else reach * _UTF8_BYTES)


def _near(words: bytes, begin: int, end: int, reach: int) -> str:
    """A place with `reach` characters on both sides."""
    near = words[max(0, begin - reach) : end + reach]
    if near.isascii():
        return near.decode("ascii")
    before = text.decode(words[max(0, begin - reach * _UTF8_BYTES) : begin])
    after = text.decode(words[end : end + reach * _UTF8_BYTES])
    return before[max(0, len(before) - reach) :] + text.decode(words[begin:end]) + after[:reach]


def _params(near: str, signature: Signature) -> dict[str, str] | None:
    if not all(anchor in near for anchor in signature.anchors[1:]):
        return None
    if any(word in near for word in signature.unless):
        return None
    if not signature.pattern:
        return {}
    match = _compiled(signature.pattern).search(near)
    if match is None:
        return None
    return {name: value for name, value in match.groupdict().items() if value is not None}


@cache
def _compiled(pattern: str) -> "re.Pattern[str]":
    return re.compile(pattern)


def _hit(signature: Signature, seen: Evidence, params: dict[str, str]) -> Hit:
    excerpt = text.shorten(text.printable(_around(seen.excerpt, signature)), EXCERPT_CELLS)
    summary = signature.summary
    for name, value in params.items():
        summary = summary.replace("{" + name + "}", text.printable(value))
    finding = Finding(
        problem=signature.problem,
        severity=signature.severity,
        certainty=signature.certainty,
        summary=summary,
        evidence=(seen._replace(excerpt=excerpt),),
        params=tuple(sorted({**dict(signature.says), **params}.items())),
        of_host=signature.of_host,
    )
    return Hit(signature, finding, seen.line)


def _around(line: str, signature: Signature) -> str:
    """The part of a long line that holds the message."""
    line = line.strip()
    at = line.find(signature.anchors[0])
    if at > EXCERPT_CELLS // 2:
        return "..." + line[at - EXCERPT_CELLS // 3 :]
    return line
