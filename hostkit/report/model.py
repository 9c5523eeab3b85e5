# SPDX-License-Identifier: GPL-3.0-or-later
"""What a report is made from, and the numbers that every form of it shows."""

from collections.abc import Iterable, Mapping

from hostkit.diagnosis.advise import Advice
from hostkit.diagnosis.check import Check
from hostkit.diagnosis.doctor import Diagnosis
from hostkit.diagnosis.finding import Finding, NotApplicable, Severity, Unknown
from hostkit.diagnosis.origin import remedy_family
from hostkit.diagnosis.rank import Ranked
from hostkit.diagnosis.runner import Result
from hostkit.diagnosis.waiver import Waiver
from hostkit.value import NamedTuple

# A value from a log or a host goes into a command that a person may paste into a root
# shell only when no shell would see more in it than one word.
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@%+=,-")
_PLAIN_LIMIT = 200


class Report(NamedTuple):
    """A diagnosis and all else that is shown with it.

    `identity` is what the header says of the host; `areas` maps a check's name to its
    area; `family` chooses among a remedy's commands; `target` is what `--for` named;
    `again` is the command line to repeat as root; `program` is how hostkit is called here;
    `fixable` are the actions `hostkit fix` knows; `advice` ranks the storage drivers;
    `fail_on` is the limit of `--fail-on`; `waivers` are what an ignore file accepts, by code.
    """

    diagnosis: Diagnosis
    identity: tuple[str, ...]
    areas: Mapping[str, str]
    family: str
    target: str
    again: str
    exit_code: int
    advice: Advice | None = None
    fixable: frozenset[str] = frozenset()
    program: str = "hostkit"
    fail_on: str = "error"
    waivers: Mapping[str, Waiver] = {}

    def why_ignored(self, code: str) -> str:
        """The reason that stands in the ignore file, else the option that hides it."""
        waiver = self.waivers.get(code)
        if waiver is None:
            return "--ignore"
        return f"{waiver.reason}; until {waiver.expires}" if waiver.expires else waiver.reason

    def present(self) -> tuple[Ranked, ...]:
        """The findings that are so, most important root cause first."""
        return tuple(one for one in self.diagnosis.findings if not one.finding.past)

    def family_of(self, one: Ranked) -> str:
        """The family whose commands mend this finding; a text may be of another machine."""
        return remedy_family(one.finding, one.problem.area, self.family)

    def past(self) -> tuple[Ranked, ...]:
        """What a text complained of and the host's facts say is over."""
        return tuple(one for one in self.diagnosis.findings if one.finding.past)


class Counts(NamedTuple):
    """The totals; past and ignored findings are in no severity."""

    error: int
    warning: int
    info: int
    past: int
    unknown: int
    passed: int
    not_applicable: int
    ignored: int


def counts(diagnosis: Diagnosis) -> Counts:
    """Count findings by severity and checks by what they said."""
    present = [one.finding.severity for one in diagnosis.findings if not one.finding.past]
    return Counts(
        error=present.count(Severity.ERROR),
        warning=present.count(Severity.WARNING),
        info=present.count(Severity.INFO),
        past=len(diagnosis.findings) - len(present),
        unknown=sum(is_unknown(result) for result in diagnosis.checks),
        passed=sum(is_passed(result) for result in diagnosis.checks),
        not_applicable=sum(is_not_applicable(result) for result in diagnosis.checks),
        ignored=len(diagnosis.ignored),
    )


def is_unknown(result: Result) -> bool:
    """Whether a check could not look, or not everywhere."""
    return any(isinstance(outcome, Unknown) for outcome in result.outcomes)


def is_not_applicable(result: Result) -> bool:
    """Whether there was nothing for a check to look at."""
    return all(isinstance(outcome, NotApplicable) for outcome in result.outcomes)


def is_passed(result: Result) -> bool:
    """Whether a check looked and found everything well."""
    ill = any(isinstance(outcome, Finding | Unknown) for outcome in result.outcomes)
    return not ill and not is_not_applicable(result)


def unknowns(results: Iterable[Result]) -> tuple[tuple[Check, Unknown], ...]:
    """Each check that could not look, with each of its reasons."""
    return tuple(
        (result.check, outcome)
        for result in results
        for outcome in result.outcomes
        if isinstance(outcome, Unknown)
    )


def safe_params(finding: Finding) -> dict[str, str]:
    """The params that can stand in a command; the place of any other stays open.

    >>> from hostkit.diagnosis.finding import Evidence, Severity
    >>> params = (("path", "/dev/sdb"), ("pool", "x; reboot"), ("vg", "-f"))
    >>> safe_params(Finding("code", Severity.ERROR, "", (), params=params))
    {'path': '/dev/sdb'}
    """
    return {
        name: value
        for name, value in finding.params
        if 0 < len(value) <= _PLAIN_LIMIT and _PLAIN.issuperset(value) and value[0] != "-"
    }


def plural(number: int, noun: str) -> str:
    """A number with its noun.

    >>> plural(1, "error"), plural(0, "check")
    ('1 error', '0 checks')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
