# SPDX-License-Identifier: GPL-3.0-or-later
"""daemon.json: settings with lines, or a fault with its place."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.facts.daemonjson import Setting, Table, parse_daemon_json


def fault(content: str | bytes) -> tuple[str, int, int]:
    data = content.encode() if isinstance(content, str) else content
    found = parse_daemon_json(data, "f").fault
    assert found is not None
    return found.message, found.line, found.column


def test_every_key_knows_its_line() -> None:
    content = '{\n  "log-opts": {"max-size": "10m",\n "data-root": "/no"},\n"data-root": "/d"}'
    settings = parse_daemon_json(content.encode(), "f").settings
    assert settings == (
        Setting("log-opts", Table((("max-size", "10m"), ("data-root", "/no"))), "f", 2),
        Setting("data-root", "/d", "f", 4),
    )


@pytest.mark.parametrize(
    ("content", "message", "line", "column"),
    [
        ('{\n  "debug": true,\n}', "a comma before the closing }", 3, 1),
        ('{"dns": ["10.0.0.1",]}', "a comma before the closing ]", 1, 21),
        ("{\n  “debug”: true\n}", 'a quote that is not the plain "', 2, 3),
        ("{\n  // no\n}", "a comment; JSON has none", 2, 3),
        ('{"debug": true\n "icc": false}', "a comma is missing before this", 2, 2),
        ('{"debug": true', "the file ends too early", 1, 15),
        ('{"debug": true}}', "there is more after the closing }", 1, 16),
        ('["a"]', "it is not a JSON object {...}", 1, 1),
        ('{"mtu": NaN}', "NaN is not JSON", 0, 0),
        (b'{\n "a": "\xff"}', "it is not utf-8", 2, 8),
        ("[" * 100, "nested deeper than 32", 1, 0),
    ],
)
def test_a_fault_says_what_and_where(
    content: str | bytes, message: str, line: int, column: int
) -> None:
    said = fault(content)
    assert said[0].startswith(message)
    assert said[1:] == (line, column)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_read_over(encoding: str) -> None:
    data = '{"debug": true}'.encode(encoding)
    assert parse_daemon_json(data, "f").settings == (Setting("debug", True, "f", 1),)


@pytest.mark.parametrize("content", [b"", b" \n\t", b"\xef\xbb\xbf"])
def test_an_empty_file_is_empty_and_no_fault(content: bytes) -> None:
    file = parse_daemon_json(content, "f")
    assert file.empty
    assert file.fault is None


def test_the_last_of_two_keys_counts_and_the_first_is_told() -> None:
    file = parse_daemon_json(b'{"mtu": 1,\n"mtu": 2}', "f")
    assert file.settings == (Setting("mtu", 2, "f", 2),)
    assert file.duplicates == (Setting("mtu", 1, "f", 1),)


def test_a_terminal_escape_in_a_fault_is_shown_not_sent() -> None:
    file = parse_daemon_json(b'{"a": \x1b[2J}', "f")
    assert file.fault is not None
    assert "\x1b" not in file.fault.excerpt


NAMES = st.text(max_size=8)
JSON: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('"\\{}[]:,\n\u201ca', max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(NAMES, JSON, max_size=5), st.sampled_from([None, 1, 4]))
def test_every_object_is_settings_in_order(value: dict[str, object], indent: int | None) -> None:
    file = parse_daemon_json(json.dumps(value, indent=indent).encode(), "f")
    assert [setting.key for setting in file.settings] == list(value)
    if indent:
        lines = [setting.line for setting in file.settings]
        assert lines == sorted(lines)
        assert 0 not in lines


def test_a_hostile_file_takes_no_longer_than_its_size() -> None:
    for content in ('"\\' * 200_000, '"' * 200_001, "{" * 200_000, '{"a":"' + "\\" * 200_001):
        assert parse_daemon_json(content.encode(), "f").fault is not None


@given(st.binary() | st.text('{}[]":,\\ \n1a').map(str.encode))
def test_any_bytes_are_settings_or_a_fault(data: bytes) -> None:
    file = parse_daemon_json(data, "f")
    assert file.fault is None or not file.settings
