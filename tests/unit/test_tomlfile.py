# SPDX-License-Identifier: GPL-3.0-or-later
"""TOML files of engines: every key with its line, a fault with its place, in bounded time."""

import time
import tomllib
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.facts.daemonjson import Table
from hostkit.facts.tomlfile import LIMIT, TomlFile, parse_toml

BARE = st.text(st.sampled_from("abXY09_-"), min_size=1, max_size=4)
QUOTED = st.text(st.sampled_from("ab./ =[]#{},'"), min_size=1, max_size=8).map(lambda s: f'"{s}"')
KEY = st.lists(st.one_of(BARE, QUOTED), min_size=1, max_size=4).map(" . ".join)
VALUE = st.sampled_from(
    ['"a # b"', "'[x]'", "1", "true", '["a", "=",\n "b", # c\n]', '"""\nx = 1\n[y]\n"""',
     "'''\n'''", "{a = 1, b.c = [2]}", "[[1], [2]]", "1979-05-27T07:32:00Z", "[]", '"\\" = "']
)  # fmt: skip
LINE = st.one_of(
    st.tuples(KEY, VALUE).map(" = ".join),
    KEY.map("[{}]".format),
    KEY.map("  [ {} ] # x".format),
    KEY.map("[[{}]]".format),
    st.sampled_from(["", "# [no]", "#a = 1", "\t"]),
)


def parsed(content: str) -> TomlFile:
    return parse_toml(content.encode(), "f")


def lines(content: str) -> dict[str, int]:
    return {one.key: one.line for one in parsed(content).settings}


@given(st.lists(LINE, max_size=12).map("\n".join))
def test_every_key_is_found_with_the_line_where_it_begins(content: str) -> None:
    try:
        tree = tomllib.loads(content)
    except tomllib.TOMLDecodeError:
        assert parsed(content).fault
        return
    found = parsed(content)
    assert found.fault is None
    assert bool(found.settings) == bool(leaves(tree))
    for one in found.settings:
        assert 1 <= one.line <= content.count("\n") + 1
        said = content.split("\n")[one.line - 1]
        # The key's own line, that of the inline table, or that of the list of tables.
        assert "=" in said or "[[" in said


def leaves(tree: Any) -> list[object]:
    if not isinstance(tree, dict):
        return [tree]
    inner = cast("dict[str, Any]", tree)
    return [leaf for one in inner.values() for leaf in leaves(one)]


@given(st.one_of(st.text(), st.binary().map(lambda b: b.decode("latin-1"))))
def test_any_text_is_settings_or_a_fault(content: str) -> None:
    found = parsed(content)
    assert not (found.fault and found.settings)
    assert parse_toml(content.encode("latin-1", "replace"), "f").path == "f"


@pytest.mark.parametrize(
    "unit",
    ["[", "a=[", "a={b=", "[a.", "a.", '"', '"""a', "'''", "x = [1,\n", "[a]\n", "#\n", "[[a]]\n",
     "[[a]]\nb=1\n", "a={", '"\\', "]", "x={a.a.a.a=1,", "\\", '"""\\', "x = '''", "a = 1 # ["]
)  # fmt: skip
def test_long_and_deep_files_take_no_time(unit: str) -> None:
    began = time.process_time()
    parsed(unit * (LIMIT // len(unit)))
    assert time.process_time() - began < 5.0


def test_distinct_keys_by_the_thousand() -> None:
    began = time.process_time()
    assert len(parsed("".join(f"x{n}.y.z = [1]\n" for n in range(12_000))).settings) == 12_000
    assert time.process_time() - began < 5.0


def test_names_with_dots_and_tables_in_tables() -> None:
    content = (
        "version = 2\n[plugins]\n"
        '  [plugins."io.containerd.grpc.v1.cri"]\n    sandbox_image = "x" # [no]\n'
        "    [plugins.'io.containerd.grpc.v1.cri'.containerd]\n      snapshotter = 'overlayfs'\n"
        "text = '''\n[no]\nno = 1\n'''\ninline = {a = 1,\tb = {c = 2}}\n"
    )
    cri = 'plugins."io.containerd.grpc.v1.cri"'
    assert lines(content) == {
        "version": 1,
        f"{cri}.sandbox_image": 4,
        f"{cri}.containerd.snapshotter": 6,
        f"{cri}.containerd.text": 7,
        f"{cri}.containerd.inline.a": 11,
        f"{cri}.containerd.inline.b.c": 11,
    }


@pytest.mark.parametrize(
    ("data", "line", "words"),
    [
        (b"a = 1\nb = yes\n", 2, "Invalid value"),
        (b"a = 1\na = 2\n", 2, "Cannot overwrite"),
        (b"a = 1\n\nb = [1,\n", 3, "Invalid"),
        (b"a = 1\nb = '\xff'\n", 2, "not UTF-8"),
        (b"a = " + b"[" * 40, 1, "Invalid value"),
        (b"\na" + b".a" * 40 + b" = 1", 2, "more than 16 names"),
        (b"a = 2020-99-99\n", 1, "Expected newline"),
    ],
)
def test_a_fault_has_a_place(data: bytes, line: int, words: str) -> None:
    fault = parse_toml(data, "f").fault
    assert fault is not None
    assert words in fault.message
    assert fault.line in (line, line + 1)


def test_marks_and_line_ends_of_other_systems_are_borne() -> None:
    (one,) = parse_toml(b"\xef\xbb\xbf# x\r\na = 1\r\n", "f").settings
    assert (one.key, one.value, one.line) == ("a", 1, 2)


def test_comments_alone_need_no_parser() -> None:
    assert parse_toml(b"# a = 1\n\n  # [b]\n", "f") == TomlFile("f", ())


def test_a_list_of_tables_is_one_value() -> None:
    (one,) = parsed("[[registry]]\nlocation = 'x'\n").settings
    assert one.value == (Table((("location", "x"),)),)
    assert one.line == 1
