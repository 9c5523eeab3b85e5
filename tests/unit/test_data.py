# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON and TOML of anybody are read, or refused in time and memory of their size."""

import time
import tracemalloc

import pytest

from hostkit.data import NAMES_LIMIT, TOML_LIMIT, load_json, load_toml


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 100_000, "[1,", "", "\0", b"\xff"])
def test_json_that_is_none_or_without_end_is_refused(content: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        load_json(content)


@pytest.mark.parametrize(
    "content",
    [
        "a." * 100_000 + "a = 1",
        '"a" . ' * 20_000 + "a = 1",
        '\'a\'."a\\"".' * 20_000 + "a = 1",
        "[" + "a." * 20_000 + "a]",
        "x = {" + "a." * 20_000 + "a = 1}",
        "x = " + "[" * 100_000,
        "x = " + "{a = " * 100_000,
        "#" * (TOML_LIMIT + 1),
    ],
)
def test_toml_without_end_is_refused_before_it_takes_the_memory(content: str) -> None:
    started = time.process_time()
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"names|deep|larger"):
        load_toml(content)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 32 << 20
    assert time.process_time() - started < 2


def test_dots_elsewhere_than_in_keys_are_no_names() -> None:
    addresses = ", ".join(f'"192.0.2.{n}"' for n in range(100))
    loaded = load_toml(f"ours = [{addresses}]\n'a.b.c' = \"{'.' * 100}\"\nf = [{'1.5, ' * 40}]\n")
    assert (len(loaded["ours"]), len(loaded["f"]), loaded["a.b.c"]) == (100, 40, "." * 100)


@pytest.mark.parametrize(
    "words",
    [
        "# ................ a leader of dots ................",
        "# " + "one. " * 20,
        'a = """\n................\n"""',
        "a = '''\n" + "one. " * 20 + "\n'''",
    ],
)
def test_dots_of_comments_and_of_long_strings_are_no_names(words: str) -> None:
    assert load_toml(f"{words}\nb = 1\n")["b"] == 1


def test_a_key_may_have_as_many_names_as_anybody_gives_it() -> None:
    assert load_toml("a." * (NAMES_LIMIT - 1) + "a = 1")
