# SPDX-License-Identifier: GPL-3.0-or-later
"""Every parser, found by its name: whatever it is given is a value or ValueError, in time.

`make soak` runs the same with many more texts, and longer ones.
"""

import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.damage import DAMAGE, damaged
from tests.parsers import Parser, Sample, parsers

SOAK = bool(os.environ.get("HOSTKIT_SOAK"))
LENGTH = (1 << 18) if SOAK else (1 << 15)
EXAMPLES = 1500 if SOAK else 50
SLOW_S = LENGTH * 1e-6  # what takes longer than that is measured again, four times as long
FILLERS = (" ", "0", "a", '"', "'", "\\", "a=", "[", "a.", "\n", "a b\n", "-A F ")
MORE_FILLERS = (
    "=", "{", "(", "<", "<a>", "a{", ",", "-", "[a]\n", "\t", "/", "|", "#", "a b ", "a:\n",
    "a=b\n", "a: b\n", "\\\n", "'\"", '"a" ', '\\"', ".", "0.", ":", "x = [", "0-1,", "*a\n",
    ":a b\n", "${a}",
)  # fmt: skip


def written(sample: Sample) -> str:
    """Bytes as characters of the same numbers, so that all are damaged alike."""
    return sample if isinstance(sample, str) else sample.decode("latin-1")


@pytest.mark.parametrize("name", parsers())
def test_a_parser_has_samples_that_it_understands(name: str) -> None:
    """A new parser needs an example in its docstring, or a sample in tests/parsers.py."""
    parser = parsers()[name]
    assert any(parser(sample) is not None for sample in parser.samples)


@pytest.mark.parametrize("name", parsers())
@settings(max_examples=EXAMPLES)
@given(st.data())
def test_any_text_is_a_value_or_refused(name: str, data: st.DataObject) -> None:
    parser = parsers()[name]
    parser(data.draw(st.binary()) if parser.takes == "bytes" else data.draw(st.text()))


@pytest.mark.parametrize("name", parsers())
@settings(max_examples=EXAMPLES)
@given(st.data())
def test_a_damaged_sample_is_a_value_or_refused(name: str, data: st.DataObject) -> None:
    parser = parsers()[name]
    sample: Sample = data.draw(st.sampled_from(parser.samples))
    content = written(sample)
    for step in data.draw(st.lists(DAMAGE, min_size=1, max_size=4)):
        content = damaged(content, *step)
    parser(content.encode("latin-1", "replace") if isinstance(sample, bytes) else content)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("diagnosis.problem.parse_problem", '+++\ntitle = "t"\nharmful = ["x"]\n+++\n'),
        ("diagnosis.problem.parse_problem", "+++\ntitle = " + "[" * 9000 + "\n+++\n"),
        ("facts.block.parse_lsblk_json", "[" * 9000),
        ("facts.dataroot.parse_repositories", "[" * 9000),
        ("facts.nft.parse_json", "[" * 9000),
        ("facts.nft.parse_text", "table ip t {\n\tchain c {\n\t\tjump \n"),
        ("facts.sockets.parse_caller", "Uid:\t1000\t1000\n"),
        ("facts.sockets.parse_caller", "Uid:\t1\nGid:\t1\n"),
    ],
)
def test_what_was_once_not_refused(name: str, content: str) -> None:
    assert parsers()[name](content) is None


@pytest.mark.parametrize("name", parsers())
def test_the_time_grows_no_faster_than_the_text(name: str) -> None:
    parser = parsers()[name]
    sample = written(min(parser.samples, key=len))
    fillers = (*FILLERS, *MORE_FILLERS, f"{sample}\n") if SOAK else (*FILLERS, f"{sample}\n")
    half = len(sample) // 2
    for filler in fillers:
        for head, tail in (("", ""), (sample[:half], sample[half:])):
            took = seconds(parser, head, filler, tail, LENGTH)
            if took > SLOW_S:
                took = min(took, seconds(parser, head, filler, tail, LENGTH))
                longer = seconds(parser, head, filler, tail, 4 * LENGTH)
                assert longer < 9 * took, f"{filler!r} after {head[-20:]!r}: {took} s, {longer} s"


def seconds(parser: Parser, head: str, filler: str, tail: str, length: int) -> float:
    """Of this process, for a text of that length."""
    content = head + (filler * (length // len(filler) + 1))[:length] + tail
    started = time.process_time()
    parser(content)
    return time.process_time() - started
