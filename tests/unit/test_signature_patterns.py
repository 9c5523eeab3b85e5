# SPDX-License-Identifier: GPL-3.0-or-later
"""No text makes the pattern of a signature slow: not blanks, digits, quotes or its own words."""

import re
import time
from functools import cache

import pytest

from hostkit import plugins
from hostkit.diagnosis.scan import scan
from hostkit.diagnosis.signature import Signature

SECONDS = 0.03  # for one neighbourhood; a pattern is tried on 200 of them in a block
LONG = 100_000
FILLERS = (
    " ", "0", "a", '"', "'", "\\", "/", "/a", "-", ".", ":", "=", "a ", "a: ", "1.", "a-", "a/",
    "a=b ", '"a" ', "[a] ", "(a) ", "-A ", "%", "\u00e9", "time=\"1\" level=error msg=\"a\" ",
)  # fmt: skip


@cache
def signatures() -> tuple[Signature, ...]:
    return plugins.load().signatures()


def neighbourhoods(one: Signature) -> list[str]:
    """What a pattern may be tried on: its anchors among what makes many patterns go back."""
    literals = re.findall(r"[A-Za-z][a-z ]{3,}", one.pattern)
    words = (*one.anchors, *literals)
    around = [*FILLERS, *(f"{word} " for word in words), *words]
    long = [filler * (one.reach // len(filler) + 1) for filler in around]
    first, rest = one.anchors[0], " ".join(one.anchors[1:])
    return [
        near
        for run in long
        for near in (f"{run}{first}{run}{rest}", f"{first} {rest} {run}", f"{run}{first} {rest}")
    ]


def slowest(one: Signature) -> tuple[float, str]:
    pattern = re.compile(one.pattern)
    worst = (0.0, "")
    for near in neighbourhoods(one):
        started = time.process_time()
        pattern.search(near[: 3 * one.reach])
        worst = max(worst, (time.process_time() - started, near))
    return worst


def test_no_pattern_is_slow_on_what_is_near_its_anchor() -> None:
    for one in signatures():
        took, near = slowest(one) if one.pattern else (0.0, "")
        if took > SECONDS:  # or was it the machine?
            took = min(took, slowest(one)[0])
        assert took < SECONDS, f"{one.problem}: {one.pattern!r} on {near[:80]!r}: {took:.3f} s"


@pytest.mark.parametrize(
    "filler", [*FILLERS, "\x1b[", "\x1b[0", "\x1b", "&", "&quot", "\u3000", "\u2019", "\t", "\\u00"]
)
def test_a_long_text_around_every_anchor_is_searched_in_time(filler: str) -> None:
    run = (filler * (LONG // len(filler)))[:LONG]
    lines = [f"{run[: LONG // 50]} {' '.join(one.anchors)} {run[:500]}" for one in signatures()]
    started = time.process_time()
    scan([run, *lines, run], signatures(), "log")
    assert time.process_time() - started < 5
