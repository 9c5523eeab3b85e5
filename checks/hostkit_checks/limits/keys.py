# SPDX-License-Identifier: GPL-3.0-or-later
"""Quotas of the kernel that containers use up by their number: keys and namespaces."""

from collections.abc import Iterator

from hostkit.diagnosis.check import Check, check
from hostkit.diagnosis.finding import (
    Evidence,
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Severity,
    Unknown,
)
from hostkit.facts.fact import Facts
from hostkit.facts.sysctl import proc_path, sysctl
from hostkit.host.answer import Absent, Known

MAX_KEYS = sysctl("kernel.keys.root_maxkeys")
# runc makes a key ring for each container; 10,000 is what other checkers ask for too.
ENOUGH_KEYS = 10000
NAMESPACE_KEYS = tuple(
    f"user.max_{kind}_namespaces" for kind in ("cgroup", "ipc", "mnt", "net", "pid", "uts")
)
NAMESPACE_LIMITS = tuple(map(sysctl, NAMESPACE_KEYS))
FEW_NAMESPACES = 100


@check(
    "key-quota",
    title="May root have as many key rings as it has containers?",
    problems=("kernel-key-quota-low",),
    uses=(MAX_KEYS,),
)
def key_quota(facts: Facts) -> Iterator[Outcome]:
    """Kernels of 3.10 and older upstream have 200, later ones a million."""
    answer = facts.get(MAX_KEYS)
    if isinstance(answer, Absent):
        yield NotApplicable("the kernel was built without key rings")
    elif not isinstance(answer, Known) or not answer.value.isdecimal():
        yield Unknown(f"{answer.source} is not readable as a number")
    elif int(answer.value) >= ENOUGH_KEYS:
        yield Passed(f"{answer.value} keys")
    else:
        yield Finding(
            problem="kernel-key-quota-low",
            severity=Severity.WARNING,
            summary=f"root may have {answer.value} kernel keys, and every container takes some",
            evidence=(Evidence(answer.source, answer.value),),
        )


@check(
    "namespace-quota",
    title="May as many namespaces be made as containers need?",
    problems=("namespace-quota-low",),
    uses=NAMESPACE_LIMITS,
)
def namespace_quota(facts: Facts) -> Iterator[Outcome]:
    """Each container takes one of every kind but user's; hardening guides set some to 0."""
    pairs = zip(NAMESPACE_KEYS, NAMESPACE_LIMITS, strict=True)
    there = [(key, fact) for key, fact in pairs if not isinstance(facts.get(fact), Absent)]
    limits = [(key, value) for key, fact in there if (value := facts.value(fact)).isdecimal()]
    low = [(key, int(value[:18])) for key, value in limits if int(value[:18]) < FEW_NAMESPACES]
    if not there:
        yield NotApplicable("this kernel has no limits on namespaces")
    elif not limits:
        yield Unknown(f"{proc_path(there[0][0])}: not a number")
    elif not low:
        yield Passed("no kind of namespace is kept short")
    else:
        yield Finding(
            problem="namespace-quota-low",
            severity=Severity.ERROR if any(most == 0 for _, most in low) else Severity.WARNING,
            summary=", ".join(f"{key} is {most}" for key, most in low)[:100],
            evidence=tuple(Evidence(proc_path(key), str(most)) for key, most in low),
            params=(("keys", " ".join(key for key, _ in low)),),
        )


QUOTA_CHECKS: tuple[Check, ...] = (key_quota, namespace_quota)
