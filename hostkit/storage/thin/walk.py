# SPDX-License-Identifier: GPL-3.0-or-later
"""A walk over all that a pool's metadata leads to, counting each reference on the way.

What cannot be right is noted and not followed; the walk goes on beside it. A node that several
lead to is followed once: from then on its bounds and its total are remembered.
"""

from array import array
from collections.abc import Callable
from enum import IntEnum

from hostkit.storage.thin.blocks import DamagedMetadata
from hostkit.storage.thin.btree import COUNT, LAST_KEY, POINTER, Leaf, Node, children
from hostkit.storage.thin.counts import Counts
from hostkit.storage.thin.metadata import DETAILS, MOST_DEVICES, Metadata
from hostkit.storage.thin.spacemap import ENTRY, bitmaps_of, index
from hostkit.storage.thin.superblock import SpaceMapRoot, Superblock

MOST_NOTED = 1000
_ALL = (0, LAST_KEY)
_UNKNOWN = (1 << 64) - 1  # the total of a node whose children are being followed


class _Tree(IntEnum):
    """What a node belongs to; none belongs to two."""

    BAD = 1  # not to be read again
    DEVICES = 2
    MAPPINGS = 3
    DETAILS = 4
    BITMAPS = 5
    COUNTS = 6


_CODES = {_Tree.DETAILS: DETAILS, _Tree.BITMAPS: ENTRY, _Tree.COUNTS: COUNT}


class Walk:
    """The counts of references to blocks of metadata and of data, and what was met."""

    def __init__(self, metadata: Metadata) -> None:
        self._of = metadata
        self._trees = metadata.trees
        self._count = metadata.blocks.count
        self._seen = bytearray(self._count)
        blank = bytes(8 * self._count)
        self._firsts, self._lasts, self._totals = (array("Q", blank) for _ in range(3))
        self.metadata = Counts(self._count)
        self.data = Counts(metadata.data_blocks)
        self.broken: list[DamagedMetadata] = []
        self.unlisted = 0  # that are broken too, beyond MOST_NOTED
        self.mapped: dict[int, int] = {}  # blocks that were found mapped, by device
        self.details: dict[int, int] = {}  # and that are said to be
        self._bitmaps: dict[int, int] = {}
        self._leaf: dict[_Tree, Callable[[Leaf], None]] = {
            _Tree.DEVICES: self._devices,
            _Tree.MAPPINGS: self._mappings,
            _Tree.DETAILS: self._details,
            _Tree.BITMAPS: self._entries,
        }

    def note(self, error: DamagedMetadata) -> None:
        """Remember that something cannot be right."""
        if len(self.broken) < MOST_NOTED:
            self.broken.append(error)
        else:
            self.unlisted += 1

    def pool(self, state: Superblock) -> None:
        """Follow the mappings and the list of devices."""
        self._follow(state.mappings, _Tree.DEVICES)
        self._follow(state.details, _Tree.DETAILS)

    def snapshot(self, held: Superblock, block: int) -> None:
        """Follow a metadata snapshot, after the pool: it holds references of its own."""
        self._refer(block)
        current = self.mapped, self.details
        self.mapped, self.details = {}, {}
        self.pool(held)
        self.mapped, self.details = current

    def space_of_data(self, root: SpaceMapRoot) -> dict[int, int]:
        """Follow the space map of the data; the block of each bitmap."""
        self._bitmaps = {}
        self._follow(root.bitmaps, _Tree.BITMAPS)
        self._follow(root.counts, _Tree.COUNTS)
        return self._bitmaps

    def space_of_metadata(self, root: SpaceMapRoot) -> dict[int, int]:
        """Follow the space map of the metadata; the block of each bitmap."""
        self._refer(root.bitmaps)
        found: dict[int, int] = {}
        try:
            found = index(self._trees, root.bitmaps, bitmaps_of(root))
        except DamagedMetadata as error:
            self.note(error)
        for bitmap in found.values():
            self._refer(bitmap)
        self._follow(root.counts, _Tree.COUNTS)
        return found

    def superblock(self) -> None:
        """The block that nothing leads to."""
        self._refer(0)

    def _refer(self, block: int) -> None:
        if block < self._count:  # what lies behind is broken where it is read
            self.metadata.add([block])

    def _follow(self, root: int, tree: _Tree) -> int:
        return self._visit(root, tree, _ALL, 0)

    def _visit(self, block: int, tree: _Tree, bounds: tuple[int, int], depth: int) -> int:
        """Follow a node and all below it; how many entries its leaves have."""
        self._refer(block)
        try:
            if block < self._count and self._seen[block]:
                return self._again(block, tree, bounds)
            node = self._trees.bounded(block, _CODES.get(tree, POINTER), bounds, depth)
            self._remember(block, tree, node)
            if not node.internal and tree in self._leaf:
                self._leaf[tree](Leaf(block, node.keys, node.values))
        except DamagedMetadata as error:
            if block < self._count:
                self._seen[block] = _Tree.BAD
            self.note(error)
            return 0
        total = len(node.keys)
        if node.internal:
            below = children(node, bounds)
            total = sum(self._visit(child, tree, inside, depth + 1) for child, inside in below)
        self._totals[block] = total
        return total

    def _remember(self, block: int, tree: _Tree, node: Node) -> None:
        self._seen[block] = tree
        self._totals[block] = _UNKNOWN
        if node.keys:
            self._firsts[block], self._lasts[block] = node.keys[0], node.keys[-1]
        else:  # fits between all bounds
            self._firsts[block], self._lasts[block] = LAST_KEY, 0

    def _again(self, block: int, tree: _Tree, bounds: tuple[int, int]) -> int:
        """A node that was met before: nothing of it is read."""
        seen = self._seen[block]
        if seen == _Tree.BAD:
            return 0
        if seen != tree:
            raise self._of.blocks.damaged(block, "is in two trees of different kinds")
        if self._totals[block] == _UNKNOWN:
            raise self._of.blocks.damaged(block, "is below itself")
        first, last = self._firsts[block], self._lasts[block]
        if first <= last and not bounds[0] <= first <= last <= bounds[1]:
            raise self._of.blocks.damaged(block, "has keys that its parent has elsewhere")
        return self._totals[block]

    def _devices(self, leaf: Leaf) -> None:
        self._expect_devices(leaf)
        for device, root in zip(leaf.keys, leaf.values, strict=True):
            self.mapped[device] = self._follow(root, _Tree.MAPPINGS)

    def _details(self, leaf: Leaf) -> None:
        self._expect_devices(leaf)
        mapped = leaf.values[:: len(DETAILS)]
        self.details.update(zip(leaf.keys, mapped, strict=True))

    def _expect_devices(self, leaf: Leaf) -> None:
        if leaf.keys and leaf.keys[-1] >= MOST_DEVICES:
            what = f"has a device {leaf.keys[-1]}, whose number is too large"
            raise self._of.blocks.damaged(leaf.block, what)

    def _mappings(self, leaf: Leaf) -> None:
        self.data.add(self._of.data_of(leaf))

    def _entries(self, leaf: Leaf) -> None:
        bitmaps = leaf.values[:: len(ENTRY)]
        for bitmap in bitmaps:
            self._refer(bitmap)
        self._bitmaps.update(zip(leaf.keys, bitmaps, strict=True))
