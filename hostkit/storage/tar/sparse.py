# SPDX-License-Identifier: GPL-3.0-or-later
"""GNU tar's ways to write files with holes (GNU tar manual, appendix "Sparse Formats")."""

from collections.abc import Callable

from hostkit.storage.tar.member import BLOCK, SPARSE_MAP, Member, Sparse, number

_MAPPED = 100_000  # pieces of one file
_IN_HEADER = 4
_IN_EXTENSION = 21
_DIGITS = 20  # of a number in a map
_KEYS = (b"GNU.sparse.size", b"GNU.sparse.realsize", b"GNU.sparse.major", SPARSE_MAP)


def in_pax(records: dict[bytes, bytes]) -> bool:
    """Whether pax records say that a member is sparse."""
    return any(key in records for key in _KEYS)


def old_gnu(member: Member, header: bytes, next_block: Callable[[], bytes]) -> Sparse:
    """The map of a type S member; it goes on in extension blocks. Raises ValueError."""
    pieces: list[tuple[int, int]] = []
    _collect(header, 386, _IN_HEADER, pieces)
    more = header[482]
    while more:
        block = next_block()
        _collect(block, 0, _IN_EXTENSION, pieces)
        more = block[504]
    return _checked(Sparse(number(header[483:495]), pieces), member.size)


def pax(member: Member, records: dict[bytes, bytes], next_block: Callable[[], bytes]) -> Sparse:
    """The map of pax formats 0.0 and 0.1, or 1.0, where it begins the content.

    Raises ValueError. What was read of the content is taken off `member.size`.
    """
    member.name = records.get(b"GNU.sparse.name", member.name)
    size = records.get(b"GNU.sparse.realsize") or records.get(b"GNU.sparse.size") or b""
    if SPARSE_MAP in records:
        numbers = [_number(word) for word in records[SPARSE_MAP].split(b",") if word]
    elif records.get(b"GNU.sparse.major") == b"1":
        numbers = _leading_map(member, next_block)
    else:
        raise ValueError("a sparse file without a map")
    if len(numbers) % 2:
        raise ValueError("a sparse map of an odd length")
    pieces = list(zip(numbers[::2], numbers[1::2], strict=True))
    return _checked(Sparse(_number(size), pieces), member.size)


def _leading_map(member: Member, next_block: Callable[[], bytes]) -> list[int]:
    """Lines of numbers, the first saying how many pairs follow, in whole blocks."""
    numbers: list[int] = []
    wanted, rest = 1, b""
    while len(numbers) < wanted:
        if member.size < BLOCK:
            raise ValueError("a sparse map longer than its file")
        member.size -= BLOCK
        *lines, rest = (rest + next_block()).split(b"\n")
        numbers += [_number(line) for line in lines[: wanted - len(numbers)]]
        if wanted == 1 and numbers:
            wanted = 1 + 2 * numbers[0]
            numbers += [_number(line) for line in lines[1:wanted]]
        if len(rest) > BLOCK + _DIGITS or wanted > 2 * _MAPPED:
            raise ValueError("a sparse file of too many pieces")
    return numbers[1:]


def _number(word: bytes) -> int:
    if not word.isdigit() or len(word) > _DIGITS:
        raise ValueError(f"{word[:40]!r} in a sparse map")
    return int(word)


def _collect(block: bytes, at: int, count: int, pieces: list[tuple[int, int]]) -> None:
    for start in range(at, at + count * 24, 24):
        entry = block[start : start + 24]
        if not entry[0]:
            return
        pieces.append((number(entry[:12]), number(entry[12:])))
        if len(pieces) > _MAPPED:
            raise ValueError("a sparse file of too many pieces")


def _checked(found: Sparse, payload: int) -> Sparse:
    end = total = 0
    for offset, length in found.pieces:
        if offset < end or length < 0:
            raise ValueError("a sparse map that goes backwards")
        end = offset + length
        total += length
    if end > found.size or len(found.pieces) > _MAPPED:
        raise ValueError("a sparse map beyond the end of its file")
    if total != payload:
        raise ValueError(f"a sparse map of {total} bytes and {payload} bytes of data")
    return found
