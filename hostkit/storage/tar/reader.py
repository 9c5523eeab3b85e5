# SPDX-License-Identifier: GPL-3.0-or-later
"""A tar stream read once, front to back, in bounded memory.

The stream is never trusted: everything that a header may claim has a limit, and a stream
that ends early is an error, not an end.
"""

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from hostkit.storage.errors import BadArchive
from hostkit.storage.tar import sparse
from hostkit.storage.tar.member import (
    BLOCK,
    CONTIGUOUS,
    FILE,
    GNU_LINK,
    GNU_NAME,
    GNU_SPARSE,
    PAX,
    PAX_GLOBAL,
    ZEROS,
    Member,
    apply_pax,
    checksum_is_right,
    parse_header,
    parse_pax,
)
from hostkit.value import NamedTuple

CHUNK = 1 << 20
T = TypeVar("T")
_WITH_PAYLOAD = (FILE, CONTIGUOUS, GNU_SPARSE)


class Limits(NamedTuple):
    """What a stream may claim before it is refused as hostile."""

    members: int = 10_000_000
    header: int = 1 << 20  # bytes of one pax header or long name
    name: int = 4096  # PATH_MAX
    size: int = 8 << 40  # bytes of one file, as unpacked


LIMITS = Limits()


class Source(Protocol):
    """Where the bytes come from: anything with `read`."""

    def read(self, size: int, /) -> bytes: ...


class Recorder(Protocol):
    """Sees every byte of the stream in order, headers and padding apart from content."""

    def raw(self, data: bytes | memoryview) -> None:
        """Bytes that are not the content of a file."""
        ...

    def begin(self, name: bytes, size: int) -> None:
        """A member whose content of `size` bytes follows as `payload`."""
        ...

    def payload(self, data: memoryview) -> None: ...

    def end(self) -> None:
        """The member's content is complete."""
        ...


class TarReader:
    """Members in order; the content of one is read, or skipped, before the next.

    Iterating raises BadArchive for a damaged stream, naming the byte.
    """

    def __init__(
        self, source: Source, *, recorder: Recorder | None = None, limits: Limits = LIMITS
    ) -> None:
        self._source = source
        self._recorder = recorder
        self._limits = limits
        self._buffer = b""
        self._at = 0
        self._before = 0  # bytes of the stream before the buffer
        self._payload: Callable[[memoryview], None] | None = None
        self._left = 0  # payload of the current member that nobody has read
        self._padding = 0
        self._in_member = False
        self._ended = False

    @property
    def offset(self) -> int:
        """How many bytes of the stream have been used."""
        return self._before + self._at

    def __iter__(self) -> Iterator[Member]:
        count = 0
        while (member := self._next()) is not None:
            count += 1
            if count > self._limits.members:
                raise self._bad(f"more than {self._limits.members} members")
            yield member
        self._drain()

    def chunks(self) -> Iterator[memoryview]:
        """The content of the current member; each piece is good until the next one."""
        while self._left:
            if self._at >= len(self._buffer):
                self._refill()
            size = min(self._left, len(self._buffer) - self._at)
            piece = memoryview(self._buffer)[self._at : self._at + size]
            self._at += size
            self._left -= size
            if self._payload is not None:
                self._payload(piece)
            yield piece

    def content(self, limit: int) -> bytes:
        """The whole content of the current member. Raises BadArchive beyond `limit` bytes."""
        if self._left > limit:
            raise self._bad(f"a member of {self._left} bytes where {limit} are plenty")
        return b"".join(self.chunks())

    def _next(self) -> Member | None:
        self._skip()
        records: dict[bytes, bytes] = {}
        long: dict[bytes, bytes] = {}
        while True:
            block = self._block()
            if block is None:
                return None
            member = self._parsed(block)
            if member.type in (PAX, PAX_GLOBAL):
                content = self._extension(member)
                if member.type == PAX:
                    records = self._guarded(parse_pax, content)
            elif member.type in (GNU_NAME, GNU_LINK):
                long[member.type] = self._extension(member).partition(b"\0")[0]
            else:
                break
        member.name = long.get(GNU_NAME, member.name)
        member.linkname = long.get(GNU_LINK, member.linkname)
        try:
            if records:
                apply_pax(member, records)
            if member.type == GNU_SPARSE:
                member.sparse = sparse.old_gnu(block, self._raw_block)
            elif any(key.startswith(b"GNU.sparse.") for key in records):
                member.sparse = sparse.pax(member, records)
        except (ValueError, OverflowError) as problem:
            raise self._bad(str(problem)) from None
        self._limited(member)
        self._record(member)
        return member

    def _record(self, member: Member) -> None:
        """A recorder gets the content of a sparse file as it stands: its holes are headers."""
        if self._recorder is None:
            return
        plain = member.sparse is None
        self._payload = self._recorder.payload if plain else self._recorder.raw
        self._recorder.begin(member.name, member.size if plain else 0)

    def _limited(self, member: Member) -> None:
        if max(len(member.name), len(member.linkname)) > self._limits.name:
            raise self._bad("a name longer than a path can be")
        if not member.name:
            raise self._bad("a member without a name")
        if member.type not in _WITH_PAYLOAD:
            member.size = 0  # links and folders may state one that is not there
        size = member.sparse.size if member.sparse else member.size
        if size > self._limits.size:
            raise self._bad(f"a file of {size} bytes")
        self._left = member.size
        self._padding = -member.size % BLOCK
        self._in_member = True

    def _skip(self) -> None:
        """Pass over what is left of the current member, and its padding."""
        for _ in self.chunks():
            pass
        if self._recorder is not None and self._in_member:
            self._recorder.end()
        self._in_member = False
        if self._padding:
            self._raw(self._take(self._padding))
            self._padding = 0

    def _block(self) -> bytes | None:
        """The next header block; None at the end, which is two blocks of zeros or nothing."""
        if self._ended:
            return None
        if len(self._buffer) - self._at < BLOCK and not self._fill(BLOCK):
            if len(self._buffer) > self._at:
                raise self._bad("it ends in the middle of a header")
            self._ended = True
            return None
        block = self._take(BLOCK)
        self._raw(block)
        if block == ZEROS:
            self._ended = True
            return None
        return block

    def _raw_block(self) -> bytes:
        block = self._take(BLOCK)
        self._raw(block)
        return block

    def _parsed(self, block: bytes) -> Member:
        if not checksum_is_right(block):
            raise self._bad("a header whose checksum is wrong: this is no tar, or it is damaged")
        return self._guarded(parse_header, block)

    def _extension(self, member: Member) -> bytes:
        if member.size > self._limits.header:
            raise self._bad(f"an extended header of {member.size} bytes")
        data = self._take(member.size + -member.size % BLOCK)
        self._raw(data)
        return data[: member.size]

    def _guarded(self, parse: Callable[[bytes], T], data: bytes) -> T:
        try:
            return parse(data)
        except (ValueError, OverflowError) as problem:
            raise self._bad(f"a header that cannot be read ({problem})") from None

    def _drain(self) -> None:
        """What follows the end, so that a digest covers the whole stream."""
        while True:
            rest = self._buffer[self._at :] if self._at else self._buffer
            self._before += len(self._buffer)
            self._buffer, self._at = b"", 0
            if rest:
                self._raw(rest)
            self._buffer = self._source.read(CHUNK)
            if not self._buffer:
                return

    def _take(self, size: int) -> bytes:
        """Exactly so many bytes. Raises BadArchive when the stream ends first."""
        if len(self._buffer) - self._at < size and not self._fill(size):
            raise self._bad("it ends too early")
        data = self._buffer[self._at : self._at + size]
        self._at += size
        return data

    def _refill(self) -> None:
        if not self._fill(1):
            raise self._bad("it ends in the middle of a file")

    def _fill(self, size: int) -> bool:
        """Have at least `size` bytes in the buffer; False when the stream has not so many."""
        pieces = [self._buffer[self._at :]]
        have = len(pieces[0])
        self._before += self._at
        while have < size:
            more = self._source.read(CHUNK)
            if not more:
                break
            pieces.append(more)
            have += len(more)
        self._buffer = b"".join(pieces) if len(pieces) > 1 else pieces[0]
        self._at = 0
        return have >= size

    def _raw(self, data: bytes) -> None:
        if self._recorder is not None:
            self._recorder.raw(data)

    def _bad(self, what: str) -> BadArchive:
        return BadArchive(f"the tar is damaged at byte {self.offset}: {what}")
