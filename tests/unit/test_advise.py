# SPDX-License-Identifier: GPL-3.0-or-later
"""How the drivers' reasons are weighed."""

from hypothesis import given
from hypothesis import strategies as st

from hostkit.diagnosis.advise import Verdict, advise, finding, judge
from hostkit.diagnosis.finding import Severity
from hostkit.facts.fitness import Fitness, Reason, Weight

GOOD = Reason(Weight.FAVOURS, "it is there")
BAD = Reason(Weight.BLOCKS, "no kernel module", "/lib/modules", "overlay-module-missing")
MEH = Reason(Weight.ADVISES_AGAINST, "copies")
DUNNO = Reason(Weight.UNKNOWN, "mountinfo cannot be read")


def test_what_blocks_decides_whatever_else_is_said() -> None:
    judged = judge(Fitness("overlay2", (GOOD, DUNNO, MEH, BAD)))
    assert judged.verdict is Verdict.IMPOSSIBLE
    assert judged.because == BAD


def test_an_unknown_is_no_pass() -> None:
    assert judge(Fitness("overlay2", (GOOD, DUNNO))).verdict is Verdict.UNKNOWN
    assert judge(Fitness("overlay2", ())).verdict is Verdict.UNKNOWN


def test_overlay2_is_preferred_among_those_that_fit() -> None:
    advice = advise([Fitness(name, (GOOD,)) for name in ("zfs", "direct-lvm", "overlay2", "new")])
    assert [one.driver for one in advice.ranked] == ["overlay2", "direct-lvm", "zfs", "new"]
    assert advice.best is not None
    assert advice.summary == "use overlay2"
    assert finding(advice) is None


def test_direct_lvm_is_the_way_out_and_overlay2s_reason_is_said() -> None:
    advice = advise([Fitness("overlay2", (GOOD, BAD)), Fitness("direct-lvm", (GOOD,))])
    assert advice.summary.startswith("use direct-lvm, because overlay2 does not serve")
    assert "no kernel module" in advice.summary


def test_only_bad_drivers_left_is_a_warning_that_names_the_reason() -> None:
    found = finding(advise([Fitness("overlay2", (BAD,)), Fitness("vfs", (GOOD, MEH))]))
    assert found is not None
    assert found.problem == "no-storage-driver-fits"
    assert found.severity is Severity.WARNING
    assert "vfs" in found.summary
    assert found.evidence[0].source == "/lib/modules"


def test_nothing_left_is_an_error() -> None:
    found = finding(advise([Fitness("overlay2", (BAD,))]))
    assert found is not None
    assert found.severity is Severity.ERROR


def test_an_unknown_driver_is_no_finding() -> None:
    assert finding(advise([Fitness("overlay2", (DUNNO,)), Fitness("vfs", (MEH,))])) is None


def test_no_driver_installed_is_said() -> None:
    assert advise([]).summary == "no storage driver is installed"
    assert finding(advise([])) is None


reasons = st.builds(Reason, st.sampled_from(Weight), st.text(), st.text())
fitnesses = st.lists(
    st.builds(Fitness, st.sampled_from(["overlay2", "vfs", "x"]), st.tuples(reasons, reasons))
)


@given(fitnesses)
def test_any_reasons_are_ranked(given_fitnesses: list[Fitness]) -> None:
    advice = advise(given_fitnesses)
    assert len(advice.ranked) == len(given_fitnesses)
    order = [list(Verdict).index(one.verdict) for one in advice.ranked]
    assert order == sorted(order)
    assert advice.summary
    for one in advice.ranked:
        if one.verdict is Verdict.FITS:
            assert all(reason.weight is Weight.FAVOURS for reason in one.reasons)
