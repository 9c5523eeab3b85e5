# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a long piece of work is: said on a terminal, and only when it takes long."""

import io
import time

import pytest

from hostkit.report.progress import Progress


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


def test_nothing_is_said_of_what_is_soon_done() -> None:
    stream = Terminal()
    work = Progress("reading x", 10 << 20, stream)
    work.add(5 << 20)
    work.close()
    assert stream.getvalue() == ""


def test_bytes_rate_and_time_left_are_said_and_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 4.0, 4.1])
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    stream = Terminal()
    work = Progress("reading \x1b[2Jx", 300 << 20, stream)
    work.add(100 << 20)
    work.add(1)  # too soon after
    work.close()
    assert "100 of 300 MiB, 25 MiB/s, 8 s left" in stream.getvalue()
    assert "\x1b[2J" not in stream.getvalue()
    assert stream.getvalue().endswith("\r\x1b[K")


def test_a_pipe_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 40.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    stream = io.StringIO()
    Progress("reading x", 0, stream).add(1 << 30)
    assert stream.getvalue() == ""
