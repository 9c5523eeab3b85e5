# SPDX-License-Identifier: GPL-3.0-or-later
"""GNU tar's ways to write files with holes (GNU tar manual, appendix "Sparse Formats")."""

from collections.abc import Callable

from hostkit.storage.tar.member import BLOCK, Member, Sparse, number

_MAPPED = 100_000  # pieces of one file
_IN_HEADER = 4
_IN_EXTENSION = 21


def old_gnu(header: bytes, next_block: Callable[[], bytes]) -> Sparse:
    """The map of a type S member; it goes on in extension blocks. Raises ValueError."""
    pieces: list[tuple[int, int]] = []
    _collect(header, 386, _IN_HEADER, pieces)
    more = header[482]
    while more:
        block = next_block()
        _collect(block, 0, _IN_EXTENSION, pieces)
        more = block[504]
    return _checked(Sparse(number(header[483:495]), pieces))


def pax(member: Member, records: dict[bytes, bytes]) -> Sparse:
    """The map of pax formats 0.0 and 0.1. Raises ValueError, also for format 1.0.

    Format 1.0 keeps the map in the content, and 0.0 repeats its keys; GNU tar writes them
    only when asked to (`--sparse`).
    """
    if b"GNU.sparse.map" not in records:
        raise ValueError("a sparse file in a format that hostkit does not read; unpack with tar")
    numbers = [int(word) for word in records[b"GNU.sparse.map"].split(b",")]
    if len(numbers) % 2:
        raise ValueError("a sparse map of an odd length")
    member.name = records.get(b"GNU.sparse.name", member.name)
    pieces = list(zip(numbers[::2], numbers[1::2], strict=True))
    return _checked(Sparse(int(records[b"GNU.sparse.size"]), pieces))


def _collect(block: bytes, at: int, count: int, pieces: list[tuple[int, int]]) -> None:
    for start in range(at, at + count * 24, 24):
        entry = block[start : start + 24]
        if not entry[0] or len(block) != BLOCK:
            return
        pieces.append((number(entry[:12]), number(entry[12:])))
        if len(pieces) > _MAPPED:
            raise ValueError("a sparse file of too many pieces")


def _checked(found: Sparse) -> Sparse:
    end = 0
    for offset, length in found.pieces:
        if offset < end or length < 0:
            raise ValueError("a sparse map that goes backwards")
        end = offset + length
    if end > found.size or len(found.pieces) > _MAPPED:
        raise ValueError("a sparse map beyond the end of its file")
    return found
