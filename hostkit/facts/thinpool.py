# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin pools that are active in the kernel: how full, in which state, on which devices.

The fields are those of the kernel's Documentation/admin-guide/device-mapper/
thin-provisioning.rst; older kernels print fewer of them.
"""

import re
from enum import StrEnum

from hostkit.facts.block import BLOCK_DEVICES, BlockDevices, Kind, Number, parse_number
from hostkit.facts.devicemapper import asleep
from hostkit.facts.fact import Fact, Facts, parsed, refuse, run_text
from hostkit.host.answer import Answer, Known
from hostkit.host.commands import DMSETUP_STATUS_POOLS, DMSETUP_TABLE_POOLS
from hostkit.value import NamedTuple

METADATA_BLOCK = 4096
_SECTOR = 512
_LINE = r"(?P<name>\S+): (?P<start>\d+) (?P<length>\d+) thin-pool ?(?P<rest>.*)"
_NOTHING = "No devices found"
_STATUS_FIELDS = 4  # transaction, metadata, data, held root: printed by every kernel
_TABLE_FIELDS = 4  # metadata device, data device, block size, low water mark


class Mode(StrEnum):
    """What a pool lets through."""

    WRITABLE = "rw"
    READ_ONLY = "ro"
    OUT_OF_DATA_SPACE = "out_of_data_space"
    FAILED = "Fail"


class PoolStatus(NamedTuple):
    """One line of `dmsetup status`; blocks of data are the pool's own, see `PoolTable`."""

    name: str
    mode: Mode
    transaction: int = 0
    metadata_used: int = 0
    metadata_total: int = 0
    data_used: int = 0
    data_total: int = 0
    needs_check: bool = False
    errors_when_full: bool = False
    discard_passdown: bool = True


class PoolTable(NamedTuple):
    """One line of `dmsetup table`: the devices below, bytes in a block of data, features."""

    name: str
    metadata_device: Number
    data_device: Number
    block_size: int
    low_water: int
    features: tuple[str, ...]


class ThinPool(NamedTuple):
    """A pool with its devices; `loops` are those among them that are loop devices."""

    status: PoolStatus
    table: PoolTable
    devices: tuple[str, ...]
    loops: tuple[str, ...]

    @property
    def name(self) -> str:
        """The device-mapper name: docker-253:0-1049-pool, docker-thinpool."""
        return self.status.name

    @property
    def data_percent(self) -> float:
        """How full the data is, as lvs(8) says it."""
        return _percent(self.status.data_used, self.status.data_total)

    @property
    def metadata_percent(self) -> float:
        """How full the metadata is."""
        return _percent(self.status.metadata_used, self.status.metadata_total)

    @property
    def data_used_bytes(self) -> int:
        """Bytes that the pool has given out."""
        return self.status.data_used * self.table.block_size

    @property
    def data_bytes(self) -> int:
        """Bytes that the pool can give out."""
        return self.status.data_total * self.table.block_size


def _percent(used: int, total: int) -> float:
    return 100.0 * used / total if total else 0.0


def parse_pool_status(content: str) -> tuple[PoolStatus, ...]:
    r"""What `dmsetup status --target thin-pool` prints.

    >>> pool = parse_pool_status("docker-thinpool: 0 7954432 thin-pool 6 1039/10240 222/7768 - rw "
    ...     "discard_passdown queue_if_no_space - 1024 \n")[0]
    >>> pool.data_used, pool.data_total, pool.mode.value, pool.needs_check
    (222, 7768, 'rw', False)
    """
    return tuple(_status(match["name"], match["rest"].split()) for match in _lines(content))


def _status(name: str, words: list[str]) -> PoolStatus:
    if words[:1] in (["Fail"], ["Error"]):
        return PoolStatus(name, Mode.FAILED)
    if len(words) < _STATUS_FIELDS:
        refuse(f"the status of {name} is too short")
    metadata_used, metadata_total = _fraction(words[1])
    data_used, data_total = _fraction(words[2])
    flags = words[_STATUS_FIELDS:]
    mode = next((m for m in (Mode.READ_ONLY, Mode.OUT_OF_DATA_SPACE) if m in flags), Mode.WRITABLE)
    return PoolStatus(
        name=name,
        mode=mode,
        transaction=int(words[0]),
        metadata_used=metadata_used,
        metadata_total=metadata_total,
        data_used=data_used,
        data_total=data_total,
        needs_check="needs_check" in flags,
        errors_when_full="error_if_no_space" in flags,
        discard_passdown="discard_passdown" in flags,
    )


def _fraction(written: str) -> tuple[int, int]:
    used, _, total = written.partition("/")
    return int(used), int(total)


def parse_pool_table(content: str) -> tuple[PoolTable, ...]:
    r"""What `dmsetup table --target thin-pool` prints.

    >>> table = parse_pool_table("p: 0 99 thin-pool 253:0 253:1 1024 0 1 skip_block_zeroing \n")[0]
    >>> table.data_device, table.block_size, table.features
    ((253, 1), 524288, ('skip_block_zeroing',))
    """
    return tuple(_table(match["name"], match["rest"].split()) for match in _lines(content))


def _table(name: str, words: list[str]) -> PoolTable:
    if len(words) < _TABLE_FIELDS:
        refuse(f"the table of {name} is too short")
    return PoolTable(
        name=name,
        metadata_device=parse_number(words[0]),
        data_device=parse_number(words[1]),
        block_size=int(words[2]) * _SECTOR,
        low_water=int(words[3]),
        features=tuple(words[_TABLE_FIELDS + 1 :]),
    )


def _lines(content: str) -> tuple["re.Match[str]", ...]:
    found: list[re.Match[str]] = []
    for line in content.split("\n"):
        if not line.strip() or line.strip() == _NOTHING:
            continue
        match = re.fullmatch(_LINE, line)
        found.append(match or refuse(f"not a thin pool: {line[:60]!r}"))
    return tuple(found)


def _gather(facts: Facts) -> Answer[tuple[ThinPool, ...]]:
    devices = facts.value(BLOCK_DEVICES)
    if not any(device.kind is Kind.DEVICE_MAPPER for device in devices.devices):
        return Known((), "/sys/class/block")
    refused = asleep(facts)
    if refused:
        return refused
    status = run_text(facts.host, DMSETUP_STATUS_POOLS, parse_pool_status)
    if not isinstance(status, Known) or not status.value:
        return status if not isinstance(status, Known) else Known((), status.source)
    tables = run_text(facts.host, DMSETUP_TABLE_POOLS, parse_pool_table)
    if not isinstance(tables, Known):
        return tables
    by_name = {table.name: table for table in tables.value}

    def build(statuses: tuple[PoolStatus, ...]) -> tuple[ThinPool, ...]:
        gone = [one.name for one in statuses if one.name not in by_name]
        if gone:
            refuse(f"the pool {gone[0]} came or went while it was looked at")
        return tuple(_pool(one, by_name[one.name], devices) for one in statuses)

    return parsed(status.value, status.source, build)


def _pool(status: PoolStatus, table: PoolTable, devices: BlockDevices) -> ThinPool:
    below = [devices.numbered(number) for number in (table.metadata_device, table.data_device)]
    names: dict[str, Kind] = {}
    for device in below:
        if device is not None:
            names[device.name] = device.kind
            names.update((one.name, one.kind) for one in devices.made_of(device))
    loops = tuple(name for name, kind in names.items() if kind is Kind.LOOP)
    return ThinPool(status, table, tuple(names), loops)


THIN_POOLS: Fact[tuple[ThinPool, ...]] = Fact("thin pools", _gather, waits=True)
