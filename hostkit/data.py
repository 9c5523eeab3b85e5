# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON and TOML from anybody: a value, or ValueError, in time and memory of their size."""

import re
from typing import Any

NAMES_LIMIT = 16  # that one key may have; configurations have up to seven
TOML_LIMIT = 1 << 20
# Strings first, so that what is in them is not taken for anything else. What is not closed
# ends with its line: no text is looked at twice.
TOML_LEXEME = (
    r'"""(?s:(?:[^"\\]|\\.|"(?!""))*+)(?:"{3,5}|$)'
    r"|'''(?s:(?:[^']|'(?!''))*+)(?:'{3,5}|$)"
    r'|"(?:[^"\\\n]|\\.)*+"?'
    r"|'[^'\n]*+'?"
    r"|#[^\n]*+"
    r"|[A-Za-z0-9_-]++"
    r"|[{}\[\]=.,\n]"
)


def load_json(content: str | bytes) -> Any:
    """What json.loads makes of it. Raises ValueError.

    >>> load_json('[1, "a"]')
    [1, 'a']
    """
    import json  # noqa: PLC0415 - 3 ms that many runs need not wait for

    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def load_toml(content: str) -> dict[str, Any]:
    """What tomllib.loads makes of it. Raises ValueError.

    tomllib keeps every beginning of a dotted key: 64 KiB of `a.` take 4 GB.

    >>> load_toml("a.b = 1")
    {'a': {'b': 1}}
    """
    import tomllib  # noqa: PLC0415 - 5 ms that most runs need not wait for

    if len(content) > TOML_LIMIT:
        raise ValueError(f"larger than {TOML_LIMIT >> 20} MiB")
    if any(line.count(".") >= NAMES_LIMIT for line in content.split("\n")):
        _refuse_long_keys(content)
    try:
        return tomllib.loads(content)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _refuse_long_keys(content: str) -> None:
    """Count the dots of each key; those of comments and of strings are words."""
    line, dots = 1, 0
    for match in re.finditer(TOML_LEXEME, content):
        mark = match[0]
        dots = dots + 1 if mark == "." else 0 if mark in "=,{[\n" else dots
        if dots >= NAMES_LIMIT:
            where = (
                f"line {line}, column {match.start() - content.rfind(chr(10), 0, match.start())}"
            )
            raise ValueError(f"a key of more than {NAMES_LIMIT} names (at {where})")
        line += mark.count("\n")
