# SPDX-License-Identifier: GPL-3.0-or-later
"""The language of what a person reads, chosen as gettext does; English is the msgid.

Never translated: JSON, JUnit and the lines of a pipe, codes, commands, paths, and the sentences
that a check makes of what it saw.
"""

import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import TextIO

from hostkit.report.style import in_english

FOLDER = os.path.join(os.path.dirname(os.path.dirname(__file__)), "locale")
DOMAIN = "hostkit"
_ENGLISH = frozenset(("en", "C", "POSIX"))
_PROBE = ("error", "warning", "unknown")  # who cannot show these shows nothing of the language


def wanted(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The languages to look for, the preferred first; none for English.

    LANGUAGE is a list and counts only beside a locale that is not C. Unlike gettext we stop at
    English in that list, because every text is there in English.

    >>> wanted({"LANG": "zh_CN.UTF-8"}), wanted({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"})
    (('zh_CN', 'zh'), ())
    >>> wanted({"LANG": "de_DE.UTF-8", "LANGUAGE": "de:en:zh_CN"})
    ('de', 'de')
    """
    given = (environment.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    locale = next(filter(None, given), "C")
    if locale in ("C", "POSIX"):
        return ()
    names: list[str] = []
    for name in (environment.get("LANGUAGE") or locale).split(":"):
        plain = name.partition(".")[0].partition("@")[0]
        short = plain.partition("_")[0]
        if short in _ENGLISH:
            break
        if short.isalpha() and plain.replace("_", "").isalnum():  # never a path
            names += (plain, short)
    return tuple(names)


def words_for(stream: TextIO | None) -> Callable[[str], str]:
    """What gives a text in the person's language, as far as the stream can show that.

    None is a file, which is UTF-8.
    """
    names = wanted(os.environ)
    if not names:
        return in_english
    say = catalogue_of(names)
    if stream is not None:
        if os.environ.get("TERM") == "linux" and stream.isatty():
            return in_english  # the kernel's console draws a box for every wide character
        try:
            "".join(map(say, _PROBE)).encode(stream.encoding or "ascii")
        except (UnicodeEncodeError, LookupError):
            return in_english
    return say


@cache
def catalogue_of(names: tuple[str, ...]) -> Callable[[str], str]:
    """The texts of the first of these languages that there are any of."""
    from gettext import GNUTranslations  # a run in English need not wait for it, nor for struct
    from struct import error as unpacking_error

    for name in names:
        path = os.path.join(FOLDER, name, "LC_MESSAGES", f"{DOMAIN}.mo")
        try:
            with open(path, "rb") as catalogue:
                known = GNUTranslations(catalogue)
        except (OSError, ValueError, LookupError, unpacking_error):
            continue  # a broken catalogue hides no diagnosis
        return lambda words: known.gettext(words) if words else words  # "" is the head of the file
    return in_english
