# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan that sets a sysctl: which file wins, which line is changed, what is refused."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hostkit import text
from hostkit.diagnosis.finding import Finding, Severity
from hostkit.diagnosis.problem import Remedy
from hostkit.errors import Refused
from hostkit.facts.sysctl import CONFIGURED, parse_sysctl_conf
from hostkit.repair.actions import ACTIONS
from hostkit.repair.registry import REPAIRS, automatic
from hostkit.repair.sysctl import plan_sysctl
from hostkit.repair.sysctl_conf import append_line, same_key, set_in_line
from hostkit.system.file import WriteFile
from hostkit.system.sysctl import SetSysctl
from tests.fakes import make_facts

KEY = "net.ipv4.ip_forward"
OFF = {
    "/proc/sys/net/ipv4/ip_forward": "0\n",
    "/proc/sys/net/ipv4/conf/all/accept_redirects": "1\n",
    "/proc/sys/net/ipv4/conf/all/forwarding": "0\n",
    "/proc/sys/net/ipv4/conf/default/forwarding": "0\n",
    "/proc/sys/net/ipv4/conf/eth0.100/forwarding": "1\n",
}
ON = {"/proc/sys/net/ipv4/ip_forward": "1\n"}
EMPTY = {"/etc/sysctl.d/README": ""}


def remedy(key: str = KEY, action: str = "sysctl") -> Remedy:
    return Remedy("Switch it on", {}, "low", "nothing", "", action, {"key": key, "value": "1"})


FINDING = Finding("ipv4-forwarding-disabled", Severity.ERROR, "it is off", ())


def steps(files: Mapping[str, str | bytes], key: str = KEY, **host: Any) -> tuple[Any, ...]:
    return plan_sysctl(make_facts({**EMPTY, **files}, **host), remedy(key), FINDING).steps


def only_file(files: Mapping[str, str | bytes], **host: Any) -> WriteFile:
    (step,) = steps({**ON, **files}, **host)
    assert isinstance(step, WriteFile)
    return step


def test_what_the_kernel_resets_is_noted_with_what_it_was() -> None:
    now, boot = steps(OFF)
    assert isinstance(now, SetSysctl)
    assert (now.key, now.before, now.value) == (KEY, "0", "1")
    assert {tuple(reset) for reset in now.resets} == {
        ("net.ipv4.conf.all.accept_redirects", "1", "0"),
        ("net.ipv4.conf.default.forwarding", "0", "1"),
        ("net.ipv4.conf.eth0/100.forwarding", "1", "1"),
    }
    assert isinstance(boot, WriteFile)


def test_with_no_file_that_says_anything_a_drop_in_is_made() -> None:
    step = only_file({})
    assert (step.path, step.before, step.mode) == ("/etc/sysctl.d/99-hostkit.conf", None, 0o644)
    assert step.content.endswith(b"\nnet.ipv4.ip_forward = 1\n")


def test_what_is_right_already_needs_no_step() -> None:
    assert steps({**ON, "/etc/sysctl.d/50-a.conf": "net.ipv4.conf.all.forwarding=1"}) == ()


@pytest.mark.parametrize(
    ("winner", "drop_in"),
    [
        ("50-a.conf", "99-hostkit.conf"),
        ("99-hardening.conf", "99-hostkit.conf"),
        ("99-sysctl.conf", "99-zzz-hostkit.conf"),
        ("99-zzzz.conf", "zzz-hostkit.conf"),
        ("zz.conf", "zzz-hostkit.conf"),
    ],
)
@pytest.mark.parametrize("folder", ["/etc/sysctl.d", "/run/sysctl.d", "/usr/lib/sysctl.d"])
def test_the_drop_in_sorts_after_the_file_that_decides(
    winner: str, drop_in: str, folder: str
) -> None:
    step = only_file({f"{folder}/{winner}": "net.ipv4.ip_forward = 0\n"})
    assert step.path == f"/etc/sysctl.d/{drop_in}"


def test_a_drop_in_that_is_there_keeps_its_lines() -> None:
    step = only_file(
        {"/etc/sysctl.d/99-hostkit.conf": "a.b = 1", "/etc/sysctl.d/10.conf": f"{KEY}=0"}
    )
    assert step.content == b"a.b = 1\nnet.ipv4.ip_forward = 1\n"
    assert step.before is not None


def test_a_name_that_would_hide_a_file_or_is_masked_is_not_taken() -> None:
    taken = {"/usr/lib/sysctl.d/99-hostkit.conf": "a.b=1\n"}
    assert only_file(taken).path == "/etc/sysctl.d/99-zzz-hostkit.conf"
    masked = {"/etc/sysctl.d/99-hostkit.conf": "/dev/null"}
    assert only_file({}, links=masked).path == "/etc/sysctl.d/99-zzz-hostkit.conf"


def test_a_file_after_every_name_is_edited() -> None:
    step = only_file({"/etc/sysctl.d/zzzz.conf": f"# a\n{KEY} = 0 \nb.c=2"})
    assert step.path == "/etc/sysctl.d/zzzz.conf"
    assert step.content == f"# a\n{KEY} = 1 \nb.c=2".encode()


def test_a_package_file_after_every_name_is_left_alone() -> None:
    with pytest.raises(Refused, match="belongs to a package"):
        only_file({"/usr/lib/sysctl.d/zzzz.conf": f"{KEY} = 0"})


@pytest.mark.parametrize("linked", [False, True])
def test_the_main_file_is_edited_because_nothing_can_outrank_it(linked: bool) -> None:
    links = {"/etc/sysctl.d/99-sysctl.conf": "../sysctl.conf"} if linked else {}
    step = only_file({"/etc/sysctl.conf": f"{KEY}=1\n{KEY}=0\n"}, links=links)
    assert (step.path, step.content) == ("/etc/sysctl.conf", b"%s=1\n" % KEY.encode() * 2)


def test_the_main_file_is_right_also_when_a_later_one_decides() -> None:
    main, drop_in = steps(
        {**ON, "/etc/sysctl.conf": f"{KEY}=0\n", "/etc/sysctl.d/99-zz.conf": f"{KEY}=0\n"},
        links={"/etc/sysctl.d/99-sysctl.conf": "../sysctl.conf"},
    )
    assert main.path == "/etc/sysctl.conf"
    assert drop_in.path == "/etc/sysctl.d/99-zzz-hostkit.conf"


def test_a_file_that_cannot_be_read_may_decide() -> None:
    files = {"/etc/sysctl.d/50.conf": f"{KEY}=0", "/etc/sysctl.d/99.conf": "x=1"}
    with pytest.raises(Refused, match="may decide"):
        only_file(files, unreadable=["/etc/sysctl.d/99.conf"])


def test_a_file_written_while_hostkit_looked_is_not_written_again() -> None:
    facts = make_facts({**EMPTY, **ON})
    facts.get(CONFIGURED)
    both = make_facts(
        {**EMPTY, **ON, "/etc/sysctl.d/99-hostkit.conf": f"{KEY} = 1\n"},
        given={CONFIGURED: facts.get(CONFIGURED)},
    )
    with pytest.raises(Refused, match="changed while"):
        plan_sysctl(both, remedy(), FINDING)


def test_without_the_folder_the_hint_makes_it() -> None:
    facts = make_facts({**ON, "/etc/passwd": ""})
    with pytest.raises(Refused) as caught:
        plan_sysctl(facts, remedy(), FINDING)
    assert caught.value.hint == "mkdir -m 755 /etc/sysctl.d"


def test_lines_that_only_some_programs_see_are_not_edited() -> None:
    odd = f"x = 1\x0b{KEY} = 0\n".encode()
    with pytest.raises(Refused, match="no line assigns"):
        only_file({"/etc/sysctl.conf": odd})


@pytest.mark.parametrize(
    "key", ["net.ipv6.conf.all.forwarding", "net.ipv4.conf.all.rp_filter", "net.ipv4.no_such"]
)
def test_what_could_not_be_undone_or_read_is_refused(key: str) -> None:
    files = {"net/ipv6/conf/all/forwarding": "0", "net/ipv4/conf/all/rp_filter": "0"}
    with pytest.raises(Refused):
        steps({f"/proc/sys/{name}": value for name, value in files.items()}, key)


def test_a_key_with_no_side_effects_is_set_alone() -> None:
    now, boot = steps({"/proc/sys/vm/max_map_count": "65530\n"}, "vm.max_map_count")
    assert now == SetSysctl("vm.max_map_count", "1", "65530")
    assert boot.content.endswith(b"\nvm.max_map_count = 1\n")


def test_reports_name_the_actions_that_fix_can_do() -> None:
    assert frozenset(REPAIRS) == ACTIONS
    assert automatic((remedy(action=""), remedy())) == remedy()
    assert automatic((remedy(action="reboot"),)) is None


LINES = st.lists(
    st.sampled_from(
        [
            b"# comment",
            b"",
            b" -net.ipv4.ip_forward  =  0  ",
            b"net/ipv4/ip_forward=\t7",
            b"net.ipv4.conf.all.forwarding = 0\r",
            b"vm.swappiness = \xff",
            b"net.ipv4.ip_forward",
        ]
    )
    | st.binary(max_size=12),
    max_size=8,
)


@given(LINES)
def test_an_edit_changes_one_value_and_no_other_byte(lines: list[bytes]) -> None:
    content = b"\n".join(lines)
    decoded = text.decode(content)
    # The parser breaks lines in more places; `plan_sysctl` compares before it trusts.
    assume(len(decoded.splitlines()) <= len(decoded.split("\n")))
    before = list(parse_sysctl_conf(decoded, "f"))
    mine = [n for n, one in enumerate(before) if same_key(one.key, KEY)]
    if not mine:
        with pytest.raises(ValueError, match="no line assigns"):
            set_in_line(content, KEY, "1")
        return
    edited = set_in_line(content, KEY, "1")
    before[mine[-1]] = before[mine[-1]]._replace(value="1")
    assert list(parse_sysctl_conf(text.decode(edited), "f")) == before
    changed = [a != b for a, b in zip(content.split(b"\n"), edited.split(b"\n"), strict=True)]
    assert sum(changed) <= 1
    assert set_in_line(edited, KEY, "1") == edited


@given(st.binary())
def test_a_line_is_added_after_all_that_was_there(content: bytes) -> None:
    added = append_line(content, "a = 1")
    assert added.startswith(content)
    assert added.split(b"\n")[-2:] == [b"a = 1", b""]


@given(LINES, st.sampled_from(["50-a", "99-hostkit", "99-sysctl", "99-zzzz", "zzzzz"]))
def test_after_the_plan_the_wanted_value_wins(lines: list[bytes], name: str) -> None:
    files: dict[str, str | bytes] = {
        **EMPTY,
        **ON,
        f"/etc/sysctl.d/{name}.conf": b"\n".join(lines),
        "/etc/sysctl.conf": b"net.ipv4.ip_forward=0\n",
    }
    try:
        plan = plan_sysctl(make_facts(files), remedy(), FINDING)
    except Refused:
        return
    for step in plan.steps:
        assert isinstance(step, WriteFile)
        files[step.path] = step.content
    winner = make_facts(files).value(CONFIGURED).winner(KEY)
    assert winner is not None
    assert winner.value == "1"
