# SPDX-License-Identifier: GPL-3.0-or-later
"""How many processors are on."""

from hostkit.facts.fact import Fact, file_fact, refuse

ONLINE = "/sys/devices/system/cpu/online"
_MOST = 1 << 16


def parse_cpu_list(content: str) -> int:
    r"""The number of processors in a list such as the kernel writes.

    >>> parse_cpu_list("0-3,8\n")
    5
    """
    count = 0
    for part in content.strip().split(","):
        first, dash, last = part.partition("-")
        low = int(first[:6])
        high = int(last[:6]) if dash else low
        if not 0 <= low <= high < _MOST:
            refuse(f"not a range of processors: {part[:20]!r}")
        count += high - low + 1
    return count


PROCESSORS: Fact[int] = file_fact("processors", ONLINE, parse_cpu_list)
