# SPDX-License-Identifier: GPL-3.0-or-later
"""What is the same in every driver: names, states, use and what a crash leaves.

A driver gives the few operations that differ (`_make`, `_discard`, `_spec` ...). Each may be
killed anywhere: a layer in the phase `creating` or `removing` that no process has for itself
is discarded by `recover`, which who opens a store to write calls. `_discard` must therefore
cope with whatever part of a layer there is, also none.
"""

import os
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import BinaryIO

from hostkit.storage import treediff
from hostkit.storage.driver import Change, Issue, Layer, State, Usage
from hostkit.storage.errors import (
    Damaged,
    LayerExists,
    LayerInUse,
    NoSuchLayer,
    StorageError,
    WrongState,
)
from hostkit.storage.home import HALF_DONE, WHOLE, Phase, Record, valid_id
from hostkit.storage.mounting import MountingDriver
from hostkit.storage.tar.reader import TarReader
from hostkit.storage.unpack import Whiteouts, unpack
from hostkit.system import syscalls


class LayerDriver(MountingDriver):
    """The base of the drivers in this project; see `hostkit.storage.driver` for the contract."""

    # Whether layers may be made and discarded beside one another; else one after the other.
    side_by_side = False

    # What a driver must give.

    @abstractmethod
    def _make(self, record: Record) -> Record:
        """Make the layer; the record with its `key` if the driver needs one."""

    @abstractmethod
    def _discard(self, record: Record) -> None:
        """Take away whatever there is of the layer. May be called again."""

    @abstractmethod
    def usage(self, layer: str) -> Usage:
        """What a layer takes up by itself."""

    def _plan(self, record: Record) -> Record:
        """The record of a layer to be made, with its `key` if that can be said before."""
        return record

    def _flush(self, record: Record) -> None:  # noqa: ARG002 - a driver may flush one layer alone
        """Before a layer is committed: all of it is on the disk when this returns."""
        descriptor = os.open(self.home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            syscalls.syncfs(descriptor)
        finally:
            os.close(descriptor)

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
        if size is not None and size <= 0:
            raise StorageError(f"a layer of {size} bytes holds nothing")
        with self._home.changing():
            self._free_name(layer)
            if parent is not None and self._lookup(parent).phase is Phase.ACTIVE:
                raise WrongState(f"layer {parent} is not committed, so none can stand on it")
            record = self._plan(record)
            with self._home.begin(record) as mark, self._beside():
                try:
                    self._home.settle(record, self._make(record), mark)
                except BaseException:
                    self._abandon(record)
                    raise

    def commit(self, layer: str) -> None:
        """Make a layer immutable; when this returns it outlives a power cut."""
        with self._home.changing():
            record = self._own(layer, Phase.ACTIVE)
            if record.read_write:
                raise WrongState(f"layer {layer} is a container's; its diff can be committed")
            with self._home.claim(layer):
                self._let_go(record)
                with self._beside():
                    self._flush(record)
                self._home.advance(record, Phase.COMMITTED)

    def remove(self, layer: str) -> None:
        """Remove a layer that nobody uses and nothing stands on."""
        with self._home.changing():
            record = self._removable(layer)
            children = self._home.children(layer)
            if children:
                raise LayerInUse(f"layer {children[0]} stands on {layer}")
            with self._home.claim(layer):
                self._let_go(record)
                if record.phase is not Phase.REMOVING:
                    self._home.advance(record, Phase.REMOVING)
                with self._beside():
                    self._take_away(record)

    def _removable(self, layer: str) -> Record:
        try:
            record = self._home.record(layer)
        except NoSuchLayer:
            if self._foreign_layer(layer) is None:
                raise
            raise WrongState(f"layer {layer} is another engine's, which can remove it") from None
        if record.phase is Phase.CREATING:
            raise NoSuchLayer(f"there is no layer {layer} in {self.home}")
        return record

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
        """Every layer, parents before children; what is damaged is for `check` to name."""
        found = {one.id: one for one in self._readable()}
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

    def _readable(self) -> Iterator[Record]:
        for layer in self._home.ids(*WHOLE):
            try:
                record = self._home.record(layer)
            except (NoSuchLayer, Damaged):
                continue
            if record.phase in WHOLE:
                yield record

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
        for layer in self._home.ids():
            try:
                record = self._home.record(layer)
            except NoSuchLayer:
                continue
            except Damaged as problem:
                yield Issue("layer-record-damaged", layer, problem.message, self._mending(layer))
                continue
            if record.phase in HALF_DONE:
                if not self._at_work(layer):
                    text = f"{record.phase.value} it was cut short"
                    yield Issue("layer-half-done", layer, text, "finish taking it away")
            elif record.parent is not None and record.parent not in known:
                yield Issue("layer-parent-missing", layer, f"its parent {record.parent} is gone")

    def _at_work(self, layer: str) -> bool:
        """Whether somebody makes or removes a layer at this moment."""
        try:
            self._home.hold(layer).close()
        except LayerInUse:
            return True
        return False

    def _mending(self, layer: str) -> str:
        """How a damaged record would be mended."""
        if self._foreign_layer(layer) is None:
            return "forget it: nothing of the layer is there"
        return "write it anew from the layer's folder, as a committed layer"

    def repair(self, issue: Issue) -> None:
        """Do what the issue's `repair` says."""
        if issue.code == "layer-half-done":
            self.cleanup()
        elif issue.code == "layer-record-damaged":
            with self._home.changing():
                seen = self._foreign_layer(issue.subject)
                if seen is None:
                    self._home.drop(issue.subject)
                else:
                    self._home.drop(issue.subject)
                    self._home.put(seen._replace(phase=Phase.COMMITTED))
        else:
            raise StorageError(f"{issue.subject}: {issue.text}", "this cannot be mended by itself")

    def recover(self) -> None:
        """What killed processes left is taken away; what cannot be now is `check`'s to name.

        For who opens a store to write: where nothing was left it costs three empty folders.
        """
        with self._home.changing():
            left = self._home.ids(*HALF_DONE) or any(not live for _, _, live in self._home.uses())
        if left:
            try:
                self.cleanup()
            except (OSError, StorageError):
                return

    def cleanup(self) -> None:
        """Unmount what nobody uses any more and finish what was cut short."""
        with self._home.changing():
            for layer, scope, live in sorted(self._home.uses(), reverse=True):  # the home last
                if not live:
                    self._sweep(layer, scope)
            for layer in self._home.ids(*HALF_DONE):
                try:
                    record = self._home.record(layer)
                    with self._home.claim(layer):
                        if record.phase in HALF_DONE:
                            self._let_go(record)
                            self._take_away(record)
                except (LayerInUse, NoSuchLayer):
                    continue

    # Small words.

    def _free_name(self, layer: str) -> None:
        """Raises LayerExists; what a crash left under the name is taken away."""
        try:
            record = self._home.record(layer)
        except NoSuchLayer:
            if self._foreign_layer(layer) is None:
                return
        else:
            if record.phase in HALF_DONE:
                with self._home.claim(layer):
                    self._let_go(record)
                    self._take_away(record)
                return
        raise LayerExists(f"there is a layer {layer} already")

    def _own(self, layer: str, phase: Phase) -> Record:
        record = self._lookup(layer)
        if record.phase is not phase:
            raise WrongState(f"layer {layer} is {record.phase.value}, not {phase.value}")
        return record

    def _beside(self) -> AbstractContextManager[None]:
        """Long work: others may come in, if the driver can have that."""
        return self._home.paused() if self.side_by_side else nullcontext()

    def _take_away(self, record: Record) -> None:
        self._discard(record)
        self._home.drop(record.id)

    def _abandon(self, record: Record) -> None:
        """Take away a layer that could not be made; what cannot be now is for `recover`."""
        try:
            self._take_away(record)
        except (OSError, StorageError):
            return


def _layer(record: Record) -> Layer:
    state = State(record.phase.value)
    return Layer(record.id, record.parent, state, record.read_write, record.size)
