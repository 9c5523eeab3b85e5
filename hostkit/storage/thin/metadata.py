# SPDX-License-Identifier: GPL-3.0-or-later
"""The metadata of one thin pool: its devices, and where each of their blocks lies.

    with open_metadata("/var/lib/docker/devicemapper/devicemapper/metadata") as pool:
        for device in pool.devices():
            for run in pool.runs(device.id): ...

An active pool changes while it is read. The caller has the kernel keep a metadata snapshot
(`dmsetup message POOL 0 reserve_metadata_snap`), reads with `held=True`, and releases it
(`release_metadata_snap`); without, an active pool is refused.
"""

from collections.abc import Iterable, Iterator
from types import TracebackType

from hostkit.errors import InputError
from hostkit.storage.thin.blocks import Blocks, Kind, holders
from hostkit.storage.thin.btree import LAST_KEY, POINTER, Leaf, Trees
from hostkit.storage.thin.superblock import Superblock, parse_superblock
from hostkit.value import NamedTuple

DETAILS = "QQII"  # blocks mapped, transaction, time of creation, time of the last snapshot
TIME_BITS = 24
MOST_DEVICES = 1 << 24
_TIME_MASK = (1 << TIME_BITS) - 1
_STEP = 1 << TIME_BITS  # from a mapping to that of the next block of data
_SUPERBLOCK = 0


class Device(NamedTuple):
    """A thin device as the pool knows it. Its size is not there: its user keeps that."""

    id: int
    mapped: int
    transaction: int
    created: int
    snapshotted: int


class Run(NamedTuple):
    """`length` blocks of a device from `begin` on, that lie in a row from `data` on."""

    begin: int
    data: int
    length: int
    time: int


class Metadata:
    """The metadata of a pool, open for reading. `open_metadata` makes one.

    `superblock` is the pool's own; `state` is what is read: that, or its metadata snapshot.
    """

    def __init__(self, blocks: Blocks, held: bool = False) -> None:
        self.blocks = blocks
        self.trees = Trees(blocks)
        self.held = held
        self.superblock = self.state = self.read_superblock(_SUPERBLOCK)
        if held:
            if not self.superblock.held:
                raise InputError(f"{blocks.name} holds no metadata snapshot", _HINT)
            self.state = self.read_superblock(self.superblock.held)

    def __enter__(self) -> "Metadata":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the file back."""
        self.blocks.close()

    def read_superblock(self, block: int) -> Superblock:
        """The superblock in a block, or the metadata snapshot. Raises DamagedMetadata."""
        data = self.blocks.read(block, Kind.SUPERBLOCK)
        try:
            return parse_superblock(data)
        except ValueError as error:
            raise self.blocks.damaged(block, str(error)) from error

    @property
    def block_size(self) -> int:
        """Bytes in a block of data."""
        return self.superblock.block_size

    @property
    def data_blocks(self) -> int:
        """Blocks of data that the pool has."""
        return self.superblock.data_map.blocks

    def devices(self) -> Iterator[Device]:
        """Every device, by its number."""
        for number, details in self.trees.entries(self.state.details, DETAILS):
            yield Device(number, *details)

    def device(self, number: int) -> Device:
        """One device. Raises InputError when there is none of that number."""
        found = self.trees.entries(self.state.details, DETAILS, number, number)
        for _, details in found:
            return Device(number, *details)
        raise InputError(f"{self.blocks.name}: the pool has no device {number}")

    def roots(self) -> Iterator[tuple[int, int]]:
        """The number of each device that has mappings, and the root of their tree."""
        for number, (root,) in self.trees.entries(self.state.mappings, POINTER):
            yield number, root

    def root(self, number: int) -> int:
        """The root of the mappings of a device. Raises InputError when there is none."""
        for _, (root,) in self.trees.entries(self.state.mappings, POINTER, number, number):
            return root
        raise InputError(f"{self.blocks.name}: the pool has no device {number}")

    def runs(self, number: int, first: int = 0, last: int = LAST_KEY) -> Iterator[Run]:
        """What a device has mapped between two of its blocks, both included, in order."""
        return self.runs_below(self.root(number), first, last)

    def runs_below(self, root: int, first: int = 0, last: int = LAST_KEY) -> Iterator[Run]:
        """The runs of a tree of mappings."""
        return joined(self._in_pool(self.trees.leaves(root, POINTER, first, last)))

    def _in_pool(self, leaves: Iterator[Leaf]) -> Iterator[Leaf]:
        for leaf in leaves:
            self._expect_in_pool(leaf)
            yield leaf

    def data_of(self, leaf: Leaf) -> range | list[int]:
        """The blocks of data that a leaf maps to; a range when they lie in a row."""
        self._expect_in_pool(leaf)
        values = leaf.values
        if values and _in_a_row(values):
            first = values[0] >> TIME_BITS
            return range(first, first + len(values))
        return [value >> TIME_BITS for value in values]

    def _expect_in_pool(self, leaf: Leaf) -> None:
        block = max(leaf.values, default=-1) >> TIME_BITS
        if block >= self.data_blocks:
            what = f"maps to block {block} of the data, which has {self.data_blocks}"
            raise self.blocks.damaged(leaf.block, what)


def joined(leaves: Iterable[Leaf]) -> Iterator[Run]:
    """The mappings in leaves; neighbours of one time are one run."""
    begin = packed = length = 0
    for leaf in leaves:
        keys, values = leaf.keys, leaf.values
        count = len(keys)
        if keys[-1] - keys[0] == count - 1 and _in_a_row(values):  # most are, and it is quicker
            keys, values = keys[:1], values[:1]
        else:
            count = 1
        for key, value in zip(keys, values, strict=True):
            if value == packed + length * _STEP and key == begin + length:
                length += count
                continue
            if length:
                yield Run(begin, packed >> TIME_BITS, length, packed & _TIME_MASK)
            begin, packed, length = key, value, count
    if length:
        yield Run(begin, packed >> TIME_BITS, length, packed & _TIME_MASK)


def _in_a_row(values: tuple[int, ...]) -> bool:
    """Whether mappings lead to blocks one after the other, written at one time."""
    span = (len(values) - 1) * _STEP
    return values[-1] - values[0] == span and values == tuple(
        range(values[0], values[-1] + 1, _STEP)
    )


_HINT = (
    "dmsetup message POOL 0 reserve_metadata_snap makes one, release_metadata_snap ends it;"
    " or stop what uses the pool and deactivate it"
)


def open_metadata(path: str, held: bool = False) -> Metadata:
    """The metadata in a file or on a volume. `held` reads the metadata snapshot in it.

    Raises InputError: it cannot be opened, or belongs to an active pool and `held` is not
    asked for; and its kind Damaged, which names the block that cannot be right.
    """
    blocks = Blocks(path)
    try:
        users = () if held else holders(path)
        if users:
            raise InputError(f"{path} is in use by {', '.join(users)}", _HINT)
        return Metadata(blocks, held)
    except BaseException:
        blocks.close()
        raise
