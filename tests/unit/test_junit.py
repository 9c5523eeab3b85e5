# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports for Jenkins: never empty, always XML, failed exactly when the exit code says so."""

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.diagnosis.check import Check
from hostkit.diagnosis.doctor import Diagnosis
from hostkit.diagnosis.finding import Evidence, Finding, Outcome, Passed, Severity, Unknown
from hostkit.diagnosis.problem import Catalogue
from hostkit.diagnosis.rank import Ranked
from hostkit.diagnosis.runner import Result
from hostkit.facts.fact import Facts
from hostkit.report import junit
from hostkit.report.model import Report


def nothing(facts: Facts) -> tuple[Outcome, ...]:
    return ()


def found(code: str, severity: Severity = Severity.ERROR, words: str = "it is full") -> Ranked:
    one = Finding(code, severity, words, (Evidence("/proc/x", words, 1),))
    return Ranked(one, Catalogue({}).describe(code), (), ())


def result(name: str, *outcomes: Outcome) -> Result:
    return Result(Check(name, "?", nothing, ()), outcomes)


def suite(diagnosis: Diagnosis, fail_on: str = "error") -> ElementTree.Element:
    report = Report(diagnosis, (), {}, "any", "docker", "hostkit", 0, fail_on=fail_on)
    written = junit.render(report)
    assert written.isascii()
    (one,) = ElementTree.fromstring(written.encode())
    cases = list(one)
    assert one.get("tests") == str(len(cases))
    assert one.get("failures") == str(sum(case.find("failure") is not None for case in cases))
    assert one.get("skipped") == str(sum(case.find("skipped") is not None for case in cases))
    return one


def kinds(one: ElementTree.Element) -> dict[str | None, str]:
    return {case.get("name"): case[0].tag if len(case) else "" for case in one}


def test_a_case_for_everything_that_was_looked_at() -> None:
    results = (result("pool", Passed("fine")), result("disk", Unknown("no root")))
    one = suite(Diagnosis("web07.example.org", "live", (found("pool-full"),), results))
    assert kinds(one) == {"pool-full": "failure", "disk": "skipped", "pool": ""}
    assert {case.get("classname") for case in one} == {"hostkit.web07_example_org"}


@pytest.mark.parametrize(
    ("fail_on", "failed"),
    [("never", 0), ("error", 1), ("warning", 2), ("info", 3)],
)
def test_failed_is_what_the_exit_code_counts(fail_on: str, failed: int) -> None:
    findings = tuple(found(severity.value, severity) for severity in Severity)
    one = suite(Diagnosis("web07", "live", findings), fail_on)
    assert one.get("failures") == str(failed)
    assert len(one) == 3


def test_findings_of_one_problem_are_one_case() -> None:
    one = suite(Diagnosis("web07", "live", (found("pool-full"), found("pool-full", words="too"))))
    assert list(kinds(one)) == ["pool-full"]
    assert "too" in "".join(one.itertext())


def test_a_suite_is_never_empty() -> None:
    assert kinds(suite(Diagnosis("web07", "live", ()))) == {"nothing-to-report": ""}
    unknown = suite(Diagnosis("-", "text", (), recognised=False))
    assert kinds(unknown) == {"not-recognised": "skipped"}
    assert unknown.get("name") == "hostkit.text"


def test_an_ignored_finding_is_skipped_with_its_reason() -> None:
    one = suite(Diagnosis("web07", "live", (), ignored=(found("pool-full"),)))
    assert kinds(one) == {"pool-full": "skipped"}
    assert one[0][0].get("message") == "ignored: --ignore"


@given(st.text(alphabet=st.characters(), max_size=80), st.binary(max_size=80))
def test_whatever_a_host_says_it_is_xml(words: str, data: bytes) -> None:
    said = words + data.decode("utf-8", "surrogateescape")
    suite(
        Diagnosis(said, "live", (found("pool-full", words=said),), (result(said, Unknown(said)),))
    )
