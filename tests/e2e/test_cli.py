# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every command: help, usage errors, closed and broken outputs."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from hostkit import __version__
from hostkit.cli.main import COMMANDS
from tests.e2e.command import FORWARDING, HOSTKIT, PLAIN, TIMEOUT_S, hostkit

DOCTOR = ("doctor", FORWARDING, "--host", "none")


def test_version() -> None:
    assert hostkit("--version") == (0, f"hostkit {__version__}\n", "")


def test_help_names_every_command() -> None:
    ended = hostkit("--help")
    assert ended.code == 0
    assert all(command in ended.out for command in COMMANDS)


def test_no_command_is_a_usage_error_that_shows_help() -> None:
    ended = hostkit()
    assert ended.code == 2
    assert "usage:" in ended.out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_has_an_example(command: str) -> None:
    ended = hostkit(command, "--help")
    assert ended.code == 0
    assert f"hostkit {command}" in ended.out.partition("examples:")[2]
    assert max(map(len, ended.out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("prefligth",), "did you mean preflight?"),
        (("docter",), "did you mean doctor?"),
        (("--verson",), "did you mean --version?"),
        (("xyz",), "commands: preflight"),
        (("list",), "required: checks|problems"),
        (("preflight", "--snapshot", "/tmp"), "cannot open /tmp: Is a directory"),
        (("explain", "ip-forward"), "did you mean ipv4-forwarding-disabled"),
        (("preflight", "--fail-on", "sometimes"), "--fail-on"),
        (("preflight", "--for", "lxd"), "lxd"),
        (("preflight", "--for", "docker@new"), "docker@new"),
        (("preflight", "--for", "podman", "--select", "kubernetes"), "nothing to look at"),
        (("preflight", "--select", "daemon-connection-eof"), "nothing to look at"),
        (("preflight", "--select", "netwrok"), "did you mean network"),
        (("preflight", "--ignore", "ipv4-forwarding-disable"), "ipv4-forwarding-disabled"),
        (("preflight", "--snapshot", "/nonexistent.tar.gz"), "/nonexistent.tar.gz"),
        (("explain", "forwarding-off"), "ipv4-forwarding-disabled"),
        (("explain",), "CODE"),
        (("list", "everything"), "everything"),
        (("doctor", "text", "--text", "file"), "exclude"),
        (("doctor", "--host", "none"), "needs a text"),
        ((*DOCTOR, "-o", "/nonexistent/report"), "/nonexistent/report"),
        ((*DOCTOR, "-o", "/"), "cannot be written"),
    ],
)
def test_usage_errors_exit_2_and_say_what_is_wrong(words: tuple[str, ...], said: str) -> None:
    ended = hostkit(*words)
    assert ended.code == 2
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""


def test_words_that_are_refused_never_reach_the_terminal_raw() -> None:
    ended = hostkit("preflight", "\x1b[2J")
    assert ended.code == 2
    assert "\\x1b[2J" in ended.err
    assert "\x1b" not in ended.err


def _shell(line: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        ["/bin/sh", "-c", line, "sh", *HOSTKIT, *DOCTOR],
        capture_output=True,
        env=PLAIN,
        timeout=TIMEOUT_S,
        check=False,
    )


def test_a_reader_that_goes_away_is_no_error() -> None:
    done = _shell('{ sleep 0.3; "$@" --format text; echo $? >&2; } | true')
    assert done.stderr == b"1\n"


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_streams_do_not_change_the_exit_code(closed: str) -> None:
    done = _shell(f'"$@" {closed}')
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_is_said() -> None:
    done = _shell('"$@" > /dev/full')
    assert done.returncode == 2
    assert b"cannot be written: No space left" in done.stderr


def test_an_output_that_is_not_unicode_still_shows_everything() -> None:
    ended = hostkit(*DOCTOR, environment={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert ended.code == 1
    assert "ipv4-forwarding-disabled" in ended.out


def test_a_broken_plug_in_is_a_finding(tmp_path: Path) -> None:
    folder = tmp_path / "third_party-1.dist-info"
    folder.mkdir()
    (folder / "entry_points.txt").write_text("[hostkit.checks]\nzz = no_such_module:PLUGIN\n")
    ended = hostkit(*DOCTOR, environment={"PYTHONPATH": str(tmp_path)})
    assert "warning plugin-broken" in ended.out
    assert "ipv4-forwarding-disabled" in ended.out


FAULT = "from hostkit.cli import main; main.COMMANDS['boom'] = ('boom', ''); main.run()"


@pytest.mark.parametrize("debug", ["", "1"])
def test_a_fault_of_ours_is_one_clear_line(debug: str) -> None:
    done = subprocess.run(
        [HOSTKIT[0], "-c", FAULT, "boom"],
        capture_output=True,
        env={**PLAIN, "HOSTKIT_DEBUG": debug},
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 2
    assert b"a fault of hostkit, not of the host" in done.stderr
    assert (b"Traceback" in done.stderr) == bool(debug)


def test_ctrl_c_is_said_and_is_130() -> None:
    reader, writer = os.pipe()
    with subprocess.Popen(
        [*HOSTKIT, "doctor", "-", "--host", "none"],
        stdin=reader,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=PLAIN,
    ) as process:
        os.close(reader)
        _until_it_reads(process.pid)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=TIMEOUT_S)
    os.close(writer)
    assert (process.returncode, out, err) == (130, b"", b"interrupted\n")


def _until_it_reads(pid: int) -> None:
    """Wait until the process waits in a pipe for the text."""
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            if "pipe_read" in Path(f"/proc/{pid}/wchan").read_text():
                return
        except OSError:
            pass
        time.sleep(0.1)
        if time.monotonic() > deadline - TIMEOUT_S + 3:  # a kernel that does not say wchan
            return
