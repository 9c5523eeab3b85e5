# SPDX-License-Identifier: GPL-3.0-or-later
"""`hostkit doctor` with texts: every way to hand one over, and texts that are hostile."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.e2e.command import FORWARDING, HOSTKIT, PLAIN, hostkit, on_terminal

ALONE = ("--host", "none")
CODE = "ipv4-forwarding-disabled"


def report(*words: str, stdin: bytes = b"") -> dict[str, Any]:
    data: dict[str, Any] = json.loads(
        hostkit("doctor", *words, *ALONE, "--format", "json", stdin=stdin).out
    )
    return data


def codes(data: dict[str, Any]) -> list[str]:
    return [finding["problem"] for finding in data["findings"]]


def test_words_on_the_command_line() -> None:
    assert codes(report(FORWARDING)) == [CODE]
    assert codes(report(*FORWARDING.split())) == [CODE]


def test_stdin() -> None:
    assert codes(report("-", stdin=FORWARDING.encode())) == [CODE]
    assert codes(report("--text", "-", stdin=FORWARDING.encode())) == [CODE]


def test_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(f"first line\n{FORWARDING}\n")
    (evidence,) = report("--text", str(path))["findings"][0]["evidence"]
    assert (evidence["source"], evidence["line"]) == (str(path), 2)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_files_saved_on_windows(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "log"
    path.write_bytes(f"pasted\r\n{FORWARDING}\r\n".encode(encoding))
    assert codes(report("--text", str(path))) == [CODE]


def test_a_text_that_says_nothing_known_is_not_recognised_and_never_well() -> None:
    ended = hostkit("doctor", "all is well", *ALONE)
    assert ended.code == 3
    assert "note - - not recognised: " in ended.out
    assert ended.out.endswith("- summary - - not recognised; exit code 3\n")
    quiet = hostkit("doctor", "all is well", *ALONE, "-q", "--format", "text")
    assert quiet.out.startswith("not recognised in ")
    assert hostkit("doctor", "all is well", *ALONE, "--fail-on", "never").code == 0


def test_what_was_recognised_and_not_selected_is_no_unknown() -> None:
    data = report(FORWARDING, "--select", "kernel")
    assert (data["recognised"], data["summary"]["exit_code"]) == (True, 0)


@pytest.mark.parametrize("words", [("",), (" ", "\n"), ("-",), ("--text", "/dev/stdin")])
def test_no_text_is_a_usage_error(words: tuple[str, ...]) -> None:
    ended = hostkit("doctor", *words, *ALONE, stdin=b" \n\n\t\n")
    assert (ended.code, ended.out) == (2, "")
    assert "there is no text" in ended.err


def test_a_text_that_is_piped_in_without_asking_for_it_is_not_passed_over() -> None:
    ended = hostkit("doctor", "--select", "kernel", stdin=FORWARDING.encode())
    assert "note - - standard input was not read: " in ended.out
    assert "standard input" not in hostkit("doctor", "--select", "kernel").out


@pytest.mark.parametrize("kind", ["folder", "fifo", "missing", "gzip"])
def test_files_that_are_no_text_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "gzip":
        path.write_bytes(b"\x1f\x8b\x08\x00rest")
    ended = hostkit("doctor", "--text", str(path), *ALONE)
    assert (ended.code, ended.out) == (2, "")
    assert str(path) in ended.err


def test_binary_rubbish_and_endless_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(os.urandom(1 << 16) + b"\n" + b"x" * (1 << 20) + b"\n" + FORWARDING.encode())
    assert CODE in codes(report("--text", str(path)))


HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202egnp.exe " + FORWARDING + " \x1b[31m\x9b2J"


@pytest.mark.parametrize("form", ["text", "lines", "json"])
def test_escapes_of_a_text_never_reach_the_terminal(form: str) -> None:
    ended = hostkit("doctor", "-", *ALONE, "--format", form, stdin=HOSTILE.encode())
    assert CODE in ended.out
    assert not set(ended.out) & {"\x1b", "\x07", "\x9b", "\u202e"}
    shown = on_terminal("doctor", HOSTILE, *ALONE, "--color", "never")
    assert CODE in shown
    assert not set(shown) & {"\x1b", "\x07", "\x9b", "\u202e"}


@given(st.binary(max_size=2000))
@settings(max_examples=15, deadline=None)
def test_any_bytes_give_a_report(data: bytes) -> None:
    ended = hostkit("doctor", "-", *ALONE, "--format", "json", stdin=data)
    if ended.code == 2:
        assert ended.err.startswith(("error: there is no text\n", "error: stdin is compressed\n"))
    else:
        assert json.loads(ended.out)["recognised"] is False
        assert ended.code == 3


def test_ignored_stays_visible() -> None:
    ended = hostkit("doctor", FORWARDING, *ALONE, "--ignore", CODE)
    assert ended.code == 0
    assert f"ignored {CODE}" in ended.out


def test_select_keeps_only_what_was_asked_for() -> None:
    assert hostkit("doctor", FORWARDING, *ALONE, "--select", "kernel").code == 0
    assert hostkit("doctor", FORWARDING, *ALONE, "--select", "network").code == 1
    assert hostkit("doctor", FORWARDING, *ALONE, "--select", f"kernel,{CODE}").code == 1


@pytest.mark.parametrize(("limit", "code"), [("error", 1), ("info", 1), ("never", 0)])
def test_fail_on(limit: str, code: int) -> None:
    assert hostkit("doctor", FORWARDING, *ALONE, "--fail-on", limit).code == code


@pytest.mark.parametrize("filler", ['level=error msg="x" ', "\\", "\0"])
def test_a_line_without_end_takes_little_time_and_memory(filler: str) -> None:
    """What follows it is found all the same, and that it was not searched is said."""
    piece = filler.encode() * ((1 << 20) // len(filler))
    pieces = 1024 if os.environ.get("HOSTKIT_SOAK") else 64
    process = subprocess.Popen(
        [*HOSTKIT, "doctor", "-", *ALONE], env=PLAIN, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    for _ in range(pieces):
        process.stdin.write(piece)
    # Not ru_maxrss: a child's begins with what its parent held.
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
    process.stdin.write(f"\n{FORWARDING}\n".encode())
    process.stdin.close()
    said = process.stdout.read().decode()
    process.stdout.close()
    _, _, used = os.wait4(process.pid, 0)
    process.returncode = 0
    assert CODE in said
    assert "lines longer than" in said
    assert peak is not None
    assert int(peak[1]) < 150 << 10
    assert used.ru_utime + used.ru_stime < 10
