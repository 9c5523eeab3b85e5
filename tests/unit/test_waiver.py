# SPDX-License-Identifier: GPL-3.0-or-later
"""The ignore file: what is refused, what holds where and when, what it can never hide."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.cli import ignoring
from hostkit.diagnosis.check import Check
from hostkit.diagnosis.finding import Finding, Outcome, Passed, Severity
from hostkit.diagnosis.runner import Result
from hostkit.diagnosis.waiver import Waiver, parse_waivers, waived
from hostkit.errors import InputError
from hostkit.facts.fact import Facts

ENTRY = '[[ignore]]\nproblem = "pool-full"\nreason = "OPS-1"\n'


def nothing(facts: Facts) -> tuple[Outcome, ...]:
    return ()


def test_an_entry() -> None:
    (one,) = parse_waivers(ENTRY + 'host = "build-*"\nexpires = 2027-03-31\n')
    assert one == Waiver("pool-full", "", "OPS-1", "build-*", "2027-03-31")
    assert parse_waivers("") == ()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('[[ignore]]\nproblem = "a"\n', "entry 1: a reason is missing"),
        (f'{ENTRY}[[ignore]]\nproblem = "a"\nreason = " "\n', "entry 2: a reason is missing"),
        ('[[ignore]]\nreason = "x"\n', "name a problem or a check"),
        (f'{ENTRY}check = "pool"\n', "name a problem or a check"),
        (f"{ENTRY}until = 2027-03-31\n", "until has no meaning"),
        (f'{ENTRY}expires = "next year"\n', "expires is a day"),
        (f"{ENTRY}expires = 2027-03-31T00:00:00Z\n", "expires is a day"),
        ('problem = "a"\nreason = "x"\n', "begin with [[ignore]]"),
        ('ignore = "pool-full"\n', "begin with [[ignore]]"),
        ("[[ignore]\n", "line 1"),
    ],
)
def test_what_is_refused(content: str, said: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        parse_waivers(content)
    assert said in str(refused.value)


@given(st.text(max_size=200) | st.text(alphabet='[]ignore="x\n.{', max_size=60))
def test_any_text_is_parsed_or_refused(content: str) -> None:
    try:
        parse_waivers(content)
    except ValueError:
        return


@pytest.mark.parametrize(
    ("expires", "expired"), [("", False), ("2026-11-21", False), ("2026-11-20", True)]
)
def test_the_last_day_still_counts(expires: str, expired: bool) -> None:
    assert Waiver("a", "", "x", expires=expires).expired("2026-11-21") is expired


def test_a_check_stands_for_what_it_reports() -> None:
    check = Check("pool", "?", nothing, ("pool-full", "pool-slow"))
    result = Result(check, (Finding("pool-full", Severity.ERROR, "full", ()), Passed()))
    by_check, by_code = Waiver("", "pool", "x"), Waiver("other", "", "y")
    assert waived((by_check, by_code), (result,)) == {"pool-full": by_check, "other": by_code}


def entries(tmp_path: Path, more: str) -> ignoring.Entries:
    path = tmp_path / "ignore.toml"
    path.write_text(ENTRY + more)
    return ignoring.read(str(path))


def test_an_entry_holds_for_the_hosts_that_it_names(tmp_path: Path) -> None:
    some = entries(tmp_path, 'host = "build-*"\n')
    assert ignoring.holding(some, "build-7", live=True)[0]
    assert ignoring.holding(some, "web07", live=True) == ((), ())


def test_an_expired_entry_is_not_applied_and_said(tmp_path: Path) -> None:
    holding, (note,) = ignoring.holding(
        entries(tmp_path, "expires = 2020-01-01\n"), "web07", live=True
    )
    assert holding == ()
    assert "pool-full expired on 2020-01-01 and is no longer applied (OPS-1)" in note


def test_a_named_file_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(InputError):
            ignoring.read(str(path))
    with pytest.raises(InputError, match="no meaning"):
        entries(tmp_path, "typo = 1\n")


def test_a_default_file_that_cannot_be_used_hides_nothing_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ignore.toml"
    monkeypatch.setattr(ignoring, "DEFAULT", str(path))
    assert ignoring.read("") == ignoring.Entries()
    path.write_text("[[ignore]\n")
    holding, (note,) = ignoring.holding(ignoring.read(""), "web07", live=True)
    assert holding == ()
    assert "nothing is ignored" in note


def test_the_default_file_is_about_its_own_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ignore.toml"
    path.write_text(ENTRY)
    monkeypatch.setattr(ignoring, "DEFAULT", str(path))
    assert ignoring.holding(ignoring.read(""), "web07", live=True)[0]
    assert ignoring.holding(ignoring.read(""), "web07", live=False) == ((), ())


def test_an_entry_that_names_nothing_is_said() -> None:
    some = (Waiver("a-b", "", "x"), Waiver("", "pol", "x"), Waiver("", "pool", "x"))
    notes = ignoring.strangers(some, {"c-d"}, lambda: ["pool"])
    assert [note.split()[4] for note in notes] == ["a-b,", "pol,"]
