# SPDX-License-Identifier: GPL-3.0-or-later
"""What is the same in every driver: names, states, use and what a crash leaves.

A driver gives the few operations that differ (`_make`, `_discard`, `_spec` ...). Each is
called with the store locked and the layer's record written, so it may be killed anywhere:
a layer in the phase `creating` or `removing` is discarded at the next opening. `_discard`
must therefore cope with whatever part of a layer there is, also none.
"""

import errno
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import BinaryIO, Self

from hostkit.storage import treediff
from hostkit.storage.driver import Capabilities, Change, Issue, Layer, Mount, State, Usage
from hostkit.storage.errors import (
    LayerExists,
    LayerInUse,
    NoSuchLayer,
    StorageError,
    WrongState,
)
from hostkit.storage.home import Hold, Home, Phase, Record, valid_id
from hostkit.storage.tar.reader import TarReader
from hostkit.storage.unpack import Whiteouts, unpack
from hostkit.system import mounts, syscalls
from hostkit.system.mounts import Mountable


class LayerDriver(ABC):
    """The base of the drivers in this project; see `hostkit.storage.driver` for the contract."""

    name: str
    capabilities = Capabilities()

    def __init__(self, root: str, *, read_only: bool = False) -> None:
        self.home = f"{root}/{self.name}"
        self.read_only = read_only
        self._isolated = False
        self._home = Home(self.home, read_only=read_only)

    # What a driver must give.

    @abstractmethod
    def _make(self, record: Record) -> Record:
        """Make the layer; the record with its `key` if the driver needs one."""

    @abstractmethod
    def _discard(self, record: Record) -> None:
        """Take away whatever there is of the layer. May be called again."""

    @abstractmethod
    def _spec(self, record: Record, *, read_only: bool) -> Mountable:
        """How the layer is mounted; called by somebody who holds it."""

    @abstractmethod
    def _mount_point(self, layer: str) -> str:
        """The folder that a layer is mounted on."""

    @abstractmethod
    def usage(self, layer: str) -> Usage:
        """What a layer takes up by itself."""

    def _foreign(self) -> Iterator[Record]:
        """Layers of another engine that lie in the home, in the phase FOREIGN."""
        return iter(())

    def _acquire(self, record: Record) -> None:  # noqa: B027 - most drivers have nothing to do
        """Before the first mount of a layer (a device is set up)."""

    def _release(self, record: Record) -> None:  # noqa: B027 - most drivers have nothing to do
        """After the last unmount of a layer (its device is taken away)."""

    def _flush(self, record: Record) -> None:  # noqa: ARG002 - a driver may flush one layer alone
        """Before a layer is committed: all of it is on the disk when this returns."""
        descriptor = os.open(self.home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            syscalls.syncfs(descriptor)
        finally:
            os.close(descriptor)

    def _root(self, mounted: str) -> str:
        """Where the layer's tree begins below its mount point."""
        return mounted

    # The life of a layer.

    def create(
        self,
        layer: str,
        parent: str | None = None,
        *,
        read_write: bool = False,
        size: int | None = None,
    ) -> None:
        """Make an empty active layer on a committed parent."""
        record = Record(valid_id(layer), parent, Phase.CREATING, read_write, size)
        if size is not None and not self.capabilities.size_limit:
            raise StorageError(f"{self.name} cannot limit the size of a layer here")
        with self._home.changing():
            self._forget_half_done(layer)
            if self.exists(layer):
                raise LayerExists(f"there is a layer {layer} already")
            if parent is not None and self._lookup(parent).phase is Phase.ACTIVE:
                raise WrongState(f"layer {parent} is not committed, so none can stand on it")
            self._home.put(record)
            try:
                made = self._make(record)
                self._home.put(made._replace(phase=Phase.ACTIVE))
            except BaseException:
                self._take_away(record)
                raise

    def commit(self, layer: str) -> None:
        """Make a layer immutable; when this returns it outlives a power cut."""
        with self._home.changing():
            record = self._own(layer, Phase.ACTIVE)
            if record.read_write:
                raise WrongState(f"layer {layer} is a container's; its diff can be committed")
            with self._claim(layer):
                self._flush(record)
                self._home.put(record._replace(phase=Phase.COMMITTED))

    def remove(self, layer: str) -> None:
        """Remove a layer that nobody uses and nothing stands on."""
        with self._home.changing():
            record = self._home.record(layer)
            child = next((one.id for one in self._home.records() if one.parent == layer), None)
            if child is not None:
                raise LayerInUse(f"layer {child} stands on {layer}")
            with self._claim(layer):
                self._home.put(record._replace(phase=Phase.REMOVING))
                self._take_away(record)

    def exists(self, layer: str) -> bool:
        """Whether there is such a layer."""
        try:
            self.info(layer)
        except NoSuchLayer:
            return False
        return True

    def info(self, layer: str) -> Layer:
        """One layer. Raises NoSuchLayer."""
        return _layer(self._lookup(layer))

    def layers(self) -> Iterator[Layer]:
        """Every layer, parents before children."""
        found = {one.id: one for one in self._home.records() if one.phase in _WHOLE}
        for one in self._foreign():
            found.setdefault(one.id, one)
        told: set[str] = set()
        for layer in found:
            chain: list[str] = []
            at: str | None = layer
            while at is not None and at in found and at not in told:
                told.add(at)
                chain.append(at)
                at = found[at].parent
            yield from (_layer(found[one]) for one in reversed(chain))

    # Use.

    def hold(self, layer: str) -> Mount:
        """Keep a layer from being removed, without mounting it."""
        with self._home.changing():
            self._lookup(layer)
            return self._home.hold(layer)

    def mount_spec(self, layer: str, *, read_only: bool = False) -> Mountable:
        """How somebody who holds the layer mounts it in a namespace of his own."""
        record = self._lookup(layer)
        return self._spec(record, read_only=read_only or record.phase is not Phase.ACTIVE)

    def mount(self, layer: str, *, read_only: bool = False) -> Mount:
        """Mount a layer in this mount namespace; a committed one is always read-only."""
        with self._home.changing():
            record = self._lookup(layer)
            read_only = read_only or record.phase is not Phase.ACTIVE
            if not read_only and self._home.used_elsewhere(layer):
                raise LayerInUse(f"layer {layer} is mounted in another mount namespace")
            holds = [self._home.hold(layer)]
            try:
                holds.append(self._home.hold(layer, scope=mounts.mount_namespace()))
                path = self._mounted(record, read_only=read_only)
            except BaseException:
                for hold in holds:
                    hold.close()
                raise
        return _Mounted(self, record, self._root(path), holds)

    def _mounted(self, record: Record, *, read_only: bool) -> str:
        path = self._mount_point(record.id)
        if not mounts.is_mounted(path):
            self._isolate()
            os.makedirs(path, mode=0o700, exist_ok=True)
            self._acquire(record)
            try:
                self._spec(record, read_only=read_only).apply(path)
            except BaseException:
                self._release(record)
                os.rmdir(path)
                raise
        return path

    def unused(self, record: Record) -> None:
        """Unmount a layer if no one in this namespace uses it any more; for a mount's end."""
        with self._home.changing():
            try:
                self._home.claim(record.id, scope=mounts.mount_namespace()).close()
            except LayerInUse:
                return
            self._unmounted(record)

    def _unmounted(self, record: Record) -> None:
        path = self._mount_point(record.id)
        mounts.unmount(path)
        try:
            os.rmdir(path)  # takes the copies of it in other namespaces along (Linux 3.18)
        except FileNotFoundError:
            pass
        if not self._home.used_elsewhere(record.id):
            self._release(record)

    def _isolate(self) -> None:
        """Keep the mounts to come from spreading to every other namespace."""
        if self._isolated or not mounts.is_shared(self.home):
            return
        syscalls.mount(self.home, self.home, "", syscalls.MS_BIND)
        syscalls.mount("none", self.home, "", syscalls.MS_PRIVATE)
        self._isolated = True

    # Differences: by comparing the mounted trees, where a driver knows no better way.

    def changes(self, layer: str) -> Iterator[Change]:
        """What differs from the parent, sorted by path."""
        info = self.info(layer)
        with self.mount(layer, read_only=True) as upper:
            if info.parent is None:
                yield from treediff.changes(None, upper.path)
                return
            with self.mount(info.parent) as lower:
                yield from treediff.changes(lower.path, upper.path)

    def diff(self, layer: str, sink: BinaryIO) -> None:
        """Write what differs from the parent as a layer tar."""
        info = self.info(layer)
        with self.mount(layer, read_only=True) as upper:
            if info.parent is None:
                treediff.write_diff(None, upper.path, sink)
                return
            with self.mount(info.parent) as lower:
                treediff.write_diff(lower.path, upper.path, sink)

    def apply_diff(self, layer: str, tar: TarReader) -> int:
        """Unpack a layer tar into an active layer; the bytes of file content."""
        self._own(layer, Phase.ACTIVE)
        with self.mount(layer) as mounted:
            return unpack(tar, mounted.path, Whiteouts.REMOVE)

    # The store as a whole.

    def metadata(self, layer: str) -> Mapping[str, str]:
        """What `docker inspect` shows as GraphDriver.Data."""
        self.info(layer)
        return {}

    def status(self) -> list[tuple[str, str]]:
        """What `docker info` shows of a driver."""
        return []

    def check(self) -> Iterator[Issue]:
        """What is wrong with the store; changes nothing."""
        known = {layer.id for layer in self.layers()}
        for record in self._home.records():
            if record.phase not in _WHOLE:
                text = f"{record.phase.value} it was cut short"
                yield Issue("layer-half-done", record.id, text, "finish taking it away")
            if record.parent is not None and record.parent not in known:
                yield Issue(
                    "layer-parent-missing", record.id, f"its parent {record.parent} is gone"
                )

    def repair(self, issue: Issue) -> None:
        """Do what the issue's `repair` says."""
        if issue.code == "layer-half-done":
            self.cleanup()
        else:
            raise StorageError(f"{issue.subject}: {issue.text}", "this cannot be mended by itself")

    def cleanup(self) -> None:
        """Unmount what nobody uses any more and finish what was cut short."""
        with self._home.changing():
            for record in tuple(self._home.records()):
                try:
                    scope = mounts.mount_namespace()
                    with self._claim(record.id), self._home.claim(record.id, scope=scope):
                        self._unmounted(record)
                        if record.phase not in _WHOLE:
                            self._take_away(record)
                except LayerInUse:
                    continue
            self._home.sweep_holds()

    def close(self) -> None:
        """Give back what the open store itself has."""
        if self._isolated:
            self._isolated = False
            try:
                syscalls.umount(self.home)
            except OSError as problem:  # another process has layers mounted below
                if problem.errno != errno.EBUSY:
                    raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Small words.

    def _lookup(self, layer: str) -> Record:
        """Our record of a layer, or what another engine left. Raises NoSuchLayer."""
        try:
            record = self._home.record(layer)
        except NoSuchLayer:
            for one in self._foreign():
                if one.id == layer:
                    return one
            raise
        if record.phase not in _WHOLE:
            raise NoSuchLayer(f"there is no layer {layer} in {self.home}")
        return record

    def _forget_half_done(self, layer: str) -> None:
        """What a crash left under a name that is wanted again."""
        try:
            record = self._home.record(layer)
        except NoSuchLayer:
            return
        if record.phase not in _WHOLE:
            self._take_away(record)

    def _own(self, layer: str, phase: Phase) -> Record:
        record = self._home.record(layer)
        if record.phase is not phase:
            raise WrongState(f"layer {layer} is {record.phase.value}, not {phase.value}")
        return record

    def _claim(self, layer: str) -> Hold:
        try:
            return self._home.claim(layer)
        except LayerInUse:
            raise LayerInUse(
                f"layer {layer} is in use", "a container or another hostkit has it"
            ) from None

    def _take_away(self, record: Record) -> None:
        self._discard(record)
        self._home.drop(record.id)


class _Mounted:
    """One use of a mounted layer."""

    def __init__(self, driver: LayerDriver, record: Record, path: str, holds: list[Hold]) -> None:
        self.path = path
        self._driver = driver
        self._record = record
        self._holds = holds

    def close(self) -> None:
        """Give it back; the last user unmounts."""
        if self._holds:
            held, scoped = self._holds
            self._holds = []
            scoped.close()
            try:
                self._driver.unused(self._record)
            finally:
                held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_WHOLE = (Phase.ACTIVE, Phase.COMMITTED)


def _layer(record: Record) -> Layer:
    state = State(record.phase.value)
    return Layer(record.id, record.parent, state, record.read_write, record.size)
