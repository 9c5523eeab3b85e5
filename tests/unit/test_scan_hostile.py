# SPDX-License-Identifier: GPL-3.0-or-later
"""A log may hold anything: it is searched in time, and never obeyed or echoed raw."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.diagnosis.scan import EXCERPT_CELLS, Hit, scan
from hostkit.diagnosis.signature import Signature
from hostkit.text import printable, shorten, width, wrap

NEEDLE = Signature("x", ("needle",), "a {word}", pattern=r"needle(?: (?P<word>\S+))?")


def hits(content: str) -> tuple[Hit, ...]:
    return scan(content.split("\n"), [NEEDLE], "log")


@pytest.mark.parametrize(
    "around",
    [
        "\x1b[2J\x1b[H", "\x1b]0;title\x07", "\x9b31m", "\x08\x08\x08", "\r", "\x00", "\x7f",
        "\u202e", "\u2066", "\x1b[?1049h", "\x1bP$q\x1b\\", "\udcff", "\ufeff",
    ],
)  # fmt: skip
def test_nothing_that_a_terminal_obeys_is_echoed(around: str) -> None:
    (hit,) = hits(f"{around}needle {around}bad{around}")
    for shown in (hit.finding.summary, hit.finding.evidence[0].excerpt):
        assert shown.isprintable()
        assert not set(shown) & set("\x1b\x9b\x00\x08\r\u202e\u2066")


def test_a_line_of_a_megabyte() -> None:
    started = time.monotonic()
    (hit,) = hits("needle " + "x" * (1 << 20))
    assert width(hit.finding.evidence[0].excerpt) <= EXCERPT_CELLS
    assert hits("x" * (1 << 20)) == ()
    assert hits("needle\x00" * 150_000) != ()
    assert time.monotonic() - started < 5


def test_many_lines_that_nearly_match() -> None:
    near = Signature("x", ("needle", "other"), "x")
    started = time.monotonic()
    assert scan(["needle " * 50] * 4000, [near], "log") == ()
    assert time.monotonic() - started < 5


@given(st.text())
def test_any_text_becomes_printable(content: str) -> None:
    assert printable(content).isprintable()


@given(st.text(), st.integers(4, 80))
def test_any_text_is_cut_and_wrapped(content: str, cells: int) -> None:
    safe = printable(content)
    assert width(shorten(safe, cells)) <= cells
    assert all(line for line in wrap(safe, cells))
    assert "".join(wrap(safe, cells)).replace(" ", "") == "".join(safe.split())


@given(st.lists(st.text(), max_size=20))
def test_any_lines_are_searched(lines: list[str]) -> None:
    scan(lines, [NEEDLE], "log")
