# SPDX-License-Identifier: GPL-3.0-or-later
"""`fix` and `undo` on a real kernel: on, off again, and nothing else is different."""

import itertools
import json
import os
import stat
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from hostkit.cli import changes
from hostkit.cli.fix import FixArgs, fix
from hostkit.cli.main import main
from hostkit.cli.undo import UndoArgs, undo
from hostkit.errors import HostkitError, Refused
from hostkit.plan.journal import Status
from hostkit.testing.faults import killed_at
from tests.rig.namespace import run_apart

pytestmark = pytest.mark.root
CODE = "ipv4-forwarding-disabled"
SWITCH = Path("/proc/sys/net/ipv4/ip_forward")
NET = Path("/proc/sys/net/ipv4")
MAIN = Path("/etc/sysctl.conf")
FIX = FixArgs(CODE, yes=True)
World = Mapping[str, object]


def world() -> World:
    """Every sysctl of IPv4 and every file of /etc: bytes, mode and owner."""
    values: dict[str, object] = {}
    for folder, _, names in os.walk(NET):
        for path in (f"{folder}/{name}" for name in names):
            if os.stat(path).st_mode & stat.S_IRUSR:
                values[path] = bytes_of(path)
    for folder, _, names in os.walk("/etc"):
        for path in (folder, *(f"{folder}/{name}" for name in names)):
            about = os.lstat(path)
            content = bytes_of(path) if stat.S_ISREG(about.st_mode) else b""
            values[path] = (content, about.st_mode, about.st_uid, about.st_gid)
    return values


def bytes_of(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 1 << 13)  # the kernel clears this much for every sysctl
    finally:
        os.close(descriptor)


def set_up(*, main_file: bool = False, link: bool = False, late: bool = False) -> None:
    """A host with forwarding off; the interface a0 has its own mind."""
    subprocess.run(
        ["ip", "link", "add", "name", "a0", "type", "veth", "peer", "name", "b.7"], check=True
    )
    SWITCH.write_text("0")
    (NET / "conf/a0/forwarding").write_text("1")
    (NET / "conf/all/accept_redirects").write_text("0")
    if main_file:
        MAIN.write_bytes(
            b"# \xff mine\n kernel.panic=1\n-net/ipv4/ip_forward = 0\r\nvm.swappiness = 1"
        )
        MAIN.chmod(0o640)
        os.chown(MAIN, 7, 8)
    if link:
        os.symlink("../sysctl.conf", "/etc/sysctl.d/99-sysctl.conf")
    if late:
        Path("/etc/sysctl.d/99-hardening.conf").write_text("net.ipv4.conf.all.forwarding=0\n")


def latest() -> str:
    return changes.journals("").runs()[0].id


def there_and_back() -> None:
    """By the command line, as an operator types it."""
    before = world()
    assert main(["fix", CODE, "--yes"]) == 0
    assert SWITCH.read_text() == "1\n"
    now = world()
    assert now[f"{NET}/conf/b.7/forwarding"] != before[f"{NET}/conf/b.7/forwarding"]
    assert main(["preflight", "--select", CODE]) == 0
    assert main(["fix", CODE, "--yes"]) == 0  # nothing to do
    assert len(changes.journals("").runs()) == 1
    for _ in range(2):
        assert main(["undo", latest(), "--yes"]) == 0
        assert world() == before


@pytest.mark.parametrize(
    "sick",
    [
        {},
        {"main_file": True},
        {"main_file": True, "link": True},
        {"late": True},
        {"main_file": True, "link": True, "late": True},
    ],
)
def test_fix_and_undo_leave_the_host_exactly_as_before(sick: dict[str, bool]) -> None:
    def story() -> None:
        set_up(**sick)
        there_and_back()

    run_apart(story)


def test_the_main_file_is_edited_in_its_line_alone() -> None:
    def story() -> None:
        set_up(main_file=True, link=True)
        before = MAIN.read_bytes()
        assert fix(FIX) == 0
        assert MAIN.read_bytes() == before.replace(b"ip_forward = 0", b"ip_forward = 1")
        assert os.listdir("/etc/sysctl.d") == ["99-sysctl.conf"]
        assert (MAIN.stat().st_mode & 0o777, MAIN.stat().st_uid, MAIN.stat().st_gid) == (
            0o640,
            7,
            8,
        )

    run_apart(story)


def test_a_later_file_is_outranked() -> None:
    def story() -> None:
        set_up(late=True)
        Path("/etc/sysctl.d/99-hostkit.conf").write_text("vm.swappiness = 1")
        assert fix(FIX) == 0
        drop_in = Path("/etc/sysctl.d/99-hostkit.conf")
        assert drop_in.read_text() == "vm.swappiness = 1\nnet.ipv4.ip_forward = 1\n"

    run_apart(story)


def test_a_dry_run_changes_nothing() -> None:
    def story() -> None:
        set_up(main_file=True)
        before = world()
        assert fix(FixArgs(CODE, dry_run=True, format="json")) == 0
        assert world() == before
        assert not os.path.exists("/var/lib/hostkit")

    run_apart(story)


def test_without_a_terminal_yes_is_required() -> None:
    def story() -> None:
        set_up()
        before = world()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        with open(0, closefd=False) as stdin, pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stdin", stdin)
            with pytest.raises(Refused, match="no terminal"):
                fix(FixArgs(CODE))
        assert world() == before

    run_apart(story)


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        ("/etc/sysctl.d/99-hostkit.conf", "net.ipv4.ip_forward = 1\nx = 1\n", "something else"),
        ("/proc/sys/net/ipv4/conf/a0/forwarding", "0", "something else"),
    ],
)
def test_undo_refuses_to_destroy_a_later_change(path: str, content: str, said: str) -> None:
    def story() -> None:
        set_up()
        assert fix(FIX) == 0
        Path(path).write_text(content)
        before = world()
        with pytest.raises(Refused, match=said):
            undo(UndoArgs(latest(), yes=True))
        assert world() == before
        assert changes.journals("").runs()[0].status is Status.APPLIED

    run_apart(story)


def test_a_failing_step_is_taken_back_at_once() -> None:
    def story() -> None:
        set_up()
        before = world()
        patch = pytest.MonkeyPatch()
        patch.setattr("hostkit.files.write_atomic", _no_space)
        with pytest.raises(Refused, match="as it was before"):
            fix(FIX)
        patch.undo()
        assert world() == before
        assert changes.journals("").runs()[0].status is Status.UNDONE
        assert fix(FIX) == 0  # and does not stand in the way

    run_apart(story)


def test_what_does_not_help_is_taken_back() -> None:
    def story() -> None:
        set_up()
        before = world()
        patch = pytest.MonkeyPatch()
        patch.setattr("hostkit.repair.sysctl._at_boot", _no_steps)
        Path("/etc/sysctl.d/50-a.conf").write_text("net.ipv4.ip_forward = 0\n")
        with pytest.raises(Refused, match="did not help"):
            fix(FIX)
        patch.undo()
        Path("/etc/sysctl.d/50-a.conf").unlink()
        assert world() == before

    run_apart(story)


def _no_steps(*_: object) -> tuple[()]:
    return ()


def _no_space(path: str, data: bytes, mode: int) -> None:
    del data, mode
    raise OSError(28, "No space left on device", path)


def everywhere(
    action: Callable[[], object], begin: Callable[[], object], end: Callable[[], None]
) -> int:
    """Kill `action` at every moment of it, each time on a fresh beginning; count them."""
    for point in itertools.count(1):
        begin()
        if not killed_at(point, action):
            return point
        end()
    raise AssertionError


class Crashes:
    """What must hold after a kill at any moment of a fix or an undo."""

    def __init__(self) -> None:
        set_up(late=True)
        self.before = world()
        fix(FIX)
        self.after = world()
        self.take_back()

    def forget(self) -> None:
        for path in Path("/var/lib/hostkit/journals").glob("*"):
            path.unlink()

    def fix_anew(self) -> None:
        self.forget()
        fix(FIX)

    def finish(self) -> None:
        """Go on where it was cut off; it ends before or after, never between."""
        for run in changes.journals("").runs():
            if run.status is Status.CUT_OFF:
                with pytest.raises(Refused, match="cut off"):
                    fix(FIX)
            undo(UndoArgs(run.id, yes=True, resume=True))
            if changes.journals("").runs()[0].status is Status.APPLIED:
                assert world() == self.after
                undo(UndoArgs(run.id, yes=True))
        assert world() == self.before

    def take_back(self) -> None:
        for run in changes.journals("").runs():
            undo(UndoArgs(run.id, yes=True))
        assert world() == self.before


@pytest.mark.parametrize("after_it", ["finish", "take_back"])
def test_a_fix_killed_anywhere_can_be_finished_or_taken_back(after_it: str) -> None:
    def story() -> None:
        crashes = Crashes()
        assert everywhere(lambda: fix(FIX), crashes.forget, getattr(crashes, after_it)) > 40

    run_apart(story)


@pytest.mark.parametrize("after_it", ["finish", "take_back"])
def test_an_undo_killed_anywhere_can_be_finished(after_it: str) -> None:
    def story() -> None:
        crashes = Crashes()

        def take_back() -> None:
            undo(UndoArgs(latest(), yes=True))

        assert everywhere(take_back, crashes.fix_anew, getattr(crashes, after_it)) > 30

    run_apart(story)


def test_two_at_once_change_it_once() -> None:
    def story() -> None:
        set_up()
        before = world()
        children: list[int] = []
        for _ in range(4):
            child = os.fork()
            if child == 0:
                try:
                    os._exit(fix(FIX))
                except HostkitError as error:
                    os._exit(error.exit_code)
            children.append(child)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        assert 0 in codes
        assert set(codes) <= {0, 5}
        done = [run for run in changes.journals("").runs() if run.status is Status.APPLIED]
        assert len(done) == 1
        assert undo(UndoArgs(done[0].id, yes=True)) == 0
        assert world() == before

    run_apart(story)


def test_json_is_one_object(capfd: pytest.CaptureFixture[str]) -> None:
    def story() -> None:
        set_up()
        assert fix(FixArgs(CODE, yes=True, format="json")) == 0

    run_apart(story)
    data = json.loads(capfd.readouterr().out)
    assert data["schema"] == "hostkit.fix/1"
    assert data["status"] == "fixed"
    assert [step["kind"] for step in data["steps"]] == ["set-sysctl", "write-file"]
