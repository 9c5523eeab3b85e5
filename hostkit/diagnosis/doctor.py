# SPDX-License-Identifier: GPL-3.0-or-later
"""From facts and texts to a diagnosis. Pure but for the facts it asks for."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeGuard

from hostkit.diagnosis.check import Check
from hostkit.diagnosis.finding import (
    Certainty,
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Severity,
    Unknown,
)
from hostkit.diagnosis.problem import Catalogue
from hostkit.diagnosis.rank import Ranked, rank
from hostkit.diagnosis.runner import Result, by_problem, refutes, run_checks, well_now
from hostkit.diagnosis.signature import Signature
from hostkit.facts.fact import Facts
from hostkit.facts.fitness import Fitness
from hostkit.value import NamedTuple

if TYPE_CHECKING:
    from hostkit.diagnosis.parts import Part
    from hostkit.diagnosis.scan import Hit

EVIDENCE_LIMIT = 3


class Text(NamedTuple):
    """Something to be searched for messages: where it is from, and its lines (see scan.scan).

    A long file has `parts` in place of lines, which several processes search.
    """

    source: str
    lines: Iterable[str | bytes]
    parts: "tuple[Part, ...]" = ()


class Diagnosis(NamedTuple):
    """All that a report shows. `checks` keeps every result, passes and unknowns included.

    `recognised`: whether anything in the text is known; None when there was no text.
    """

    host: str
    source: str
    findings: tuple[Ranked, ...]
    checks: tuple[Result, ...] = ()
    ignored: tuple[Ranked, ...] = ()
    fitness: tuple[Fitness, ...] = ()
    notes: tuple[str, ...] = ()
    duration_s: float = 0.0
    recognised: bool | None = None

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
    hits = [hit for one in texts for hit in _hits(one, signatures)]
    if any(not h.signature.generic and h.finding.severity is Severity.ERROR for h in hits):
        hits = [hit for hit in hits if not hit.signature.generic]
    merged: dict[str, Finding] = {}
    for hit in sorted(hits, key=lambda hit: hit.finding.certainty.rank):
        before = merged.get(hit.finding.problem)
        merged[hit.finding.problem] = _merge(before, hit.finding) if before else hit.finding
    return tuple(merged.values())


def _hits(one: Text, signatures: Sequence[Signature]) -> "tuple[Hit, ...]":
    if not one.parts:
        from hostkit.diagnosis.scan import scan  # noqa: PLC0415 - a preflight searches no text

        return scan(one.lines, signatures, one.source)
    from hostkit.diagnosis.parts import scan_parts  # noqa: PLC0415 - only long files take it

    return scan_parts(one.parts, signatures, one.source)


def _merge(first: Finding, second: Finding) -> Finding:
    """One finding of two: the words and the certainty of the first, the worse severity."""
    evidence = tuple(dict.fromkeys((*first.evidence, *second.evidence)))
    params = {**dict(second.params), **dict(first.params)}
    return first._replace(
        severity=min(first.severity, second.severity, key=lambda severity: severity.rank),
        evidence=evidence[:EVIDENCE_LIMIT],
        params=tuple(sorted(params.items())),
        of_host=first.of_host and second.of_host,
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
    for suspect in suspected:
        mine = judges.get(suspect.problem, ())
        confirmed = _confirmed(suspect, mine)
        if confirmed is not None:
            found[found.index(confirmed)] = _merge(confirmed, suspect)
        else:
            found.append(_judged(suspect, mine))
    return rank(found, catalogue), results


def _confirmed(suspect: Finding, judges: Sequence[Result]) -> Finding | None:
    """The first finding of the same problem in the same thing, and of now."""
    return next(
        (
            outcome
            for judge in judges
            for outcome in judge.outcomes
            if isinstance(outcome, Finding)
            and outcome.problem == suspect.problem
            and not outcome.later
            and _same_thing(judge.check, suspect, outcome)
        ),
        None,
    )


def _same_thing(check: Check, suspect: Finding, outcome: Finding | Passed) -> bool:
    """Whether the check looked at the very thing that the text names, if it names one."""
    seen = dict(outcome.params)
    return all(
        _within(value, seen.get(name, ""))
        for name, value in suspect.params
        if name in check.subject
    )


def _within(value: str, seen: str) -> bool:
    """Whether it is the same, or a path below.

    >>> _within("/srv/docker/tmp/x", "/srv/docker"), _within("/srv/other", "/")
    (True, False)
    """
    return value == seen or (seen.startswith("/") and value.startswith(f"{seen}/"))


def _judged(suspect: Finding, judges: Sequence[Result]) -> Finding:
    """A suspicion that every judge refutes is past; otherwise it stands."""
    idle = [o for judge in judges for o in judge.outcomes if isinstance(o, NotApplicable)]
    if judges and len(idle) == sum(len(judge.outcomes) for judge in judges):
        return _nothing_there(suspect, idle)
    if not any(_refuted(suspect, judge) for judge in judges):
        return suspect
    settled = all(
        _refuted(suspect, judge) or all(isinstance(o, NotApplicable) for o in judge.outcomes)
        for judge in judges
        if judge.check.settles
    )
    if not settled:
        return suspect
    notes = [_note(o) for judge in judges for o in judge.outcomes if _well(o, suspect)]
    now = "; ".join(note for note in notes if note) or "no longer so on this host"
    return suspect._replace(
        past=True,
        severity=Severity.INFO,
        certainty=Certainty.POSSIBLE,
        summary=f"{suspect.summary} (now: {now})",
    )


def _refuted(suspect: Finding, judge: Result) -> bool:
    """Whether a check found nothing, and did look at what the text names."""
    return refutes(judge) and any(
        _well(outcome, suspect) and _same_thing(judge.check, suspect, outcome)
        for outcome in judge.outcomes
    )


def _well(outcome: Outcome, suspect: Finding) -> TypeGuard[Passed | Finding]:
    """Whether it says that what the text complains of is not so now."""
    if isinstance(outcome, Finding) and outcome.problem != suspect.problem:
        return False
    return well_now(outcome)


def _note(outcome: Passed | Finding) -> str:
    return outcome.note if isinstance(outcome, Passed) else outcome.summary


def _nothing_there(suspect: Finding, idle: Sequence[NotApplicable]) -> Finding:
    """A suspicion of what this host does not have: it stands, and the host's word beside it."""
    params = {**dict(suspect.params), **{k: v for outcome in idle for k, v in outcome.params}}
    return suspect._replace(
        summary=f"{suspect.summary} (this host: {idle[0].reason})",
        params=tuple(sorted(params.items())),
    )
