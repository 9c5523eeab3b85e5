# SPDX-License-Identifier: GPL-3.0-or-later
"""How often each block is used: a byte for each, and a note of the few that need more."""

from hostkit.storage.errors import Unsupported

MOST = 1 << 30  # blocks; 64 TiB of data in blocks of 64 KiB
_FULL = 255
_ONE_MORE = bytes([*range(1, _FULL + 1), _FULL])


class Counts:
    """A count for each of `size` blocks, 0 at first. Memory that is not counted in stays free."""

    def __init__(self, size: int) -> None:
        if size > MOST:
            raise Unsupported(f"the pool has {size} blocks, more than can be counted")
        self._bytes = bytearray(size)
        self._large: dict[int, int] = {}  # of those that are full

    def add(self, blocks: range | list[int]) -> None:
        """Count blocks once more; a range is blocks in a row."""
        table = self._bytes
        if isinstance(blocks, range):
            begin, end = blocks.start, blocks.stop
            more = table[begin:end] = table[begin:end].translate(_ONE_MORE)
            if _FULL in more:
                for block in blocks:
                    if table[block] == _FULL:
                        self._carry(block)
            return
        for block in blocks:
            count = table[block] + 1
            if count < _FULL:
                table[block] = count
            else:
                table[block] = _FULL
                self._carry(block)

    def _carry(self, block: int) -> None:
        self._large[block] = self._large.get(block, _FULL - 1) + 1

    def get(self, block: int) -> int:
        """How often a block was counted."""
        count = self._bytes[block] if block < len(self._bytes) else 0
        return count if count < _FULL else self._large[block]

    def once(self, blocks: range | list[int]) -> int:
        """How many of the blocks were counted exactly once."""
        if isinstance(blocks, range):
            return self._bytes.count(1, blocks.start, blocks.stop)
        return bytes(map(self._bytes.__getitem__, blocks)).count(1)

    def used(self) -> int:
        """How many blocks were counted at all."""
        return len(self._bytes) - self._bytes.count(0)

    def row(self, begin: int, end: int) -> bytes:
        """The counts of blocks in a row; 255 stands for itself and for all above."""
        return bytes(self._bytes[begin:end]).ljust(end - begin, b"\0")
