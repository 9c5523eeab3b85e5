# SPDX-License-Identifier: GPL-3.0-or-later
"""The fake host answers as the real one would."""

from hostkit.host.answer import Absent, Known, Unreadable
from hostkit.host.base import Host, Space
from hostkit.host.commands import Command
from tests.fakes import FakeHost

HOST = FakeHost(
    {"/etc/a.d/one": "1\n", "/etc/b": b"\xff"},
    folders={"/empty": ()},
    links={"/etc/link": "a.d", "/etc/abs": "/etc/b", "/loop": "/loop"},
    spaces={"/": Space(1, 1, 1, 1, 1), "/var": Space(2, 2, 2, 2, 2)},
    commands={"tool -x": ("out", 3)},
    native={"lib.topic": [1]},
    unreadable={"/etc/shadow": "Permission denied"},
)


def test_it_is_a_host() -> None:
    host: Host = HOST
    assert host.kind == "live"


def test_files_folders_and_links() -> None:
    assert HOST.read("/etc/link/one") == Known(b"1\n", "/etc/link/one")
    assert HOST.read("/etc/abs") == Known(b"\xff", "/etc/abs")
    assert HOST.listdir("/etc") == Known(("a.d", "abs", "b", "link", "shadow"), "/etc")
    assert HOST.listdir("/empty") == Known((), "/empty")
    assert HOST.read("/loop") == Absent("/loop")
    assert isinstance(HOST.read("/etc/a.d"), Unreadable)
    assert isinstance(HOST.read("/etc/a.d/one", 1), Unreadable)
    assert HOST.read("/etc/none") == Absent("/etc/none")
    assert isinstance(HOST.read("/etc/shadow"), Unreadable)


def test_stats_and_spaces() -> None:
    link = HOST.stat("/etc/link", follow=False)
    folder = HOST.stat("/etc/link")
    assert isinstance(link, Known)
    assert isinstance(folder, Known)
    assert (link.value.kind, link.value.target, folder.value.kind) == ("link", "a.d", "folder")
    space = HOST.space("/var/lib")
    assert isinstance(space, Known)
    assert space.value.total == 2


def test_commands() -> None:
    assert isinstance(HOST.run(Command(("tool",)), "-x"), Unreadable)
    allowed = HOST.run(Command(("tool",), ok=(0, 3)), "-x")
    assert isinstance(allowed, Known)
    assert allowed.value.stdout == b"out"
    assert isinstance(HOST.run(Command(("none",))), Absent)
    assert HOST.native("lib.topic") == Known([1], "lib.topic")
