# SPDX-License-Identifier: GPL-3.0-or-later
"""Text from anywhere made safe to print and to measure."""

import unicodedata
from functools import lru_cache

# Characters that change how the rest of a line is shown: a log line must not be able
# to hide itself on the operator's terminal.
_REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

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


def wrap(text: str, cells: int) -> list[str]:
    """The words of a text on lines of at most that many cells; a longer word stands alone.

    Chinese has no blanks; like all wide characters, its may begin a line anywhere.
    """
    lines: list[str] = []
    line = ""
    for word in (share for whole in text.split() for share in _shares(whole, cells)):
        if line and width(line) + 1 + width(word) > cells:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line] if line else lines


def _shares(word: str, cells: int) -> list[str]:
    """A word, cut beside wide characters when it is longer than a line."""
    if word.isascii() or width(word) <= cells:
        return [word]
    pieces = [""]  # that are never cut: a wide character, or what stands between two
    for character in word:
        if width(pieces[-1][-1:]) > 1 or width(character) > 1:
            pieces.append(character)
        else:
            pieces[-1] += character
    shares = [""]
    for piece in pieces:
        if shares[-1] and width(shares[-1]) + width(piece) > cells:
            shares.append("")
        shares[-1] += piece
    return shares
