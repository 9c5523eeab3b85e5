# SPDX-License-Identifier: GPL-3.0-or-later
"""A report for a pipe or a log: one finding a line, the same columns in every line.

    web07 error ipv4-forwarding-disabled network net.ipv4.ip_forward is 0 [/proc/...]

Columns: host, kind (error, warning, info, past, ignored, unknown, ok, note, summary), the
problem's code or the check's name, area, words. The last line is always the summary.
"""

from collections.abc import Iterator

from hostkit import text
from hostkit.diagnosis.check import Check
from hostkit.diagnosis.finding import Certainty, Severity
from hostkit.diagnosis.rank import Ranked
from hostkit.report.model import Report, counts, plural, unknowns
from hostkit.report.text import Verbosity, located

WORDS_LIMIT = 400


def render(report: Report, verbosity: Verbosity = Verbosity.NORMAL) -> str:
    """Every line, each ending in a newline."""
    return "".join(f"{line}\n" for line in _lines(report, verbosity))


def _lines(report: Report, verbosity: Verbosity) -> Iterator[str]:
    quiet = verbosity is Verbosity.QUIET
    for one in report.present():
        if not quiet or one.finding.severity is Severity.ERROR:
            yield _finding(report, one.finding.severity.value, one)
    if not quiet:
        yield from _rest(report, verbosity)
    yield _line(report, "summary", "-", "-", _summary(report))


def _rest(report: Report, verbosity: Verbosity) -> Iterator[str]:
    """What is no finding of now."""
    for one in report.past():
        yield _finding(report, "past", one)
    for one in report.diagnosis.ignored:
        yield _finding(report, "ignored", one)
    for check, outcome in unknowns(report.diagnosis.checks):
        yield _line(report, "unknown", check.name, _area(report, check), outcome.reason)
    if verbosity is Verbosity.VERBOSE:
        for check, passed in report.diagnosis.passed():
            yield _line(report, "ok", check.name, _area(report, check), passed.note or check.title)
    if report.advice is not None:
        yield _line(report, "note", "storage-drivers", "storage", report.advice.summary)
    for note in report.diagnosis.notes:
        yield _line(report, "note", "-", "-", note)


def _area(report: Report, check: Check) -> str:
    return report.areas.get(check.name, "-")


def _finding(report: Report, kind: str, one: Ranked) -> str:
    finding = one.finding
    sure = finding.certainty is Certainty.CONFIRMED
    words = finding.summary if sure else f"({finding.certainty}) {finding.summary}"
    if finding.evidence:
        words += f" [{located(finding.evidence[0])}]"
    if kind == "ignored":
        words += f"; ignored: {report.why_ignored(finding.problem)}"
    elif one.caused_by:
        words += f"; caused by {', '.join(one.caused_by)}"
    elif kind in {"error", "warning"}:
        words += _fix(report, one)
    return _line(report, kind, finding.problem, one.problem.area, words)


def _fix(report: Report, one: Ranked) -> str:
    """What mends it in words: the first of several commands seldom does it alone."""
    if not one.remedies:
        return ""
    remedy = one.remedies[0]
    if remedy.action in report.fixable and report.diagnosis.source == "live":
        return f"; fix: {remedy.summary}: {report.program} fix {one.problem.code}"
    return f"; fix: {remedy.summary}"


def _summary(report: Report) -> str:
    number = counts(report.diagnosis)
    if report.diagnosis.recognised is False:
        return f"not recognised; exit code {report.exit_code}"
    return (
        f"{plural(number.error, 'error')}, {plural(number.warning, 'warning')}, "
        f"{number.info} info, {number.unknown} unknown, {number.passed} passed; "
        f"exit code {report.exit_code}"
    )


def _line(report: Report, kind: str, name: str, area: str, words: str) -> str:
    host = "".join(report.diagnosis.host.split()) or "-"
    return text.shorten(
        text.printable(f"{host} {kind} {name} {area or '-'} {' '.join(words.split())}"),
        WORDS_LIMIT,
    )
