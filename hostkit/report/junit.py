# SPDX-License-Identifier: GPL-3.0-or-later
"""A report as JUnit's XML, for Jenkins and its like: one suite a host, never empty.

A finding at or above `--fail-on` is a failure, what could not be looked at or is ignored is
skipped, what passed is a case that passed: a build is unstable exactly when our exit code is 1.
"""

from collections.abc import Iterator
from itertools import groupby

from hostkit import text
from hostkit.diagnosis.finding import Severity
from hostkit.diagnosis.rank import Ranked
from hostkit.report.model import Report, is_passed, unknowns
from hostkit.report.text import located
from hostkit.value import NamedTuple

NEVER = "never"
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}


class Case(NamedTuple):
    """One test case: `kind` is failure, skipped or "" for one that passed."""

    name: str
    kind: str = ""
    type: str = ""
    message: str = ""
    details: tuple[str, ...] = ()


def render(report: Report) -> str:
    """The document, in ASCII, ending in a newline."""
    cases = tuple(_cases(report)) or (Case("nothing-to-report"),)
    host = report.diagnosis.host if report.diagnosis.source != "text" else "text"
    suite = "hostkit." + (host.replace(".", "_") or "-")  # a dot begins a package
    failed, skipped = (sum(one.kind == kind for one in cases) for kind in ("failure", "skipped"))
    attributes = _attributes(
        name=suite,
        tests=str(len(cases)),
        failures=str(failed),
        errors="0",
        skipped=str(skipped),
        time=f"{report.diagnosis.duration_s:.3f}",
    )
    lines = ["<testsuites>", f" <testsuite{attributes}>"]
    lines += [line for one in cases for line in _xml(one, suite)]
    lines += [" </testsuite>", "</testsuites>"]
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + "".join(f"{line}\n" for line in lines)


def _cases(report: Report) -> Iterator[Case]:
    for code, same in groupby(report.present(), key=lambda one: one.finding.problem):
        yield _found(report, code, tuple(same))
    for code in dict.fromkeys(one.finding.problem for one in report.diagnosis.ignored):
        yield Case(code, "skipped", message=f"ignored: {report.why_ignored(code)}")
    if report.diagnosis.recognised is False:
        yield Case("not-recognised", "skipped", message="hostkit knows none of these messages")
    reasons: dict[str, list[str]] = {}
    for check, outcome in unknowns(report.diagnosis.checks):
        reasons.setdefault(check.name, []).append(outcome.reason)
    for name, said in reasons.items():
        yield Case(name, "skipped", message="; ".join(said))
    for result in report.diagnosis.checks:
        if is_passed(result):
            yield Case(result.check.name)


def _found(report: Report, code: str, same: tuple[Ranked, ...]) -> Case:
    """All findings of one problem as one case; the first is the worst."""
    worst = same[0].finding
    details = [line for one in same for line in _details(one)]
    counts = report.fail_on != NEVER and worst.severity.rank <= Severity(report.fail_on).rank
    kind = "failure" if counts else ""
    return Case(code, kind, worst.severity.value, worst.summary, tuple(details))


def _details(one: Ranked) -> Iterator[str]:
    yield f"{one.finding.severity} ({one.finding.certainty}): {one.finding.summary}"
    yield from (f"--> {located(evidence)}" for evidence in one.finding.evidence)
    if one.caused_by:
        yield f"caused by {', '.join(one.caused_by)}"
    elif one.problem.remedies:
        yield f"fix: {one.problem.remedies[0].summary}"


def _xml(one: Case, suite: str) -> Iterator[str]:
    head = f"  <testcase{_attributes(classname=suite, name=one.name)}"
    details = "\n".join(map(_safe, one.details))
    if not one.kind and not details:
        yield f"{head}/>"
        return
    yield f"{head}>"
    if one.kind:
        said = {"type": one.type} if one.type else {}
        attributes = _attributes(**said, message=one.message)
        yield f"   <{one.kind}{attributes}>{details}</{one.kind}>"
    else:
        yield f"   <system-out>{details}</system-out>"
    yield "  </testcase>"


def _attributes(**values: str) -> str:
    return "".join(f' {name}="{_safe(value)}"' for name, value in values.items())


def _safe(words: str) -> str:
    r"""One line of XML text: control characters, which XML cannot hold at all, spelled out.

    >>> _safe('a<b>\x1b "é"')
    'a&lt;b&gt;\\x1b &quot;&#233;&quot;'
    """
    escaped = "".join(_ESCAPES.get(character, character) for character in text.printable(words))
    return escaped.encode("ascii", "xmlcharrefreplace").decode()
