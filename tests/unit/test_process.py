# SPDX-License-Identifier: GPL-3.0-or-later
"""No program can hold us, whatever it does."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from hostkit import process

SH = "/bin/sh"


def sh(
    script: str, timeout: float = 5.0, limit: int = 1 << 16, stdin: bytes = b""
) -> process.Completed:
    return process.run((SH, "-c", script), timeout=timeout, limit=limit, stdin=stdin)


def ended_within(seconds: float, started: float) -> bool:
    return time.monotonic() - started < seconds


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not yet reaped does not."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def gone_soon(pid: int) -> bool:
    for _ in range(100):
        if not alive(pid):
            return True
        time.sleep(0.02)
    return False


def test_output_and_status() -> None:
    done = sh("echo out; echo err >&2; exit 3")
    assert (done.status, done.stdout, done.stderr) == (3, b"out\n", b"err\n")
    assert not done.timed_out
    assert not done.truncated


def test_one_that_hangs_is_killed() -> None:
    started = time.monotonic()
    done = sh("echo begun; sleep 60", timeout=0.3)
    assert done.timed_out
    assert done.stdout == b"begun\n"
    assert ended_within(3, started)


def test_one_that_ignores_sigterm_is_killed() -> None:
    started = time.monotonic()
    assert sh("trap '' TERM INT HUP; while :; do sleep 0.1; done", timeout=0.3).timed_out
    assert ended_within(3, started)


def test_a_flood_is_cut_at_the_limit() -> None:
    started = time.monotonic()
    done = sh(
        "while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done",
        limit=5000,
    )
    assert done.truncated
    assert len(done.stdout) == 5000
    assert ended_within(4, started)


def test_a_flood_of_complaints_is_cut_too() -> None:
    done = sh(
        "while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy >&2; done",
        limit=5000,
    )
    assert done.truncated
    assert len(done.stderr) == 5000


def test_exactly_the_limit_is_whole() -> None:
    assert sh("printf 12345", limit=5)[2:] == (b"12345", b"", False, False)


def test_a_child_in_the_background_does_not_keep_us() -> None:
    started = time.monotonic()
    done = sh("sleep 60 & echo $!", timeout=0.5)
    assert ended_within(3, started)
    assert done.timed_out  # its output never ended, so it is not known to be whole
    assert gone_soon(int(done.stdout))


def test_a_killed_program_takes_its_children_along() -> None:
    done = sh("sleep 60 & echo $!; wait", timeout=0.3)
    assert gone_soon(int(done.stdout))


def test_closing_its_output_does_not_free_it_of_the_time_out() -> None:
    started = time.monotonic()
    assert sh("exec >&- 2>&-; sleep 60", timeout=0.3).timed_out
    assert ended_within(3, started)


def test_death_by_signal() -> None:
    assert sh("kill -SEGV $$").status == -signal.SIGSEGV


def test_binary_output_stays_as_it_is() -> None:
    assert sh(r"printf '\000\377\033[2J'").stdout == b"\x00\xff\x1b[2J"


def test_it_sees_our_locale_and_nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    monkeypatch.setenv("LD_PRELOAD", "/tmp/evil.so")
    monkeypatch.setenv("PATH", "/tmp/evil")
    said = sh("env").stdout.decode()
    assert "LC_ALL=C\n" in said
    assert "evil" not in said
    assert "LANG=" not in said


def test_nobody_types_anything() -> None:
    assert sh("read answer || echo nobody").stdout == b"nobody\n"


def test_input_larger_than_a_pipe() -> None:
    data = bytes(range(256)) * 4096
    assert process.run(("cat",), timeout=10, stdin=data).stdout == data


def test_input_that_is_not_wanted() -> None:
    assert sh("exec <&-; echo fine", stdin=b"x" * (1 << 20)).stdout == b"fine\n"


def test_what_is_not_installed() -> None:
    with pytest.raises(FileNotFoundError, match="no-such-tool is not installed"):
        process.run(("no-such-tool",), timeout=1)
    with pytest.raises(FileNotFoundError):
        process.run(("/nonexistent/tool",), timeout=1)


def test_what_cannot_be_started(tmp_path: object) -> None:
    path = f"{tmp_path}/tool"
    with open(path, "w") as made:
        made.write("no interpreter line\n")
    os.chmod(path, 0o755)
    with pytest.raises(OSError, match="Exec format"):
        process.run((path,), timeout=1)


def test_no_descriptors_are_left_open() -> None:
    sh("true")
    before = len(os.listdir("/proc/self/fd"))
    for script in ("exit 1", "sleep 9", "while :; do echo yyyyyyyyyyyy; done"):
        sh(script, timeout=0.2, limit=1000)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_program_that_nobody_waits_for_ends_with_us(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = (
        "import sys, threading, time, os\n"
        "from hostkit import process\n"
        "argv = ('sh', '-c', 'echo $$ > $0; exec sleep 60', sys.argv[1])\n"
        "given = {'timeout': 60}\n"
        "threading.Thread(target=process.run, args=(argv,), kwargs=given, daemon=True).start()\n"
        "while not (os.path.exists(sys.argv[1]) and os.path.getsize(sys.argv[1])):\n"
        "    time.sleep(0.01)\n"
    )
    done = process.run((sys.executable, "-c", code, str(note)), timeout=20)
    assert (done.status, done.stderr) == (0, b"")
    assert not alive(int(note.read_text()))
