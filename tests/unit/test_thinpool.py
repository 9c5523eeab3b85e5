# SPDX-License-Identifier: GPL-3.0-or-later
"""Devices of a pool and their notes, cut off at every step, on a pool that only pretends."""

import errno
import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.facts.thinpool import Mode, PoolStatus
from hostkit.storage.errors import Damaged
from hostkit.storage.thin.dockerpool import Note, Transaction
from hostkit.storage.thinpool.devices import ThinDevices
from hostkit.storage.thinpool.notes import Notes, note_name
from hostkit.storage.thinpool.pool import (
    PoolFull,
    PoolUnfit,
    ThinPool,
    refuse_full,
    refuse_unfit,
)
from hostkit.system.dm import Device, DeviceMapper


class CutError(Exception):
    """Stands for the end of the process."""


class FakeMapper:
    """No device is ever active."""

    def version(self) -> tuple[int, int, int]:
        return 4, 40, 0

    def info(self, _: str) -> Device | None:
        return None

    def remove(self, name: str, **_: bool) -> bool:
        raise OSError(errno.ENXIO, "no such device", name)


class FakePool:
    """A pool that takes so many steps. `durable` is what a power cut leaves of it."""

    name = "pool"

    def __init__(self, devices: set[int], transaction: int) -> None:
        self.devices, self.transaction = set(devices), transaction
        self.durable = (frozenset(devices), transaction)
        self.left = 1 << 30

    def step(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise CutError

    def status(self) -> PoolStatus:
        return PoolStatus(self.name, Mode.WRITABLE, self.transaction, 1, 100, 1, 100)

    writable = status

    def create_thin(self, device: int) -> None:
        self.step()
        if device in self.devices:
            raise OSError(errno.EEXIST, "exists")
        self.devices.add(device)
        self.step()

    def create_snapshot(self, device: int, _: int) -> None:
        self.create_thin(device)

    def delete(self, device: int) -> None:
        self.step()
        self.devices.discard(device)
        self.step()

    def advance(self, old: int, new: int) -> None:
        self.step()
        assert old == self.transaction
        self.transaction = new
        self.durable = (frozenset(self.devices), new)
        self.step()


class Devices(ThinDevices):
    """What would be read from the metadata is asked of the pool."""

    fake: FakePool

    def unnoted(self) -> frozenset[int]:
        noted = {note.device for note in self.notes.all()}
        return frozenset(self.fake.devices) - noted


class CountingNotes(Notes):
    """Notes whose writing takes a step, too."""

    def __init__(self, folder: str, pool: FakePool) -> None:
        super().__init__(folder)
        self.pool = pool

    def _write(self, name: str, fields: Mapping[str, object]) -> None:
        self.pool.step()
        super()._write(name, fields)
        self.pool.step()

    def forget(self, name: str) -> None:
        self.pool.step()
        super().forget(name)
        self.pool.step()


def devices(folder: Path, pool: FakePool) -> Devices:
    folder.mkdir(exist_ok=True)
    notes = CountingNotes(str(folder), pool)
    mapper, pretended = cast("DeviceMapper", FakeMapper()), cast("ThinPool", pool)
    made = Devices(mapper, pretended, notes, "docker-1:2-3")
    made.fake = pool
    return made


def consistent(made: Devices, pool: FakePool) -> None:
    """Each device has its note and each note its device."""
    assert {note.device for note in made.notes.all()} == pool.devices


@pytest.mark.parametrize("power", [False, True], ids=["killed", "power cut"])
def test_cut_at_every_step_notes_and_pool_agree_again(tmp_path: Path, power: bool) -> None:
    for steps in itertools.count():
        folder = tmp_path / str(steps)
        pool = FakePool(set(), 0)
        made = devices(folder, pool)
        base = made.create("base", 1 << 20)
        made.snapshot("kept", base, 1 << 20)
        pool.left = steps
        whole = False
        try:
            made.snapshot("new", base, 1 << 20)
            made.delete("kept")
            whole = True
        except CutError:
            pass
        found = pool
        if power:
            found = FakePool(set(pool.durable[0]), pool.durable[1])
        found.left = 1 << 30
        again = devices(folder, found)
        again.recover()
        consistent(again, found)
        again.recover()
        another = again.create("another", 1 << 20)
        consistent(again, found)
        assert another.device != base.device
        assert "base" in again.notes.names()
        if whole:
            assert again.notes.names() == ["another", "base", "new"]
            return
    raise AssertionError


def test_a_device_that_nothing_notes_is_never_given_out_or_removed(tmp_path: Path) -> None:
    pool = FakePool({1, 2, 7}, 5)
    made = devices(tmp_path / "notes", pool)
    note = made.create("mine", 1 << 20)
    assert note.device == 8
    assert made.delete("mine")
    made.recover()
    assert pool.devices == {1, 2, 7}


def test_a_device_that_appears_meanwhile_is_left_alone(tmp_path: Path) -> None:
    pool = FakePool(set(), 0)
    made = devices(tmp_path / "notes", pool)
    made.create("one", 1 << 20)
    pool.devices.add(2)  # behind our back
    with pytest.raises(Damaged, match="device 2 that is not noted"):
        made.create("two", 1 << 20)
    made.recover()
    assert pool.devices == {1, 2}
    assert made.create("two", 1 << 20).device == 3


def test_a_pool_older_than_its_notes_is_not_touched(tmp_path: Path) -> None:
    pool = FakePool({1}, 3)
    made = devices(tmp_path / "notes", pool)
    made.notes.put_transaction(Transaction(9, "one", 1))
    with pytest.raises(Damaged, match="not of one time"):
        made.recover()
    with pytest.raises(Damaged):
        made.create("two", 1)
    assert pool.devices == {1}


def test_the_last_number_of_all_is_followed_by_one_that_is_free(tmp_path: Path) -> None:
    pool = FakePool(set(), 0)
    made = devices(tmp_path / "notes", pool)
    for number in (1, (1 << 24) - 1):
        made.notes.put(Note(f"n{number}", number, 1, 0))
        pool.devices.add(number)
    assert made.create("new", 1).device == 2


@given(st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,127}", fullmatch=True))
def test_every_layer_has_a_name_that_docker_would_read(layer: str) -> None:
    name = note_name(layer)
    assert len(name) < 71
    assert name not in ("base", "deviceset-metadata", "transaction-metadata")
    assert not name.startswith(".")
    assert not name.endswith(".migrated")
    assert note_name(layer) == name


def test_notes_are_read_as_they_were_written_and_damage_is_said(tmp_path: Path) -> None:
    notes = Notes(str(tmp_path))
    note = Note("abc", 3, 1 << 30, 7, initialized=True, deleted=True)
    notes.put(note)
    assert notes.all() == [note]
    (tmp_path / "abc").write_text("{")
    with pytest.raises(Damaged, match="abc"):
        notes.get("abc")
    (tmp_path / ".abc.12345678.tmp").write_text("")
    notes.sweep()
    notes.forget("abc")
    notes.forget("abc")
    assert os.listdir(tmp_path) == []


def test_what_a_pool_refuses_says_the_way_out() -> None:
    good = PoolStatus("pool", Mode.WRITABLE, 1, 10, 100, 95, 100)
    refuse_unfit(good)
    refuse_full(good, 5)
    with pytest.raises(PoolFull, match=r"5.0 % of its data free"):
        refuse_full(good, 6)
    for bad in (
        good._replace(mode=Mode.FAILED),
        good._replace(mode=Mode.READ_ONLY),
        good._replace(needs_check=True),
    ):
        with pytest.raises(PoolUnfit) as error:
            refuse_unfit(bad)
        assert "thin_check" in error.value.hint
    refuse_unfit(good._replace(mode=Mode.OUT_OF_DATA_SPACE))
