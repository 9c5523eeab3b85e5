# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel releases as distributions number them, boot arguments, rpm's order of labels."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.facts.kernel import (
    CMDLINE,
    KERNEL,
    KernelRelease,
    parse_cmdline,
    parse_release,
    parse_version_line,
)
from hostkit.facts.versions import rpm_key
from hostkit.host.answer import Absent, Known, Unreadable
from tests.fakes import make_facts


@pytest.mark.parametrize(
    ("release", "numbers", "el"),
    [
        ("3.10.0-693.2.2.el7.x86_64", (3, 10, 0), 7),
        ("3.10.0-1160.119.1.el7.x86_64", (3, 10, 0), 7),
        ("4.18.0-553.el8_10.x86_64", (4, 18, 0), 8),
        ("5.14.0-427.13.1.el9_4.aarch64", (5, 14, 0), 9),
        ("6.12.0-55.9.1.el10_0.x86_64", (6, 12, 0), 10),
        ("2.6.32-754.el6.x86_64", (2, 6, 32), 6),
        ("3.10.0-514.10.2.el7.x86_64.debug", (3, 10, 0), 7),
        ("4.14.35-1902.300.11.el7uek.x86_64", (4, 14, 35), None),
        ("3.8.13-68.3.4.el6uek.x86_64", (3, 8, 13), None),
        ("5.4.278-1.el7.elrepo.x86_64", (5, 4, 278), None),
        ("2.6.32-042stab120.16", (2, 6, 32), None),
        ("6.18.44-fc-v657", (6, 18, 44), None),
        ("4.9+", (4, 9), None),
        ("5.15.90.1-microsoft-standard-WSL2", (5, 15, 90, 1), None),
        ("6.1.0-rpi6-rpi-2712", (6, 1, 0), None),
    ],
)
def test_releases_of_many_distributions(
    release: str, numbers: tuple[int, ...], el: int | None
) -> None:
    found = parse_release(release + "\n")
    assert (found.text, found.numbers, found.el) == (release, numbers, el)


@pytest.mark.parametrize("text", ["", "\n", "linux", "4", "4.1 5.1", "x86_64 4.1"])
def test_what_is_no_release_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no kernel release"):
        parse_release(text)


def test_el7_is_compared_by_its_release_part_in_rpm_order() -> None:
    old, new = parse_release("3.10.0-693.2.2.el7.x86_64"), parse_release("3.10.0-1160.el7.x86_64")
    assert new.el_at_least("3.10.0-693.2.2.el7")
    assert not old.el_at_least("3.10.0-1160")
    assert old.el_at_least("3.10.0-693")
    assert old.el_at_least("3.10.0-514")
    assert parse_release("4.18.0-80.el8.x86_64").el_at_least("3.10.0-1160")


def test_a_kernel_that_is_not_red_hats_is_never_judged_by_red_hats_numbers() -> None:
    assert not parse_release("4.14.35-1902.el7uek.x86_64").el_at_least("3.10.0-693")
    assert not parse_release("6.18.44-fc-v657").el_at_least("3.10.0-693")


@pytest.mark.parametrize(
    ("release", "version", "answer"),
    [
        ("2.6.32-754.35.1.el6.x86_64", "3.10", False),  # an unanchored pattern passed this
        ("3.8.13-68.el6uek", "3.10", False),
        ("3.9.11", "3.10", False),
        ("3.10.0-327.el7.x86_64", "3.10", True),
        ("4.4", "4.4.0", True),
        ("10.0.1", "3.10", True),
    ],
)
def test_upstream_numbers_are_compared_as_numbers(release: str, version: str, answer: bool) -> None:
    assert parse_release(release).at_least(version) is answer


def test_the_release_is_read_from_proc_version_when_need_be() -> None:
    facts = make_facts({"/proc/version": "Linux version 3.2.0-4-amd64 (x) (gcc) #1 SMP\n"})
    assert facts.value(KERNEL).numbers == (3, 2, 0)
    assert facts.get(KERNEL).source == "/proc/version"


def test_an_unreadable_release_is_not_an_absent_one() -> None:
    facts = make_facts(unreadable=["/proc/sys/kernel/osrelease"])
    assert isinstance(facts.get(KERNEL), Unreadable)
    assert isinstance(make_facts().get(KERNEL), Absent)


def test_boot_arguments_keep_order_quotes_and_repetition() -> None:
    words = parse_cmdline(
        'BOOT_IMAGE=/vmlinuz ro cgroup_disable=memory cgroup_disable=cpuset dyndbg="file a +p" x=\n'
    )
    assert words.get("cgroup-disable") == "cpuset"
    assert words.all("cgroup_disable") == ("memory", "cpuset")
    assert words.get("dyndbg") == "file a +p"
    assert words.get("ro") == ""
    assert words.get("x") == ""
    assert words.get("quiet") is None


def test_what_follows_two_dashes_is_for_init() -> None:
    assert parse_cmdline("ro -- swapaccount=1").get("swapaccount") is None


def test_a_command_line_with_a_zero_byte_is_not_trusted() -> None:
    assert isinstance(make_facts({"/proc/cmdline": b"a\0b"}).get(CMDLINE), Unreadable)
    assert isinstance(make_facts({"/proc/cmdline": b"ro\n"}).get(CMDLINE), Known)


# Pairs from rpm's own manual of version comparison.
@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.0", "2.0"),
        ("2.0", "2.0.1"),
        ("2.0.1", "2.0.1a"),
        ("5.5p1", "5.5p10"),
        ("10xyz", "10.1xyz"),
        ("xyz.4", "8"),
        ("1.0~rc1", "1.0"),
        ("1.0~rc1", "1.0~rc2"),
        ("1.0", "1.0^git1"),
        ("1.0^git1", "1.01"),
        ("693.el7", "1160.el7"),
        ("514.10.2.el7", "632.el7"),
    ],
)
def test_labels_sort_as_rpm_sorts_them(older: str, newer: str) -> None:
    assert rpm_key(older) < rpm_key(newer)


def test_leading_zeros_and_separators_do_not_matter() -> None:
    assert rpm_key("1.05") == rpm_key("1.5") == rpm_key("1_5")


@given(st.text(max_size=300))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for parse in (parse_release, parse_version_line, parse_cmdline):
        try:
            parse(text)
        except ValueError:
            pass
    assert rpm_key(text) == rpm_key(text)


@given(st.from_regex(r"[0-9]{1,3}\.[0-9]{1,3}(\.[0-9]{1,4})?(-[0-9a-z.]{1,12})?", fullmatch=True))
def test_every_release_is_at_least_itself(release: str) -> None:
    found: KernelRelease = parse_release(release)
    assert found.at_least(".".join(str(number) for number in found.numbers))
