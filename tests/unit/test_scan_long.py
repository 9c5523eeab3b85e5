# SPDX-License-Identifier: GPL-3.0-or-later
"""A long text is searched in blocks, around places alone; that changes nothing that is found."""

import random
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostkit import plugins
from hostkit.diagnosis import anchors, flat, scan
from hostkit.diagnosis.signature import Signature
from tests.corpus.reading import healthy, messages
from tests.unit.test_corpus import VARIATIONS

SIGNATURES = plugins.load((plugins.CHECKS_GROUP,)).signatures()
ROOT = Path(__file__).resolve().parents[2]
NEVER = 1 << 40
SOME = (
    Signature("a", ("No such file or directory",), "a", reach=60, pattern=r"(?P<path>/\S+)"),
    Signature("b", ('open "docker/run":', "denied"), "b", reach=80),
    Signature("c", (" thin ",), "c", reach=20, unless=("fat",)),
    Signature("d", ("it's <gone> & lost",), "d", reach=0),
    Signature("e", ("docker",), "e", reach=40, pattern="é"),
)


def found(lines: Iterable[str | bytes], signatures: tuple[Signature, ...]) -> list[object]:
    return [tuple(hit) for hit in scan.scan(lines, signatures, "log")]


def quick_and_plain(
    monkeypatch: pytest.MonkeyPatch, lines: list[str], signatures: tuple[Signature, ...]
) -> tuple[list[object], list[object]]:
    with monkeypatch.context() as patch:
        patch.setattr(scan, "_SCREEN", 0)  # short texts alone may be copied screens
        patch.setattr(scan, "TRIES_LIMIT", NEVER)  # the quick way does not try all repetitions
        patch.setattr(scan, "SHORT_BYTES", 0)
        quick = found(lines, signatures)
        patch.setattr(scan, "SHORT_BYTES", NEVER)
        return quick, found(lines, signatures)


@pytest.mark.parametrize("kind", VARIATIONS)
def test_both_ways_find_the_same_in_the_corpus(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [VARIATIONS[kind][0](one.text) for one in messages()]
    texts += [one.text for one in healthy()]
    texts = random.Random(kind).sample(texts, len(texts) // 3)  # all would take too long
    for first in range(0, len(texts), 60):
        lines = "\n".join(texts[first : first + 60]).split("\n")
        quick, plain = quick_and_plain(monkeypatch, lines, SIGNATURES)
        assert quick == plain


PIECES = [
    "No such file", " or", " directory", "or directory", ":", " ", "  ", "\n", "\r\n", "\n    ",
    "\t", "/var/x", "open", ' "docker/run":', ' \\"docker\\/run\\":', " &quot;docker/run&quot;:",
    " denied", "docker", "thin", " thin ", "fat", "it's", " <gone>", " & lost", " &amp; lost",
    "it\u2019s \\u003cgone\\u003e", "\u00a0", "\u3000", "é", "\\n", "\\\\n", "\x1b[1m", "n",
    "x" * 50, " y" * 40, "\\", '"',
]  # fmt: skip


@settings(max_examples=150)
@given(st.lists(st.sampled_from(PIECES), max_size=60))
def test_both_ways_find_the_same_in_any_mixture(pieces: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "SAME_LIMIT", NEVER)
        quick, plain = quick_and_plain(patch, "".join(pieces).split("\n"), SOME)
    assert quick == plain


@settings(max_examples=40)
@given(st.lists(st.sampled_from(PIECES), max_size=60), st.integers(0, 3), st.data())
def test_blocks_and_items_may_end_anywhere(
    pieces: list[str], filled: int, data: st.DataObject
) -> None:
    for _ in range(filled):
        pieces.insert(data.draw(st.integers(0, len(pieces))), "z y x\n" * 300)
    lines = "".join(pieces).split("\n")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(lines)), max_size=5)))
    items = [lines[a:b] for a, b in zip([0, *cuts], [*cuts, len(lines)], strict=True) if a < b]
    joined = ["\n".join(item).encode() for item in items]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "_SCREEN", 0)
        patch.setattr(scan, "SAME_LIMIT", NEVER)
        whole = found(lines, SOME)
        patch.setattr(flat, "BLOCK_BYTES", 1000)
        assert found(joined, SOME) == whole
        patch.setattr(scan, "SHORT_BYTES", 0)
        assert found(joined, SOME) == whole
        assert found(lines, SOME) == whole


def test_without_the_library_the_plain_way_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["quiet"] * 40_000 + ["stat /x: No such file", "  or directory"]
    with_it = found(lines, SOME)
    monkeypatch.setitem(sys.modules, "ahocorasick_rs", None)
    assert not anchors.Finder(["docker"]).ready()
    assert found(lines, SOME) == with_it != []


def test_lines_keep_their_numbers_over_many_blocks() -> None:
    lines = ["x" * 99] * 20_000
    lines[15_000] = "cannot open /x: No such file or directory"
    lines[15_001] = "  thin "
    by_problem = {hit.finding.problem: hit.position for hit in scan.scan(lines, SOME, "log")}
    assert by_problem == {"a": 15_001, "c": 15_002}


@pytest.mark.parametrize(
    "line",
    ["docker " * 15, "No such file or directory", "thin fat " * 10, 'open "docker/run": \\"' * 4],
)
def test_a_log_of_near_hits_take_a_bounded_time(line: str) -> None:
    lines = [f"{line} {chr(0x4E00 + at % 20_000)}" for at in range(20_000)]
    started = time.process_time()
    found(lines, SOME)
    assert time.process_time() - started < 20


def test_one_line_without_end_takes_a_bounded_time() -> None:
    started = time.process_time()
    found([("docker " * 1_000_000)], SOME)
    found([b"docker\x00" * 1_000_000], SOME)
    assert time.process_time() - started < 10


def test_memory_does_not_grow_with_the_text() -> None:
    """300 MB, of which a third is trouble, in a process that says how much it held."""
    script = (
        "import re, sys\n"
        "from tests.unit.test_scan_long import SIGNATURES, found\n"
        "lines = (b'x' * 80 + b'\\nstat /x: No such file or directory\\n') * 8000\n"
        "found((lines for _ in range(300_000_000 // len(lines))), SIGNATURES)\n"
        # Not ru_maxrss: a child's begins with what its parent held.
        "status = open('/proc/self/status').read()\n"
        "print(int(re.search(r'VmHWM:\\s+(\\d+) kB', status)[1]) >> 10)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert int(run.stdout) < 150  # of them, pytest and hypothesis take most
