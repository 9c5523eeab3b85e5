# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m benchmarks accuracy`: how often the first finding is the right one.

Two sets: the labelled reports of a folder beside the project, when it is there, and the
project's own corpus (tests/corpus), of which a part was held out when signatures were
written. Strict: the first finding is the label. Lenient: it is the label or one that a
careful reader accepts. A text of which nothing should be said counts when anything is.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from hostkit import plugins
from hostkit.diagnosis.doctor import Text, suspects
from hostkit.diagnosis.problem import Catalogue
from hostkit.diagnosis.rank import rank
from hostkit.diagnosis.signature import Signature
from tests.corpus import reading

ROOT = Path(__file__).resolve().parent.parent
NONE = "none"
HARDEST = 10
HELD_OUT = "own corpus, held out"
STRICT, LENIENT, UNSEEN = 0.95, 0.98, 0.85  # what the project promises


class Case(NamedTuple):
    """A labelled text."""

    name: str
    area: str
    code: str
    accept: tuple[str, ...]
    text: str


class Scored(NamedTuple):
    """A case and the codes found in it, in the order in which they are shown."""

    case: Case
    found: tuple[str, ...]

    @property
    def first(self) -> str:
        """The first code, or none."""
        return self.found[0] if self.found else NONE

    @property
    def strict(self) -> bool:
        """The first finding is the label; for `none`: there is no finding."""
        return self.first == self.case.code

    @property
    def lenient(self) -> bool:
        """The first finding is the label, or an accepted one."""
        return self.strict or self.first in self.case.accept


class Judge:
    """What `hostkit doctor TEXT --host none` makes of a text, without its process."""

    def __init__(self) -> None:
        loaded = plugins.load()
        self.signatures: tuple[Signature, ...] = loaded.signatures()
        self.catalogue: Catalogue = loaded.catalogue()

    def codes(self, text: str) -> tuple[str, ...]:
        """The codes found in a text, the first finding first."""
        found = suspects([Text("text", text.splitlines())], self.signatures)
        return tuple(one.finding.problem for one in rank(found, self.catalogue))

    def score(self, cases: Iterable[Case]) -> tuple[Scored, ...]:
        """Every case with what was found in it."""
        return tuple(Scored(case, self.codes(case.text)) for case in cases)

    def area(self, code: str) -> str:
        """The area of a code."""
        return NONE if code == NONE else self.catalogue.describe(code).area


def main(arguments: Sequence[str]) -> int:
    """Score, print, and return 1 when a promise is not kept.

    `-v` shows every miss, `--held-out` those of the held-out part too.
    """
    judge = Judge()
    kept = True
    for title, cases, promised in sets(judge):
        if not cases:
            print(f"{title}: not scored, there is none here")
            continue
        scored = judge.score(cases)
        strict, lenient, alarms = rates(scored)
        print(f"{title}: strict {strict:.1%}, lenient {lenient:.1%}, {alarms} alarms on none")
        shown = misses(scored, None if "-v" in arguments else HARDEST)
        if title == HELD_OUT and "--held-out" not in arguments:
            shown = []  # who reads them may write signatures for them
        for line in (*by_area(scored), *shown):
            print(line)
        kept = kept and strict >= promised[0] and lenient >= promised[1] and not alarms
    print("kept: every set is at what was promised" if kept else "BROKEN: see above")
    return 0 if kept else 1


def sets(judge: Judge) -> tuple[tuple[str, tuple[Case, ...], tuple[float, float]], ...]:
    """Each set with its title and the strict and lenient rates promised of it."""
    own = reading.messages()
    silent = tuple(Case(one.name, NONE, NONE, (), one.text) for one in reading.healthy())
    seen, unseen = (
        tuple(
            Case(one.name, judge.area(one.code), one.code, one.accept, one.text)
            for one in own
            if one.unseen is held_out
        )
        for held_out in (False, True)
    )
    return (
        ("labelled reports", reports(judge), (STRICT, LENIENT)),
        ("own corpus", seen, (STRICT, LENIENT)),
        (HELD_OUT, unseen, (UNSEEN, UNSEEN)),
        ("healthy outputs", silent, (1.0, 1.0)),
    )


def reports(judge: Judge) -> tuple[Case, ...]:
    """The labelled reports beside the project, or nothing."""
    named = os.environ.get("HOSTKIT_SHARED_DATA")
    path = (Path(named) if named else ROOT.parent / "shared" / "data") / "reports.jsonl"
    if not path.exists():
        return ()
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return tuple(
        Case(
            row["id"],
            judge.area(row["topic"]),
            row["topic"],
            tuple(row["also_acceptable"]),
            row["text"],
        )
        for row in rows
    )


def rates(scored: Sequence[Scored]) -> tuple[float, float, int]:
    """Strict and lenient rates, and how many texts of no problem raised an alarm.

    A text of no problem that a careful reader might take for one is no alarm then.
    """
    alarms = sum(one.case.code == NONE and not one.lenient for one in scored)
    strict = sum(one.strict for one in scored) / len(scored)
    return strict, sum(one.lenient for one in scored) / len(scored), alarms


def by_area(scored: Sequence[Scored]) -> list[str]:
    """One line an area: cases, strict, lenient."""
    lines = [f"  {'area':<14}{'texts':>6}{'strict':>8}{'lenient':>8}"]
    for area in sorted({one.case.area for one in scored}):
        mine = [one for one in scored if one.case.area == area]
        strict, lenient, _ = rates(mine)
        lines.append(f"  {area:<14}{len(mine):>6}{strict:>8.0%}{lenient:>8.0%}")
    return lines


def misses(scored: Sequence[Scored], limit: int | None) -> list[str]:
    """The worst first: alarms on none, silence, another code first, an accepted one."""
    wrong = [one for one in scored if not one.strict]
    wrong.sort(key=lambda one: (one.lenient, one.case.code != NONE, bool(one.found)))
    lines = [
        f"  {'accepted' if one.lenient else 'MISSED':<9}{one.case.name}: {one.case.code},"
        f" found {', '.join(one.found) or 'nothing'}"
        for one in wrong[:limit]
    ]
    rest = Counter(one.lenient for one in wrong[len(lines) :])
    if rest:
        lines.append(f"  and {rest[False]} more missed, {rest[True]} more accepted (-v shows all)")
    return lines
