# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin-pool metadata written by the tests themselves: sound pools, and any other.

Every node can be made to hold few entries, so that small pools have deep trees.
"""

import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeVar

from hostkit.storage.thin.blocks import Kind
from hostkit.storage.thin.crc32c import checksum

BLOCK = 4096
PAGE = 16320
INTERNAL, LEAF = 1, 2
_T = TypeVar("_T")


class Thin(NamedTuple):
    """One device: runs of (begin, data, length, time), or the device whose tree it shares."""

    runs: Sequence[tuple[int, int, int, int]] = ()
    shares: int | None = None


class Pool:
    """Blocks of metadata under construction; `image` gives their bytes."""

    def __init__(self, blocks: int = 64, data_blocks: int = 1000, fanout: int = 6) -> None:
        self.blocks: dict[int, bytes] = {}
        self.count = blocks
        self.data_blocks = data_blocks
        self.fanout = fanout
        self.references: Counter[int] = Counter({0: 1})
        self.data: Counter[int] = Counter()
        self._next = 1

    def allocate(self) -> int:
        """The number of a block that nothing is in yet."""
        self._next += 1
        return self._next - 1

    def put(self, number: int, kind: Kind, body: bytes, second: int = 0) -> int:
        """Write a block: what follows its checksum, and the word after that."""
        self.blocks[number] = sealed(number, kind, struct.pack("<IIQ", 0, second, number) + body)
        return number

    def node(
        self, flags: int, keys: Sequence[int], values: bytes, size: int, number: int | None = None
    ) -> int:
        """Write a node of a tree that has room for `fanout` entries, or for more of them."""
        most = max(self.fanout, len(keys))
        header = struct.pack("<IIII", len(keys), most, size, 0)
        room = b"".join(key.to_bytes(8, "little") for key in keys).ljust(8 * most, b"\0")
        number = self.allocate() if number is None else number
        return self.put(number, Kind.NODE, header + room + values, flags)

    def tree(self, entries: Mapping[int, bytes], size: int = 8) -> int:
        """Write a whole tree, `fanout` entries to a node; the block of its root."""
        keys = sorted(entries)
        shares = self._shares(keys) or [[]]
        level = [
            (share[0] if share else 0, self.node(LEAF, share, _joined(entries, share), size))
            for share in shares
        ]
        while len(level) > 1:
            self.references.update(block for _, block in level)
            above: list[tuple[int, int]] = []
            for share in self._shares(level):
                values = b"".join(block.to_bytes(8, "little") for _, block in share)
                above.append(
                    (share[0][0], self.node(INTERNAL, [key for key, _ in share], values, 8))
                )
            level = above
        return level[0][1]

    def _shares(self, entries: Sequence[_T]) -> list[Sequence[_T]]:
        """Entries spread evenly over as few nodes as hold them."""
        nodes = -(-len(entries) // self.fanout)
        ends = [len(entries) * at // nodes for at in range(nodes + 1)] if nodes else []
        return [entries[begin:end] for begin, end in pairwise(ends)]

    def mappings(self, runs: Sequence[tuple[int, int, int, int]]) -> int:
        """Write the mappings of a device; the root of their tree."""
        entries: dict[int, bytes] = {}
        for begin, data, length, time in runs:
            for at in range(length):
                entries[begin + at] = ((data + at) << 24 | time).to_bytes(8, "little")
                self.data[data + at] += 1
        return self.tree(entries)

    def build(self, devices: Mapping[int, Thin], **fields: int) -> bytes:
        """Write all of a sound pool; `fields` as in `superblock`."""
        roots: dict[int, int] = {}
        mapped: dict[int, int] = {}
        for number, device in devices.items():
            if device.shares is None:
                roots[number] = self.mappings(device.runs)
                mapped[number] = sum(run[2] for run in device.runs)
            else:
                roots[number] = roots[device.shares]
                mapped[number] = mapped[device.shares]
        self.references.update(roots.values())
        top = self.tree({number: root.to_bytes(8, "little") for number, root in roots.items()})
        details = self.tree(
            {number: struct.pack("<QQII", mapped[number], 0, 0, 0) for number in devices}, 24
        )
        self.references.update((top, details))
        data_map = self.space_of_data()
        metadata_map = self.space_of_metadata()
        self.superblock(top, details, data_map, metadata_map, **fields)
        return self.image()

    def space_of_data(self) -> tuple[int, int, int, int]:
        """Write the space map of the data."""
        bitmaps = {
            page: self._bitmap(self.data, page) for page in range(-(-self.data_blocks // PAGE))
        }
        self.references.update(bitmaps.values())
        index = {page: struct.pack("<QII", block, 0, 0) for page, block in bitmaps.items()}
        root = self.tree(index, 16)
        counts = self.tree(_large(self.data), 4)
        self.references.update((root, counts))
        return self.data_blocks, len(self.data), root, counts

    def space_of_metadata(self) -> tuple[int, int, int, int]:
        """Write the space map of the metadata; it counts itself too."""
        index, bitmap = self.allocate(), self.allocate()
        self.references.update((index, bitmap, self._next))
        large = _large(self.references)  # one leaf: a tree would be counted in itself
        counts = self.node(LEAF, list(large), b"".join(large.values()), 4)
        self._bitmap(self.references, 0, bitmap)
        self.put(index, Kind.INDEX, struct.pack("<QII", bitmap, 0, 0))
        return self.count, len(self.references), index, counts

    def _bitmap(self, counts: Mapping[int, int], page: int, number: int | None = None) -> int:
        bits = bytearray(BLOCK - 16)
        for block, count in counts.items():
            if block // PAGE == page:
                at = block % PAGE
                held = min(count, 3)
                bits[at // 4] |= (held >> 1 | (held & 1) << 1) << at % 4 * 2
        return self.put(self.allocate() if number is None else number, Kind.BITMAP, bytes(bits))

    def superblock(
        self,
        mappings: int,
        details: int,
        data_map: tuple[int, int, int, int],
        metadata_map: tuple[int, int, int, int],
        *,
        number: int = 0,
        flags: int = 0,
        version: int = 2,
        time: int = 0,
        transaction: int = 0,
        held: int = 0,
        sectors: int = 128,
        features: int = 0,
    ) -> None:
        """Write the superblock, or with another `number` a metadata snapshot."""
        body = struct.pack("<16sQIIQQ", b"", 27022010, version, time, transaction, held)
        body += struct.pack("<QQQQ", *data_map).ljust(128, b"\0")
        body += struct.pack("<QQQQ", *metadata_map).ljust(128, b"\0")
        body += struct.pack("<QQIIQIII", mappings, details, sectors, 8, self.count, 0, 0, features)
        self.put(number, Kind.SUPERBLOCK, body, flags)

    def image(self) -> bytes:
        """The bytes of the metadata device."""
        assert max(self.blocks) < self.count, "more blocks are needed"
        return b"".join(self.blocks.get(at, bytes(BLOCK)) for at in range(self.count))


def _large(counts: Mapping[int, int]) -> dict[int, bytes]:
    """The counts that two bits do not hold."""
    return {
        block: counts[block].to_bytes(4, "little") for block in sorted(counts) if counts[block] > 2
    }


def _joined(entries: Mapping[int, bytes], keys: Sequence[int]) -> bytes:
    return b"".join(entries[key] for key in keys)


def sealed(number: int, kind: Kind, data: bytes) -> bytes:
    """A block with the checksum of its kind; `number` is not written."""
    data = data.ljust(BLOCK, b"\0")
    assert len(data) == BLOCK, number
    return (checksum(data) ^ kind.value).to_bytes(4, "little") + data[4:]


def kind_of(block: bytes) -> Kind | None:
    """What a block is, if it is one with a right checksum."""
    found = checksum(block) ^ int.from_bytes(block[:4], "little")
    return next((kind for kind in Kind if kind.value == found), None)
