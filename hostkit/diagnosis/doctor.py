# SPDX-License-Identifier: GPL-3.0-or-later
"""From facts and texts to a diagnosis. Pure but for the facts it asks for."""

from collections.abc import Iterable, Mapping, Sequence

from hostkit.diagnosis import scan
from hostkit.diagnosis.check import Check
from hostkit.diagnosis.finding import (
    Certainty,
    Finding,
    NotApplicable,
    Passed,
    Severity,
    Unknown,
)
from hostkit.diagnosis.problem import Catalogue
from hostkit.diagnosis.rank import Ranked, rank
from hostkit.diagnosis.runner import Result, by_problem, refutes, run_checks
from hostkit.diagnosis.signature import Signature
from hostkit.facts.fact import Facts
from hostkit.facts.fitness import Fitness
from hostkit.value import NamedTuple


class Text(NamedTuple):
    """Something to be searched for messages: where it is from, and its lines."""

    source: str
    lines: Iterable[str]


class Diagnosis(NamedTuple):
    """All that a report shows. `checks` keeps every result, passes and unknowns included."""

    host: str
    source: str
    findings: tuple[Ranked, ...]
    checks: tuple[Result, ...] = ()
    ignored: tuple[Ranked, ...] = ()
    fitness: tuple[Fitness, ...] = ()
    notes: tuple[str, ...] = ()
    duration_s: float = 0.0

    def passed(self) -> tuple[tuple[Check, Passed], ...]:
        """What was looked at and is well."""
        return tuple(
            (result.check, outcome)
            for result in self.checks
            for outcome in result.outcomes
            if isinstance(outcome, Passed)
        )

    def unknown(self) -> tuple[tuple[Check, Unknown], ...]:
        """What could not be looked at."""
        return tuple(
            (result.check, outcome)
            for result in self.checks
            for outcome in result.outcomes
            if isinstance(outcome, Unknown)
        )


def suspects(texts: Iterable[Text], signatures: Sequence[Signature]) -> tuple[Finding, ...]:
    """What the texts point to, one finding a problem, the most certain evidence first.

    Wrappers that hide the cause count only when no error was found that may be it.
    """
    hits = [hit for one in texts for hit in scan.scan(one.lines, signatures, one.source)]
    if any(not h.signature.generic and h.finding.severity is Severity.ERROR for h in hits):
        hits = [hit for hit in hits if not hit.signature.generic]
    merged: dict[str, Finding] = {}
    for hit in sorted(hits, key=lambda hit: hit.finding.certainty.rank):
        before = merged.get(hit.finding.problem)
        merged[hit.finding.problem] = _merge(before, hit.finding) if before else hit.finding
    return tuple(merged.values())


def _merge(first: Finding, second: Finding) -> Finding:
    evidence = tuple(dict.fromkeys((*first.evidence, *second.evidence)))
    params = {**dict(second.params), **dict(first.params)}
    return first._replace(
        evidence=evidence[: scan.EVIDENCE_LIMIT], params=tuple(sorted(params.items()))
    )


def diagnose(
    facts: Facts,
    checks: Sequence[Check],
    suspected: Sequence[Finding],
    catalogue: Catalogue,
) -> tuple[tuple[Ranked, ...], tuple[Result, ...]]:
    """Run the checks, hold every suspicion against them, and rank what remains."""
    results = run_checks(facts, checks)
    judges = by_problem(results)
    found = [o for result in results for o in result.outcomes if isinstance(o, Finding)]
    by_code: Mapping[str, Finding] = {finding.problem: finding for finding in reversed(found)}
    for suspect in suspected:
        confirmed = by_code.get(suspect.problem)
        if confirmed is not None:
            at = found.index(confirmed)
            found[at] = _merge(confirmed, suspect)
        else:
            found.append(_judged(suspect, judges.get(suspect.problem, ())))
    return rank(found, catalogue), results


def _judged(suspect: Finding, judges: Sequence[Result]) -> Finding:
    """A suspicion that every judge refutes is past; otherwise it stands as it was."""
    if not any(refutes(judge) for judge in judges):
        return suspect
    settled = all(
        refutes(judge) or all(isinstance(o, NotApplicable) for o in judge.outcomes)
        for judge in judges
        if judge.check.settles
    )
    if not settled:
        return suspect
    notes = [o.note for judge in judges for o in judge.outcomes if isinstance(o, Passed)]
    now = "; ".join(note for note in notes if note) or "no longer so on this host"
    return suspect._replace(
        past=True,
        severity=Severity.INFO,
        certainty=Certainty.POSSIBLE,
        summary=f"{suspect.summary} (now: {now})",
    )
