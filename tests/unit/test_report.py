# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports from values alone: what is folded, counted, hidden, quoted and measured."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # its types are a package of their own
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit import plugins, text
from hostkit import report as report_package
from hostkit.diagnosis.advise import advise
from hostkit.diagnosis.check import Check
from hostkit.diagnosis.doctor import Diagnosis
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
from hostkit.diagnosis.problem import Harmful, Problem, Remedy
from hostkit.diagnosis.rank import Ranked
from hostkit.diagnosis.runner import Result
from hostkit.diagnosis.waiver import Waiver
from hostkit.facts.fact import Facts
from hostkit.facts.fitness import Fitness, Reason, Weight
from hostkit.repair.actions import ACTIONS
from hostkit.repair.registry import REPAIRS
from hostkit.report import explain, jsonout, lines
from hostkit.report import text as text_report
from hostkit.report.areas import Status, areas
from hostkit.report.model import Report, counts
from hostkit.report.style import Style, command_lines, hang
from hostkit.report.table import table
from hostkit.report.text import Verbosity

SCHEMA = Path(report_package.__file__).parent / "schema/hostkit.report-1.schema.json"
VALIDATOR: Any = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
REMEDY = Remedy(
    summary="grow the pool",
    commands={"yum": ("lvextend {pool}",), "apt": ("lvextend --apt {pool}",)},
    risk="low",
    interrupts="nothing",
    undo="none",
    action="sysctl",
    parameters={},
)


def problem(code: str, **fields: Any) -> Problem:
    base = Problem(
        code=code,
        area="storage",
        title=f"title of {code}",
        explanation="First words.\n\n- one item\n- two\n\n    code stays",
        harm=f"harm of {code}",
        mistaken_for=("something else",),
        confirm=("cat /proc/mounts",),
        causes=(),
        sources=("man 5 x",),
        remedies=(REMEDY,),
        harmful=(Harmful("rm -rf /var/lib/docker", "it is gone then"),),
    )
    return base._replace(**fields)


def ranked(
    code: str,
    severity: Severity = Severity.ERROR,
    *,
    caused_by: tuple[str, ...] = (),
    causes: tuple[str, ...] = (),
    **fields: Any,
) -> Ranked:
    finding = Finding(code, severity, f"summary of {code}", (Evidence("/proc/x", "words", 3),))
    return Ranked(finding._replace(**fields), problem(code), caused_by, causes)


def nothing(facts: Facts) -> tuple[Outcome, ...]:
    return ()


def result(name: str, *outcomes: Outcome) -> Result:
    return Result(Check(name, f"title of {name}", nothing, ("pool-full",)), outcomes)


def made(*findings: Ranked, results: tuple[Result, ...] = (), **fields: Any) -> Report:
    diagnosis = Diagnosis("web07", "live", findings, results)
    report = Report(
        diagnosis=diagnosis,
        identity=("web07", "CentOS 7", "kernel 3.10", "docker 18.09"),
        areas={one.check.name: "storage" for one in results},
        family="yum",
        target="docker",
        again="hostkit preflight",
        exit_code=1,
    )
    return report._replace(**fields)


def shown(report: Report, verbosity: Verbosity = Verbosity.NORMAL) -> str:
    return text_report.render(report, Style(80), verbosity)


def test_consequences_stand_under_their_cause() -> None:
    report = made(
        ranked("pool-full", causes=("daemon-down",)),
        ranked("daemon-down", caused_by=("pool-full",)),
    )
    said = shown(report)
    assert "\nerror[pool-full]" in said
    assert "  brings about:\n    error[daemon-down]" in said
    assert said.count("  fix: ") == 1


def test_two_findings_of_one_problem_share_a_block() -> None:
    said = shown(made(ranked("pool-full"), ranked("pool-full", summary="another pool")))
    assert said.count("error[pool-full]") == 2
    assert said.count("  why: ") == 1


def test_a_remark_is_a_line_and_verbose_tells_all_of_it() -> None:
    remarks = made(ranked("small", Severity.INFO), ranked("other", Severity.INFO))
    said = shown(remarks)
    assert "\ninfo[small] summary of small\ninfo[other] summary of other\n\n" in said
    assert "/proc/x" not in said
    assert "--> /proc/x:3: words" in shown(remarks, Verbosity.VERBOSE)
    assert "info[small]" not in shown(remarks, Verbosity.QUIET)


def test_a_remark_that_is_all_that_answers_a_text_is_told_whole() -> None:
    report = made(ranked("small", Severity.INFO))
    report = report._replace(diagnosis=report.diagnosis._replace(recognised=True))
    assert "--> /proc/x:3: words" in shown(report)
    beside = made(ranked("bad"), ranked("small", Severity.INFO))
    beside = beside._replace(diagnosis=beside.diagnosis._replace(recognised=True))
    assert shown(beside).count("--> ") == 1


def test_a_cycle_of_causes_loses_no_finding() -> None:
    said = shown(made(ranked("a", caused_by=("b",)), ranked("b", caused_by=("a",))))
    assert "error[a]" in said
    assert "error[b]" in said


def test_past_findings_are_apart_and_not_counted() -> None:
    report = made(ranked("pool-full", past=True))
    assert counts(report.diagnosis).error == 0
    assert counts(report.diagnosis).past == 1
    assert "past (" in shown(report)
    assert "error[pool-full]" not in shown(report)
    assert "web07 past pool-full" in lines.render(report)


def test_less_than_confirmed_is_said() -> None:
    report = made(ranked("pool-full", certainty=Certainty.POSSIBLE))
    assert "error[pool-full] (possible) summary" in shown(report)
    assert "(possible)" in lines.render(report)


def test_commands_are_those_of_the_family() -> None:
    report = made(ranked("pool-full", params=(("pool", "docker/pool"),)))
    assert "       lvextend docker/pool" in shown(report)
    assert "--apt" not in shown(report)


def test_every_family_is_shown_when_none_is_ours() -> None:
    said = shown(made(ranked("pool-full"), family="any"))
    assert "lvextend --apt POOL" in said
    assert "(yum):" in said


@pytest.mark.parametrize(
    "value", ["x; reboot", "$(reboot)", "a b", "-rf", "`id`", "a\nb", "", "x" * 300, "\x1b[2J"]
)
def test_no_value_of_a_host_gets_into_a_command_unless_plain(value: str) -> None:
    report = made(ranked("pool-full", params=(("pool", value),)))
    assert "lvextend POOL" in shown(report)
    (finding,) = jsonout.as_data(report)["findings"]
    assert finding["remedies"][0]["commands_here"] == ["lvextend POOL"]


def test_hostkit_fix_is_offered_only_for_this_machine() -> None:
    live = made(ranked("pool-full"), fixable=ACTIONS)
    archived = live._replace(diagnosis=live.diagnosis._replace(source="snapshot"))
    assert "hostkit fix pool-full" in shown(live)
    assert "hostkit fix" not in shown(archived)
    assert "hostkit fix" not in jsonout.render(archived)


def test_the_actions_are_those_that_repair_has() -> None:
    assert set(REPAIRS) == ACTIONS


def test_commands_of_ours_are_named_as_they_were_started() -> None:
    report = made(ranked("pool-full"), fixable=ACTIONS, program="./bin/hostkit")
    assert "  ./bin/hostkit fix pool-full" in shown(report)
    assert "more: ./bin/hostkit explain pool-full" in shown(report)
    one = problem("pool-full")
    said = explain.render(one, "yum", ACTIONS, Style(80), report.program)
    assert "  ./bin/hostkit fix pool-full" in said


def test_a_line_says_the_remedy_not_its_first_command() -> None:
    by_hand = lines.render(made(ranked("pool-full")))
    assert "; fix: grow the pool\n" in by_hand
    assert "lvextend" not in by_hand
    itself = lines.render(made(ranked("pool-full"), fixable=ACTIONS))
    assert "; fix: grow the pool: hostkit fix pool-full\n" in itself


def test_the_summary_line_counts_every_severity() -> None:
    said = lines.render(made(ranked("small", Severity.INFO)))
    assert "summary - - 0 errors, 0 warnings, 1 info, 0 unknown" in said


def test_harmful_advice_is_warned_of() -> None:
    assert "do not: rm -rf /var/lib/docker, because it is gone then" in shown(
        made(ranked("pool-full"))
    )


ROLLED_UP = [
    ((Passed("all well"),), Status.OK),
    ((Unknown("no root", needs_root=True),), Status.UNKNOWN),
    ((Passed(), Unknown("partly")), Status.UNKNOWN),
    ((NotApplicable("no pool"),), Status.NOTHING),
    ((ranked("pool-full").finding,), Status.FAIL),
    ((ranked("pool-full", Severity.WARNING).finding, Unknown("x")), Status.WARN),
    ((ranked("pool-full", Severity.INFO).finding,), Status.NOTE),
]


@pytest.mark.parametrize(("outcomes", "status"), ROLLED_UP)
def test_an_area_is_as_its_worst_check(outcomes: tuple[Outcome, ...], status: Status) -> None:
    healthy = result("other", Passed("fine") if status is not Status.NOTHING else outcomes[0])
    (area,) = areas(made(results=(healthy, result("pool", *outcomes))), Style())
    assert area.status is status


def test_an_ignored_finding_does_not_fail_its_area() -> None:
    one = ranked("pool-full")
    report = made(results=(result("pool", one.finding, Passed("fine")),))
    hidden = report._replace(diagnosis=report.diagnosis._replace(ignored=(one,)))
    assert areas(report, Style())[0].status is Status.FAIL
    assert areas(hidden, Style())[0].status is not Status.FAIL
    assert "ignored: 1 (--ignore): pool-full" in shown(hidden)


def test_an_accepted_finding_is_shown_with_its_reason_in_every_form() -> None:
    report = made(waivers={"pool-full": Waiver("pool-full", "", "OPS-1", expires="2027-03-31")})
    diagnosis = report.diagnosis._replace(ignored=(ranked("pool-full"), ranked("small")))
    hidden = report._replace(diagnosis=diagnosis)
    assert "ignored: 1 (OPS-1; until 2027-03-31): pool-full" in shown(hidden)
    assert "ignored: 1 (--ignore): small" in shown(hidden)
    assert "; ignored: OPS-1; until 2027-03-31\n" in lines.render(hidden)
    data = jsonout.as_data(hidden)
    VALIDATOR.validate(data)
    given = [(one["reason"], one["expires"]) for one in data["ignored"]]
    assert given == [("OPS-1", "2027-03-31"), ("--ignore", None)]


def test_what_root_would_add_is_one_command() -> None:
    said = shown(made(results=(result("pool", Unknown("denied", needs_root=True)),)))
    assert "? pool: denied" in said
    assert "as root: sudo hostkit preflight" in said


def test_quiet_keeps_errors_and_totals() -> None:
    report = made(ranked("pool-full"), ranked("small", Severity.WARNING))
    said = shown(report, Verbosity.QUIET)
    assert "error[pool-full]" in said
    assert "small" not in said
    assert "1 error, 1 warning" in said
    assert "small" not in lines.render(report, Verbosity.QUIET)


def test_verbose_shows_passes_and_what_does_not_apply() -> None:
    results = (result("pool", Passed("data 12 %")), result("zfs", NotApplicable("no zfs here")))
    said = shown(made(results=results), Verbosity.VERBOSE)
    assert "pool: data 12 %" in said
    assert "zfs: no zfs here" in said


def test_storage_advice() -> None:
    advice = advise([Fitness("overlay2", (Reason(Weight.FAVOURS, "kernel is new"),))])
    report = made(advice=advice)
    assert "storage: use overlay2\n  overlay2  fits  kernel is new" in shown(report)
    VALIDATOR.validate(jsonout.as_data(report))


WORDS = st.text(alphabet=st.characters(), max_size=60)


@given(WORDS, WORDS, WORDS)
def test_whatever_a_host_says_every_form_is_safe(summary: str, source: str, excerpt: str) -> None:
    evidence = (Evidence(source, excerpt, 1),)
    one = ranked("pool-full", summary=summary, evidence=evidence, params=(("pool", summary),))
    report = made(one, ranked("gone", past=True, summary=summary))
    for said in (shown(report), lines.render(report)):
        assert all(line == text.printable(line) for line in said.split("\n"))
    assert len(lines.render(report).splitlines()) == 3
    encoded = jsonout.render(report)
    assert encoded.isascii()
    VALIDATOR.validate(json.loads(encoded))


def test_bytes_that_are_no_text_survive_in_json() -> None:
    report = made(ranked("pool-full", summary="name \udcff"))
    assert json.loads(jsonout.render(report))["findings"][0]["summary"] == "name \\udcff"


COMMANDS = st.lists(
    st.one_of(
        st.text(alphabet="abc-/.", min_size=1, max_size=12),
        st.text(alphabet="ab ", min_size=1, max_size=12).map(lambda inner: f"'{inner}'"),
        st.just('"a  b"'),
        st.just("a\\ b"),
    ),
    min_size=1,
    max_size=12,
)


@given(COMMANDS, st.integers(20, 60))
def test_a_folded_command_is_the_same_command(words: list[str], cells: int) -> None:
    command = " ".join(words)
    folded = "\n".join(command_lines(command, cells, 4))
    joined = re.sub(r" \\\n +", " ", folded).strip()
    assert joined == command


@given(st.text(alphabet="ab 数é", max_size=200), st.integers(20, 60))
def test_wrapped_lines_fit(words: str, cells: int) -> None:
    for line in hang("fix: ", words, cells, indent=2):
        assert text.width(line) <= cells or " " not in line.strip().removeprefix("fix: ")


def test_a_redirection_stands_before_its_file() -> None:
    assert command_lines("printf '%s' 1 > /etc/x", 17, 0) == ["printf '%s' 1 \\", "  > /etc/x"]


CATALOGUE = plugins.load((plugins.CHECKS_GROUP,)).catalogue()


@pytest.mark.parametrize("code", CATALOGUE.codes())
def test_every_explanation_fits_a_terminal(code: str) -> None:
    said = explain.render(CATALOGUE.get(code), "dnf", ACTIONS, Style(80))
    assert [line for line in said.splitlines() if text.width(line) > 80] == []


def test_a_comment_that_does_not_fit_stands_before_its_command() -> None:
    said = command_lines("docker container prune  # stopped ones: look at them first", 40, 2)
    assert said == ["  # stopped ones: look at them first", "  docker container prune"]


def test_a_here_document_stays_as_it_is() -> None:
    said = command_lines("cat > /etc/x <<E\n# a comment that is much too long to fit\nE", 20, 2)
    assert said[1] == "  # a comment that is much too long to fit"


@given(st.text(alphabet="数据ab", max_size=200), st.integers(4, 40))
def test_chinese_is_wrapped_although_it_has_no_blanks(words: str, cells: int) -> None:
    wrapped = text.wrap(words, cells)
    assert "".join(wrapped) == words
    for line in wrapped:
        assert text.width(line) <= cells or line.isascii()


def test_a_table_for_a_pipe_has_one_line_a_row() -> None:
    said = table(("area", "title"), [["storage", "many words " * 20]], None)
    assert len(said.splitlines()) == 3


def test_tables_fit_and_wrap_their_last_column() -> None:
    said = table(("area", "title"), [["storage", "many words that do not fit in here"]], 34)
    assert max(map(len, said.splitlines())) <= 34


def test_explain_has_every_part() -> None:
    said = explain.render(problem("pool-full", causes=("daemon-down",)), "yum", ACTIONS, Style(60))
    for part in ("harm of", "- one item", "    code stays", "confirm", "hostkit fix pool-full"):
        assert part in said
    assert said.index("(yum)") < said.index("(apt)")
    assert "leads to   daemon-down" in said
