# SPDX-License-Identifier: GPL-3.0-or-later
"""devicemapper as Docker lays it out.

`devicemapper/metadata/ID` notes which device of the pool is a layer's, `mnt/ID` is where it is
mounted, and the layer's tree is the folder `rootfs` in its file system. Every layer is a
snapshot of its parent; one without a parent is a snapshot of the device `base`, which holds
an empty file system. (moby, daemon/graphdriver/devmapper)

A pool becomes active when something needs it, never for a store that is opened to be read.
It goes again with the last process that uses it.
"""

import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager

from hostkit.storage.driver import Capabilities, Issue, Usage
from hostkit.storage.errors import Damaged, ReadOnlyStore, StorageError
from hostkit.storage.home import WHOLE, Hold, Phase, Record
from hostkit.storage.lifecycle import LayerDriver
from hostkit.storage.thin.dockerpool import BASE, BaseDevice, Note
from hostkit.storage.thin.metadata import Metadata
from hostkit.storage.thinpool.devices import ThinDevices
from hostkit.storage.thinpool.notes import Notes, note_name
from hostkit.storage.thinpool.pool import MOST_DEVICES, ThinPool, refuse_full
from hostkit.system import mkfs, mounts, syscalls
from hostkit.system.aside import mounted_aside
from hostkit.system.dm import DeviceMapper
from hostkit.system.mounts import Mountable, MountSpec
from hostkit.system.syscalls import MNT_DETACH, MS_BIND, MS_RDONLY, MS_REMOUNT
from hostkit.system.tree import remove_tree
from hostkit.value import NamedTuple
from hostkit_drivers.devicemapper import inspection
from hostkit_drivers.devicemapper.backing import Backing, LoopFiles, Volume
from hostkit_drivers.devicemapper.options import Options, read_options
from hostkit_drivers.devicemapper.setup import set_up, volume_of

_ROOT = "rootfs"
_ID = "id"


class DeviceMapperDriver(LayerDriver):
    """Layers are thin devices: they share blocks, and none is larger than it was made."""

    name = "devicemapper"

    def __init__(
        self,
        root: str,
        options: Mapping[str, str] | None = None,
        *,
        read_only: bool = False,
        direct: bool = False,
    ) -> None:
        self._options = read_options(options or {})
        super().__init__(root, read_only=read_only)
        self.capabilities = Capabilities(size_limit=True, block_backed=True, max_depth=MOST_DEVICES)
        self.notes = Notes(f"{self.home}/metadata")
        if not read_only:
            for folder in ("metadata", "mnt"):
                os.makedirs(f"{self.home}/{folder}", mode=0o700, exist_ok=True)
        self.mapper = DeviceMapper()
        self.prefix = _prefix(self.home)
        self.backing = self._backing(self._options, direct=direct)
        self._devices: ThinDevices | None = None
        self._user: Hold | None = None
        self._active = ("", "")  # the device that was activated for the mount that follows

    def _backing(self, options: Options, *, direct: bool) -> Backing:
        if options.thin_pool:
            return Volume(options.thin_pool)
        if not direct and not options.device:
            return LoopFiles(self.home, self.prefix, options)
        known = volume_of(self.home, options)
        if known:
            return Volume(known)
        if self.read_only:
            raise StorageError(
                f"{self.home} names no thin pool", "give dm.thinpooldev=/dev/mapper/VG-POOL"
            )
        with self._home.changing():
            return Volume(set_up(self.home, options))

    # The pool.

    def _ready(self) -> ThinDevices:
        """The devices of the active pool, with nothing half done; the store is locked."""
        if self._devices is not None:
            return self._devices
        self._use()
        try:
            pool = self.backing.start(self.mapper)
            devices = ThinDevices(self.mapper, pool, self.notes, self.prefix)
            self.notes.sweep()
            devices.recover()
            self._base(devices)
        except BaseException:
            self._unuse()
            raise
        self._devices = devices
        return devices

    def _base(self, devices: ThinDevices) -> Note:
        """The device that all descend from, made if there is none."""
        note, known = self.notes.get(BASE), self.notes.base()
        if note is not None and note.initialized and known is not None:
            return note
        if note is not None:
            devices.delete(BASE)
        elif known is None:
            _refuse_used(devices.pool)
        note = devices.create(BASE, self._options.base_size)
        kind = self._options.filesystem or ("xfs" if mkfs.supported("xfs") else "ext4")
        path = devices.activate(BASE)
        try:
            mkfs.make(kind, path, list(self._options.mkfs_arguments))
            made = mkfs.identify(path)
        finally:
            devices.deactivate(BASE)
        if made is None or made.kind != kind:
            raise Damaged(f"{path} shows no {kind} after it was made there")
        self.notes.put_base(BaseDevice(note.device + 1, made.uuid, kind))
        note = note._replace(initialized=True)
        self.notes.put(note)
        return note

    def _use(self) -> None:
        """Count as one who needs the pool to be active; ends with the process."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._user = Hold(os.open(f"{self.home}/.hostkit/pool", flags, 0o600))
        self._user.shared()

    def _unuse(self) -> None:
        """The last one who needs the pool lets it go; the store is locked."""
        user, self._user, self._devices = self._user, None, None
        if user is not None:
            with user:
                if user.ours and user.alone():
                    self.backing.stop(self.mapper)

    def close(self) -> None:
        """Give back what the open store itself has."""
        try:
            if self._user is not None:
                with self._home.changing():
                    self._unuse()
        finally:
            self.mapper.close()
            super().close()

    # The life of a layer.

    def _make(self, record: Record) -> Record:
        devices = self._ready()
        name = note_name(record.id)
        origin = self._note(record.parent)
        size = origin.size if record.size is None else record.size - record.size % 512
        if size < origin.size:
            raise StorageError(
                f"a layer cannot be smaller than what it stands on ({origin.size} bytes)"
            )
        refuse_full(devices.pool.status(), self._options.min_free)
        devices.snapshot(name, origin, size)
        if record.parent is None or size > origin.size:
            self._prepare(devices, name, grown=size > origin.size)
        return record

    def _plan(self, record: Record) -> Record:
        return record._replace(key=note_name(record.id))

    def _prepare(self, devices: ThinDevices, name: str, *, grown: bool) -> None:
        """Make the root folder in a new layer's file system, and let that fill its device."""
        path = devices.activate(name)
        try:
            place = f"{self.home}/mnt/{name}"
            os.makedirs(place, mode=0o700, exist_ok=True)
            try:
                self._mount(path, True, read_only=False).apply(place)
                try:
                    if grown:
                        mkfs.grow(self._kind(), path, place)
                    _make_root(place, name)
                finally:
                    mounts.unmount(place)
            finally:
                os.rmdir(place)
        finally:
            devices.deactivate(name)

    def _discard(self, record: Record) -> None:
        name = note_name(record.id)
        if self.notes.get(name) is not None or self._is_open(name):
            devices = self._ready()
            if self._gives_back() and devices.deactivate(name) and self.notes.get(name) is not None:
                self._give_back(devices, name)
            devices.delete(name)
        remove_tree(self._mount_point(record.id))

    def _is_open(self, name: str) -> bool:
        """Whether the transaction noted last is of this device."""
        last = self.notes.transaction()
        return last is not None and last.name == name

    def _gives_back(self) -> bool:
        wanted = self._options.discard
        return self.backing.discards if wanted is None else wanted

    def _give_back(self, devices: ThinDevices, name: str) -> None:
        if self._note_named(name).deleted:
            return
        try:
            devices.discard(name)
        except OSError:
            pass  # the layer goes all the same; only the space below stays taken
        finally:
            devices.deactivate(name)

    def _acquire(self, record: Record) -> None:
        foreign = record.phase is Phase.FOREIGN
        name = note_name(record.id)
        self._active = (name, self._ready().activate(name, read_only=foreign))

    def _release(self, record: Record) -> None:
        name = note_name(record.id)
        if self._devices is not None:
            self._devices.deactivate(name)
        elif self.mapper.info(f"{self.prefix}-{name}") is not None:
            self._ready().deactivate(name)

    def _flush(self, record: Record) -> None:
        """Nobody has it mounted, so it is on the disk, but for a mount that has leaked."""
        own = f"{self.prefix}-{note_name(record.id)}"
        found = self.mapper.info(own)
        if found is not None and found.live:
            self.mapper.suspend(own)
            self.mapper.resume(own)

    def _spec(self, record: Record, *, read_only: bool) -> Mountable:
        name = note_name(record.id)
        (known, path), self._active = self._active, ("", "")
        if known != name:
            path = self._ready().activate(name)
        return self._mount(path, record.phase is Phase.ACTIVE, read_only=read_only)

    def _mount(self, path: str, writable: bool, *, read_only: bool) -> "ThinMount":
        kind = self._kind()
        options = ["nouuid"] if kind == "xfs" else []  # a snapshot has its origin's
        options += [self._options.mount_options] if self._options.mount_options else []
        return ThinMount(path, kind, ",".join(options), writable, read_only)

    def mount_spec(self, layer: str, *, read_only: bool = False) -> Mountable:
        """How somebody who holds the layer mounts it in a namespace of his own."""
        record = self._lookup(layer)
        if self.read_only:
            raise ReadOnlyStore(f"{self.home} was opened to be read: no device is activated")
        return HeldMount(self, record, read_only or record.phase is not Phase.ACTIVE)

    @contextmanager
    def activated(self, record: Record, *, read_only: bool) -> Generator[Mountable]:
        """The mount of an active device, which goes with the last mount of it."""
        with self._home.changing():
            own = f"{self.prefix}-{note_name(record.id)}"
            there = self.mapper.info(own) is not None
            self._acquire(record)
            try:
                yield self._spec(record, read_only=read_only)
            finally:
                if not there:
                    self._ready().let_go(own)

    def _mount_point(self, layer: str) -> str:
        return f"{self.home}/mnt/{note_name(layer)}"

    def _root(self, mounted: str) -> str:
        return f"{mounted}/{_ROOT}"

    def _foreign(self) -> Iterator[Record]:
        own = {note_name(layer) for layer in self._home.ids()}
        for name in self.notes.names():
            if name not in own:
                found = self._foreign_layer(name)
                if found is not None:
                    yield found

    def _foreign_layer(self, layer: str) -> Record | None:
        note = self.notes.get(layer) if note_name(layer) == layer else None
        if note is None or note.deleted:
            return None
        # Docker's devicemapper keeps no parents; its layer store does.
        parent = self.told_parents.get(layer)
        return Record(layer, parent, Phase.FOREIGN, read_write=False, size=note.size)

    # The store as a whole.

    def cleanup(self) -> None:
        """Also what was in use when it should have been deleted, and an open transaction."""
        super().cleanup()
        with self._home.changing():
            last = self.notes.transaction()
            if last is not None or any(note.deleted for note in self.notes.all()):
                self._ready().finish_deletions()

    def usage(self, layer: str) -> Usage:
        """The blocks that differ from those of the parent; inodes are not counted."""
        info = self.info(layer)
        note = self._note_named(note_name(layer))
        below = self._note(info.parent)
        with self._metadata() as metadata:
            used = inspection.differing(metadata, note.device, below.device)
            return Usage(used * metadata.block_size, 0)

    @contextmanager
    def _metadata(self) -> Generator[Metadata]:
        if self.read_only:
            with inspection.at_rest(self.backing) as metadata:
                yield metadata
            return
        with self._home.changing(), self._ready().pool.metadata() as metadata:
            yield metadata

    def metadata(self, layer: str) -> Mapping[str, str]:
        """The device, as `docker inspect` shows it."""
        name = note_name(self.info(layer).id)
        note = self._note_named(name)
        return {
            "DeviceId": str(note.device),
            "DeviceName": f"{self.prefix}-{name}",
            "DeviceSize": str(note.size),
        }

    def status(self) -> list[tuple[str, str]]:
        """What `docker info` shows of the pool."""
        return inspection.status(self.backing, self.mapper, self.notes, self._options)

    def check(self) -> Iterator[Issue]:
        """What is wrong with notes, pool and layers; changes nothing."""
        yield from super().check()
        noted = set(self.notes.names())
        for layer in self._home.ids(*WHOLE):
            if note_name(layer) not in noted:
                yield Issue("layer-device-missing", layer, "no device is noted for it")
        yield from inspection.check(self.backing, self.mapper, self.notes)
        if isinstance(self.backing, Volume):
            yield from inspection.unmonitored(self.backing)

    def repair(self, issue: Issue) -> None:
        """Do what the issue's `repair` says."""
        if issue.code in inspection.MENDED:
            self.cleanup()
        else:
            super().repair(issue)

    # Small words.

    def _kind(self) -> str:
        known = self.notes.base()
        if known is None or not known.filesystem:
            raise Damaged(f"{self.notes.folder} does not say which file system the layers have")
        return known.filesystem

    def _note(self, layer: str | None) -> Note:
        """The note of a layer, or of the base."""
        return self._note_named(BASE if layer is None else note_name(layer))

    def _note_named(self, name: str) -> Note:
        note = self.notes.get(name)
        if note is None:
            raise Damaged(f"no device is noted for {name}", "see `hostkit storage check`")
        return note


class ThinMount(NamedTuple):
    """The file system on a device.

    One that may be written is mounted so even to be read, and then made read-only where it is
    mounted: the kernel has a file system of a device either writable or not, for all mounts.
    """

    device: str
    kind: str
    options: str
    writable: bool
    read_only: bool

    def apply(self, target: str) -> None:
        """Mount it. Raises OSError."""
        flags = 0 if self.writable else MS_RDONLY
        MountSpec(self.device, self.kind, flags, self.options).apply(target)
        if self.read_only and self.writable:
            try:
                syscalls.mount("none", target, "", MS_REMOUNT | MS_BIND | MS_RDONLY)
            except OSError:
                syscalls.umount(target, MNT_DETACH)
                raise


class HeldMount(NamedTuple):
    """A layer's tree for whoever holds the layer; its device goes with the last mount."""

    driver: "DeviceMapperDriver"
    record: Record
    read_only: bool

    def apply(self, target: str) -> None:
        """Mount it. Raises OSError, StorageError."""
        with (
            self.driver.activated(self.record, read_only=self.read_only) as spec,
            mounted_aside(spec) as place,
        ):
            flags = MS_BIND | (MS_RDONLY if self.read_only else 0)
            MountSpec(f"{place}/{_ROOT}", "", flags).apply(target)


def _prefix(home: str) -> str:
    """Docker's: another for a data root that was moved, so that two never meet."""
    try:
        info = os.stat(home)
    except FileNotFoundError:
        return "docker-0:0-0"
    return f"docker-{os.major(info.st_dev)}:{os.minor(info.st_dev)}-{info.st_ino}"


def _make_root(place: str, name: str) -> None:
    root, own = f"{place}/{_ROOT}", f"{place}/{_ID}"
    if not os.path.isdir(root):
        os.mkdir(root, 0o755)
        os.chmod(root, 0o755)  # noqa: S103 - what a root has, whatever the umask
    if not os.path.exists(own):
        with open(own, "w") as file:  # of the lowest layer, as Docker's
            file.write(name)


def _refuse_used(pool: ThinPool) -> None:
    """Docker's rule: a pool that holds something is somebody's."""
    status = pool.status()
    if status.data_used or status.transaction:
        raise StorageError(
            f"the thin pool {pool.name} holds data that this store does not know",
            "name an empty pool; see `hostkit explain thinpool-already-used`",
        )
