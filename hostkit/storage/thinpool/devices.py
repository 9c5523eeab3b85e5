# SPDX-License-Identifier: GPL-3.0-or-later
"""The devices of a pool and their notes, changed together.

The states of a device, and where each is kept:

| state | note | pool | transaction |
|---|---|---|---|
| none | - | - | closed |
| creating | yes | perhaps | open, of this device |
| created | yes | yes | closed |
| deleting | perhaps | perhaps | open, of this device |
| deleted as soon as it is closed | `deleted` | yes | closed |

A transaction is open when transaction-metadata names a number that the pool has not come to:
it is written before the pool is told anything, and set_transaction_id, which closes it, comes
after all else. What is found open is faulty and is resolved before anything else is done:
the device goes, with its note. So it is for Docker, whose layout and protocol these are.

Two things Docker leaves open are closed here. Names are fsynced with their folder. And a pool
that is *ahead* of its notes, or has devices that nothing notes, may hold what somebody needs:
no such device's number is ever given out or taken back.

Whether a device is active is asked of the kernel: a power cut ends that, so it is not noted.
"""

import errno
import time
from collections.abc import Callable

from hostkit.storage.errors import Damaged, LayerInUse, NoSuchLayer
from hostkit.storage.thin.dockerpool import Note, Transaction
from hostkit.storage.thinpool.notes import Notes
from hostkit.storage.thinpool.pool import MOST_DEVICES, THIN, ThinPool, sectors
from hostkit.system import blocks
from hostkit.system.dm import DEFERRED_SINCE, Device, DeviceMapper, Target

_BUSY_TRIES = 20
_BUSY_WAIT_S = 0.05


class ThinDevices:
    """The devices of one pool. Whoever changes something has the store for himself."""

    def __init__(self, mapper: DeviceMapper, pool: ThinPool, notes: Notes, prefix: str) -> None:
        self.mapper = mapper
        self.pool = pool
        self.notes = notes
        self.prefix = prefix
        self.deferred = mapper.version() >= DEFERRED_SINCE
        self._unknown: frozenset[int] | None = None

    def dm_name(self, name: str) -> str:
        """What device-mapper calls the device."""
        return f"{self.prefix}-{name}"

    # What a crash left.

    def recover(self) -> None:
        """Resolve what is open. Raises Damaged when pool and notes are not of one time."""
        last = self.notes.transaction()
        number = self.pool.status().transaction
        if last is None or last.number <= number:
            return
        if last.number > number + 1:
            raise Damaged(
                f"the pool {self.pool.name} is at transaction {number},"
                f" its notes are at {last.number}: they are not of one time",
                "was one of them put back from a backup? `hostkit storage check` compares them",
            )
        self.pool.writable()
        noted = self.notes.get(last.name)
        if noted is not None and noted.device == last.device and not self.deactivate(last.name):
            raise LayerInUse(f"device {last.name} was left half made and is in use")
        self.pool.delete(last.device)
        if noted is not None and noted.device == last.device:
            self.notes.forget(last.name)
        # Only now: until here the same would be done again.
        self.pool.advance(number, number + 1)

    def finish_deletions(self) -> int:
        """Delete what was in use when it should have gone; how many still are."""
        left = 0
        for note in self.notes.all():
            if note.deleted:
                left += not self.delete(note.name)
        return left

    # Making and deleting.

    def create(self, name: str, size: int) -> Note:
        """A new, empty device."""
        return self._make(name, size, self.pool.create_thin)

    def snapshot(self, name: str, origin: Note, size: int) -> Note:
        """A device that begins with the content of another.

        One that is active is suspended meanwhile, so that its file system is clean
        (without it snapshots were corrupt: containerd issue 4374).
        """

        def act(device: int) -> None:
            live = self.mapper.info(self.dm_name(origin.name))
            if live is None or not live.live:
                self.pool.create_snapshot(device, origin.device)
                return
            self.mapper.suspend(live.name)
            try:
                self.pool.create_snapshot(device, origin.device)
            finally:
                self.mapper.resume(live.name)

        return self._make(name, size, act)

    def _make(self, name: str, size: int, act: Callable[[int], None]) -> Note:
        stale = self.notes.get(name)
        if stale is not None and not (stale.deleted and self.delete(name)):
            raise LayerInUse(
                f"there is a device of {name} still",
                "it goes when its last user does" if stale.deleted else "",
            )
        number = self._begin()
        device = self._free_number()
        note = Note(name, device, size, number + 1)
        self.notes.put_transaction(Transaction(number + 1, name, device))
        try:
            self.notes.put(note)
            act(device)
            self.pool.advance(number, number + 1)
        except OSError as problem:
            if problem.errno == errno.EEXIST:  # not ours: keep `recover` away from it
                self.notes.forget(name)
                self.notes.put_transaction(Transaction(number, name, device))
                self._unknown = None
                raise Damaged(
                    f"the pool {self.pool.name} has a device {device} that is not noted",
                    "`hostkit storage check` compares the pool with its notes",
                ) from None
            self.recover()
            raise
        return note

    def delete(self, name: str) -> bool:
        """Delete a device and its note; False when it is in use and goes later."""
        number = self._begin()
        note = self.notes.get(name)
        if note is None:
            return True
        if not self.deactivate(name):
            return self._later(note)
        self.notes.put_transaction(Transaction(number + 1, name, note.device))
        try:
            self.pool.delete(note.device)
        except OSError as problem:
            self.notes.put_transaction(Transaction(number, name, note.device))
            if problem.errno == errno.EBUSY:
                return self._later(note)
            raise
        self.notes.forget(name)
        self.pool.advance(number, number + 1)
        return True

    def _later(self, note: Note) -> bool:
        if not note.deleted:
            self.notes.put(note._replace(deleted=True))
        return False

    def _begin(self) -> int:
        """The number of the pool's transaction, with nothing open."""
        number = self.pool.writable().transaction
        last = self.notes.transaction()
        if last is None or last.number <= number:
            return number
        self.recover()
        return self.pool.status().transaction

    def _free_number(self) -> int:
        """A number that no device has and none had that may come back."""
        if self._unknown is None:
            self._unknown = self.unnoted()
        taken = self.notes.numbers() | self._unknown
        last = self.notes.transaction()
        if last is not None:
            taken.add(last.device)
        following = max(taken, default=0) + 1
        if following < MOST_DEVICES:
            return following
        return next(one for one in range(1, MOST_DEVICES) if one not in taken)

    def unnoted(self) -> frozenset[int]:
        """The devices in the pool that no note is about."""
        noted = {note.device for note in self.notes.all()}
        with self.pool.metadata() as metadata:
            return frozenset(one.id for one in metadata.devices()) - noted

    # Use.

    def activate(self, name: str, *, read_only: bool = False) -> str:
        """The path of a device's node. Raises NoSuchLayer, OSError."""
        found = self.mapper.info(self.dm_name(name))
        if found is not None:
            usable = self._made_usable(found)
            if usable is not None:
                return self.mapper.node(usable)
        note = self.notes.get(name)
        if note is None:
            raise NoSuchLayer(f"there is no device of {name} in the pool {self.pool.name}")
        table = Target(0, sectors(note.size), THIN, f"{self.pool.number} {note.device}")
        made = self.mapper.activate(self.dm_name(name), [table], read_only=read_only)
        return self.mapper.node(made)

    def _made_usable(self, found: Device) -> Device | None:
        """A device that is there, as somebody who was killed may have left it."""
        if found.doomed:
            try:
                self.mapper.message(found.name, "@cancel_deferred_remove")
            except OSError as problem:
                if problem.errno != errno.ENXIO:
                    raise
                return None  # it went while we asked
        if not found.live:
            self.mapper.remove(found.name)
            return None
        if found.suspended:
            self.mapper.resume(found.name)
        return found

    def deactivate(self, name: str) -> bool:
        """Take a device out of the kernel; False when it goes with its last user.

        Raises LayerInUse where the kernel cannot do that.
        """
        own = self.dm_name(name)
        for _ in range(_BUSY_TRIES):
            try:
                self.mapper.remove(own)
            except OSError as problem:
                if problem.errno == errno.ENXIO:
                    return True
                if problem.errno != errno.EBUSY:
                    raise
                found = self.mapper.info(own)
                if found is not None and found.suspended:
                    self.mapper.resume(own)
                time.sleep(_BUSY_WAIT_S)
            else:
                return True
        if not self.deferred:
            raise LayerInUse(
                f"device {own} is in use, and this kernel has no deferred removal",
                "a mount of it has leaked into another mount namespace: grep it in"
                " /proc/*/mountinfo",
            )
        return self.mapper.remove(own, deferred=True)

    def let_go(self, own: str) -> None:
        """Have the kernel remove a device when its last mount goes, where it can do that."""
        try:
            self.mapper.remove(own, deferred=self.deferred)
        except OSError as problem:
            if problem.errno not in (errno.EBUSY, errno.ENXIO):
                raise

    def discard(self, name: str) -> None:
        """Give the blocks of a device that nobody uses back, also to the file below."""
        path = self.activate(name)
        try:
            blocks.discard(path)
        except OSError as problem:
            if problem.errno not in (errno.EOPNOTSUPP, errno.EBUSY, errno.EINVAL):
                raise
