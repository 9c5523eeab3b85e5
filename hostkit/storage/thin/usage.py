# SPDX-License-Identifier: GPL-3.0-or-later
"""Who uses a pool's space: what one device alone holds, and what several share.

Devices share whole subtrees, and no node is read more than three times however many do.
"""

from array import array
from collections.abc import Mapping

from hostkit.storage.thin.btree import LAST_KEY, POINTER, Leaf, children
from hostkit.storage.thin.counts import Counts
from hostkit.storage.thin.metadata import Metadata
from hostkit.value import NamedTuple

_NOBODY, _SEVERAL = 0, 1  # a device is its number and two
_ALL = (0, LAST_KEY)


class Usage(NamedTuple):
    """Blocks of data: in use, in use by several devices, by each device alone."""

    used: int
    shared: int
    exclusive: Mapping[int, int]


def usage(metadata: Metadata) -> Usage:
    """Who uses what. Raises Damaged. Memory: a byte a block of data, eight one of metadata."""
    survey = _Survey(metadata)
    roots = dict(metadata.roots())
    for device, root in roots.items():
        survey.claim(root, device + 2, _ALL, 0)
    exclusive = {device: survey.alone(root, device + 2) for device, root in roots.items()}
    used = survey.counts.used()
    return Usage(used, used - sum(exclusive.values()), exclusive)


class _Survey:
    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata
        self._trees = metadata.trees
        self._owners = array("Q", bytes(8 * metadata.blocks.count))
        self.counts = Counts(metadata.data_blocks)  # of devices, exact up to two

    def claim(self, block: int, device: int, bounds: tuple[int, int], depth: int) -> None:
        """Count the blocks of data below a node for a device."""
        node = self._trees.bounded(block, POINTER, bounds, depth)
        owner = self._owners[block]
        if owner == device:
            raise self._metadata.blocks.damaged(block, "is in one tree twice")
        if owner == _SEVERAL:
            return
        self._owners[block] = device if owner == _NOBODY else _SEVERAL
        if node.internal:
            for child, inside in children(node, bounds):
                self.claim(child, device, inside, depth + 1)
            return
        self.counts.add(self._metadata.data_of(Leaf(block, node.keys, node.values)))

    def alone(self, block: int, device: int) -> int:
        """How many blocks of data below a node this device alone has."""
        if self._owners[block] != device:
            return 0
        node = self._trees.node(block, POINTER)
        if node.internal:
            return sum(self.alone(child, device) for child in node.values)
        return self.counts.once(self._metadata.data_of(Leaf(block, node.keys, node.values)))
