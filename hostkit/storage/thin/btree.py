# SPDX-License-Identifier: GPL-3.0-or-later
"""The trees of thin-pool metadata: numbers by number, in order of their keys.

A tree from a damaged disk may lead anywhere, back to its own root too. Each node's keys must
lie between those that its parent has for it, so no leaf is reached twice and a walk ends.
"""

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from operator import lt

from hostkit.storage.thin.blocks import Blocks, Kind
from hostkit.storage.thin.crc32c import BLOCK
from hostkit.value import NamedTuple

LAST_KEY = (1 << 64) - 1
DEEPEST = 16  # nodes are a third full or more: so many levels need more blocks than there can be
# What a tree has for each key, in the words of `struct`.
POINTER = "Q"  # a block of metadata, or a mapping
COUNT = "I"  # references
_HEADER = struct.Struct("<IIQIIII")
_INTERNAL, _LEAF = 1, 2
_KEY_SIZE = 8
_CACHED = 128  # nodes, of up to 20 kB in Python's memory


class Node(NamedTuple):
    """A node; `values` has one number or more for each key, one after the other.

    Those of an internal node are the blocks of its children, its keys the lowest of theirs.
    """

    internal: bool
    keys: tuple[int, ...]
    values: tuple[int, ...]


class Leaf(NamedTuple):
    """Entries of a leaf, and the block that it lies in."""

    block: int
    keys: tuple[int, ...]
    values: tuple[int, ...]


def parse_node(data: bytes, code: str) -> Node:
    """The node in a block, with values of `code`; its checksum is not looked at.

    >>> parse_node(bytes(4096), POINTER)
    Traceback (most recent call last):
    ...
    ValueError: is neither an internal node nor a leaf (flags 0x0)
    """
    if len(data) != BLOCK:
        raise ValueError(f"has {len(data)} bytes")
    _, flags, _, entries, most, size, _ = _HEADER.unpack_from(data)
    if flags not in (_INTERNAL, _LEAF):
        raise ValueError(f"is neither an internal node nor a leaf (flags {flags:#x})")
    code = POINTER if flags == _INTERNAL else code
    wanted = struct.calcsize("<" + code)
    if size != wanted:
        raise ValueError(f"has values of {size} bytes, not {wanted}")
    if not entries <= most <= (BLOCK - _HEADER.size) // (_KEY_SIZE + size):
        raise ValueError(f"has {entries} entries where {most} are said to fit")
    if flags == _INTERNAL and not entries:
        raise ValueError("is an internal node without children")
    keys = struct.unpack_from(f"<{entries}Q", data, _HEADER.size)
    if not all(map(lt, keys, islice(keys, 1, None))):
        raise ValueError("has keys that are out of order")
    values = struct.unpack_from("<" + code * entries, data, _HEADER.size + _KEY_SIZE * most)
    return Node(flags == _INTERNAL, keys, values)


class Trees:
    """Reads the trees in the metadata of one pool."""

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks
        self.node = lru_cache(_CACHED)(self._node)

    def _node(self, block: int, code: str) -> Node:
        data = self.blocks.read(block, Kind.NODE)
        try:
            return parse_node(data, code)
        except ValueError as error:
            raise self.blocks.damaged(block, str(error)) from error

    def bounded(self, block: int, code: str, bounds: tuple[int, int], depth: int = 0) -> Node:
        """A node whose keys lie within bounds that its parent has for it."""
        if depth > DEEPEST:
            raise self.blocks.damaged(block, f"is {depth} levels below the root of its tree")
        node = self.node(block, code)
        if node.keys and not bounds[0] <= node.keys[0] <= node.keys[-1] <= bounds[1]:
            raise self.blocks.damaged(block, "has keys that its parent has elsewhere")
        return node

    def leaves(self, root: int, code: str, first: int = 0, last: int = LAST_KEY) -> Iterator[Leaf]:
        """The leaves of a tree with what lies between two keys, both of them included."""
        waiting = [(root, (0, LAST_KEY), 0)]
        while waiting:
            block, bounds, depth = waiting.pop()
            node = self.bounded(block, code, bounds, depth)
            if node.internal:
                start = max(0, bisect_right(node.keys, first) - 1)
                inside = children(node, bounds, start, bisect_right(node.keys, last))
                waiting.extend((*child, depth + 1) for child in reversed(inside))
                continue
            start, stop = bisect_left(node.keys, first), bisect_right(node.keys, last)
            if start < stop:
                width = len(code)
                values = node.values[start * width : stop * width]
                yield Leaf(block, node.keys[start:stop], values)

    def entries(
        self, root: int, code: str, first: int = 0, last: int = LAST_KEY
    ) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Each key of a tree with its value."""
        width = len(code)
        for leaf in self.leaves(root, code, first, last):
            for at, key in enumerate(leaf.keys):
                yield key, leaf.values[at * width : (at + 1) * width]


def children(
    node: Node, bounds: tuple[int, int], start: int = 0, stop: int | None = None
) -> list[tuple[int, tuple[int, int]]]:
    """Children of an internal node, each with the lowest and highest key it may have."""
    keys = node.keys[start:stop]
    following = node.keys[start + 1 : start + 1 + len(keys)]
    ends = [key - 1 for key in following]
    if len(ends) < len(keys):
        ends.append(bounds[1])
    pairs = zip(keys, ends, strict=True)
    return list(zip(node.values[start:stop], pairs, strict=True))
