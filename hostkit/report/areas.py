# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of one area rolled up into one line; what is not known is never a pass."""

from enum import Enum

from hostkit.diagnosis.finding import Finding, Passed, Severity, Unknown
from hostkit.diagnosis.runner import Result
from hostkit.report.model import Report, is_not_applicable, is_passed, is_unknown
from hostkit.report.style import Style
from hostkit.value import NamedTuple


class Status(Enum):
    """The word at the beginning of an area's line."""

    OK = "ok"
    FAIL = "FAIL"
    WARN = "warn"
    NOTE = "note"
    UNKNOWN = "?"
    NOTHING = "-"


class Area(NamedTuple):
    """One line: how the area is, of how many checks, in a few words; `problem`: the worst."""

    name: str
    status: Status
    tally: str
    note: str
    problem: str = ""


def areas(report: Report, style: Style) -> tuple[Area, ...]:
    """Every area that has a check, in the checks' order."""
    grouped: dict[str, list[Result]] = {}
    for result in report.diagnosis.checks:
        grouped.setdefault(report.areas.get(result.check.name, ""), []).append(result)
    hidden = {one.finding.problem for one in report.diagnosis.ignored}
    titles = {one.finding.problem: one.problem.title for one in report.diagnosis.findings}
    made = (_area(name, results, hidden, style) for name, results in grouped.items())
    return tuple(
        area._replace(note=style.translated(titles.get(area.problem, "")) or area.note)
        for area in made
    )


def _area(name: str, results: list[Result], hidden: set[str], style: Style) -> Area:
    findings = [
        outcome
        for result in results
        for outcome in result.outcomes
        if isinstance(outcome, Finding) and outcome.problem not in hidden
    ]
    passed = sum(map(is_passed, results))
    asked = len(results) - sum(map(is_not_applicable, results))
    tally = style.say("{passed} of {asked} ok").format(passed=passed, asked=asked)
    if findings:
        worst = min(findings, key=lambda finding: finding.severity.rank)
        return Area(name, _status(worst.severity), tally, worst.summary, worst.problem)
    if any(map(is_unknown, results)):
        return Area(name, Status.UNKNOWN, tally, _reason(results, style))
    if all(map(is_not_applicable, results)):
        return Area(
            name, Status.NOTHING, style.counted(len(results), "check"), style.say("does not apply")
        )
    return Area(name, Status.OK, style.counted(passed, "check"), _notes(results))


def _status(severity: Severity) -> Status:
    by_severity = {Severity.ERROR: Status.FAIL, Severity.WARNING: Status.WARN}
    return by_severity.get(severity, Status.NOTE)


def _reason(results: list[Result], style: Style) -> str:
    unknown = [o for result in results for o in result.outcomes if isinstance(o, Unknown)]
    crashed = next((outcome for outcome in unknown if outcome.crashed), None)
    if crashed is not None:
        return crashed.reason
    if any(outcome.needs_root for outcome in unknown):
        answers = style.counted(len(unknown), "answer")
        said = style.say("{answers} need root: {reason}")
        return said.format(answers=answers, reason=unknown[0].reason)
    return style.say("not known: {reason}").format(reason=unknown[0].reason)


def _notes(results: list[Result]) -> str:
    notes = [o.note for result in results for o in result.outcomes if isinstance(o, Passed)]
    return ", ".join(filter(None, notes))
