# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage options in Docker's words: `dm.basesize=20G`, `overlay2.size=10G`."""

import re
from collections.abc import Collection, Mapping

from hostkit.storage.errors import StorageError

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_SIZE = r"(\d{1,18})(?:\.(\d{1,9}))? ?([kmgtp]?)(?:i?b)?"


def refuse_unknown(driver: str, options: Mapping[str, str], known: Collection[str]) -> None:
    """Raises StorageError for an option that the driver does not have."""
    for name in options:
        if name not in known:
            words = ", ".join(sorted(known)) or "none"
            raise StorageError(f"{driver} has no option {name}", f"it has: {words}")


def size(text: str) -> int:
    """Bytes, as Docker reads sizes: powers of 1024 whatever the letters. Raises StorageError.

    >>> size("10G"), size("512k"), size("1.5 GiB"), size("100")
    (10737418240, 524288, 1610612736, 100)
    """
    match = re.fullmatch(_SIZE, text.strip().lower())
    if match is None:
        raise StorageError(f"{text!r} is no size", "write 10G, 512M or a number of bytes")
    unit = _UNITS[match[3]]
    fraction = int(match[2]) * unit // 10 ** len(match[2]) if match[2] else 0
    return int(match[1]) * unit + fraction
