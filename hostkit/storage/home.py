# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder of one driver: which layers there are, who uses them, what was being done.

`HOME/.hostkit/` holds a record a layer, written whole and fsynced before and after the
driver acts, so that a crash at any moment is seen as a state of the record. Other engines
that find the folder in their data root ignore it.

Who uses a layer is said by flock(2) on a file a layer: the kernel drops a lock with its
process, so a count never survives the killed process that it stood for.
"""

import errno
import fcntl
import json
import os
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import cast

from hostkit import files
from hostkit.storage.errors import Damaged, LayerInUse, NoSuchLayer, ReadOnlyStore, StorageError
from hostkit.system.mounts import mount_namespace
from hostkit.value import NamedTuple

_ID = r"[a-z0-9][a-z0-9_.-]{0,127}"
_RECORD_LIMIT = 4096
_VERSION = 1


class Phase(Enum):
    """What a record says of its layer."""

    CREATING = "creating"  # whatever lies there is taken away at the next opening
    ACTIVE = "active"
    COMMITTED = "committed"
    REMOVING = "removing"  # the removal is finished at the next opening
    FOREIGN = "foreign"  # another engine's layer; there is no record of it


class Record(NamedTuple):
    """One layer; `key` is the driver's own (a device id, a short link), "" for none."""

    id: str
    parent: str | None
    phase: Phase
    read_write: bool
    size: int | None
    key: str = ""


class Hold:
    """A layer in use until `close()`; it is lost with the process, never left behind."""

    path = ""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def close(self) -> None:
        """Give it back; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> "Hold":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


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
        self.path = path
        self.read_only = read_only
        self._own = f"{path}/.hostkit"
        if not read_only:
            for folder in ("layers", "holds"):
                os.makedirs(f"{self._own}/{folder}", mode=0o700, exist_ok=True)

    @contextmanager
    def changing(self) -> Generator[None]:
        """Alone among all processes and threads. Raises ReadOnlyStore."""
        if self.read_only:
            raise ReadOnlyStore(f"{self.path} was opened to be read")
        descriptor = os.open(f"{self._own}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def records(self) -> Iterator[Record]:
        """Every record, by id. Raises Damaged."""
        try:
            names = sorted(os.listdir(f"{self._own}/layers"))
        except FileNotFoundError:
            return
        for name in names:
            if re.fullmatch(_ID, name):
                yield self.record(name)

    def record(self, layer: str) -> Record:
        """One record. Raises NoSuchLayer, Damaged."""
        path = f"{self._own}/layers/{valid_id(layer)}"
        try:
            data, more = files.read_bounded(path, _RECORD_LIMIT)
        except FileNotFoundError:
            raise NoSuchLayer(f"there is no layer {layer} in {self.path}") from None
        try:
            return _parse(layer, b"" if more else data)
        except ValueError as problem:
            raise Damaged(f"{path} is damaged ({problem})", "see `hostkit storage check`") from None

    def put(self, record: Record) -> None:
        """Write a record; it is on the disk when this returns."""
        fields = {**record._asdict(), "phase": record.phase.value, "version": _VERSION}
        del fields["id"]
        data = json.dumps(fields, sort_keys=True).encode()
        files.write_atomic(f"{self._own}/layers/{valid_id(record.id)}", data, 0o600)

    def drop(self, layer: str) -> None:
        """Forget a layer, for good when this returns."""
        folder = f"{self._own}/layers"
        for path in (f"{folder}/{valid_id(layer)}", f"{self._own}/holds/{layer}"):
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass
        files.sync_folder(folder)

    def hold(self, layer: str, *, scope: str = "") -> Hold:
        """Use a layer beside others; `scope` is one mount namespace, "" for none.

        Raises LayerInUse when somebody has it for himself at this moment.
        """
        return Hold(self._flock(layer, scope, fcntl.LOCK_SH))

    def claim(self, layer: str, *, scope: str = "") -> Hold:
        """Have a layer for oneself. Raises LayerInUse."""
        return Hold(self._flock(layer, scope, fcntl.LOCK_EX))

    def used_elsewhere(self, layer: str) -> bool:
        """Whether another mount namespace has the layer mounted."""
        here = f"{layer}@{mount_namespace()}"
        for name in os.listdir(f"{self._own}/holds"):
            if name.startswith(f"{layer}@") and name != here:
                try:
                    self.claim(layer, scope=name.partition("@")[2]).close()
                except LayerInUse:
                    return True
        return False

    def sweep_holds(self) -> None:
        """Remove the files of holds that nobody has; called while `changing`."""
        folder = f"{self._own}/holds"
        for name in os.listdir(folder):
            layer, _, scope = name.partition("@")
            try:
                with self.claim(layer, scope=scope):
                    os.unlink(f"{folder}/{name}")
            except LayerInUse:
                pass

    def _flock(self, layer: str, scope: str, kind: int) -> int:
        if self.read_only:
            raise ReadOnlyStore(f"{self.path} was opened to be read")
        name = f"{valid_id(layer)}@{scope}" if scope else valid_id(layer)
        path = f"{self._own}/holds/{name}"
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
                if _is_still(descriptor, path):
                    return descriptor
            except OSError as problem:
                os.close(descriptor)
                if problem.errno == errno.EWOULDBLOCK:
                    raise LayerInUse(f"layer {layer} is in use") from None
                raise
            os.close(descriptor)  # swept away between open and lock: once more


def _is_still(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _parse(layer: str, data: bytes) -> Record:
    """A record from its file. Raises ValueError."""
    tree: object = json.loads(data)
    if not isinstance(tree, dict):
        raise ValueError("not an object")
    fields = cast("dict[str, object]", tree)
    if fields.get("version") != _VERSION:
        raise ValueError(f"version {fields.get('version')!r}")
    parent, size, key = fields.get("parent"), fields.get("size"), fields.get("key")
    if not (parent is None or isinstance(parent, str)) or not isinstance(key, str):
        raise ValueError("parent or key")
    if not (size is None or isinstance(size, int)):
        raise ValueError("size")
    phase = Phase(fields.get("phase"))
    return Record(layer, parent, phase, fields.get("read_write") is True, size, key)
