# SPDX-License-Identifier: GPL-3.0-or-later
"""Exit codes, selection and the reading of texts, without a process."""

import os
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.cli import common, reading
from hostkit.cli.collect import record
from hostkit.cli.examine import exit_code
from hostkit.cli.invocation import again, named, program
from hostkit.cli.selection import Selection
from hostkit.diagnosis.check import Check
from hostkit.diagnosis.doctor import Diagnosis
from hostkit.diagnosis.finding import Finding, Outcome, Passed, Severity, Unknown
from hostkit.diagnosis.flat import LINE_LIMIT
from hostkit.diagnosis.problem import Catalogue
from hostkit.diagnosis.rank import Ranked
from hostkit.diagnosis.runner import Result
from hostkit.errors import InputError
from hostkit.facts.fact import Facts
from hostkit.host.record import Recorder
from tests.fakes import FakeHost


def nothing(facts: Facts) -> tuple[Outcome, ...]:
    return ()


REQUIRED = Check("forwarding", "?", nothing, ("off",), required=("docker",))
OPTIONAL = Check("swap", "?", nothing, ("no-swap",))


def finding(severity: Severity, *, past: bool = False) -> Ranked:
    one = Finding("off", severity, "it is off", (), past=past)
    return Ranked(one, Catalogue({}).describe("off"), (), ())


def diagnosis(*findings: Ranked, results: tuple[Result, ...] = ()) -> Diagnosis:
    return Diagnosis("web07", "live", findings, results)


@pytest.mark.parametrize(
    ("severity", "fail_on", "code"),
    [
        (Severity.ERROR, "error", 1),
        (Severity.WARNING, "error", 0),
        (Severity.WARNING, "warning", 1),
        (Severity.INFO, "warning", 0),
        (Severity.INFO, "info", 1),
        (Severity.ERROR, "never", 0),
    ],
)
def test_fail_on_is_a_limit(severity: Severity, fail_on: str, code: int) -> None:
    assert exit_code(diagnosis(finding(severity)), "docker", fail_on) == code


def test_what_is_past_never_fails() -> None:
    assert exit_code(diagnosis(finding(Severity.ERROR, past=True)), "docker", "info") == 0


def test_a_required_check_that_could_not_look_is_3() -> None:
    unknown = diagnosis(results=(Result(REQUIRED, (Unknown("denied"),)),))
    assert exit_code(unknown, "docker", "error") == 3
    assert exit_code(unknown, "podman", "error") == 0
    assert exit_code(unknown, "docker", "never") == 0


def test_an_error_outweighs_an_unknown() -> None:
    both = diagnosis(finding(Severity.ERROR), results=(Result(REQUIRED, (Unknown("denied"),)),))
    assert exit_code(both, "docker", "error") == 1


def test_an_optional_check_may_be_unknown() -> None:
    results = (Result(OPTIONAL, (Unknown("denied"),)), Result(REQUIRED, (Passed(),)))
    assert exit_code(diagnosis(results=results), "docker", "error") == 0


KNOWN = (("network", REQUIRED), ("cgroups", OPTIONAL))


@pytest.mark.parametrize(
    ("select", "ignore", "left"),
    [
        ((), (), {"forwarding", "swap"}),
        (("network",), (), {"forwarding"}),
        (("swap",), (), {"swap"}),
        (("off",), (), {"forwarding"}),
        ((), ("cgroups",), {"forwarding"}),
        (("network", "swap"), ("forwarding",), {"swap"}),
        ((), ("off",), {"forwarding", "swap"}),  # its finding is ignored, its other news are not
    ],
)
def test_selection_of_checks(
    select: tuple[str, ...], ignore: tuple[str, ...], left: set[str]
) -> None:
    selection = Selection(frozenset(select), frozenset(ignore))
    assert {one.name for one in selection.checks(KNOWN)} == left


def test_a_selected_check_shows_only_what_was_selected() -> None:
    two = REQUIRED._replace(problems=("off", "slow"))
    by_code = Selection(frozenset(("off",)), frozenset())
    by_check = Selection(frozenset(("forwarding",)), frozenset())
    assert by_code.wants("off", "network", [two])
    assert not by_code.wants("slow", "network", [two])
    assert by_check.wants("slow", "network", [two])
    assert not by_check.wants("other", "network", [two])


def test_options_take_commas_and_repetition() -> None:
    assert common.words(["a,b", " c ", ""]) == {"a", "b", "c"}


@pytest.mark.parametrize(
    "given", ["docker@", "docker@x", "lxc", "docker@1.²", "", "docker@-1", f"docker@{'9' * 5000}"]
)
def test_targets_that_are_none(given: str) -> None:
    with pytest.raises(InputError):
        common.target_of(given)


def test_targets() -> None:
    assert common.target_of("docker@20.10") == ("docker", (20, 10))
    assert common.target_of("podman") == ("podman", ())


def test_the_command_to_repeat_is_quoted() -> None:
    assert again(("doctor", "a b; reboot")) == "hostkit doctor 'a b; reboot'"


def test_commands_we_print_are_named_as_they_have_to_be_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = tmp_path / "hostkit"
    started.write_text("#!/bin/sh\n")
    started.chmod(0o755)
    monkeypatch.setattr("sys.argv", [str(started), "list"])
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    hint = "`hostkit list checks` or sudo hostkit collect"
    assert program() == str(started)
    assert named(hint) == f"`{started} list checks` or sudo {started} collect"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin")
    assert program() == "hostkit"
    assert program(root=True) == str(started)  # sudo has a PATH of its own
    assert named(hint) == f"`hostkit list checks` or sudo {started} collect"
    assert named("a file of hostkit, /opt/hostkit list") == "a file of hostkit, /opt/hostkit list"


def read(tmp_path: Path, data: bytes) -> tuple[str, list[str]]:
    path = tmp_path / "text"
    path.write_bytes(data)
    taken = reading.from_file(str(path))
    return whole(taken.text.lines), taken.notes


def whole(lines: Iterable[str | bytes]) -> str:
    return "\n".join(line if isinstance(line, str) else line.decode() for line in lines)


@given(st.text(alphabet="ab\n é数", max_size=300))
def test_lines_are_those_of_the_text(words: str) -> None:
    reader, writer = os.pipe()
    os.write(writer, words.encode())
    os.close(writer)
    taken = reading.from_file(f"/dev/fd/{reader}")
    os.close(reader)
    assert whole(taken.text.lines) == words.removesuffix("\n")


def test_an_endless_line_is_cut_and_said(tmp_path: Path) -> None:
    text, notes = read(tmp_path, b"a\n" + b"x" * (3 * LINE_LIMIT) + b"\nb\n")
    first, long, last = text.split("\n")
    assert (first, last) == ("a", "b")
    assert LINE_LIMIT <= len(long) < 3 * LINE_LIMIT
    assert len(notes) == 1
    assert read(tmp_path, b"x" * LINE_LIMIT + b"\n" + b"x" * LINE_LIMIT)[1] == []


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-8"])
def test_a_text_is_read_in_its_encoding(tmp_path: Path, encoding: str) -> None:
    words = "é数\r\n" * 200_000
    assert read(tmp_path, words.encode(encoding))[0] == words.removesuffix("\n")


def test_a_text_beyond_the_limit_is_cut_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "TOTAL_LIMIT", 1 << 20)
    text, notes = read(tmp_path, b"line\n" * (1 << 18))
    assert len(text) <= 1 << 20
    assert len(notes) == 1


def test_a_host_with_nothing_can_be_collected() -> None:
    recorder = Recorder(FakeHost())
    record(recorder)
    assert len(recorder.answers()) > 50
