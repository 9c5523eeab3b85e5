# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a pool: its trees walked whole, every reference counted and compared.

As thin_check(8) does, without device-mapper. What it finds are values; only a superblock
that is none is an error.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from itertools import groupby

from hostkit.storage.thin.blocks import DamagedMetadata
from hostkit.storage.thin.counts import Counts
from hostkit.storage.thin.metadata import Metadata
from hostkit.storage.thin.spacemap import IN_TREE, PAGE, bitmaps_of, stored
from hostkit.storage.thin.superblock import SpaceMapRoot
from hostkit.storage.thin.walk import Walk
from hostkit.value import NamedTuple

MOST_FAULTS = 1000
_CLAMPED = bytes(min(count, IN_TREE) for count in range(256))


class Harm(StrEnum):
    """What a fault means for the pool."""

    BROKEN = "broken"  # a part cannot be right; what hangs on it is out of reach
    AT_RISK = "at risk"  # a block is counted too low: the kernel may give it out again
    LEAK = "leak"  # a block is counted too high: neither used nor free
    TOTAL = "total"  # a sum does not agree with what it is the sum of
    FLAG = "flag"  # the kernel wants the pool checked before anything is written


class Fault(NamedTuple):
    """One thing that is wrong, and the block of the metadata where it shows."""

    harm: Harm
    text: str
    block: int | None = None


class Report(NamedTuple):
    """What a check found; `more` is how many faults there are beyond the first thousand.

    `compared`: the counts of references were held against the space maps. A metadata snapshot
    has none. With a broken part, what is counted too high is not told: its user may be there.
    """

    faults: tuple[Fault, ...]
    more: int
    devices: int
    data_used: int
    metadata_used: int
    compared: bool

    @property
    def sound(self) -> bool:
        """Nothing is wrong that could be looked at."""
        return not self.faults


def check(metadata: Metadata) -> Report:
    """Everything, compared. Memory: a byte a block of data, 27 one of metadata."""
    walk = Walk(metadata)
    faults: list[Fault] = []
    more = 0
    for fault in _faults(metadata, walk):
        if len(faults) < MOST_FAULTS:
            faults.append(fault)
        else:
            more += 1
    return Report(
        faults=tuple(faults),
        more=more + walk.unlisted,
        devices=len(walk.details),
        data_used=walk.data.used(),
        metadata_used=walk.metadata.used(),
        compared=not metadata.held,
    )


def _faults(metadata: Metadata, walk: Walk) -> Iterator[Fault]:
    own = metadata.superblock
    if own.needs_check:
        yield Fault(Harm.FLAG, "the pool has the flag needs_check", 0)
    walk.pool(metadata.state)
    yield from _devices(walk)
    if not metadata.held:
        walk.superblock()
        if own.held:
            _snapshot(metadata, walk)
        data = walk.space_of_data(own.data_map)
        metadata_maps = walk.space_of_metadata(own.metadata_map)
        yield from _Space(metadata, walk, "metadata", walk.metadata).faults(
            own.metadata_map, metadata_maps
        )
        yield from _Space(metadata, walk, "data", walk.data).faults(own.data_map, data)
        yield from _size(metadata)
    for error in walk.broken:
        yield Fault(Harm.BROKEN, f"block {error.block} {error.what}", error.block)


def _devices(walk: Walk) -> Iterator[Fault]:
    """The list of devices against their mappings."""
    if walk.broken:
        return  # what is missing may be where the walk could not go
    for device, said in walk.details.items():
        mapped = walk.mapped.get(device)
        if mapped is None:
            yield Fault(Harm.BROKEN, f"device {device} is listed and has no mappings")
        elif mapped != said:
            text = f"device {device} has {mapped} blocks and is said to have {said}"
            yield Fault(Harm.TOTAL, text)
    for device in sorted(walk.mapped.keys() - walk.details.keys()):
        yield Fault(Harm.BROKEN, f"device {device} has mappings and is not listed")


def _snapshot(metadata: Metadata, walk: Walk) -> None:
    block = metadata.superblock.held
    try:
        walk.snapshot(metadata.read_superblock(block), block)
    except DamagedMetadata as error:
        walk.note(error)


def _size(metadata: Metadata) -> Iterator[Fault]:
    said, there = metadata.superblock.metadata_map.blocks, metadata.blocks.count
    if said > there:
        text = f"the metadata has {there} blocks and is said to have {said}: it is cut off"
        yield Fault(Harm.BROKEN, text)


class _Space:
    """One space map, compared with what was counted."""

    def __init__(self, metadata: Metadata, walk: Walk, name: str, counted: Counts) -> None:
        self._metadata = metadata
        self._walk = walk
        self._name = name
        self._counted = counted

    def faults(self, root: SpaceMapRoot, bitmaps: Mapping[int, int]) -> Iterator[Fault]:
        wanted = bitmaps_of(root)
        pages = [page for page in sorted(bitmaps) if page < wanted]
        broken = len(self._walk.broken)
        if len(pages) != wanted and not broken:
            text = f"the space map of the {self._name} has {len(pages)} bitmaps, not {wanted}"
            yield Fault(Harm.BROKEN, text)
        allocated = 0
        for page in pages:
            try:
                counts, large = stored(self._metadata.trees, root, bitmaps[page], page)
            except DamagedMetadata as error:
                self._walk.note(error)
                continue
            allocated += len(counts) - counts.count(0)
            yield from self._differing(page, counts, large)
        # That of the metadata is one too high when thin_restore(8) wrote it.
        if self._name == "data" and allocated != root.allocated and not self._walk.broken:
            text = (
                f"{allocated} blocks of the {self._name} are allocated;"
                f" their space map says {root.allocated}"
            )
            yield Fault(Harm.TOTAL, text)

    def _differing(self, page: int, counts: bytes, large: Mapping[int, int]) -> Iterator[Fault]:
        """Where a bitmap and the walk disagree, blocks in a row together."""
        first = page * PAGE
        mine = self._counted.row(first, first + len(counts))
        if mine.translate(_CLAMPED) == counts and IN_TREE not in counts:
            return
        pairs = (
            (block, self._counted.get(block), large.get(block, said) if said == IN_TREE else said)
            for block, said in enumerate(counts, first)
            if said == IN_TREE or said != mine[block - first]
        )
        wrong = (pair for pair in pairs if pair[1] != pair[2])
        for _, group in groupby(enumerate(wrong), key=_row):
            row = [pair for _, pair in group]
            fault = self._fault(row[0], len(row))
            if fault.harm is not Harm.LEAK or not self._walk.broken:
                yield fault

    def _fault(self, first: tuple[int, int, int], length: int) -> Fault:
        block, counted, said = first
        harm = Harm.AT_RISK if counted > said else Harm.LEAK
        blocks = f"block {block} is" if length == 1 else f"blocks {block}-{block + length - 1} are"
        text = f"{self._name} {blocks} used {_times(counted)} and counted {_times(said)}"
        return Fault(harm, text, block if self._name == "metadata" else None)


def _row(numbered: tuple[int, tuple[int, int, int]]) -> tuple[int, int, int]:
    """The same for blocks in a row of which the same is said."""
    at, (block, counted, said) = numbered
    return block - at, counted, said


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
