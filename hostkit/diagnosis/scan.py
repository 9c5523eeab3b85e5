# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures found in a text: literals first, a regular expression only on a hit."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from hostkit import text
from hostkit.diagnosis.finding import Evidence, Finding
from hostkit.diagnosis.signature import Signature
from hostkit.value import NamedTuple

CHUNK_CHARACTERS = 1 << 18
OVERLAP_LINES = 20  # a message that was wrapped may begin this far back
LINE_LIMIT = 16384  # of one line, this much is looked at
EXCERPT_CELLS = 300
EVIDENCE_LIMIT = 3
TRIES_LIMIT = 200  # of one pattern in one chunk: a hostile text may repeat an anchor
_NARROWEST, _WIDEST, _SCREEN = 30, 250, 500  # cells, cells, lines of a copied screen
# Terminal colours, and what logs in JSON or logfmt put before quotes, tabs and newlines.
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-_]")
_ESCAPE = re.compile(r"""\\+(["'/])|\\+[nrt](?![a-z0-9])|\\+u00(2[267]|3[ce])""")
_QUOTES = str.maketrans("\u2018\u2019\u201c\u201d", "''\"\"")  # as web pages show them


class Hit(NamedTuple):
    """One signature in the text; `line` counts from 1, `position` orders hits."""

    signature: Signature
    finding: Finding
    position: int


class Flat(NamedTuple):
    """A text as one line; `starts[i]` is where line i of the original begins in it."""

    words: str
    starts: tuple[int, ...]
    lines: tuple[str, ...]
    first_line: int


def flatten(lines: Sequence[str], first_line: int = 1, glue: str = " ") -> Flat:
    r"""Undo escapes and colours, make every run of white space one blank.

    `glue` joins the lines: "" for lines that a terminal cut in the middle of a word.

    >>> flatten(["msg=\"a \\\"b\\\"", "   c\td\""]).words
    'msg="a "b" c d" '
    """
    starts: list[int] = []
    pieces: list[str] = []
    length = 0
    for line in lines:
        starts.append(length)
        cut = line[:LINE_LIMIT]
        if "\x1b" in cut:
            cut = _ANSI.sub("", cut)
        if not cut.isascii():
            cut = cut.translate(_QUOTES)
        if "\\" in cut:
            cut = _ESCAPE.sub(_unescape, cut)
        piece = " ".join(cut.split()) + glue
        pieces.append(piece)
        length += len(piece)
    return Flat("".join(pieces), tuple(starts), tuple(lines), first_line)


def _unescape(match: "re.Match[str]") -> str:
    if match[1]:
        return match[1]
    if match[2]:
        return chr(int(match[2], 16))
    return " "


def scan(lines: Iterable[str], signatures: Sequence[Signature], source: str) -> tuple[Hit, ...]:
    """The first hit of each problem in each way of saying it, in the order of the text.

    Memory stays bounded: the text is looked at in overlapping chunks of lines.
    """
    hits: dict[tuple[str, str], Hit] = {}
    for flat in _chunks(lines):
        for signature in signatures:
            key = (signature.problem, signature.summary)
            if key in hits:
                continue
            hit = _match(flat, signature, source)
            if hit is not None:
                hits[key] = hit
    return tuple(sorted(hits.values(), key=lambda hit: hit.position))


def _chunks(lines: Iterable[str]) -> Iterator[Flat]:
    held: list[str] = []
    size, first, fresh = 0, 1, 0
    for line in lines:
        held.append(line)
        fresh += 1
        size += min(len(line), LINE_LIMIT)
        if size >= CHUNK_CHARACTERS:
            yield from _flats(held, first)
            dropped = max(0, len(held) - OVERLAP_LINES)
            held, first, fresh = held[dropped:], first + dropped, 0
            size = 0
    if fresh:
        yield from _flats(held, first)


def _flats(lines: Sequence[str], first_line: int) -> Iterator[Flat]:
    yield flatten(lines, first_line)
    if _cut_by_a_terminal(lines):
        yield flatten(lines, first_line, glue="")


def _cut_by_a_terminal(lines: Sequence[str]) -> bool:
    """Whether full lines of one width, the longest there is, suggest a copied screen."""
    longest = max(map(len, lines))
    full = sum(len(line) >= longest - 1 for line in lines)
    return _NARROWEST <= longest <= _WIDEST and 1 < len(lines) < _SCREEN and full * 4 >= len(lines)


def _match(flat: Flat, signature: Signature, source: str) -> Hit | None:
    anchor = signature.anchors[0]
    at = flat.words.find(anchor)
    for _ in range(TRIES_LIMIT):
        if at < 0:
            break
        near = flat.words[max(0, at - signature.reach) : at + len(anchor) + signature.reach]
        params = _params(near, signature)
        if params is not None:
            return _hit(flat, signature, source, at, params)
        at = flat.words.find(anchor, at + 1)
    return None


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


def _hit(flat: Flat, signature: Signature, source: str, at: int, params: dict[str, str]) -> Hit:
    index = max(i for i, start in enumerate(flat.starts) if start <= at)
    line = flat.first_line + index
    excerpt = text.shorten(text.printable(_around(flat.lines[index], signature)), EXCERPT_CELLS)
    summary = signature.summary
    for name, value in params.items():
        summary = summary.replace("{" + name + "}", text.printable(value))
    finding = Finding(
        problem=signature.problem,
        severity=signature.severity,
        certainty=signature.certainty,
        summary=summary,
        evidence=(Evidence(source, excerpt, line),),
        params=tuple(sorted({**dict(signature.says), **params}.items())),
        of_host=signature.of_host,
    )
    return Hit(signature, finding, line)


def _around(line: str, signature: Signature) -> str:
    """The part of a long line that holds the message."""
    line = _ANSI.sub("", line.strip())
    at = line.find(signature.anchors[0])
    if at > EXCERPT_CELLS // 2:
        return "..." + line[at - EXCERPT_CELLS // 3 :]
    return line
