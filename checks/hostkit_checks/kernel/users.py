# SPDX-License-Identifier: GPL-3.0-or-later
"""User namespaces and sub-ids: needed for rootless engines and userns-remap, by nothing else."""

from collections.abc import Iterator

from hostkit.diagnosis.check import check
from hostkit.diagnosis.finding import Evidence, Finding, NotApplicable, Outcome, Passed, Severity
from hostkit.facts.daemonconfig import DAEMON_CONFIG
from hostkit.facts.fact import Facts
from hostkit.facts.namespaces import (
    EL7_PARAMETER,
    FOLDER,
    MAX_USER,
    NAMESPACES,
    SUBIDS,
    SUBUID,
    UNPRIVILEGED_CLONE,
    SubIds,
    SubRange,
)
from hostkit.facts.target import TARGET

# A container's image may use any of the first 65,536 ids.
ENOUGH_IDS = 65536


@check(
    "user-namespaces",
    title="Can user namespaces be made (rootless engines, userns-remap)?",
    problems=("user-namespaces-disabled",),
    needs=(NAMESPACES,),
    uses=(DAEMON_CONFIG, TARGET),
)
def user_namespaces(facts: Facts) -> Iterator[Outcome]:
    """Off is how CentOS 7 comes: an error only where the configuration asks for them."""
    if not facts.value(NAMESPACES).present:
        yield NotApplicable("the kernel shows no namespaces at all")
        return
    off = _why_off(facts)
    if off is None:
        if facts.value(NAMESPACES).apparmor_restricted:
            yield NotApplicable("on, for root and for programs with an AppArmor profile")
        else:
            yield Passed("on")
        return
    config = facts.known(DAEMON_CONFIG)
    remap = config.text("userns-remap") if config else ""
    target = facts.known(TARGET)
    wanted = f"but userns-remap is {remap}" if remap else "rootless engines cannot run"
    severity = Severity.INFO
    if remap:
        severity = Severity.ERROR
    elif target is not None and target.engine == "podman":
        severity = Severity.WARNING
    yield Finding(
        problem="user-namespaces-disabled",
        severity=severity,
        summary=f"user namespaces are off ({off.excerpt}): {wanted}",
        evidence=(off,),
        params=(("switch", off.source),),
    )


def _why_off(facts: Facts) -> Evidence | None:
    """What forbids them: to everybody first, then to ordinary users."""
    state = facts.value(NAMESPACES)
    if "user" not in state.present:
        return Evidence(FOLDER, "the kernel has none")
    if state.el7_enabled is False:
        return Evidence(EL7_PARAMETER, "N")
    if state.max_user == 0:
        return Evidence(MAX_USER, "0")
    if state.unprivileged is False:
        return Evidence(UNPRIVILEGED_CLONE, "0")
    return None


@check(
    "sub-ids",
    title="Are the sub-id ranges of users large enough and apart?",
    problems=("subuid-mapping-broken",),
    needs=(SUBIDS,),
    uses=(DAEMON_CONFIG,),
    settles=False,  # a user who has no range at all may want one
)
def sub_ids(facts: Facts) -> Iterator[Outcome]:
    """Ranges that overlap let containers of one user read the files of another's."""
    ids = facts.value(SUBIDS)
    config = facts.known(DAEMON_CONFIG)
    remap = config.text("userns-remap").partition(":")[0] if config else ""
    owner = "dockremap" if remap == "default" else remap
    found = (*_without_range(ids, owner), *_too_small(ids), *_overlapping(ids))
    if found:
        yield from found
    elif not ids.uid and not ids.gid:
        yield NotApplicable(f"{SUBUID} gives nobody a range")
    else:
        yield Passed(f"{len({one.owner for one in ids.uid})} users have ranges of their own")


def _without_range(ids: SubIds, owner: str) -> Iterator[Finding]:
    # dockerd makes the user dockremap and its ranges itself, at its first start.
    if not owner or owner == "dockremap":
        return
    for kind, ranges in (("uid", ids.uid), ("gid", ids.gid)):
        if all(one.owner != owner for one in ranges):
            yield Finding(
                problem="subuid-mapping-broken",
                severity=Severity.ERROR,
                summary=f"userns-remap is {owner}, and /etc/sub{kind} has no range for it",
                evidence=(Evidence(f"/etc/sub{kind}", f"no line begins with {owner}:"),),
                params=(("lacks", "ids"), ("user", owner)),
            )


def _too_small(ids: SubIds) -> Iterator[Finding]:
    for ranges in (ids.uid, ids.gid):
        totals: dict[str, int] = {}
        for one in ranges:
            totals[one.owner] = totals.get(one.owner, 0) + one.size
        for one in ranges:
            total = totals.pop(one.owner, ENOUGH_IDS)
            if total < ENOUGH_IDS:
                yield Finding(
                    problem="subuid-mapping-broken",
                    severity=Severity.WARNING,
                    summary=f"{one.owner} has {total} ids in {one.file}, images want {ENOUGH_IDS}",
                    evidence=(_line(one),),
                    params=(("lacks", "ids"), ("user", one.owner)),
                )


def _overlapping(ids: SubIds) -> Iterator[Finding]:
    for first, second in ids.overlaps():
        if first.owner.isdigit() != second.owner.isdigit():
            continue  # a user may be listed by name and by number
        yield Finding(
            problem="subuid-mapping-broken",
            severity=Severity.WARNING,
            summary=f"{first.owner} and {second.owner} share ids in {first.file}",
            evidence=(_line(first), _line(second)),
            params=(("lacks", "ids"), ("user", second.owner)),
        )


def _line(one: SubRange) -> Evidence:
    return Evidence(one.file, f"{one.owner}:{one.start}:{one.size}", one.line)
