# SPDX-License-Identifier: GPL-3.0-or-later
"""A thin pool in the kernel: made, asked, told, and refused where it would lose data.

The messages and the status are those of the kernel's
Documentation/admin-guide/device-mapper/thin-provisioning.rst.
"""

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager

from hostkit.facts.thinpool import Mode, PoolStatus, PoolTable, parse_pool_status, parse_pool_table
from hostkit.storage.errors import Damaged, StorageError
from hostkit.storage.thin.metadata import Metadata, open_metadata
from hostkit.system.dm import SECTOR, DeviceMapper, Target
from hostkit.value import NamedTuple

KIND = "thin-pool"
THIN = "thin"
LOW_WATER = 32768  # blocks, as Docker has it
MOST_DEVICES = 1 << 24
# Without it a full pool holds writers back for a minute (or for ever, no_space_timeout=0).
_ERRORS_SINCE = (1, 10, 0)

FULL_HINT = (
    "remove layers or containers, or make the pool larger; see `hostkit explain thinpool-full`"
)
CHECK_HINT = (
    "nothing is lost yet: stop what uses the pool, deactivate it, copy its metadata, run"
    " thin_check(8) on it; when that finds nothing, thin_check --clear-needs-check-flag, else"
    " thin_repair to a new file; see `hostkit explain thinpool-metadata-damaged`"
)


class PoolFull(StorageError):
    """The pool has no room, or less than it is to keep free."""


class PoolUnfit(Damaged):
    """The kernel lets nothing be written to the pool until it was looked at."""


class Shape(NamedTuple):
    """What a pool is made of: device numbers, sectors."""

    metadata: tuple[int, int]
    data: tuple[int, int]
    sectors: int
    block: int


def pool_table(shape: Shape, features: tuple[str, ...]) -> Target:
    """The table of a pool.

    >>> pool_table(Shape((7, 1), (7, 0), 2048, 128), ("skip_block_zeroing",)).words
    '7:1 7:0 128 32768 1 skip_block_zeroing'
    """
    metadata, data = (f"{major}:{minor}" for major, minor in (shape.metadata, shape.data))
    words = (metadata, data, shape.block, LOW_WATER, len(features), *features)
    whole = shape.sectors - shape.sectors % shape.block
    return Target(0, whole, KIND, " ".join(map(str, words)))


def features_for(mapper: DeviceMapper) -> tuple[str, ...]:
    """Docker's (blocks are not zeroed), and that a full pool fails writes at once."""
    version = mapper.targets().get(KIND, (0, 0, 0))
    return ("skip_block_zeroing", *(("error_if_no_space",) if version >= _ERRORS_SINCE else ()))


class ThinPool:
    """A pool that is active."""

    def __init__(self, mapper: DeviceMapper, name: str) -> None:
        self.mapper = mapper
        self.name = name

    @property
    def number(self) -> str:
        """As a table of a thin device names the pool."""
        device = self.mapper.info(self.name)
        if device is None or not device.live:
            raise StorageError(f"the pool {self.name} is not active")
        return f"{device.number[0]}:{device.number[1]}"

    def status(self) -> PoolStatus:
        """How full it is and what it lets through. Raises StorageError for no thin pool."""
        return parse_pool_status(self._line(self.mapper.status(self.name)))[0]

    def table(self) -> PoolTable:
        """The devices below and the size of a block."""
        return parse_pool_table(self._line(self.mapper.table(self.name)))[0]

    def _line(self, targets: list[Target]) -> str:
        if len(targets) != 1 or targets[0].kind != KIND:
            kinds = ", ".join(one.kind for one in targets) or "nothing"
            raise StorageError(f"{self.name} is no thin pool but {kinds}")
        one = targets[0]
        return f"{self.name}: {one.start} {one.length} {KIND} {one.words}"

    def writable(self) -> PoolStatus:
        """Its status. Raises PoolUnfit, PoolFull with the way out when it takes no changes."""
        status = self.status()
        refuse_unfit(status)
        return status

    def create_thin(self, device: int) -> None:
        """A new, empty device."""
        self.mapper.message(self.name, f"create_thin {device}")

    def create_snapshot(self, device: int, origin: int) -> None:
        """A device with the content of another, which is not written to at this moment."""
        self.mapper.message(self.name, f"create_snap {device} {origin}")

    def delete(self, device: int) -> None:
        """Remove a device; one that is not there is no error. EBUSY while it is active."""
        try:
            self.mapper.message(self.name, f"delete {device}")
        except OSError as problem:
            if problem.errno != errno.ENODATA:
                raise

    def advance(self, old: int, new: int) -> None:
        """Change the number of the transaction, which puts all before it on the disk."""
        self.mapper.message(self.name, f"set_transaction_id {old} {new}")

    @contextmanager
    def metadata(self) -> Generator[Metadata]:
        """The metadata as they are at this moment, to be read while the pool goes on.

        For one process at a time. Raises OSError, InputError, Damaged.
        """
        try:
            self.mapper.message(self.name, "reserve_metadata_snap")
        except OSError as problem:
            if problem.errno != errno.EBUSY:  # what somebody who was killed has left
                raise
            self.mapper.message(self.name, "release_metadata_snap")
            self.mapper.message(self.name, "reserve_metadata_snap")
        try:
            with open_metadata(device_path(self.table().metadata_device), held=True) as found:
                yield found
        finally:
            self.mapper.message(self.name, "release_metadata_snap")

    def reload(self, shape: Shape, features: tuple[str, ...]) -> None:
        """Give it another table, as when the devices below have grown."""
        self.mapper.load(self.name, [pool_table(shape, features)])
        self.mapper.suspend(self.name, lockfs=False)
        self.mapper.resume(self.name)


def refuse_unfit(status: PoolStatus) -> None:
    """Raises PoolUnfit or PoolFull for a pool that takes no changes."""
    name = status.name
    if status.mode is Mode.FAILED:
        raise PoolUnfit(f"the pool {name} has failed: the kernel lets nothing through", CHECK_HINT)
    if status.needs_check:
        raise PoolUnfit(f"the metadata of the pool {name} must be checked", CHECK_HINT)
    if status.mode is Mode.READ_ONLY:
        raise PoolUnfit(f"the pool {name} is read-only: its metadata took no write", CHECK_HINT)


def refuse_full(status: PoolStatus, percent: int) -> None:
    """Raises PoolFull when less than so much of the data or of the metadata is free."""
    for what, used, total in (
        ("data", status.data_used, status.data_total),
        ("metadata", status.metadata_used, status.metadata_total),
    ):
        if (total - used) * 100 < total * percent:
            free = 100 * (total - used) / total if total else 0
            raise PoolFull(
                f"the pool {status.name} has {free:.1f} % of its {what} free,"
                f" less than dm.min_free_space ({percent} %)",
                FULL_HINT,
            )


def device_path(number: tuple[int, int]) -> str:
    """The kernel's own node of a block device. Raises OSError."""
    name = os.path.basename(os.readlink(f"/sys/dev/block/{number[0]}:{number[1]}"))
    return f"/dev/{name.replace('!', '/')}"


def sectors(size: int) -> int:
    """Whole sectors in so many bytes."""
    return size // SECTOR
