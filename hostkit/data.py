# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON and TOML from anybody: a value, or ValueError, in time and memory of their size."""

import re
from typing import Any

NAMES_LIMIT = 16  # that one key may have; configurations have up to seven
TOML_LIMIT = 1 << 20
# What may stand between the dots of a key: quoted names, bare ones, blanks.
_NAMES = r"""\"(?:[^"\\]|\\.)*\"|'[^']*'|[\w \t-]+"""


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
    dots = "." * NAMES_LIMIT
    for line in content.split("\n"):
        if line.count(".") >= NAMES_LIMIT and dots in re.sub(_NAMES, "", line):
            raise ValueError(f"a key of more than {NAMES_LIMIT} names")
    try:
        return tomllib.loads(content)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
