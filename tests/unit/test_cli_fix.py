# SPDX-License-Identifier: GPL-3.0-or-later
"""What `fix` and `undo` say and refuse before anything is changed."""

import json
import os
import pty
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from hostkit.cli import changes
from hostkit.cli.fix import FixArgs, fix
from hostkit.cli.fix import options as fix_options
from hostkit.cli.undo import UndoArgs, undo
from hostkit.errors import InputError, Refused
from hostkit.plan.engine import Engine
from hostkit.plan.journal import Journals
from hostkit.plan.plan import new_plan
from hostkit.repair.registry import STEP_KINDS
from hostkit.system.file import WriteFile
from hostkit.system.machine import Machine
from tests.fakes import FakeHost

CODE = "ipv4-forwarding-disabled"
OFF = {
    "/proc/sys/net/ipv4/ip_forward": "0\n",
    "/proc/sys/net/ipv4/conf/all/accept_redirects": "1\n",
    "/etc/sysctl.d/README": "",
}
On = Callable[[Mapping[str, str]], None]


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> On:
    """Let `fix` look at a host with these files."""

    def look_at(files: Mapping[str, str]) -> None:
        monkeypatch.setattr("hostkit.cli.fix.LocalHost", lambda: FakeHost(files))

    return look_at


@pytest.fixture
def no_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hostkit.cli.changes.is_root", lambda: False)


@pytest.mark.usefixtures("no_root")
def test_an_ordinary_user_may_look_but_not_change(
    on: On, capsys: pytest.CaptureFixture[str]
) -> None:
    on(OFF)
    with pytest.raises(Refused, match="only root"):
        fix(FixArgs(CODE, yes=True))
    assert fix(FixArgs(CODE, dry_run=True)) == 0
    said = capsys.readouterr().out
    assert "+net.ipv4.ip_forward = 1" in said
    assert "create /etc/sysctl.d/99-hostkit.conf" in said


@pytest.mark.usefixtures("no_root")
def test_a_healthy_host_needs_nothing(on: On, capsys: pytest.CaptureFixture[str]) -> None:
    on({"/proc/sys/net/ipv4/ip_forward": "1\n"})
    assert fix(FixArgs(CODE)) == 0
    assert "Nothing to do" in capsys.readouterr().out
    assert fix(FixArgs(CODE, format="json")) == 0
    assert json.loads(capsys.readouterr().out)["status"] == "nothing-to-do"


@pytest.mark.usefixtures("no_root")
def test_an_unknown_is_not_a_pass(on: On) -> None:
    on({})
    with pytest.raises(Refused, match="cannot be told"):
        fix(FixArgs(CODE))


def test_a_code_that_does_not_exist_is_an_input_error() -> None:
    with pytest.raises(InputError, match="no problem is called"):
        fix(FixArgs("no-such-problem", dry_run=True))


@pytest.mark.usefixtures("no_root")
def test_without_a_remedy_of_its_own_it_prints_the_commands(
    on: On, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    on({**OFF, "/etc/os-release": "ID=centos\nVERSION_ID=7\n"})

    def none(_: object) -> None:
        return None

    monkeypatch.setattr("hostkit.cli.fix.automatic", none)
    with pytest.raises(Refused, match="no remedy of its own"):
        fix(FixArgs(CODE))
    assert "    sysctl -w net.ipv4.ip_forward=1" in capsys.readouterr().out


USERNS = {"/proc/self/ns/user": "", "/etc/sysctl.d/README": ""}


def test_only_the_switch_that_is_off_is_turned(on: On, capsys: pytest.CaptureFixture[str]) -> None:
    limit = {"/proc/sys/user/max_user_namespaces": "0\n"}
    on({**USERNS, **limit})
    assert fix(FixArgs("user-namespaces-disabled", dry_run=True)) == 0
    assert "user.max_user_namespaces from 0" in capsys.readouterr().out
    debian = {
        "/proc/sys/user/max_user_namespaces": "63000\n",
        "/proc/sys/kernel/unprivileged_userns_clone": "0\n",
    }
    on({**USERNS, **debian})
    with pytest.raises(Refused, match="no remedy of its own"):
        fix(FixArgs("user-namespaces-disabled", dry_run=True))
    said = capsys.readouterr().out
    assert "kernel.unprivileged_userns_clone=1" in said
    assert "max_user" not in said


def test_the_options_make_the_arguments() -> None:
    parsed = fix_options().parse_args([CODE, "--dry-run", "--format", "json"])
    assert FixArgs(**vars(parsed)) == FixArgs(CODE, dry_run=True, format="json")


@pytest.mark.parametrize(("typed", "goes_on"), [("y\n", True), ("yes\n", True), ("\n", False)])
def test_only_a_typed_yes_goes_on(
    monkeypatch: pytest.MonkeyPatch, typed: str, goes_on: bool
) -> None:
    ours, theirs = pty.openpty()
    with open(theirs, encoding="utf-8", closefd=True) as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        os.write(ours, typed.encode())
        if goes_on:
            changes.confirm("Do this?", yes=False)
        else:
            with pytest.raises(Refused, match="not confirmed"):
                changes.confirm("Do this?", yes=False)
    os.close(ours)


@pytest.fixture
def state(tmp_path: Path) -> str:
    """The state folder of a machine on which one run was applied."""
    root = tmp_path / "root"
    root.mkdir()
    state = str(tmp_path / "state")
    machine = Machine(str(root))
    engine: Engine[Machine] = Engine(machine, STEP_KINDS, Journals(state), print)
    engine.start(new_plan("write a file", [WriteFile("/a", b"a\n", 0o644, None)]))
    return state


def test_runs_are_listed(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert undo(UndoArgs(root=state)) == 0
    assert "applied       write a file" in capsys.readouterr().out
    assert undo(UndoArgs(root=state, format="json")) == 0
    (run,) = json.loads(capsys.readouterr().out)["runs"]
    assert (run["status"], run["title"]) == ("applied", "write a file")


def test_no_run_at_all_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert undo(UndoArgs(root=str(tmp_path / "none"))) == 0
    assert "changed nothing" in capsys.readouterr().out
    assert not (tmp_path / "none").exists()


def test_an_undo_is_shown_first_and_a_complete_run_has_nothing_to_resume(
    state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Journals(state).runs()[0].id
    assert undo(UndoArgs(run, dry_run=True, root=state)) == 0
    assert "take back: create /a" in capsys.readouterr().out
    assert undo(UndoArgs(run, resume=True, root=state)) == 0
    assert "is complete" in capsys.readouterr().out


def test_an_undo_of_no_run_in_particular_is_refused_and_the_list_says_how(
    state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for args in (UndoArgs(yes=True, root=state), UndoArgs(dry_run=True, root=state)):
        with pytest.raises(InputError, match="which run"):
            undo(args)
    assert undo(UndoArgs(yes=True, list=True, root=state)) == 0
    assert f"undo --root {state} RUN" in capsys.readouterr().out


def test_resume_needs_a_name(state: str) -> None:
    with pytest.raises(InputError, match="--resume needs"):
        undo(UndoArgs(resume=True, root=state))
