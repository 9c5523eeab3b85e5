# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks and facts in, outcomes out. A check that crashes is reported and the run goes on."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard, TypeVar

from hostkit import text
from hostkit.diagnosis.check import Check
from hostkit.diagnosis.finding import Finding, NotApplicable, Outcome, Passed, Unknown
from hostkit.facts.fact import Fact, Facts, FactUnknown
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.value import NamedTuple

T = TypeVar("T")


class Result(NamedTuple):
    """One check and all it said; never empty."""

    check: Check
    outcomes: tuple[Outcome, ...]


class DeclaredFacts(Facts):
    """The facts a check may see: those it declared, so that its declaration is true."""

    def __init__(self, facts: Facts, check: Check) -> None:
        super().__init__(facts.host)
        self._facts = facts
        self._declared = frozenset((*check.needs, *check.uses))
        self._name = check.name

    def get(self, fact: Fact[T]) -> Answer[T]:
        """As `Facts.get`; raises LookupError for a fact that was not declared."""
        if fact not in self._declared:
            raise LookupError(f"the check {self._name} uses {fact} without declaring it")
        return self._facts.get(fact)


def run_checks(facts: Facts, checks: Iterable[Check]) -> tuple[Result, ...]:
    """Ask every check, in order."""
    chosen = tuple(checks)
    facts.prefetch(fact for one in chosen for fact in (*one.needs, *one.uses))
    return tuple(Result(one, _outcomes(facts, one)) for one in chosen)


def _outcomes(facts: Facts, check: Check) -> tuple[Outcome, ...]:
    for needed in check.needs:
        answer = facts.get(needed)
        if not isinstance(answer, Known):
            return (_unknown(answer),)
    try:
        return tuple(check.run(DeclaredFacts(facts, check))) or (Passed(),)
    except FactUnknown as unknown:
        return (_unknown(unknown.answer),)
    except Exception as error:  # noqa: BLE001 - a broken check must not take the others with it
        reason = text.shorten(text.printable(f"{type(error).__name__}: {error}"), 200)
        return (Unknown(f"the check crashed: {reason}", crashed=True),)


def _unknown(answer: Absent | Unreadable) -> Unknown:
    needs_root = isinstance(answer, Unreadable) and answer.needs_root
    return Unknown(f"{answer.source}: {answer.reason}", needs_root=needs_root)


def by_problem(results: Iterable[Result]) -> Mapping[str, tuple[Result, ...]]:
    """For each problem the checks that judge it."""
    judges: dict[str, list[Result]] = {}
    for result in results:
        for code in result.check.problems:
            judges.setdefault(code, []).append(result)
    return {code: tuple(found) for code, found in judges.items()}


def refutes(result: Result) -> bool:
    """Whether a check looked and found nothing wrong now of what it can report."""
    looked = any(well_now(outcome) for outcome in result.outcomes)
    unsure = any(isinstance(outcome, Unknown | NotApplicable) for outcome in result.outcomes)
    return result.check.settles and looked and not unsure


def well_now(outcome: Outcome) -> TypeGuard[Passed | Finding]:
    """Whether it says that something is as it should be, be it only until the next boot."""
    return isinstance(outcome, Passed) or (isinstance(outcome, Finding) and outcome.later)


def facts_of(checks: Iterable[Check]) -> tuple[Fact[Any], ...]:
    """Every fact that these checks declare."""
    return tuple(dict.fromkeys(f for one in checks for f in (*one.needs, *one.uses)))
