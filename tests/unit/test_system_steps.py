# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps on a folder that stands for /: done, verified, undone, refused."""

import os
from pathlib import Path

import pytest

from hostkit import files
from hostkit.errors import InputError
from hostkit.system import sysctl
from hostkit.system.file import LIMIT, FileState, WriteFile, look
from hostkit.system.machine import Machine
from hostkit.system.sysctl import Reset, SetSysctl

KEY = "net.ipv4.ip_forward"
VLAN = "net.ipv4.conf.eth0/100.forwarding"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    folder = tmp_path / "proc/sys/net/ipv4"
    (folder / "conf/eth0.100").mkdir(parents=True)
    (folder / "ip_forward").write_text("0\n")
    (folder / "conf/eth0.100/forwarding").write_text("1\n")
    return Machine(str(tmp_path))


def test_a_slash_in_a_key_is_a_dot_in_a_name(machine: Machine) -> None:
    assert sysctl.read(machine, VLAN) == "1"


@pytest.mark.parametrize("key", ["", "a..b", "//.//.etc.passwd", "net./.x", "net/.//.x", "a\n.b"])
def test_a_key_cannot_leave_its_folder(machine: Machine, key: str) -> None:
    with pytest.raises(InputError, match="not the name"):
        sysctl.write(machine, key, "1")


def test_a_value_the_kernel_refuses_is_an_error_with_its_path(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(descriptor: int, data: bytes) -> int:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "write", refused)
    with pytest.raises(OSError, match=r"Invalid argument.*ip_forward"):
        sysctl.write(machine, KEY, "x")


def test_a_value_taken_in_part_is_an_error(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def partial(descriptor: int, data: bytes) -> int:
        return 1

    monkeypatch.setattr(os, "write", partial)
    with pytest.raises(OSError, match="took 1 of 2 bytes"):
        sysctl.write(machine, KEY, "1")


def test_words_are_compared_without_their_blanks(machine: Machine) -> None:
    Path(machine.at("/proc/sys/net/ipv4/tcp_rmem")).write_text("4096\t131072\t6291456\n")
    assert sysctl.read(machine, "net.ipv4.tcp_rmem") == "4096 131072 6291456"


def test_a_switch_is_set_and_its_resets_are_brought_back(machine: Machine) -> None:
    step = SetSysctl(KEY, "1", "0", (Reset(VLAN, "1", "0"),))
    assert step.verify(machine)
    step.apply(machine)
    assert step.verify(machine) == ()
    sysctl.write(machine, VLAN, "0")  # what the kernel would do
    assert step.conflicts(machine) == ()
    step.undo(machine)
    assert step.restored(machine) == ()
    assert (sysctl.read(machine, KEY), sysctl.read(machine, VLAN)) == ("0", "1")


def test_an_interface_that_has_gone_does_not_stop_the_way_back(machine: Machine) -> None:
    step = SetSysctl(KEY, "1", "0", (Reset("net.ipv4.conf.gone.forwarding", "0", "1"),))
    step.apply(machine)
    assert step.conflicts(machine) == ()
    step.undo(machine)
    assert step.restored(machine) == ()


@pytest.mark.parametrize(("switch", "reset"), [("2", "1"), ("0", "0"), ("1", "7")])
def test_values_set_by_something_else_are_conflicts(
    machine: Machine, switch: str, reset: str
) -> None:
    step = SetSysctl(KEY, "1", "0", (Reset(VLAN, "1", "0"),))
    sysctl.write(machine, KEY, switch)
    sysctl.write(machine, VLAN, reset)
    assert "something else" in step.conflicts(machine)[0]


def test_the_diff_names_what_changes_and_no_more() -> None:
    step = SetSysctl(KEY, "1", "0", (Reset(VLAN, "1", "1"),))
    assert "-net.ipv4.ip_forward = 0\n+net.ipv4.ip_forward = 1" in step.diff()
    assert VLAN not in step.diff()


@pytest.mark.parametrize("kind", ["link", "fifo", "folder", "broken link"])
def test_what_is_no_regular_file_is_never_written(machine: Machine, kind: str) -> None:
    path = machine.at("/thing")
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        os.mkdir(path)
    else:
        os.symlink("proc" if kind == "link" else "nowhere", path)
    step = WriteFile("/thing", b"x", 0o644, None)
    for method in (step.conflicts, step.verify, step.undo):
        with pytest.raises(OSError, match="not a regular file"):
            method(machine)


def test_a_file_with_two_names_is_not_parted(machine: Machine) -> None:
    Path(machine.at("/a")).write_text("a")
    os.link(machine.at("/a"), machine.at("/b"))
    step = WriteFile("/a", b"x", 0o644, look(machine, "/a"))
    with pytest.raises(OSError, match="several names"):
        step.apply(machine)


@pytest.mark.parametrize("path", ["relative", "/a/../b", "/a//b", "/a/"])
def test_only_a_plain_absolute_path_is_written(machine: Machine, path: str) -> None:
    with pytest.raises(OSError, match="plain absolute path"):
        WriteFile(path, b"", 0o644, None).apply(machine)


def test_a_content_that_is_too_large_is_refused(machine: Machine) -> None:
    with pytest.raises(OSError, match="more than"):
        WriteFile("/a", b"x" * (LIMIT + 1), 0o644, None).apply(machine)


def test_leftovers_of_a_killed_write_are_removed_and_nothing_else(machine: Machine) -> None:
    for name in (".a.0123abcd.tmp", ".a.0123abcd.tmp2", ".ab.0123abcd.tmp", ".a.x.tmp"):
        Path(machine.at(f"/{name}")).write_text("")
    files.remove_leftovers(machine.at("/a"))
    left = {".a.0123abcd.tmp2", ".ab.0123abcd.tmp", ".a.x.tmp", "proc"}
    assert set(os.listdir(machine.at("/"))) == left


def test_a_diff_is_safe_to_print() -> None:
    before = FileState(b"a\nb\x1b[2J\nc", 0o644, 0, 0)
    step = WriteFile("/a", b"a\nB\nc\n", 0o644, before)
    assert step.describe() == "change /a"
    assert "\x1b" not in step.diff()
    assert "+B" in step.diff()
    assert "-(no newline at the end of the file)" in step.diff()
    assert WriteFile("/a", b"x\n", 0o644, None).diff().endswith("+x")
