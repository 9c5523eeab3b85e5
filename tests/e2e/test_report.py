# SPDX-License-Identifier: GPL-3.0-or-later
"""The forms of a report: terminal, pipe, file, JSON with its schema."""

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema  # type: ignore[import-untyped]  # its types are a package of their own
import pytest

from hostkit import report
from tests.e2e.command import FORWARDING, hostkit, on_terminal

SCHEMA = Path(report.__file__).parent / "schema" / "hostkit.report-1.schema.json"
DOCTOR = ("doctor", FORWARDING, "--host", "none")
CODE = "ipv4-forwarding-disabled"


def valid(content: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(content)
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(data, schema)
    return data


def test_json_of_a_text_is_what_the_schema_says() -> None:
    data = valid(hostkit(*DOCTOR, "--format", "json").out)
    assert data["schema"] == "hostkit.report/1"
    assert data["source"] == "text"
    assert data["summary"]["exit_code"] == 1


def test_json_of_a_text_that_is_not_recognised_is_what_the_schema_says() -> None:
    ended = hostkit("doctor", "all is well", "--host", "none", "--format", "json")
    data = valid(ended.out)
    assert (data["recognised"], data["summary"]["exit_code"], ended.code) == (False, 3, 3)


def test_json_of_this_machine_is_what_the_schema_says() -> None:
    ended = hostkit("preflight", "--format", "json")
    data = valid(ended.out)
    assert data["source"] == "live"
    assert data["summary"]["exit_code"] == ended.code
    assert not [one for one in data["unknown"] if one["crashed"]]


def test_junit_is_for_jenkins(tmp_path: Path) -> None:
    path = tmp_path / "hostkit.xml"
    ended = hostkit("preflight", "--format", "junit", "-o", str(path), "--fail-on", "info")
    (suite,) = ElementTree.parse(path).getroot()
    assert len(suite) > 0
    assert (suite.get("failures") != "0") == (ended.code == 1)


def test_an_ignore_file_hides_what_it_names_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "ignore.toml"
    path.write_text(f'[[ignore]]\nproblem = "{CODE}"\nreason = "a laptop"\n')
    ended = hostkit(*DOCTOR, "--ignore-file", str(path), "--format", "json")
    data = valid(ended.out)
    assert (ended.code, data["findings"]) == (0, [])
    assert [(one["problem"], one["reason"]) for one in data["ignored"]] == [(CODE, "a laptop")]
    path.write_text(path.read_text() + "expires = 2020-01-01\n")
    ended = hostkit(*DOCTOR, "--ignore-file", str(path))
    assert ended.code == 1
    assert f"the entry for {CODE} expired on 2020-01-01" in ended.out
    assert hostkit(*DOCTOR, "--ignore-file", str(tmp_path)).code == 2


def test_a_file_gets_the_whole_report(tmp_path: Path) -> None:
    path = tmp_path / "report.txt"
    ended = hostkit(*DOCTOR, "-o", str(path))
    assert (ended.code, ended.out) == (1, "")
    assert f"error[{CODE}]" in path.read_text()


def test_a_device_is_written_to_and_stays_a_device(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert hostkit(*DOCTOR, "-o", str(pipe)).code == 1
    assert CODE.encode() in os.read(reader, 65536)
    os.close(reader)
    assert pipe.is_fifo()


def test_a_pipe_gets_one_finding_a_line_and_a_summary() -> None:
    lines = hostkit(*DOCTOR).out.splitlines()
    assert lines[0].split()[:4] == ["-", "error", CODE, "network"]
    assert lines[-1].split()[1] == "summary"
    assert not any("\x1b" in line for line in lines)


def test_a_terminal_gets_blocks_in_colour() -> None:
    shown = on_terminal(*DOCTOR)
    assert f"\x1b[1;31merror[{CODE}]\x1b[0m" in shown
    assert "  fix: " in shown


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colour_can_be_refused(environment: dict[str, str]) -> None:
    assert "\x1b" not in on_terminal(*DOCTOR, environment=environment)
    assert "\x1b" in on_terminal(*DOCTOR, "--color", "always", environment=environment)


@pytest.mark.parametrize("columns", [80, 60])
@pytest.mark.parametrize("words", [("preflight", "-v"), ("doctor",), DOCTOR])
def test_lines_fit_the_terminal(words: tuple[str, ...], columns: int) -> None:
    shown = on_terminal(*words, "--color", "never", environment={"COLUMNS": str(columns)})
    long = [line for line in shown.splitlines() if len(line) > columns]
    assert [line for line in long if not _unbreakable(line, columns)] == []


def _unbreakable(line: str, columns: int) -> bool:
    """A word too long for the line, or a command kept whole because it is quoted."""
    quoted = re.search(r"'[^']*'|\"[^\"]*\"|<<", line) is not None
    return quoted or max(map(len, line.split())) + 16 > columns


@pytest.mark.parametrize("command", ["checks", "problems"])
def test_lists_fit_and_are_json_too(command: str) -> None:
    shown = on_terminal("list", command, environment={"COLUMNS": "100"})
    assert shown.splitlines()[0].startswith("area")
    listed = json.loads(hostkit("list", command, "--format", "json").out)
    assert {"area", "title"} <= set(listed[0])


def test_a_list_in_a_pipe_has_one_line_each() -> None:
    piped = hostkit("list", "problems").out.splitlines()
    listed = json.loads(hostkit("list", "problems", "--format", "json").out)
    assert len(piped) == len(listed) + 2


def test_explain_shows_everything_that_the_catalogue_says() -> None:
    shown = hostkit("explain", CODE).out
    for label in ("harm", "not", "confirm", "fix", "do not", "source"):
        assert re.search(rf"^{label} ", shown, re.MULTILINE), label
    assert json.loads(hostkit("explain", CODE, "--format", "json").out)["code"] == CODE


@pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare to lose root with")
def test_without_root_the_report_is_whole() -> None:
    # An unmapped user namespace: still able to read our files, and nobody's root.
    ended = hostkit("preflight", "--format", "json", wrapper=("unshare", "--user"))
    if ended.code == 1 and not ended.out:
        pytest.skip(f"no user namespaces here: {ended.err.strip()}")
    data = valid(ended.out)
    assert data["summary"]["exit_code"] == ended.code
    assert not [one for one in data["unknown"] if one["crashed"]]
