# SPDX-License-Identifier: GPL-3.0-or-later
"""The order in which rpm sorts versions and releases; 693.el7 comes before 1160.el7."""

import re

from hostkit.value import NamedTuple

_SEGMENT = r"[0-9]+|[a-zA-Z]+|~|\^"


class _Segment(NamedTuple):
    """Compared field by field: kind first, then the length of a number, then its text."""

    kind: int
    length: int = 0
    text: str = ""


# ~ is older than the end, which is older than ^, which is older than anything else;
# numbers are newer than letters (rpm-version(7)).
_TILDE, _END, _CARET = _Segment(0), _Segment(1), _Segment(2)
_LETTERS, _NUMBER = 3, 4


def label_key(label: str) -> tuple[_Segment, ...]:
    """A key that sorts versions, or releases, as rpm does.

    >>> sorted(["1160.el7", "693.2.2.el7", "693.el7", "1.0", "1.0~rc1"], key=label_key)
    ['1.0~rc1', '1.0', '693.el7', '693.2.2.el7', '1160.el7']
    """
    return (*(_segment(found) for found in re.findall(_SEGMENT, label)), _END)


def _segment(found: str) -> _Segment:
    if found == "~":
        return _TILDE
    if found == "^":
        return _CARET
    if found[0].isdigit():
        number = found.lstrip("0")
        return _Segment(_NUMBER, len(number), number)
    return _Segment(_LETTERS, 0, found)
