# SPDX-License-Identifier: GPL-3.0-or-later
"""Namespaces, the switches of user namespaces, and sub-ids."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.facts.namespaces import (
    EL7_PARAMETER,
    FOLDER,
    MAX_USER,
    NAMESPACES,
    SUBGID,
    SUBIDS,
    SUBUID,
    UNPRIVILEGED_CLONE,
    SubIds,
    SubRange,
    parse_number,
    parse_subids,
    parse_switch,
)
from hostkit.host.answer import Absent, Unreadable
from tests.fakes import make_facts

ALL = ("cgroup", "ipc", "mnt", "net", "pid", "pid_for_children", "user", "uts")


def test_kinds_without_the_for_children_doubles() -> None:
    found = make_facts(folders={FOLDER: ALL}).value(NAMESPACES)
    assert found.present == {"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"}
    assert (found.max_user, found.el7_enabled, found.unprivileged) == (None, None, None)


def test_the_switches_of_each_distribution() -> None:
    files = {MAX_USER: "0\n", EL7_PARAMETER: "N\n", UNPRIVILEGED_CLONE: "1\n"}
    found = make_facts(files, folders={FOLDER: ALL}).value(NAMESPACES)
    assert (found.max_user, found.el7_enabled, found.unprivileged) == (0, False, True)


def test_a_switch_that_cannot_be_read_is_not_one_that_is_not_there() -> None:
    facts = make_facts(folders={FOLDER: ALL}, unreadable=[MAX_USER])
    assert isinstance(facts.get(NAMESPACES), Unreadable)


def test_a_kernel_that_shows_no_namespaces_and_a_host_that_shows_no_proc() -> None:
    assert make_facts({"/proc/self/status": ""}).value(NAMESPACES).present == frozenset()
    assert isinstance(make_facts().get(NAMESPACES), Absent)


def test_lines_of_subuid() -> None:
    ranges = parse_subids("a:100000:65536\n# no\nbroken\nb:x:1\n:1:1\nc:5:0\n1000:1:2\n", SUBUID)
    assert [(r.owner, r.start, r.size, r.line) for r in ranges] == [
        ("a", 100000, 65536, 1),
        ("1000", 1, 2, 7),
    ]


def test_overlaps_are_found_across_a_nested_range() -> None:
    ranges = parse_subids("a:0:100\nb:10:5\nc:50:10\nd:100:10\n", SUBUID)
    pairs = SubIds(ranges, ()).overlaps()
    assert [(one.owner, two.owner) for one, two in pairs] == [("a", "b"), ("a", "c")]


def test_ranges_of_one_owner_may_touch_and_overlap() -> None:
    assert SubIds(parse_subids("a:0:10\na:5:10\nb:15:5\n", SUBUID), ()).overlaps() == ()


def test_missing_files_are_named() -> None:
    assert make_facts({SUBUID: "a:1:2\n"}).value(SUBIDS).missing == (SUBGID,)
    assert isinstance(make_facts(unreadable=[SUBGID]).get(SUBIDS), Unreadable)


@pytest.mark.parametrize("text", ["", "maybe", "2"])
def test_neither_on_nor_off_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="neither on nor off"):
        parse_switch(text)


@given(st.text(max_size=300))
def test_any_text(text: str) -> None:
    parse_subids(text, SUBUID)
    for parse in (parse_number, parse_switch):
        try:
            parse(text)
        except ValueError:
            pass


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 50), st.integers(1, 20))))
def test_overlap_is_found_exactly_when_there_is_one(rows: list[tuple[str, int, int]]) -> None:
    ranges = tuple(SubRange(owner, start, size, SUBUID, 1) for owner, start, size in rows)
    shared = any(
        one.owner != two.owner and one.start <= two.end and two.start <= one.end
        for one in ranges
        for two in ranges
    )
    assert bool(SubIds(ranges, ()).overlaps()) is shared
