# SPDX-License-Identifier: GPL-3.0-or-later
"""Killed at any moment, refused at any call: the store is as before or as after, never between."""

import errno
import itertools
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from hostkit.storage.driver import State, StorageDriver
from hostkit.system import mounts
from hostkit.testing import leftovers
from hostkit.testing.faults import Failing, in_child, killed_at
from hostkit.testing.subject import REFUSALS, THOROUGH, Subject, touching
from hostkit.testing.tars import file, folder, tar
from hostkit.value import NamedTuple

# Every so many moments in a short run; `make soak` sees each.
_STRIDE = 1 if THOROUGH else 7
_TAR = tar(folder(b"a"), file(b"a/b", b"x" * 20000), file(b".wh.below"), file(b"c", b"1"))


_Prepare = Callable[[Subject], object]
_Act = Callable[[Subject, StorageDriver], object]


class Operation(NamedTuple):
    """What is interrupted, and what has to be there for it."""

    prepare: _Prepare
    act: _Act


def _apply(subject: Subject, driver: StorageDriver) -> None:
    with_driver = subject.driver
    subject.driver = driver
    try:
        subject.apply("top", _TAR)
    finally:
        subject.driver = with_driver


def _use(_: Subject, driver: StorageDriver) -> None:
    with driver.mount("top") as mount:
        touching("written")(mount.path)


def _active(subject: Subject) -> None:
    subject.active("top", "bottom", touching("file"))


def _committed(subject: Subject) -> None:
    subject.layer("top", "bottom", touching("file"))


_PAIRS: dict[str, tuple[_Prepare, _Act]] = {
    "create": (lambda _: None, lambda _, driver: driver.create("top")),
    "create on a parent": (lambda _: None, lambda _, driver: driver.create("top", "bottom")),
    "commit": (_active, lambda _, driver: driver.commit("top")),
    "remove": (_active, lambda _, driver: driver.remove("top")),
    "remove a committed one": (_committed, lambda _, driver: driver.remove("top")),
    "mount and unmount": (_active, _use),
    "mount to read": (_committed, lambda _, driver: driver.mount("top").close()),
    "apply_diff": (_active, _apply),
    "diff": (_committed, lambda _, driver: list(driver.changes("top"))),
    "cleanup": (_active, lambda _, driver: driver.cleanup()),
}
OPERATIONS = {name: Operation(*pair) for name, pair in _PAIRS.items()}


class Crashes:
    """kill -9 at every system call, EIO and ENOSPC at every call that may fail so."""

    @pytest.mark.parametrize("what", OPERATIONS)
    def test_killed_at_any_moment(self, subject: Subject, what: str) -> None:
        operation = OPERATIONS[what]
        store = _Store(subject, operation)
        for point in store.points():
            operation.prepare(subject)
            killed = killed_at(point, lambda: operation.act(subject, subject.open()))
            store.must_be_sound(f"{what}, killed at moment {point}")
            if not killed:
                break

    @pytest.mark.parametrize("what", OPERATIONS)
    @pytest.mark.parametrize("how", ["one EIO", "EIO from then on", "a full disk from then on"])
    def test_refused_at_any_call(self, subject: Subject, what: str, how: str) -> None:
        operation = OPERATIONS[what]
        store = _Store(subject, operation)
        for point in store.points():
            operation.prepare(subject)
            failed = in_child(partial(_refused, subject, operation, point, how))
            store.must_be_sound(f"{what}, {how}, call {point} ({failed})")
            if not failed:
                break

    def test_killed_again_while_it_cleans_up(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("below"))
        operation = OPERATIONS["remove"]
        store = _Store(subject, operation)
        for point in itertools.count(2, 2 * _STRIDE):
            operation.prepare(subject)
            if not killed_at(point, lambda: operation.act(subject, subject.open())):
                break
            for second in itertools.count(1, 3 * _STRIDE):
                if not killed_at(second, lambda: subject.open().cleanup()):
                    break
            store.must_be_sound(f"remove, killed at {point}, and again while it was cleaned up")


def _refused(subject: Subject, operation: Operation, point: int, how: str) -> str:
    """The call that failed, "" if the operation ended before; in a process of its own."""
    full = how.startswith("a full disk")
    driver = subject.open()
    lasting = how.endswith("from then on")
    number = errno.ENOSPC if full else errno.EIO
    raised = False
    with Failing(point, number, lasting=lasting, full=full) as failing:
        try:
            operation.act(subject, driver)
        except REFUSALS:
            raised = True
    assert isinstance(failing, Failing)
    if not failing.failed:
        assert not raised
        return ""
    driver.cleanup()  # the same process goes on when there is room again
    top = {one.id for one in driver.layers()} & {"top"}
    for name in top:
        driver.mount(name).close()
    driver.close()
    return failing.failed


class _Store:
    """What was there before an operation, and what must be there after each try of it."""

    def __init__(self, subject: Subject, operation: Operation) -> None:
        self._subject = subject
        self._operation = operation
        if not subject.driver.exists("bottom"):
            subject.layer("bottom", None, touching("below", "d/below"))
        self._base = subject.look("bottom")
        self._mounts = mounts.mount_points()
        operation.prepare(subject)
        self._states = [self._state()]
        operation.act(subject, subject.driver)
        self._states.append(self._state())
        self._take_away()
        subject.layer("top", "bottom")
        subject.driver.remove("top")
        self._files = leftovers.names_below(subject.root)

    def points(self) -> Iterator[int]:
        """Every moment, or some of them."""
        return itertools.count(1, _STRIDE)

    def must_be_sound(self, when: str) -> None:
        """Opened anew and cleaned up, it is as before or as after, and works."""
        driver = self._subject.reopen()
        driver.cleanup()
        assert self._subject.issues() == [], when
        assert mounts.mount_points() == self._mounts, when
        state = self._state()
        assert state in self._states, when
        assert self._subject.look("bottom") == self._base, when
        if state == self._states[0] and self._states[0] != self._states[1]:
            self._operation.act(self._subject, driver)
            assert self._state() == self._states[1], f"{when}, done once more"
        self._take_away()
        driver.create("top", "bottom")
        driver.remove("top")
        left = leftovers.names_below(self._subject.root) - self._files
        assert not left, f"{when}: left behind {sorted(left)}"

    def _state(self) -> State | None:
        layer = self._subject.layers().get("top")
        return layer.state if layer else None

    def _take_away(self) -> None:
        if self._subject.driver.exists("top"):
            self._subject.driver.remove("top")
