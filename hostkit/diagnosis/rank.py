# SPDX-License-Identifier: GPL-3.0-or-later
"""Causes before consequences, the certain before the possible, the past last."""

from collections.abc import Iterable, Sequence

from hostkit.diagnosis.finding import Certainty, Finding
from hostkit.diagnosis.problem import Catalogue, Problem, Remedy
from hostkit.value import NamedTuple


class Ranked(NamedTuple):
    """A finding in its place: what brings it about, and what it brings about, here."""

    finding: Finding
    problem: Problem
    caused_by: tuple[str, ...]
    causes: tuple[str, ...]

    @property
    def remedies(self) -> tuple[Remedy, ...]:
        """Those of the problem's that are for this finding, the most fitting first."""
        return self.problem.remedies_for(dict(self.finding.params))


def rank(findings: Iterable[Finding], catalogue: Catalogue) -> tuple[Ranked, ...]:
    """Root causes in order of importance, each followed by its consequences."""
    listed = list(findings)
    present = list(dict.fromkeys(f.problem for f in listed if not f.past))
    edges = {code: _consequences(code, listed, present, catalogue) for code in present}
    causes_of = {
        code: tuple(cause for cause in present if code in edges[cause]) for code in present
    }
    roots = [code for code in present if not causes_of[code]] or present
    order = {code: at for at, code in enumerate(present)}
    roots.sort(key=lambda code: (_weight(code, edges, listed), order[code]))
    sequence: list[str] = []
    for root in roots:
        _walk(root, edges, sequence)
    for code in present:  # a cycle that no root leads to
        _walk(code, edges, sequence)
    place = {code: at for at, code in enumerate(sequence)}
    ranked = [
        Ranked(
            finding,
            catalogue.describe(finding.problem),
            () if finding.past else causes_of[finding.problem],
            () if finding.past else edges[finding.problem],
        )
        for finding in listed
    ]
    last = len(place)
    ranked.sort(
        key=lambda r: (
            r.finding.past,
            last if r.finding.past else place[r.finding.problem],
            r.finding.severity.rank,
            r.finding.certainty.rank,
        )
    )
    return tuple(ranked)


def _consequences(
    code: str, findings: Sequence[Finding], present: Sequence[str], catalogue: Catalogue
) -> tuple[str, ...]:
    """The codes found here that this one explains.

    A mere possibility explains nothing, nor does what is milder than the consequence: a
    warning is what dockerd can run with, so it is not why dockerd does not run. What ails
    only containers does not explain what a program of the host complains of.
    """
    mine = [f for f in findings if f.problem == code and not f.past]
    if all(f.certainty is Certainty.POSSIBLE for f in mine):
        return ()
    problem = catalogue.describe(code)
    named = {*problem.causes, *(c for f in mine for c in f.causes)}
    worst = min(f.severity.rank for f in mine)
    others = [f for f in findings if not f.past and f.problem != code]
    unexplained = {f.problem for f in others if f.severity.rank < worst}
    if problem.inside:
        unexplained |= {f.problem for f in others if f.of_host}
    return tuple(other for other in present if other in named - unexplained - {code})


def _weight(
    code: str, edges: dict[str, tuple[str, ...]], findings: Sequence[Finding]
) -> tuple[int, int, int]:
    """The worst first, then the most certain; of equals, the one that explains most."""
    mine = [f for f in findings if f.problem == code and not f.past]
    reached: list[str] = []
    _walk(code, edges, reached)
    severity = min(f.severity.rank for f in mine)
    return severity, min(f.certainty.rank for f in mine), -len(reached)


def _walk(code: str, edges: dict[str, tuple[str, ...]], seen: list[str]) -> None:
    if code in seen:
        return
    seen.append(code)
    for consequence in edges[code]:
        _walk(consequence, edges, seen)
