# SPDX-License-Identifier: GPL-3.0-or-later
"""The order in which rpm and dpkg sort versions; 693.el7 comes before 1160.el7 in both."""

import re

from hostkit.value import NamedTuple

_RPM_SEGMENT = r"[0-9]+|[a-zA-Z]+|~|\^"
_DPKG_PART = r"([^0-9]*)([0-9]*)"


class _Segment(NamedTuple):
    """Compared field by field: kind first, then the length of a number, then its text."""

    kind: int
    length: int = 0
    text: str = ""


# ~ is older than the end, which is older than ^, which is older than anything else;
# numbers are newer than letters (rpm-version(7)).
_TILDE, _END, _CARET = _Segment(0), _Segment(1), _Segment(2)
_LETTERS, _NUMBER = 3, 4


def rpm_key(label: str) -> tuple[_Segment, ...]:
    """A key that sorts versions, or releases, as rpm does.

    >>> sorted(["1160.el7", "693.2.2.el7", "693.el7", "1.0^x", "1.0", "1.0~rc1"], key=rpm_key)
    ['1.0~rc1', '1.0', '1.0^x', '693.el7', '693.2.2.el7', '1160.el7']
    """
    return (*(_segment(found) for found in re.findall(_RPM_SEGMENT, label)), _END)


def _segment(found: str) -> _Segment:
    if found == "~":
        return _TILDE
    if found == "^":
        return _CARET
    if found[0].isdigit():
        number = found.lstrip("0")
        return _Segment(_NUMBER, len(number), number)
    return _Segment(_LETTERS, 0, found)


class _Part(NamedTuple):
    """What stands before a number, as weights, and the number as its length and digits."""

    weights: tuple[int, ...] = (0,)
    length: int = 0
    digits: str = ""


def dpkg_key(version: str) -> tuple[_Part, ...]:
    """A key that sorts upstream versions, or revisions, as dpkg does (deb-version(7)).

    >>> sorted(["1.10", "1.9", "1.0+b", "1.0", "1.0~rc1"], key=dpkg_key)
    ['1.0~rc1', '1.0', '1.0+b', '1.9', '1.10']
    """
    end = _Part()
    parts = [_part(word, number) for word, number in re.findall(_DPKG_PART, version)]
    while len(parts) > 1 and parts[-1] == end:  # where findall() ends
        parts.pop()
    return (*parts, end)


def _part(word: str, number: str) -> _Part:
    digits = number.lstrip("0")
    return _Part((*map(_weight, word), 0), len(digits), digits)


def _weight(character: str) -> int:
    """A tilde before the end of the word (0), letters before everything else."""
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 0x110000
