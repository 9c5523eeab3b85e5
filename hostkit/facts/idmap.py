# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs with which an ordinary user maps sub-ids (shadow-utils' newuidmap)."""

from hostkit.facts.fact import Fact, Facts
from hostkit.facts.programs import program
from hostkit.host.answer import Answer, Known, Unreadable
from hostkit.value import NamedTuple

NAMES = ("newuidmap", "newgidmap")
_SETUID = 0o4000
_PROGRAMS = tuple(map(program, NAMES))


class IdMapTool(NamedTuple):
    """`path` is "" where it is not installed; `setuid`: root's rights by the mode bit."""

    name: str
    path: str
    setuid: bool = False


def _gather(facts: Facts) -> Answer[tuple[IdMapTool, ...]]:
    found: list[IdMapTool] = []
    for name, fact in zip(NAMES, _PROGRAMS, strict=True):
        answer = facts.get(fact)
        if isinstance(answer, Unreadable):
            return answer
        path = answer.value if isinstance(answer, Known) else ""
        stat = facts.host.stat(path) if path else None
        found.append(
            IdMapTool(name, path, isinstance(stat, Known) and bool(stat.value.mode & _SETUID))
        )
    return Known(tuple(found), "newuidmap and newgidmap")


ID_MAP_TOOLS: Fact[tuple[IdMapTool, ...]] = Fact("id map programs", _gather, waits=False)
