# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks and facts in, outcomes out. A check that crashes is reported and the run goes on."""

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, TypeGuard, TypeVar, get_args

from hostkit import text
from hostkit.diagnosis.check import Check
from hostkit.diagnosis.finding import Finding, NotApplicable, Outcome, Passed, Unknown
from hostkit.facts.fact import Fact, Facts, FactUnknown
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.value import NamedTuple

T = TypeVar("T")
CHECK_S = 10.0  # a check only thinks: its facts have been asked for before
OUTCOMES_LIMIT = 10_000  # of one check


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


class _Asking(threading.Thread):
    """Asks checks, one after the other, so that whoever waits can leave one that hangs."""

    def __init__(self, facts: Facts, checks: Sequence[Check]) -> None:
        super().__init__(daemon=True)
        self.results: list[Result] = []
        self.began: float | None = None  # when the present check did; None: facts are awaited
        self.left = False
        self._facts = facts
        self._checks = checks

    def run(self) -> None:
        for check in self._checks:
            outcomes = self._outcomes(check)
            if self.left:
                return
            self.began = None
            self.results.append(Result(check, outcomes))

    def _outcomes(self, check: Check) -> tuple[Outcome, ...]:
        try:
            for used in check.uses:  # it is not the check that takes their time
                self._facts.get(used)
            for needed in check.needs:
                answer = self._facts.get(needed)
                if not isinstance(answer, Known):
                    return (_unknown(answer),)
            self.began = time.monotonic()
            said = iter(check.run(DeclaredFacts(self._facts, check)))
            return _sound(tuple(islice(said, OUTCOMES_LIMIT + 1))) or (Passed(),)
        except FactUnknown as unknown:
            return (_unknown(unknown.answer),)
        # A broken check must not take the others with it, nor end the run with its exit code.
        except (Exception, SystemExit) as error:  # noqa: BLE001
            return (_crashed(f"{type(error).__name__}: {error}"),)

    def wait(self, check_s: float) -> tuple[Result, ...]:
        """What was said by all checks, or until one takes longer than that, which is told."""
        while self.is_alive():
            began = self.began
            left = check_s if began is None else began + check_s - time.monotonic()
            self.join(max(0.0, left))
            done = tuple(self.results)
            if left <= 0 and self.began == began:  # still the same one
                self.left = True
                stuck = self._checks[len(done)]
                return (*done, Result(stuck, (_crashed(f"no end within {check_s:.0f} s"),)))
        return tuple(self.results)


def run_checks(
    facts: Facts, checks: Iterable[Check], check_s: float = CHECK_S
) -> tuple[Result, ...]:
    """Ask every check, in order."""
    chosen = tuple(checks)
    facts.prefetch(fact for one in chosen for fact in (*one.needs, *one.uses))
    results: tuple[Result, ...] = ()
    while len(results) < len(chosen):
        asking = _Asking(facts, chosen[len(results) :])
        asking.start()
        results += asking.wait(check_s)
    return results


def _sound(said: tuple[Any, ...]) -> tuple[Outcome, ...]:
    """What a check said, when it is what a check may say. Raises ValueError or TypeError."""
    if len(said) > OUTCOMES_LIMIT:
        raise ValueError(f"it said more than {OUTCOMES_LIMIT} things")
    wrong = [one for one in said if not isinstance(one, get_args(Outcome))]
    if wrong:
        raise TypeError(f"it said {wrong[0]!r}")
    return said


def _crashed(reason: str) -> Unknown:
    shown = text.shorten(text.printable(reason), 200)
    return Unknown(f"the check crashed: {shown}", crashed=True)


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
