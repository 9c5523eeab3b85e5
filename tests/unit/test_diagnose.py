# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks run as declared, suspicions are judged by facts, causes come before consequences."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from hostkit.diagnosis.check import Check, check
from hostkit.diagnosis.doctor import Text, diagnose, suspects
from hostkit.diagnosis.finding import (
    Certainty,
    Evidence,
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Severity,
    Unknown,
)
from hostkit.diagnosis.problem import Catalogue, parse_problem
from hostkit.diagnosis.rank import Ranked, rank
from hostkit.diagnosis.runner import run_checks
from hostkit.diagnosis.signature import Signature
from hostkit.errors import InputError
from hostkit.facts.fact import Fact, Facts, file_fact
from hostkit.facts.sysctl import sysctl
from hostkit.host.answer import Known
from tests.fakes import FakeHost

FORWARD = sysctl("net.ipv4.ip_forward")
HOSTNAME = sysctl("kernel.hostname")


def saw(problem: str, **fields: Any) -> Finding:
    base = Finding(problem, Severity.ERROR, f"{problem} is so", (Evidence("a", "b"),))
    return base._replace(**fields)


def one_check(*outcomes: Outcome, problems: tuple[str, ...] = ("a",), **fields: Any) -> Check:
    def run(facts: Facts) -> Iterator[Outcome]:
        yield from outcomes

    return Check("one", "One?", run, problems)._replace(**fields)


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    causes = {"root": ["middle"], "middle": ["leaf"], "leaf": [], "x": ["y"], "y": ["x"], "a": []}
    for code, brings in causes.items():
        (tmp_path / f"{code}.md").write_text(
            f'+++\ntitle = "{code}"\ncauses = {brings!r}\n+++\nWhy {code}.\n'
        )
    return Catalogue({"area": str(tmp_path)})


def codes(ranked: Sequence[Ranked]) -> list[str]:
    return [one.finding.problem for one in ranked]


def test_causes_come_before_consequences(catalogue: Catalogue) -> None:
    ranked = rank([saw("leaf"), saw("middle"), saw("root")], catalogue)
    assert codes(ranked) == ["root", "middle", "leaf"]
    assert ranked[2].caused_by == ("middle",)
    assert ranked[0].causes == ("middle",)


def test_what_is_milder_does_not_explain_what_is_worse(catalogue: Catalogue) -> None:
    """dockerd runs with whatever is only a warning, so that is not why it does not run."""
    mild = saw("root", severity=Severity.WARNING)
    ranked = rank([mild, saw("middle")], catalogue)
    assert codes(ranked) == ["middle", "root"]
    assert ranked[0].caused_by == ()


def test_a_mere_possibility_explains_nothing(catalogue: Catalogue) -> None:
    guess = saw("root", certainty=Certainty.POSSIBLE)
    assert codes(rank([guess, saw("middle")], catalogue)) == ["middle", "root"]


def test_problems_that_bring_each_other_about_are_each_listed_once(catalogue: Catalogue) -> None:
    assert sorted(codes(rank([saw("x"), saw("y"), saw("a")], catalogue))) == ["a", "x", "y"]


def test_what_a_finding_itself_brings_about_counts(catalogue: Catalogue) -> None:
    ranked = rank([saw("leaf"), saw("a", causes=("leaf",))], catalogue)
    assert codes(ranked) == ["a", "leaf"]


def test_the_past_is_last_and_explains_nothing(catalogue: Catalogue) -> None:
    ranked = rank([saw("root", past=True), saw("middle")], catalogue)
    assert codes(ranked) == ["middle", "root"]
    assert ranked[0].caused_by == ()


def judged(catalogue: Catalogue, suspect: Finding, *checks: Check) -> Finding:
    ranked, _ = diagnose(Facts(FakeHost()), checks, [suspect], catalogue)
    return ranked[0].finding


GUESS = saw("a", certainty=Certainty.LIKELY, summary="the log says a")


def test_a_suspicion_is_confirmed_by_a_check(catalogue: Catalogue) -> None:
    finding = judged(catalogue, GUESS, one_check(saw("a")))
    assert finding.certainty is Certainty.CONFIRMED
    assert finding.summary == "a is so"


def test_a_suspicion_that_facts_refute_is_past(catalogue: Catalogue) -> None:
    finding = judged(catalogue, GUESS, one_check(Passed("all is well")))
    assert finding.past
    assert "all is well" in finding.summary


@pytest.mark.parametrize(
    "outcomes",
    [(Unknown("no root"),), (Passed(), Unknown("half seen"))],
)
def test_a_suspicion_that_nobody_could_judge_stands(
    catalogue: Catalogue, outcomes: tuple[Outcome, ...]
) -> None:
    assert judged(catalogue, GUESS, one_check(*outcomes)) == GUESS


def test_what_the_host_does_not_have_is_said_and_stands(catalogue: Catalogue) -> None:
    absent = NotApplicable("Docker is not installed", (("docker", "absent"),))
    finding = judged(catalogue, GUESS, one_check(absent))
    assert not finding.past
    assert "(this host: Docker is not installed)" in finding.summary
    assert ("docker", "absent") in finding.params


NAMED = GUESS._replace(params=(("path", "/backup/x"),))


@pytest.mark.parametrize("path", ["/", "/var/lib/docker", "/backup/xy"])
def test_a_look_at_something_else_refutes_nothing(catalogue: Catalogue, path: str) -> None:
    looked = one_check(Passed("there is room", (("path", path),)), subject=("path",))
    assert judged(catalogue, NAMED, looked) == NAMED


def test_a_fault_of_something_else_confirms_nothing(catalogue: Catalogue) -> None:
    full = saw("a", params=(("path", "/var"),), summary="/var is full")
    ranked, _ = diagnose(
        Facts(FakeHost()), [one_check(full, subject=("path",))], [NAMED], catalogue
    )
    assert [one.finding for one in ranked] == [full, NAMED]


@pytest.mark.parametrize("path", ["/backup", "/backup/x"])
def test_a_look_at_the_very_thing_refutes(catalogue: Catalogue, path: str) -> None:
    looked = one_check(Passed("there is room", (("path", path),)), subject=("path",))
    assert judged(catalogue, NAMED, looked).past
    assert judged(catalogue, GUESS, looked).past  # names nothing in particular


def test_a_fault_of_the_next_boot_confirms_nothing_of_now(catalogue: Catalogue) -> None:
    soon = saw("a", severity=Severity.WARNING, summary="1 now, 0 at the next boot", later=True)
    ranked, _ = diagnose(Facts(FakeHost()), [one_check(soon)], [GUESS], catalogue)
    warned, past = (one.finding for one in ranked)
    assert warned == soon
    assert past.past
    assert past.summary == "the log says a (now: 1 now, 0 at the next boot)"


def test_a_fault_of_the_next_boot_settles_no_other_problem(catalogue: Catalogue) -> None:
    soon = saw("b", later=True)
    both = one_check(soon, NotApplicable("it enforces"), problems=("a", "b"))
    assert GUESS in [
        one.finding for one in diagnose(Facts(FakeHost()), [both], [GUESS], catalogue)[0]
    ]
    alone = one_check(soon, problems=("a", "b"))
    assert not judged(catalogue, GUESS, alone, one_check(Unknown("no root"))).past


def test_a_confirmation_does_not_make_it_milder(catalogue: Catalogue) -> None:
    mild = one_check(saw("a", severity=Severity.WARNING))
    assert judged(catalogue, GUESS, mild).severity is Severity.ERROR


def test_what_ails_containers_is_not_why_the_host_complains(tmp_path: Path) -> None:
    (tmp_path / "inner.md").write_text(
        '+++\ntitle = "inner"\ncauses = ["name"]\ninside = true\n+++\n'
    )
    (tmp_path / "name.md").write_text('+++\ntitle = "name"\n+++\n')
    known = Catalogue({"area": str(tmp_path)})
    assert rank([saw("name"), saw("inner")], known)[1].caused_by == ("inner",)
    assert rank([saw("name", of_host=True), saw("inner")], known)[0].caused_by == ()


REMEDIES = """+++
title = "t"
[[remedy]]
summary = "restart docker"
when = "engine=docker"
[[remedy]]
summary = "any"
undo = "rm {file}"
[remedy.commands]
any = ["vi {file}", "curl -w '%{http_code}' ${HOME}/{user_name}"]
[[remedy]]
summary = "reload podman"
when = "engine=podman"
+++
"""


def test_remedies_are_those_that_the_params_allow() -> None:
    problem = parse_problem("code", "area", REMEDIES)

    def offered(**params: str) -> list[str]:
        return [remedy.summary for remedy in problem.remedies_for(params)]

    assert offered(engine="podman") == ["reload podman", "any"]
    assert offered(engine="docker") == ["restart docker", "any"]
    assert offered() == ["restart docker", "any", "reload podman"]


def test_a_place_that_nothing_fills_is_shown_in_capitals() -> None:
    remedy = parse_problem("code", "area", REMEDIES).remedies[1]
    assert remedy.commands_for("any", {"file": "/etc/x"}) == (
        "vi /etc/x",
        "curl -w '%{http_code}' ${HOME}/USER_NAME",
    )
    assert remedy.undo_for({}) == "rm FILE"


def test_one_unsure_judge_keeps_a_suspicion_alive(catalogue: Catalogue) -> None:
    sure, unsure = one_check(Passed()), one_check(Unknown("no root"))
    assert judged(catalogue, GUESS, sure, unsure) == GUESS


def test_a_check_that_does_not_settle_refutes_nothing(catalogue: Catalogue) -> None:
    assert judged(catalogue, GUESS, one_check(Passed(), settles=False)) == GUESS


def outcomes_of(asked: Check, host: FakeHost) -> tuple[Outcome, ...]:
    (result,) = run_checks(Facts(host), [asked])
    return result.outcomes


def test_a_missing_fact_is_an_unknown_never_a_pass() -> None:
    (outcome,) = outcomes_of(one_check(needs=(FORWARD,)), FakeHost())
    assert isinstance(outcome, Unknown)
    assert "ip_forward" in outcome.reason


def test_nothing_said_is_a_pass() -> None:
    assert outcomes_of(one_check(), FakeHost()) == (Passed(),)


def test_a_crash_is_reported_and_the_run_goes_on() -> None:
    def run(facts: Facts) -> tuple[Outcome, ...]:
        raise RuntimeError("\x1b[2J")

    results = run_checks(Facts(FakeHost()), [one_check()._replace(run=run), one_check()])
    crashed = results[0].outcomes[0]
    assert isinstance(crashed, Unknown)
    assert crashed.crashed
    assert crashed.reason.isprintable()
    assert results[1].outcomes == (Passed(),)


def test_a_fact_that_was_not_declared_is_refused() -> None:
    @check("sly", title="?", problems=("a",), needs=(FORWARD,))
    def sly(facts: Facts) -> Iterator[Outcome]:
        yield Passed(facts.value(HOSTNAME))

    host = FakeHost({"/proc/sys/net/ipv4/ip_forward": "1\n", "/proc/sys/kernel/hostname": "x\n"})
    (outcome,) = outcomes_of(sly, host)
    assert isinstance(outcome, Unknown)
    assert outcome.crashed


def test_a_fact_is_gathered_once() -> None:
    host = FakeHost({"/proc/sys/net/ipv4/ip_forward": "1\n"})
    facts = Facts(host)
    facts.prefetch([FORWARD])
    assert facts.value(FORWARD) == facts.value(FORWARD) == "1"
    assert host.asked.count("read /proc/sys/net/ipv4/ip_forward") == 1


def test_a_parser_that_refuses_makes_the_fact_unknown() -> None:
    number = file_fact("pid_max", "/proc/sys/kernel/pid_max", int)
    resting: Fact[int] = Fact(
        "twice", lambda facts: Known(2 * facts.value(number), "pid_max"), waits=False
    )
    host = FakeHost({"/proc/sys/kernel/pid_max": "many"})
    (outcome,) = outcomes_of(one_check(needs=(resting,)), host)
    assert isinstance(outcome, Unknown)
    assert "pid_max: not understood" in outcome.reason


def test_an_unknown_code_names_its_neighbours(catalogue: Catalogue) -> None:
    with pytest.raises(InputError) as error:
        catalogue.get("root-cause")
    assert "root" in error.value.hint


@pytest.mark.parametrize("source", ["", "+++\n+++\n", "+++\ntitle=1\n", "+++\nx = [\n+++\nbody"])
def test_a_broken_explanation_is_one_clear_error(source: str) -> None:
    with pytest.raises(InputError):
        parse_problem("code", "area", source)


def test_the_same_text_twice_is_one_finding() -> None:
    signature = Signature("a", ("boom",), "it went boom")
    texts = [Text("one", ["boom"]), Text("two", ["boom"])]
    (finding,) = suspects(texts, [signature])
    assert [e.source for e in finding.evidence] == ["one", "two"]
