# SPDX-License-Identifier: GPL-3.0-or-later
"""No check passes, finds or waves through what it could not read."""

from typing import Any

import pytest

from hostkit import plugins
from hostkit.diagnosis.check import Check
from hostkit.diagnosis.finding import Unknown
from hostkit.diagnosis.runner import run_checks
from hostkit.facts.fact import Fact, Facts
from hostkit.facts.iptables import IPTABLES
from hostkit.facts.target import TARGET, Target
from hostkit.host.answer import Answer, Known, Unreadable
from tests.fakes import FakeHost

CHECKS = tuple(check for _, check in plugins.load((plugins.CHECKS_GROUP,)).checks())
REFUSED = Unreadable("/proc/x", "permission denied", needs_root=True)


@pytest.mark.parametrize("check", CHECKS, ids=[check.name for check in CHECKS])
def test_nothing_readable_is_unknown(check: Check) -> None:
    given: dict[Fact[Any], Answer[Any]] = dict.fromkeys((*check.needs, *check.uses), REFUSED)
    given[TARGET] = Known(Target("docker"), "--for")
    facts = Facts(FakeHost(), given)
    (result,) = run_checks(facts, [check])
    assert [type(outcome) for outcome in result.outcomes] == [Unknown]
    assert not any(isinstance(one, Unknown) and one.crashed for one in result.outcomes)


def test_an_iptables_that_does_not_say_its_backend_leaves_the_modules_unknown() -> None:
    (check,) = [one for one in CHECKS if one.name == "iptables-modules"]
    proc = {"/proc/sys/kernel/osrelease": "6.1.0\n", "/lib/modules/6.1.0/modules.builtin": ""}
    names = ("nf_conntrack", "nf_nat", "xt_conntrack", "xt_addrtype", "xt_MASQUERADE")
    proc["/proc/modules"] = "".join(f"{name} 1 0 - Live 0x0\n" for name in names)
    given: dict[Fact[Any], Answer[Any]] = {
        IPTABLES: REFUSED,
        TARGET: Known(Target("docker"), "--for"),
    }
    (result,) = run_checks(Facts(FakeHost(proc), given), [check])
    assert isinstance(result.outcomes[0], Unknown)
