# SPDX-License-Identifier: GPL-3.0-or-later
"""The counts that a pool keeps of the references to each of its blocks.

Two bits a block in bitmaps; a count that does not fit there is in a tree. The bitmaps of the
data are found through a tree, those of the metadata through a block of their own.
"""

import struct

from hostkit.storage.thin.blocks import Kind
from hostkit.storage.thin.btree import COUNT, Trees
from hostkit.storage.thin.superblock import SpaceMapRoot

ENTRY = "QII"  # the bitmap's block, how many of its blocks are free, where to look for one
PAGE = 16320  # blocks that a bitmap counts
IN_TREE = 3
MOST_BITMAPS = 255  # of the metadata
_ENTRY = struct.Struct("<" + ENTRY)
_HEADER_SIZE = 16
# The high bit of a count comes first.
_COUNTS = tuple(
    bytes((byte >> at & 1) << 1 | byte >> at + 1 & 1 for at in (0, 2, 4, 6)) for byte in range(256)
)


def bitmaps_of(root: SpaceMapRoot) -> int:
    """How many bitmaps there must be."""
    return -(-root.blocks // PAGE)


def index(trees: Trees, block: int, bitmaps: int) -> dict[int, int]:
    """The block of each bitmap of the metadata. Raises Damaged."""
    data = trees.blocks.read(block, Kind.INDEX)
    end = _HEADER_SIZE + _ENTRY.size * min(bitmaps, MOST_BITMAPS)
    return {at: entry[0] for at, entry in enumerate(_ENTRY.iter_unpack(data[_HEADER_SIZE:end]))}


def stored(
    trees: Trees, root: SpaceMapRoot, bitmap: int, page: int
) -> tuple[bytes, dict[int, int]]:
    """The counts in a bitmap, 3 for 3 or more, and those that are in the tree. Raises Damaged."""
    data = trees.blocks.read(bitmap, Kind.BITMAP)
    first = page * PAGE
    counts = b"".join(map(_COUNTS.__getitem__, data[_HEADER_SIZE:]))[: root.blocks - first]
    if IN_TREE not in counts:
        return counts, {}
    found = trees.entries(root.counts, COUNT, first, first + PAGE - 1)
    return counts, {block: count for block, (count,) in found}
