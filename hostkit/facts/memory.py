# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory and swap of the whole machine (accounting per container: facts/cgroups.py)."""

from typing import Any

from hostkit.facts.fact import Fact, Facts, parsed, read_text, refuse
from hostkit.host.answer import Answer, Known
from hostkit.value import NamedTuple

MEMINFO = "/proc/meminfo"
_DIGITS = 18


class Memory(NamedTuple):
    """Bytes. `available` is an estimate: the kernel's own since 3.14, ours before."""

    total: int
    available: int
    swap_total: int
    swap_free: int


def parse_meminfo(content: str) -> Memory:
    r"""Parse /proc/meminfo (proc(5)).

    >>> parse_meminfo("MemTotal: 8 kB\nMemFree: 1 kB\nCached: 2 kB\nSwapTotal: 4 kB\n")
    Memory(total=8192, available=3072, swap_total=4096, swap_free=0)
    """
    kib: dict[str, int] = {}
    for line in content.splitlines():
        name, colon, rest = line.partition(":")
        number = rest.split(maxsplit=1)[:1]
        if colon and number and _is_count(number[0]):
            kib[name.strip()] = int(number[0])
    if not kib.get("MemTotal"):
        refuse("no MemTotal")
    # Before 3.14 there is no MemAvailable: what is free or can be dropped comes near it.
    droppable = kib.get("MemFree", 0) + kib.get("Buffers", 0) + kib.get("Cached", 0)
    return Memory(
        total=kib["MemTotal"] * 1024,
        available=kib.get("MemAvailable", droppable) * 1024,
        swap_total=kib.get("SwapTotal", 0) * 1024,
        swap_free=kib.get("SwapFree", 0) * 1024,
    )


def parse_native(value: Any) -> Memory:
    """The same from `psutil.memory`."""
    memory, swap = value["memory"], value["swap"]
    return Memory(
        total=int(memory["total"]),
        available=int(memory["available"]),
        swap_total=int(swap["total"]),
        swap_free=int(swap["free"]),
    )


def _is_count(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= _DIGITS


def _gather(facts: Facts) -> Answer[Memory]:
    return read_text(facts.host, MEMINFO, parse_meminfo)


def _gather_native(facts: Facts) -> Answer[Memory]:
    answer = facts.host.native("psutil.memory")
    return (
        parsed(answer.value, answer.source, parse_native) if isinstance(answer, Known) else answer
    )


MEMORY: Fact[Memory] = Fact("memory", _gather, waits=False, native=_gather_native)
