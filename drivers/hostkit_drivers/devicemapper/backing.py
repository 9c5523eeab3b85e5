# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a pool comes from: two sparse files on loop devices, or a volume that is there."""

import errno
import os
from abc import ABC, abstractmethod

from hostkit.storage.errors import Damaged, StorageError
from hostkit.storage.thin.superblock import parse_superblock
from hostkit.storage.thinpool.pool import (
    Shape,
    ThinPool,
    features_for,
    pool_table,
    sectors,
)
from hostkit.system import blocks, loop
from hostkit.system.dm import DeviceMapper
from hostkit_drivers.devicemapper.options import Options

_SUPERBLOCK = 4096
_BLOCK = 64 << 10
_BUSY = (errno.EBUSY, errno.ENXIO)


class Backing(ABC):
    """The pool of a store: how it becomes active, and what shows it when it is not."""

    discards = False  # whether blocks of a removed layer are given back below

    @abstractmethod
    def start(self, mapper: DeviceMapper) -> ThinPool:
        """The active pool. Raises StorageError, OSError."""

    @abstractmethod
    def stop(self, mapper: DeviceMapper) -> None:
        """Deactivate it when it is ours and nobody uses it."""

    @abstractmethod
    def active(self, mapper: DeviceMapper) -> ThinPool | None:
        """The pool if it is active; changes nothing."""

    @abstractmethod
    def metadata_path(self) -> str:
        """Where the metadata lie when the pool is not active, "" when they are out of reach."""

    @abstractmethod
    def rows(self) -> list[tuple[str, str]]:
        """What `docker info` says of it besides the pool itself."""


class LoopFiles(Backing):
    """Docker's two files. They grow when a larger size is asked for, and never shrink."""

    discards = True

    def __init__(self, home: str, prefix: str, options: Options) -> None:
        self.folder = f"{home}/devicemapper"
        self.name = f"{prefix}-pool"
        self._options = options

    @property
    def data(self) -> str:
        """The file of the data."""
        return f"{self.folder}/data"

    def metadata_path(self) -> str:
        """The file of the metadata."""
        return f"{self.folder}/metadata"

    def start(self, mapper: DeviceMapper) -> ThinPool:
        """Make the files where there are none, and the pool on them."""
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        _sparse(self.metadata_path(), self._options.metadata_size)
        _sparse(self.data, self._options.data_size)
        found = mapper.info(self.name)
        if found is not None and not found.live:
            mapper.remove(self.name)
            found = None
        pool = ThinPool(mapper, self.name)
        if found is None:
            self._activate(mapper)
        else:
            if found.suspended:
                mapper.resume(self.name)
            self._enlarge(mapper, pool)
        return pool

    def _activate(self, mapper: DeviceMapper) -> None:
        block = self._block_size()
        with _looped(self.metadata_path()) as metadata, _looped(self.data) as data:
            mapper.create(self.name)
            try:
                # Loading a table brings the target's module in, and so its version.
                shape = Shape(
                    metadata.number, data.number, sectors(os.path.getsize(self.data)), block
                )
                mapper.load(self.name, [pool_table(shape, ("skip_block_zeroing",))])
                mapper.load(self.name, [pool_table(shape, features_for(mapper))])
                mapper.resume(self.name)
            except BaseException:
                mapper.remove(self.name)
                raise

    def _block_size(self) -> int:
        """Sectors of a block: what the pool was made with, else what is asked for."""
        wanted = sectors(self._options.block_size or _BLOCK)
        with open(self.metadata_path(), "rb") as file:
            head = file.read(_SUPERBLOCK)
        if not head.strip(b"\0"):
            return wanted
        try:
            return parse_superblock(head).data_sectors
        except ValueError as problem:
            raise Damaged(
                f"{self.metadata_path()} {problem}", "copy it, then thin_repair(8) the copy"
            ) from None

    def _enlarge(self, mapper: DeviceMapper, pool: ThinPool) -> None:
        """Let an active pool have what its files have grown by."""
        (part,) = mapper.table(self.name)
        table = pool.table()
        block = sectors(table.block_size)
        size = sectors(os.path.getsize(self.data))
        grown = size - size % block > part.length
        for path in (self.data, self.metadata_path()):
            with _looped(path) as device:
                if os.path.getsize(path) > blocks.size(device.path):
                    device.refresh()
                    grown = True
        if grown:
            shape = Shape(table.metadata_device, table.data_device, size, block)
            pool.reload(shape, table.features)

    def stop(self, mapper: DeviceMapper) -> None:
        """The loop devices go with the pool."""
        try:
            mapper.remove(self.name)
        except OSError as problem:
            if problem.errno not in _BUSY:
                raise

    def active(self, mapper: DeviceMapper) -> ThinPool | None:
        """The pool if it is active."""
        found = mapper.info(self.name)
        return ThinPool(mapper, self.name) if found is not None and found.live else None

    def rows(self) -> list[tuple[str, str]]:
        """The files, and that this is not for production."""
        return [
            ("Data loop file", self.data),
            ("Metadata loop file", self.metadata_path()),
            (
                "WARNING",
                "loop-lvm is slow, fills the disk below unseen and is not for production:"
                " use overlay2 or direct-lvm (`hostkit explain loop-lvm-in-use`)",
            ),
        ]


class Volume(Backing):
    """A thin pool that something else keeps active, as LVM does; its name is `/dev/...`."""

    def __init__(self, path: str) -> None:
        self.path = path

    def start(self, mapper: DeviceMapper) -> ThinPool:
        """The pool. Raises StorageError when it is not there."""
        pool = self.active(mapper)
        if pool is None:
            raise StorageError(
                f"the thin pool {self.path} is not active",
                "vgchange -ay; see `hostkit explain thinpool-inactive`",
            )
        pool.table()  # refuses what is no thin pool
        return pool

    def stop(self, mapper: DeviceMapper) -> None:
        """It is LVM's."""

    def active(self, mapper: DeviceMapper) -> ThinPool | None:
        """The pool if it is active."""
        name = _mapped_name(self.path)
        found = mapper.info(name) if name else None
        return ThinPool(mapper, name) if found is not None and found.live else None

    def metadata_path(self) -> str:
        """LVM shows them to nobody while they are at rest."""
        return ""

    def rows(self) -> list[tuple[str, str]]:
        """Nothing more."""
        return []


def _mapped_name(path: str) -> str:
    """The device-mapper name of a node: /dev/mapper/NAME, /dev/VG/LV or /dev/dm-N."""
    folder, name = os.path.split(path)
    if folder in ("/dev/mapper", ""):
        return name
    try:
        with open(f"/sys/block/{os.path.basename(os.path.realpath(path))}/dm/name") as file:
            return file.read().strip()
    except OSError:
        return ""


def _looped(path: str) -> loop.Loop:
    return loop.find(path) or loop.attach(path)


def _sparse(path: str, size: int) -> None:
    """A file of at least so many bytes."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.fstat(descriptor).st_size < size:
            os.ftruncate(descriptor, size)
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
