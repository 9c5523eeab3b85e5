# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers in use: held, mounted, and unmounted when their last user is gone.

A layer is mounted once in each mount namespace, as its state has it: active ones to be
written, committed ones not. `mount(read_only=True)` of an active one is a read-only view of
that mount, so that who writes and who reads see the same.
"""

import errno
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Self

from hostkit.storage.driver import Capabilities, Mount
from hostkit.storage.errors import Damaged, LayerInUse, NoSuchLayer
from hostkit.storage.home import WHOLE, Hold, Home, Phase, Record
from hostkit.system import mounts, syscalls
from hostkit.system.mounts import Mountable, MountSpec

_VIEW = "-view"  # behind the namespace in the scope of a use: a read-only view
_HOME = ""  # the "layer" that stands for the home mounted upon itself


class MountingDriver(ABC):
    """The half of a driver that is about use; `hostkit.storage.lifecycle` has the other."""

    name: str
    capabilities = Capabilities()

    def __init__(self, root: str, *, read_only: bool = False) -> None:
        self.home = f"{root}/{self.name}"
        self.read_only = read_only
        # Parents of foreign layers as another place names them (Docker's layer store).
        self.told_parents: Mapping[str, str | None] = {}
        self._isolation: Hold | None = None
        self._home = Home(self.home, read_only=read_only)

    # What a driver must give.

    @abstractmethod
    def _spec(self, record: Record, *, read_only: bool) -> Mountable:
        """How the layer is mounted; called by somebody who holds it.

        `read_only` of an active layer that another namespace may have mounted to be written.
        """

    @abstractmethod
    def _mount_point(self, layer: str) -> str:
        """The folder that a layer is mounted on."""

    def _foreign(self) -> Iterator[Record]:
        """Layers of another engine that lie in the home, in the phase FOREIGN."""
        return iter(())

    def _foreign_layer(self, layer: str) -> Record | None:
        """One layer of another engine."""
        return next((one for one in self._foreign() if one.id == layer), None)

    def _acquire(self, record: Record) -> None:  # noqa: B027 - most drivers have nothing to do
        """Before the first mount of a layer in any namespace (a device is set up).

        It may be set up already: by a killed process, or for another namespace.
        """

    def _release(self, record: Record) -> None:  # noqa: B027 - most drivers have nothing to do
        """After the last unmount of a layer (its device is taken away); also without a mount."""

    def _root(self, mounted: str) -> str:
        """Where the layer's tree begins below its mount point."""
        return mounted

    # Use.

    def hold(self, layer: str) -> Mount:
        """Keep a layer from being removed, without mounting it."""
        if self.read_only:
            self._lookup(layer)
            return self._home.hold(layer)
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
            mounted = _Mounted(self, record, self._home.hold(layer))
            try:
                if record.phase is Phase.ACTIVE and read_only:
                    path = self._view(record, mounted)
                else:
                    path = self._natural(record, mounted)
                mounted.path = self._root(path)
            except BaseException:
                mounted.close()
                raise
        return mounted

    def _natural(self, record: Record, mounted: "_Mounted") -> str:
        """The mount of a layer as its state has it."""
        read_only = record.phase is not Phase.ACTIVE
        if not read_only and self._used_elsewhere(record.id):
            raise LayerInUse(f"layer {record.id} is mounted in another mount namespace")
        path = self._mount_point(record.id)
        self._used(record, mounted, path, "", lambda: self._spec(record, read_only=read_only))
        return path

    def _view(self, record: Record, mounted: "_Mounted") -> str:
        """An active layer to be read."""
        path = self._view_point(record.id)
        if self._used_elsewhere(record.id):
            self._used(record, mounted, path, _VIEW, lambda: self._spec(record, read_only=True))
            return path
        source = self._natural(record, mounted)
        flags = syscalls.MS_BIND | syscalls.MS_RDONLY
        self._used(record, mounted, path, _VIEW, lambda: MountSpec(source, "", flags))
        return path

    def _used(
        self,
        record: Record,
        mounted: "_Mounted",
        path: str,
        kind: str,
        spec: Callable[[], Mountable],
    ) -> None:
        """Mount something unless it is already, and note the use of it."""
        use, first, _ = self._home.use(record.id, mounts.mount_namespace() + kind)
        mounted.uses.append((use, kind))
        if not first:
            return
        self._isolate()
        try:
            os.makedirs(path, mode=0o700)
        except FileExistsError:  # of a killed process: it may show an earlier state of the layer
            mounts.unmount(path)
        self._acquire(record)
        spec().apply(path)
        use.shared()

    def given_back(self, record: Record, use: Hold, kind: str) -> None:
        """One use of a mount less; for a mount's end, while `changing`."""
        if use.alone():
            self._unmounted(record, kind)
        use.close()

    def changing(self) -> AbstractContextManager[None]:
        """Alone among all who change the store; for a mount's end."""
        return self._home.changing()

    def _unmounted(self, record: Record, kind: str) -> None:
        """Take a mount away, in the other namespaces too where nobody uses it.

        It is forgotten when it is gone: who is killed before leaves it to `cleanup`.
        """
        point = self._point(record.id, kind)
        mounts.unmount(point)
        self._home.unused(record.id, mounts.mount_namespace() + kind)
        scopes = self._home.scopes(record.id)
        if not any(_kind(scope) == kind for scope in scopes):
            try:
                os.rmdir(point)  # takes copies of the mount along (Linux 3.18)
            except OSError as problem:
                # Older kernels keep it while another namespace has it mounted.
                if problem.errno not in (errno.ENOENT, errno.EBUSY):
                    raise
        if not scopes:
            self._release(record)

    def _let_go(self, record: Record) -> None:
        """Unmount what killed processes left of a layer that is ours alone."""
        for kind in (_VIEW, ""):
            if os.path.lexists(self._point(record.id, kind)):
                self._unmounted(record, kind)

    def _point(self, layer: str, kind: str) -> str:
        return self._view_point(layer) if kind else self._mount_point(layer)

    def _view_point(self, layer: str) -> str:
        return f"{self.home}/.hostkit/views/{layer}"

    def _used_elsewhere(self, layer: str) -> bool:
        """Whether another mount namespace has the layer mounted to be written."""
        here = mounts.mount_namespace()
        return any(scope != here and not _kind(scope) for scope in self._home.scopes(layer))

    def _isolate(self) -> None:
        """Keep the mounts to come from spreading to every other namespace."""
        if self._isolation is not None and self._isolation.ours:
            return
        use, first, left = self._home.use(_HOME, mounts.mount_namespace())
        if first and mounts.holding(self.home).shared:
            MountSpec(self.home, "", syscalls.MS_BIND).apply(self.home)
            syscalls.mount("none", self.home, "", syscalls.MS_PRIVATE)
        elif first and not left:
            self._home.unused(_HOME, mounts.mount_namespace())
        use.shared()
        self._isolation = use

    def _sweep(self, layer: str, scope: str) -> None:
        """A mount whose users were all killed."""
        if layer == _HOME:
            self._home.unused(layer, scope)
            if scope == mounts.mount_namespace():
                self._unisolate()
            return
        record = Record(layer, None, Phase.REMOVING, read_write=False, size=None)
        try:
            record = self._lookup(layer)
        except (NoSuchLayer, Damaged):
            pass
        kind = _kind(scope)
        if mounts.mount_namespace() + kind not in self._home.scopes(layer):
            self._unmounted(record, kind)
        self._home.unused(layer, scope)

    def _unisolate(self) -> None:
        """Undo `_isolate`, if the home is mounted upon itself and nothing is below."""
        above = os.path.dirname(self.home)
        if not mounts.is_mounted(self.home) or mounts.points_below(os.path.realpath(self.home)):
            return
        if os.stat(self.home).st_dev == os.stat(above).st_dev:
            # It goes when the lock that we have on a file in it does.
            syscalls.umount(self.home, syscalls.UMOUNT_NOFOLLOW | syscalls.MNT_DETACH)

    def close(self) -> None:
        """Give back what the open store itself has."""
        use, self._isolation = self._isolation, None
        if use is None or not use.ours:
            return
        with self._home.changing():
            if use.alone() and self._home.unused(_HOME, mounts.mount_namespace()):
                self._unisolate()
            use.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _lookup(self, layer: str) -> Record:
        """Our record of a layer, or what another engine left. Raises NoSuchLayer."""
        try:
            record = self._home.record(layer)
        except NoSuchLayer:
            foreign = self._foreign_layer(layer)
            if foreign is None:
                raise
            return foreign
        if record.phase not in WHOLE:
            raise NoSuchLayer(f"there is no layer {layer} in {self.home}")
        return record


class _Mounted:
    """One use of a mounted layer."""

    def __init__(self, driver: MountingDriver, record: Record, held: Hold) -> None:
        self.path = ""
        self.uses: list[tuple[Hold, str]] = []  # a view after what it is a view of
        self._driver = driver
        self._record = record
        self._held = held

    def close(self) -> None:
        """Give it back; the last user unmounts."""
        uses, self.uses = self.uses, []
        try:
            if uses and self._held.ours:  # a child made by fork has copies, and ends nothing
                with self._driver.changing():
                    for use, kind in reversed(uses):
                        self._driver.given_back(self._record, use, kind)
        finally:
            for use, _ in uses:
                use.close()
            self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _kind(scope: str) -> str:
    return _VIEW if scope.endswith(_VIEW) else ""
