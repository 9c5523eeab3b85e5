# SPDX-License-Identifier: GPL-3.0-or-later
"""The live host answers in time, and never confuses its three answers."""

import os
import stat
import time
from pathlib import Path

import pytest

from hostkit.host.answer import Absent, Known, Unreadable
from hostkit.host.base import Host
from hostkit.host.commands import Command
from hostkit.host.local import LocalHost

HOST: Host = LocalHost(budget_s=3600)  # made long before the last test asks it


def tool(folder: Path, script: str) -> str:
    path = folder / "tool"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_files(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"\xff\x00")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    assert HOST.read(f"{tmp_path}/f") == Known(b"\xff\x00", f"{tmp_path}/f")
    assert HOST.read(f"{tmp_path}/none") == Absent(f"{tmp_path}/none")
    assert HOST.read(f"{tmp_path}/f/below") == Absent(f"{tmp_path}/f/below")
    assert HOST.read(f"{tmp_path}/f", 1) == Unreadable(f"{tmp_path}/f", "larger than 1 bytes")
    for path in (str(tmp_path), f"{tmp_path}/fifo", f"{tmp_path}/loop", "/dev/zero"):
        assert isinstance(HOST.read(path), Unreadable)
        assert isinstance(HOST.tail(path, 10), Unreadable)


def test_a_path_that_is_no_path() -> None:
    assert isinstance(HOST.run(Command(("true",)), "a\x00b"), Unreadable)
    for path in ("/x\x00y", "/" + "x" * 5000, "/\udcff", "/\ud800"):
        for answer in (HOST.read(path), HOST.stat(path), HOST.listdir(path), HOST.space(path)):
            assert isinstance(answer, Absent | Unreadable)


def test_kinds_of_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    (tmp_path / "loop").symlink_to("loop")
    os.mknod(tmp_path / "file", stat.S_IFREG | 0o640)
    kinds = {}
    for name in ("fifo", "link", "loop", "file"):
        answer = HOST.stat(f"{tmp_path}/{name}", follow=False)
        assert isinstance(answer, Known)
        kinds[name] = (answer.value.kind, answer.value.target)
    assert kinds == {
        "fifo": ("fifo", ""),
        "link": ("link", "fifo"),
        "loop": ("link", "loop"),
        "file": ("file", ""),
    }
    assert isinstance(HOST.stat(f"{tmp_path}/loop"), Unreadable)


def test_commands(tmp_path: Path) -> None:
    path = tool(tmp_path, 'echo "$@"; echo no >&2; exit 3')
    assert isinstance(HOST.run(Command(("no-such-tool",))), Absent)
    failed = HOST.run(Command((path,)), "a b")
    assert isinstance(failed, Unreadable)
    assert failed.reason == "exit status 3: no"
    allowed = HOST.run(Command((path,), ok=(0, 3)), "a b")
    assert isinstance(allowed, Known)
    assert (allowed.value.stdout, allowed.value.status) == (b"a b\n", 3)


@pytest.mark.root
def test_what_root_would_write_is_asked_as_nobody() -> None:
    answer = HOST.run(Command(("sh", "-c", "id -u; id -g; id -G"), unprivileged=True))
    assert isinstance(answer, Known)
    assert set(answer.value.stdout.split()) == {b"65534"}


def test_a_command_that_hangs(tmp_path: Path) -> None:
    answer = HOST.run(Command((tool(tmp_path, "sleep 60"),), timeout=0.2))
    assert isinstance(answer, Unreadable)
    assert "did not answer" in answer.reason


def test_a_command_that_floods_says_so(tmp_path: Path) -> None:
    answer = HOST.run(Command((tool(tmp_path, "while :; do echo yyyyyyyyy; done"),), limit=1000))
    assert isinstance(answer, Known)
    assert answer.value.truncated
    assert len(answer.value.stdout) == 1000


def test_complaints_are_safe_to_print(tmp_path: Path) -> None:
    answer = HOST.run(Command((tool(tmp_path, r"printf '\033[2Jbad\377\n' >&2; exit 1"),)))
    assert isinstance(answer, Unreadable)
    assert "\x1b" not in answer.reason
    assert "bad" in answer.reason


def test_the_whole_run_has_a_budget(tmp_path: Path) -> None:
    host = LocalHost(budget_s=0.3)
    command = Command((tool(tmp_path, "sleep 60"),), timeout=5)
    started = time.monotonic()
    answers = [host.run(command) for _ in range(5)]
    assert time.monotonic() - started < 3
    assert all(isinstance(answer, Unreadable) for answer in answers)
    last = answers[-1]
    assert isinstance(last, Unreadable)
    assert "used up" in last.reason


def test_native_sources_that_are_none() -> None:
    assert isinstance(HOST.native("psutil.dragons"), Absent)


def test_a_library_that_is_missing_or_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    from hostkit.host import native

    monkeypatch.setattr(native, "SOURCES", {"gone.x": ("gone", "x"), "bad.x": ("__init__", "x")})
    assert isinstance(HOST.native("gone.x"), Absent)
    answer = HOST.native("bad.x")
    assert isinstance(answer, Unreadable)
