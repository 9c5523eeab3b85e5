# SPDX-License-Identifier: GPL-3.0-or-later
"""Text from anywhere made safe to print and to measure."""

import unicodedata
from functools import lru_cache

# Characters that change how the rest of a line is shown: a log line must not be able
# to hide itself on the operator's terminal.
_REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

# What begins or ends no line in Chinese. Many in a row may be parted: a line has its limit.
_NEVER_FIRST = frozenset("，。、；：？！）】》」』”’%,.;:?!)]}")
_NEVER_LAST = frozenset("（【《「『“‘([{")
_TIED = _NEVER_FIRST | _NEVER_LAST
_TIED_MOST = 3

_STACKED = 4  # characters a cell on average; marks without end can be put over one letter


def decode(data: bytes) -> str:
    """Bytes as text; what is not UTF-8 becomes the replacement character."""
    return data.decode("utf-8", "replace")


def printable(text: str) -> str:
    r"""Text without anything that a terminal would obey.

    >>> printable("a\x1b[2Jb\tc")
    'a\\x1b[2Jb c'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


@lru_cache(maxsize=1024)
def _visible(character: str) -> str:
    if character in "\t\n\r":
        return " "
    if character.isprintable() and character not in _REORDERING:
        return character
    return character.encode("unicode_escape").decode()


def width(text: str) -> int:
    """How many terminal cells a printable text takes (East Asian wide: two)."""
    if text.isascii():
        return len(text)
    cells = 0
    for character in text:
        if unicodedata.combining(character):
            continue
        cells += 2 if unicodedata.east_asian_width(character) in "WF" else 1
    return cells


def shorten(text: str, cells: int) -> str:
    """The text, cut to at most that many cells, with an ellipsis when cut.

    >>> shorten("a longer text", 8), len(shorten("e" + 1000 * "\u0301", 8))
    ('a lon...', 35)
    """
    most = _STACKED * cells
    if len(text) <= most and width(text) <= cells:
        return text
    kept, room = "", cells - 3
    for character in text[:most]:
        room -= width(character)
        if room < 0:
            break
        kept += character
    return kept.rstrip() + "..."


def pad(text: str, cells: int) -> str:
    """A printable text with blanks after it, to at least that many cells."""
    return text + " " * (cells - width(text))


def wrap(text: str, cells: int) -> list[str]:
    """The words of a text on lines of at most that many cells; a longer word stands alone.

    Chinese has no blanks; like all wide characters, its may begin a line anywhere, but a comma
    or a closing bracket stays with what it follows, an opening one with what follows it.

    >>> wrap("dockerd 启动时建立链（主链）。", 22)
    ['dockerd 启动时建立链', '（主链）。']
    """
    lines: list[str] = []
    line, used = "", 0
    for word in text.split():
        gap = " " if line else ""
        for piece in (word,) if word.isascii() else _pieces(word):
            more = width(piece)
            if line and used + len(gap) + more > cells:
                lines.append(line)
                line, used = piece, more
            else:
                line, used = f"{line}{gap}{piece}", used + len(gap) + more
            gap = ""
    return [*lines, line] if line else lines


def _pieces(word: str) -> list[str]:
    """A word, cut wherever a line may end: beside wide characters, not before a full stop."""
    pieces = [word[0]]
    for character in word[1:]:
        piece = pieces[-1]
        narrow = width(character) < 2 and (width(piece[-1]) < 2 or not width(character))  # noqa: PLR2004 - two cells
        tied = character in _NEVER_FIRST or piece[-1] in _NEVER_LAST
        run = len(piece) >= _TIED_MOST and _TIED.issuperset(piece[-_TIED_MOST:])
        if narrow or (tied and not run):
            pieces[-1] += character
        else:
            pieces.append(character)
    return pieces
