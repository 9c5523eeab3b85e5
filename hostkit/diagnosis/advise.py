# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage advice: the drivers' reasons weighed against each other. Values in, values out."""

from collections.abc import Iterable
from enum import StrEnum

from hostkit.diagnosis.finding import Evidence, Finding, Severity
from hostkit.facts.fitness import Fitness, Reason, Weight
from hostkit.value import NamedTuple

# Which of two that both fit is the better choice; a driver we do not know comes after.
PREFERENCE = ("overlay2", "direct-lvm", "btrfs", "zfs", "aufs", "vfs", "loop-lvm")
_EVIDENCE_LIMIT = 8


class Verdict(StrEnum):
    """What the reasons for one driver come to, the best first."""

    FITS = "fits"
    UNKNOWN = "unknown"
    DISCOURAGED = "discouraged"
    IMPOSSIBLE = "impossible"


class Advised(NamedTuple):
    """One driver: the verdict, and its reasons with the deciding ones first."""

    driver: str
    verdict: Verdict
    reasons: tuple[Reason, ...]

    @property
    def because(self) -> Reason | None:
        """The first of the reasons that decide, or None when nothing was said."""
        return self.reasons[0] if self.reasons else None


class Advice(NamedTuple):
    """Every driver, the best first, and one sentence that sums them up."""

    ranked: tuple[Advised, ...]
    summary: str

    @property
    def best(self) -> Advised | None:
        """The driver to take, when one surely fits."""
        first = self.ranked[0] if self.ranked else None
        return first if first is not None and first.verdict is Verdict.FITS else None


# Which reasons decide, by verdict.
_DECIDING = {
    Verdict.FITS: Weight.FAVOURS,
    Verdict.UNKNOWN: Weight.UNKNOWN,
    Verdict.DISCOURAGED: Weight.ADVISES_AGAINST,
    Verdict.IMPOSSIBLE: Weight.BLOCKS,
}


def judge(fitness: Fitness) -> Advised:
    """The verdict on one driver. What is not to be used stays so whatever is unknown.

    >>> judge(Fitness("vfs", (Reason(Weight.ADVISES_AGAINST, "copies"),))).verdict
    <Verdict.DISCOURAGED: 'discouraged'>
    """
    if fitness.has(Weight.BLOCKS):
        verdict = Verdict.IMPOSSIBLE
    elif fitness.has(Weight.ADVISES_AGAINST):
        verdict = Verdict.DISCOURAGED
    elif fitness.has(Weight.FAVOURS) and not fitness.has(Weight.UNKNOWN):
        verdict = Verdict.FITS
    else:  # something is unknown, or nothing was said at all
        verdict = Verdict.UNKNOWN
    deciding = _DECIDING[verdict]
    reasons = sorted(fitness.reasons, key=lambda reason: reason.weight is not deciding)
    return Advised(fitness.driver, verdict, tuple(reasons))


def advise(fitnesses: Iterable[Fitness]) -> Advice:
    """Rank the drivers: by verdict, then by preference, then by name."""
    order = list(Verdict)
    ranked = sorted(
        (judge(fitness) for fitness in fitnesses),
        key=lambda one: (order.index(one.verdict), _preference(one.driver), one.driver),
    )
    return Advice(tuple(ranked), _summary(ranked))


def _preference(driver: str) -> int:
    return PREFERENCE.index(driver) if driver in PREFERENCE else len(PREFERENCE)


def _summary(ranked: list[Advised]) -> str:
    if not ranked:
        return "no storage driver is installed"
    first = ranked[0]
    favourite = min(ranked, key=lambda one: _preference(one.driver))
    why = favourite.because.text if favourite.because else "nothing is known of it"
    if first.verdict is Verdict.FITS and first is favourite:
        return f"use {first.driver}"
    if first.verdict is Verdict.FITS:
        return f"use {first.driver}, because {favourite.driver} does not serve here: {why}"
    if first.verdict is Verdict.UNKNOWN:
        reason = first.because.text if first.because else "nothing is known of it"
        return f"whether {first.driver} fits is not known: {reason}"
    if first.verdict is Verdict.DISCOURAGED:
        return f"{_poor(ranked)}, and not well; {favourite.driver}: {why}"
    return f"no storage driver can work here; {favourite.driver}: {why}"


def _poor(ranked: Iterable[Advised]) -> str:
    poor = [one for one in ranked if one.verdict is Verdict.DISCOURAGED]
    sure = [one for one in poor if all(r.weight is not Weight.UNKNOWN for r in one.reasons)]
    names = [one.driver for one in sure or poor]
    return f"only {' and '.join(names)} work{'s' if len(names) == 1 else ''}"


def finding(advice: Advice) -> Finding | None:
    """The problem when nothing good is left; None when a driver fits or may fit."""
    if not advice.ranked:
        return None
    first = advice.ranked[0]
    if first.verdict in (Verdict.FITS, Verdict.UNKNOWN):
        return None
    blocked = [one for one in advice.ranked if one.verdict is Verdict.IMPOSSIBLE]
    evidence = [
        Evidence(reason.source or one.driver, f"{one.driver}: {reason.text}")
        for one in sorted(blocked, key=lambda one: _preference(one.driver))
        for reason in one.reasons[:1]
    ]
    none_left = first.verdict is Verdict.IMPOSSIBLE
    return Finding(
        problem="no-storage-driver-fits",
        severity=Severity.ERROR if none_left else Severity.WARNING,
        summary=(
            "no storage driver can serve this host"
            if none_left
            else f"no storage driver serves this host well: {_poor(advice.ranked)}, badly"
        ),
        evidence=tuple(evidence[:_EVIDENCE_LIMIT]),
        causes=(),
    )
