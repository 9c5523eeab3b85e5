# SPDX-License-Identifier: GPL-3.0-or-later
"""The superblock of thin-pool metadata: the state of a pool, and where its trees begin.

The layout is that of drivers/md/dm-thin-metadata.c in the kernel's source. A metadata
snapshot is a copy of it in another block, without the space maps.
"""

import struct

from hostkit.value import NamedTuple

MAGIC = 27022010
NEEDS_CHECK = 1
SECTOR = 512
_LAYOUT = struct.Struct("<IIQ16sQIIQQ128s128sQQIIQIII")
_SPACE_MAP = struct.Struct("<QQQQ")
_VERSIONS = (1, 2)
_METADATA_SECTORS = 8
_SMALLEST, _LARGEST = 128, 2 << 20  # sectors: 64 KiB, 1 GiB
_MOST_DATA = 1 << 40  # a mapping has 40 bits for the block


class SpaceMapRoot(NamedTuple):
    """Where the counts of references to blocks begin."""

    blocks: int
    allocated: int
    bitmaps: int
    counts: int


class Superblock(NamedTuple):
    """The state of a pool. `held` is the block of its metadata snapshot, 0: it has none."""

    needs_check: bool
    version: int
    time: int
    transaction: int
    held: int
    data_map: SpaceMapRoot
    metadata_map: SpaceMapRoot
    mappings: int
    details: int
    data_sectors: int
    uuid: bytes
    flags: int

    @property
    def block_size(self) -> int:
        """Bytes in a block of data."""
        return self.data_sectors * SECTOR


def parse_superblock(data: bytes) -> Superblock:
    """The superblock in a block of metadata; its checksum is not looked at.

    >>> parse_superblock(bytes(4096))
    Traceback (most recent call last):
    ...
    ValueError: has the magic number 0, not 27022010
    """
    if len(data) < _LAYOUT.size:
        raise ValueError(f"has {len(data)} bytes")
    (_, flags, _, uuid, magic, version, time, transaction, held, data_map, metadata_map) = (
        _LAYOUT.unpack_from(data)[:11]
    )
    mappings, details, sectors, metadata_sectors, _, _, _, unknown = _LAYOUT.unpack_from(data)[11:]
    if magic != MAGIC:
        raise ValueError(f"has the magic number {magic}, not {MAGIC}")
    if version not in _VERSIONS:
        raise ValueError(f"is of version {version}; known are 1 and 2")
    if unknown:
        raise ValueError(f"says that only a newer kernel may read it (features {unknown:#x})")
    if sectors % _SMALLEST or not _SMALLEST <= sectors <= _LARGEST:
        raise ValueError(f"says that a block of data has {sectors} sectors")
    if metadata_sectors != _METADATA_SECTORS:
        raise ValueError(f"says that a block of metadata has {metadata_sectors} sectors, not 8")
    blocks = SpaceMapRoot(*_SPACE_MAP.unpack_from(data_map))
    if blocks.blocks > _MOST_DATA:
        raise ValueError(f"says that there are {blocks.blocks} blocks of data")
    return Superblock(
        needs_check=bool(flags & NEEDS_CHECK),
        version=version,
        time=time,
        transaction=transaction,
        held=held,
        data_map=blocks,
        metadata_map=SpaceMapRoot(*_SPACE_MAP.unpack_from(metadata_map)),
        mappings=mappings,
        details=details,
        data_sectors=sectors,
        uuid=uuid,
        flags=flags,
    )
