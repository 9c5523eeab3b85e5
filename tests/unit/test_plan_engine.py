# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans are carried out, taken back, finished later; what is not ours is left alone."""

import itertools
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from hostkit.errors import InputError, Refused, StoppedHalfway
from hostkit.plan.engine import Engine
from hostkit.plan.journal import Journals, Status
from hostkit.plan.plan import Plan, new_plan
from hostkit.plan.step import kinds_of
from hostkit.system.file import WriteFile, look
from hostkit.system.machine import Machine
from hostkit.testing.faults import killed_at


class Refusing(NamedTuple):
    """A step that fails where a test wants it."""

    where: str
    kind: str = "refusing"
    version: int = 1

    def describe(self) -> str:
        return f"fail in {self.where}"

    def diff(self) -> str:
        return ""

    def conflicts(self, _: Machine) -> tuple[str, ...]:
        return ("changed by another",) if self.where == "conflicts" else ()

    def apply(self, _: Machine) -> None:
        if self.where == "apply":
            raise OSError(5, "Input/output error", "/dev/sick")
        if self.where == "interrupt":
            raise KeyboardInterrupt
        if self.where == "fault":
            raise ZeroDivisionError

    def verify(self, _: Machine) -> tuple[str, ...]:
        return ("not yet",)

    def undo(self, _: Machine) -> None:
        pass

    def restored(self, _: Machine) -> tuple[str, ...]:
        return ("still there",) if self.where == "restored" else ()


KINDS = kinds_of(WriteFile, Refusing)


class World:
    """A folder that stands for /, with /a (to be changed) and no /b (to be created)."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.root.mkdir(parents=True)
        self.said: list[str] = []
        self.journals = Journals(str(folder / "state"))
        self.engine = self.another()
        (self.root / "a").write_bytes(b"old \xff\n")
        (self.root / "a").chmod(0o640)
        machine = Machine(str(self.root))
        self.steps = (
            WriteFile("/a", b"new\n", 0o644, look(machine, "/a")),
            WriteFile("/b", b"b\n", 0o600, None),
        )
        self.before = self.state()

    def another(self) -> Engine[Machine]:
        """An engine as a new process would have it."""
        return Engine(Machine(str(self.root)), KINDS, self.journals, self.said.append)

    def plan(self, *more: Refusing) -> Plan[Machine]:
        return new_plan("a title", (*self.steps, *more))

    def state(self) -> dict[str, tuple[bytes, int]]:
        return {p.name: (p.read_bytes(), p.stat().st_mode) for p in self.root.iterdir()}

    def status(self) -> Status:
        return self.journals.runs()[0].status


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_plan_is_carried_out_and_taken_back_by_another_process(world: World) -> None:
    plan = world.plan()
    world.engine.start(plan)
    assert world.state()["a"] == (b"new\n", world.before["a"][1])
    assert world.state()["b"][0] == b"b\n"
    assert world.another().undo(plan.id) is Status.APPLIED
    assert world.state() == world.before
    assert world.another().undo(plan.id) is Status.UNDONE
    assert world.another().resume(plan.id) is Status.UNDONE


@pytest.mark.parametrize("where", ["apply", "interrupt", "verify"])
def test_a_failing_step_takes_back_those_before_it(world: World, where: str) -> None:
    with pytest.raises(Refused, match="as it was before"):
        world.engine.start(world.plan(Refusing(where)))
    assert world.state() == world.before
    assert world.status() is Status.UNDONE
    assert world.another().start(world.plan())


def test_a_failing_way_back_names_the_next_command(world: World) -> None:
    plan = world.plan(Refusing("restored"))
    with pytest.raises(StoppedHalfway) as caught:
        world.engine.start(plan)
    assert caught.value.hint.endswith(f"hostkit undo --resume {plan.id}")
    assert world.status() is Status.UNDO_CUT_OFF
    with pytest.raises(Refused, match="cut off half way"):
        world.another().start(world.plan())


def test_what_changed_since_the_plan_was_made_is_refused_without_a_trace(world: World) -> None:
    with pytest.raises(Refused, match="changed by another"):
        world.engine.start(world.plan(Refusing("conflicts")))
    assert world.state() == world.before
    assert world.journals.runs() == ()


def test_what_was_so_already_is_not_undone(world: World) -> None:
    plan = world.plan()
    (world.root / "b").write_bytes(b"b\n")
    (world.root / "b").chmod(0o600)
    world.engine.start(plan)
    assert "already so: create /b" in world.said
    world.engine.undo(plan.id)
    assert set(world.state()) == {"a", "b"}


def test_a_plan_of_which_all_is_so_already_is_no_run(world: World) -> None:
    plan = world.plan()
    assert world.engine.start(plan)
    assert not world.engine.start(plan._replace(id=new_plan("", ()).id))
    assert len(world.journals.runs()) == 1


@pytest.mark.parametrize("name", ["a", "b"])
@pytest.mark.parametrize("change", ["content", "mode", "gone"])
def test_undo_refuses_when_something_else_changed_it(world: World, name: str, change: str) -> None:
    plan = world.plan()
    world.engine.start(plan)
    path = world.root / name
    if change == "content":
        path.write_text("mine")
    elif change == "mode":
        path.chmod(0o777)
    elif name == "b":
        path.unlink()
        world.engine.undo(plan.id)  # gone is what undoing would make of it
        assert world.state() == world.before
        return
    else:
        path.unlink()
    now = world.state()
    with pytest.raises(Refused, match=f"/{name} "):
        world.engine.undo(plan.id)
    assert world.state() == now
    assert world.status() is Status.APPLIED


def test_an_unknown_step_is_refused_before_anything_is_done(world: World) -> None:
    plan = world.plan()
    world.engine.start(plan)
    now = world.state()
    older: Engine[Machine] = Engine(Machine(str(world.root)), {}, world.journals, print)
    with pytest.raises(InputError, match="does not know"):
        older.undo(plan.id)
    assert world.state() == now


def test_without_a_journal_nothing_is_changed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        world.journals = Journals(world.journals.folder)
        with pytest.raises(Refused, match="No space"):
            world.engine.start(world.plan())
    assert world.state() == world.before
    world.engine.start(world.plan())  # and it does not stand in the way


def test_intent_is_on_disk_before_and_outcome_after_each_change(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fsync(2) of the journal, and of its folder when it is new, around every rename."""
    calls: list[str] = []
    fsync, rename = os.fsync, os.rename

    def name_of(descriptor: int) -> str:
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        kind = "temporary" if path.endswith(".tmp") else os.path.basename(path)
        return "journal" if path.endswith(".jsonl") else kind

    def noted_fsync(descriptor: int) -> None:
        calls.append(name_of(descriptor))
        fsync(descriptor)

    def noted_rename(old: str, new: str) -> None:
        calls.append("RENAME")
        rename(old, new)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "rename", noted_rename)
    world.engine.start(world.plan())
    change = ["journal", "temporary", "RENAME", "root", "journal"]
    begin = calls.index("journal")
    assert calls[begin:] == ["journal", "journals", *change, *change, "journal"]


@pytest.mark.parametrize("back", [False, True])
def test_killed_at_every_moment_it_can_be_finished_and_taken_back(
    tmp_path: Path, back: bool
) -> None:
    after = World(tmp_path / "model")
    after.engine.start(after.plan())
    for point in itertools.count(1):
        world = World(tmp_path / str(point))
        plan = world.plan()
        killed = killed_at(point, partial(world.engine.start, plan))
        runs = world.journals.runs()
        begun = bool(runs and runs[0].title)
        if begun:
            (world.another().undo if back else world.another().resume)(plan.id)
        done = begun and world.status() is Status.APPLIED
        assert world.state() == (after.state() if done else world.before)
        if not killed:
            assert point > 40
            break


def test_killed_at_every_moment_of_the_way_back_it_is_finished(tmp_path: Path) -> None:
    for point in itertools.count(1):
        world = World(tmp_path / str(point))
        plan = world.plan()
        world.engine.start(plan)
        killed = killed_at(point, partial(world.engine.undo, plan.id))
        world.another().undo(plan.id)
        assert world.state() == world.before
        assert world.status() is Status.UNDONE
        if not killed:
            break


def test_a_fault_of_a_step_is_taken_back_too(world: World) -> None:
    with pytest.raises(Refused, match=r"ZeroDivisionError.*as it was before"):
        world.engine.start(world.plan(Refusing("fault")))
    assert world.state() == world.before
    assert world.status() is Status.UNDONE


def test_the_command_that_finishes_it_names_the_folder(world: World, tmp_path: Path) -> None:
    world.journals = Journals(str(tmp_path / "else where"), usual=False)
    with pytest.raises(StoppedHalfway) as stopped:
        world.another().start(world.plan(Refusing("restored")))
    run = world.journals.runs()[0].id
    place = f"--root '{tmp_path}/else where'"
    assert stopped.value.hint == f"to finish: hostkit undo {place} --resume {run}"
    with pytest.raises(Refused) as refused:
        world.another().start(world.plan())
    assert f"hostkit undo {place} {run}" in refused.value.hint


class Failing:
    """Lets the calls that change a disk fail from the given one on: once, or for good.

    Or lets Ctrl-C come when the given one is done.
    """

    NAMES = ("write", "fsync", "rename", "unlink", "ftruncate", "fchmod")

    def __init__(
        self,
        patch: pytest.MonkeyPatch,
        first: int,
        *,
        for_good: bool = False,
        interrupt: bool = False,
    ) -> None:
        self.calls = 0
        self._first = first
        self._for_good = for_good
        self._interrupt = interrupt
        for name in self.NAMES:
            patch.setattr(os, name, self._wrapped(getattr(os, name)))

    def _wrapped(self, call: Callable[..., object]) -> Callable[..., object]:
        def wrapper(*args: object) -> object:
            self.calls += 1
            if self._interrupt:
                result = call(*args)
                if self.calls == self._first:
                    os.kill(os.getpid(), signal.SIGINT)
                return result
            if self.calls == self._first or (self._for_good and self.calls > self._first):
                raise OSError(28, "No space left on device")
            return call(*args)

        return wrapper


@pytest.mark.parametrize("for_good", [False, True])
def test_a_disk_that_fails_at_any_call_leaves_before_or_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, for_good: bool
) -> None:
    halfway = 0
    for first in itertools.count(1):
        world = World(tmp_path / str(first))
        plan = world.plan()
        with monkeypatch.context() as patch:
            failing = Failing(patch, first, for_good=for_good)
            try:
                world.engine.start(plan)
            except Refused:
                assert tidy(world.state()) == world.before
            except StoppedHalfway:
                halfway += 1
        if failing.calls < first:
            break
        if world.journals.runs() and world.status().unfinished:
            world.another().resume(plan.id)
        if world.journals.runs() and world.status() is Status.APPLIED:
            world.another().undo(plan.id)
        assert tidy(world.state()) == world.before
    assert bool(halfway) == for_good


def test_ctrl_c_at_any_call_leaves_before_or_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = first = 0
    for first in itertools.count(1):
        world = World(tmp_path / str(first))
        plan = world.plan()
        with monkeypatch.context() as patch:
            failing = Failing(patch, first, interrupt=True)
            try:
                world.engine.start(plan)
            except (Refused, KeyboardInterrupt):
                stopped += 1
                assert world.state() == world.before
        assert not any(run.damage for run in world.journals.runs())
        if failing.calls < first:
            break
    assert stopped == first - 1 > 10


def tidy(state: dict[str, tuple[bytes, int]]) -> dict[str, tuple[bytes, int]]:
    """Without the temporary file that a disk which refuses everything kept us from removing."""
    return {name: entry for name, entry in state.items() if not name.endswith(".tmp")}
