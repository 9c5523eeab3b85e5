# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder of one driver: which layers there are, who uses them, what was being done.

`HOME/.hostkit/` holds a file a layer, its record, in a folder that is named for its phase:

    creating/ --> active/ --> committed/ --> removing/ --> gone

A step of its life is one rename(2), so a crash at any moment leaves it before or after the
step, and a removal needs no room on a full disk. Other engines that find `.hostkit` in their
data root ignore it.

Who uses a layer is said by flock(2) on its record, and by one on `holds/LAYER@NAMESPACE` for
its mount in a mount namespace. The kernel drops a lock with its process, so a count never
survives the killed process that it stood for.
"""

import errno
import fcntl
import json
import os
import re
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import cast

from hostkit import files
from hostkit.storage import untouched
from hostkit.storage.errors import (
    Damaged,
    LayerInUse,
    NoSuchLayer,
    ReadOnlyStore,
    StorageError,
    Unsupported,
)
from hostkit.system import mounts
from hostkit.value import NamedTuple

_ID = r"[a-z0-9][a-z0-9_.-]{0,127}"
_RECORD_LIMIT = 4096
_VERSION = 1
_GENERATION_BYTES = 8
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_ONE_JOURNAL = ("ext3", "ext4", "xfs")
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


class Phase(Enum):
    """How far a layer is; the names of the folders, in the order of its life."""

    CREATING = "creating"  # whatever lies there is taken away at the next opening
    ACTIVE = "active"
    COMMITTED = "committed"
    REMOVING = "removing"  # the removal is finished at the next opening
    FOREIGN = "foreign"  # another engine's layer; there is no record of it


_LIFE = (Phase.CREATING, Phase.ACTIVE, Phase.COMMITTED, Phase.REMOVING)
WHOLE = (Phase.ACTIVE, Phase.COMMITTED)
HALF_DONE = (Phase.CREATING, Phase.REMOVING)


class Record(NamedTuple):
    """One layer; `key` is the driver's own (a device id, a short link), "" for none."""

    id: str
    parent: str | None
    phase: Phase
    read_write: bool
    size: int | None
    key: str = ""


class Hold:
    """A lock that means "in use" until `close()`; it is lost with the process."""

    path = ""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._process = os.getpid()

    @property
    def ours(self) -> bool:
        """Whether this process took it; one made by fork(2) shares it and must not end it."""
        return self._process == os.getpid()

    def alone(self) -> bool:
        """Make it ours alone; False when another has it too, who then has it for himself."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def shared(self) -> None:
        """Let others have it beside us."""
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def close(self) -> None:
        """Give it back; a second call does nothing."""
        if self._descriptor >= 0:
            if self.ours:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = -1

    def write(self, data: bytes) -> None:
        """Replace what the locked file holds."""
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        files.write_all(self._descriptor, data)

    def sync(self) -> None:
        """What the locked file holds is on the disk when this returns."""
        os.fsync(self._descriptor)

    def __enter__(self) -> "Hold":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Nothing(Hold):
    """Stands for a use that needs no lock."""

    def __init__(self) -> None:
        super().__init__(-1)


def valid_id(layer: str) -> str:
    """The id itself. Raises StorageError for one that could be a path or an option."""
    if not re.fullmatch(_ID, layer):
        raise StorageError(
            f"{layer!r} is no layer id", "use 1 to 128 of a-z 0-9 _ . - after a letter or digit"
        )
    return layer


class Home:
    """The records, locks and holds of one driver's folder."""

    def __init__(self, path: str, *, read_only: bool) -> None:
        """Raises Unsupported on a file system without locks."""
        self.path = path
        self.read_only = read_only
        self._own = f"{path}/.hostkit"
        self._holds = f"{self._own}/holds"
        self.in_order = False
        self._lock = -1
        self._owner = 0  # the thread that is `changing`
        self._parents: dict[str, str | None] = {}
        self._known_at = -1  # the generation that `_parents` is of
        if not read_only:
            for folder in (*(phase.value for phase in _LIFE), "holds"):
                os.makedirs(f"{self._own}/{folder}", mode=0o700, exist_ok=True)
            # Whether what is on the disk has all with it that was done before.
            self.in_order = mounts.holding(path).fstype in _ONE_JOURNAL
            self._try_lock()

    def _try_lock(self) -> None:
        descriptor = os.open(f"{self._own}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # Room for the number of the generation, so that no removal asks a full disk for it.
            if os.fstat(descriptor).st_size < _GENERATION_BYTES:
                os.pwrite(descriptor, bytes(_GENERATION_BYTES), 0)
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        except OSError as problem:
            if problem.errno in _NO_LOCKS:
                raise Unsupported(
                    f"the file system of {self.path} has no file locks (flock: {problem.strerror})",
                    "use a local file system, or an NFS mount without nolock",
                ) from None
            raise
        finally:
            os.close(descriptor)

    # Alone among all.

    @contextmanager
    def changing(self) -> Generator[None]:
        """Alone among all processes and threads; a thread may enter again. Raises ReadOnlyStore.

        Entering again happens when the collector of garbage ends somebody's forgotten mount.
        """
        if self.read_only:
            raise ReadOnlyStore(f"{self.path} was opened to be read")
        if self._owner == threading.get_ident():
            yield
            return
        descriptor = os.open(f"{self._own}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._enter(descriptor)
            yield
        finally:
            self._leave(descriptor)
            os.close(descriptor)

    @contextmanager
    def paused(self) -> Generator[None]:
        """Let others in for a while, inside `changing`."""
        descriptor = self._lock
        self._leave(descriptor)
        try:
            yield
        finally:
            self._enter(descriptor)

    def _enter(self, descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        self._lock, self._owner = descriptor, threading.get_ident()

    def _leave(self, descriptor: int) -> None:
        if self._owner == threading.get_ident():
            self._lock, self._owner = -1, 0
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # a child made by fork has a copy of it

    # Records.

    def ids(self, *phases: Phase) -> list[str]:
        """The names of the records in some phases, damaged ones too."""
        found: set[str] = set()
        for phase in phases or _LIFE:
            try:
                names = untouched.names(f"{self._own}/{phase.value}")
            except FileNotFoundError:
                continue
            found.update(name for name in names if re.fullmatch(_ID, name))
        return sorted(found)

    def records(self, *phases: Phase) -> Iterator[Record]:
        """The records in some phases or in all, by id. Raises Damaged."""
        for name in self.ids(*phases):
            try:
                yield self.record(name)
            except NoSuchLayer:  # removed since it was listed
                continue

    def record(self, layer: str) -> Record:
        """One record. Raises NoSuchLayer, Damaged."""
        valid_id(layer)
        for phase in _LIFE:  # a record only goes forward, so none is missed on the way
            path = f"{self._own}/{phase.value}/{layer}"
            try:
                data = untouched.read(path, _RECORD_LIMIT)
            except FileNotFoundError:
                continue
            try:
                return _parse(layer, phase, data)
            except ValueError as problem:
                if phase in HALF_DONE:  # it was being written; all that it is for is its name
                    return Record(layer, None, phase, read_write=False, size=None)
                hint = "`hostkit storage check` says what can be done"
                raise Damaged(f"{path} is damaged ({problem})", hint) from None
        raise NoSuchLayer(f"there is no layer {layer} in {self.path}")

    def children(self, layer: str) -> list[str]:
        """The layers that stand on one; called while `changing`. Raises Damaged.

        All records are read once; after that only when another process has made a layer.
        """
        if self._known_at != self._generation():
            self._parents = {record.id: record.parent for record in self.records()}
            self._known_at = self._generation()
        found = [one for one, parent in self._parents.items() if parent == layer]
        return [one for one in found if self._place(one) is not None]

    def begin(self, record: Record) -> Hold:
        """Write the record of a layer that is to be made; gives it for ourselves alone."""
        path = f"{self._own}/{Phase.CREATING.value}/{valid_id(record.id)}"
        current = self._known_at == self._generation()
        number = self._generation() + 1
        descriptor = os.open(path, _NEW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            files.write_all(descriptor, _text(record))
            os.pwrite(self._lock, number.to_bytes(_GENERATION_BYTES, "little"), 0)
        except BaseException:
            os.unlink(path)
            os.close(descriptor)
            raise
        if current:
            self._parents[record.id] = record.parent
            self._known_at = number
        return Hold(descriptor)

    def settle(self, record: Record, made: Record, mark: Hold) -> None:
        """A layer that was begun is made; it is on the disk when this returns."""
        if made != record:
            mark.write(_text(made))
        mark.sync()
        self.advance(made, Phase.ACTIVE)

    def advance(self, record: Record, phase: Phase) -> None:
        """The next phase of a layer; it is on the disk when this returns."""
        source, target = f"{self._own}/{record.phase.value}", f"{self._own}/{phase.value}"
        os.rename(f"{source}/{record.id}", f"{target}/{record.id}")
        files.sync_folder(target)
        if not self.in_order:
            # btrfs may have the new name on the disk beside the old one, and the power fail.
            # A rename of one of two names of a file does nothing.
            _unlink(f"{source}/{record.id}")
            files.sync_folder(source)

    def put(self, record: Record) -> None:
        """Write a record anew where it was damaged; called while `changing`."""
        folder = f"{self._own}/{record.phase.value}"
        files.write_atomic(f"{folder}/{valid_id(record.id)}", _text(record), 0o600)
        self._known_at = -1

    def drop(self, layer: str) -> None:
        """Forget a layer."""
        for phase in _LIFE:
            _unlink(f"{self._own}/{phase.value}/{valid_id(layer)}")
        self._parents.pop(layer, None)

    def _place(self, layer: str) -> str | None:
        for phase in _LIFE:
            path = f"{self._own}/{phase.value}/{layer}"
            if os.path.lexists(path):
                return path
        return None

    def _generation(self) -> int:
        return int.from_bytes(os.pread(self._lock, _GENERATION_BYTES, 0), "little")

    # Use.

    def hold(self, layer: str) -> Hold:
        """Use a layer beside others; one without a record is nobody's to remove.

        Raises LayerInUse when somebody has it for himself at this moment.
        """
        return self._locked(layer, fcntl.LOCK_SH) or Nothing()

    def claim(self, layer: str) -> Hold:
        """Have a layer for ourselves. Raises LayerInUse, NoSuchLayer."""
        held = self._locked(layer, fcntl.LOCK_EX)
        if held is None:
            raise NoSuchLayer(f"there is no layer {layer} in {self.path}")
        return held

    def _locked(self, layer: str, kind: int) -> Hold | None:
        for phase in _LIFE:
            path = f"{self._own}/{phase.value}/{valid_id(layer)}"
            try:
                # To have one for oneself on NFS asks for the right to write.
                how = os.O_RDONLY if self.read_only else os.O_RDWR
                descriptor = os.open(path, how | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
                if os.fstat(descriptor).st_nlink:
                    return Hold(descriptor)
            except BlockingIOError:
                os.close(descriptor)
                raise LayerInUse(
                    f"layer {layer} is in use", "a container or another hostkit has it"
                ) from None
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # removed between open and lock
        return None

    # Mounts, each in one mount namespace; all of this is called while `changing`.

    def use(self, layer: str, scope: str) -> tuple[Hold, bool, bool]:
        """A use of a layer's mount beside others: whether it is the first, and a killed one's.

        The first has it for himself until he shares it.
        """
        path = f"{self._holds}/{layer}@{scope}"
        left = os.path.lexists(path)
        hold = Hold(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        first = hold.alone()
        if not first:
            hold.shared()
        return hold, first, first and left

    def unused(self, layer: str, scope: str) -> bool:
        """Forget a mount that nobody uses any more; False when it was not known."""
        try:
            os.unlink(f"{self._holds}/{layer}@{scope}")
        except FileNotFoundError:
            return False
        return True

    def scopes(self, layer: str) -> list[str]:
        """Where a layer's mount is in use now."""
        return [scope for _, scope, live in self.uses(f"{layer}@") if live]

    def uses(self, begin: str = "") -> Iterator[tuple[str, str, bool]]:
        """Layer and scope of every mount that there was, and whether somebody uses it."""
        for name in sorted(os.listdir(self._holds)):
            if not name.startswith(begin):
                continue
            layer, _, scope = name.partition("@")
            try:
                descriptor = os.open(f"{self._holds}/{name}", os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            with Hold(descriptor) as hold:
                free = hold.alone()
            yield layer, scope, not free


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def _text(record: Record) -> bytes:
    fields = record._asdict()
    del fields["id"], fields["phase"]
    return json.dumps({**fields, "version": _VERSION}, sort_keys=True).encode()


def _parse(layer: str, phase: Phase, data: bytes) -> Record:
    """A record from its file. Raises ValueError."""
    tree: object = json.loads(data)
    if not isinstance(tree, dict):
        raise ValueError("not an object")
    fields = cast("dict[str, object]", tree)
    if fields.get("version") != _VERSION:
        raise ValueError(f"version {fields.get('version')!r}")
    parent, size, key = fields.get("parent"), fields.get("size"), fields.get("key")
    if not (parent is None or (isinstance(parent, str) and re.fullmatch(_ID, parent))):
        raise ValueError("parent")
    if not isinstance(key, str) or not (size is None or type(size) is int):
        raise ValueError("key or size")
    return Record(layer, parent, phase, fields.get("read_write") is True, size, key)
