# SPDX-License-Identifier: GPL-3.0-or-later
"""A tar stream read once, front to back, in bounded memory.

The stream is never trusted: everything that a header may claim has a limit, and a stream
that ends early is an error, not an end.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, Protocol, TypeVar

from hostkit.storage.errors import BadArchive
from hostkit.storage.tar import sparse
from hostkit.storage.tar.member import (
    BLOCK,
    FILE,
    FOLDER,
    GNU_LABEL,
    GNU_LINK,
    GNU_NAME,
    GNU_SPARSE,
    HEADER_ONLY,
    PAX,
    PAX_GLOBAL,
    PAX_SUN,
    ZEROS,
    Member,
    apply_pax,
    checksum_is_right,
    parse_header,
    parse_pax,
    refuse_impossible,
)
from hostkit.storage.tar.recorder import Recorder
from hostkit.value import NamedTuple

CHUNK = 1 << 20
_LOOK = 1 << 14  # enough for some headers, where contents are passed over by seeking
_COPIED = 1 << 12  # larger pieces are views, smaller ones cheaper to copy
_EXTENSIONS = frozenset((PAX, PAX_GLOBAL, PAX_SUN, GNU_NAME, GNU_LINK, GNU_LABEL))
_SPECIAL = _EXTENSIONS | {GNU_SPARSE}
_NOT_FOR_ALL = (b"path", b"linkpath", b"size")
T = TypeVar("T")
R = TypeVar("R")


class Limits(NamedTuple):
    """What a stream may claim before it is refused as hostile."""

    members: int = 4_000_000
    header: int = 1 << 20  # bytes of one pax header or long name
    name: int = 1 << 16  # a path may be longer than PATH_MAX: we go folder by folder
    size: int = 8 << 40  # bytes of one file, as unpacked


LIMITS = Limits()


class Source(Protocol):
    """Where the bytes come from: anything with `read`."""

    def read(self, size: int, /) -> bytes: ...


class Placed(NamedTuple):
    """A member of an archive and where its content begins."""

    member: Member
    offset: int


def index(archive: BinaryIO, limits: Limits = LIMITS) -> Iterator[Placed]:
    """The members of an archive in a file; contents are passed over by seeking.

    The content of a member lies at `offset`, `member.size` bytes long (a sparse one's without
    its holes). Raises BadArchive.
    """
    reader = TarReader(archive, limits=limits, file=archive)
    for member in reader:
        yield Placed(member, reader.offset)


class TarReader:
    """Members in order; the content of one is read, or passed over, before the next.

    Iterating raises BadArchive for a damaged stream, naming the byte.
    """

    def __init__(
        self,
        source: Source,
        *,
        recorder: Recorder | None = None,
        limits: Limits = LIMITS,
        file: BinaryIO | None = None,
    ) -> None:
        """`file` is the source itself where it can be moved in; a recorder forbids that."""
        self._source = source
        self._recorder = recorder
        self._limits = limits
        self._file = file
        self._size = 0 if file is None else _size(file)
        self._look = CHUNK if file is None else _LOOK
        self._buffer = b""
        self._at = 0
        self._mark = 0  # where that begins which the recorder has not seen
        self._before = 0  # bytes of the stream before the buffer
        self._member = Member(b"")
        self._left = 0  # content of the current member that nobody has read
        self._padding = 0
        self._ended = False
        self._begun = False  # the recorder knows of the content
        self._apart = False
        self._defaults: dict[bytes, bytes] = {}  # of pax, for all members that follow

    @property
    def offset(self) -> int:
        """How many bytes of the stream have been used."""
        return self._before + self._at

    def __iter__(self) -> Iterator[Member]:
        left = self._limits.members
        while (member := self._next()) is not None:
            left -= 1
            if left < 0:
                raise self._bad(f"more than {self._limits.members} members")
            yield member
        self._drain()

    def replaced(self) -> None:
        """Told by who unpacks: the content of an earlier member is not in the tree any more."""
        if self._recorder is not None:
            self._recorder.replaced()

    def apart(self) -> None:
        """Told by who unpacks: this content will not be in the tree under its name."""
        self._apart = True

    def chunks(self) -> Iterable[bytes | memoryview]:
        """The content of the current member; each piece is good until the next one."""
        left = self._left
        if not left:
            return ()
        start, buffer, recorder = self._at, self._buffer, self._recorder
        end = start + left
        if end > len(buffer):
            self._begin()
            return self._pieces()
        piece = buffer[start:end] if left < _COPIED else memoryview(buffer)[start:end]
        if recorder is not None and not self._apart and self._member.sparse is None:
            if self._begun:
                self._recorded(piece)
            else:
                recorder.whole(buffer[self._mark : start], self._member.name, piece)
            self._mark = end
        self._left = 0
        self._at = end
        return (piece,)

    def content(self, limit: int) -> bytes:
        """The whole content of the current member. Raises BadArchive beyond `limit` bytes."""
        if self._left > limit:
            raise self._bad(f"a member of {self._left} bytes where {limit} are plenty")
        return b"".join(self.chunks())

    def _pieces(self) -> Iterator[memoryview]:
        while self._left:
            if self._at >= len(self._buffer):
                self._fill(1)
            size = min(self._left, len(self._buffer) - self._at)
            piece = memoryview(self._buffer)[self._at : self._at + size]
            self._at += size
            self._left -= size
            self._recorded(piece)
            yield piece

    # What the recorder sees: a content that is read belongs to the tree, all else is raw.

    def _begin(self) -> None:
        member = self._member
        if self._recorder is None or self._begun or self._apart or member.sparse is not None:
            return
        self._flush()
        self._begun = True
        self._recorder.begin(member.name, member.size)

    def _recorded(self, piece: bytes | memoryview) -> None:
        if not self._begun or self._recorder is None:
            return
        self._recorder.payload(piece)
        self._mark = self._at
        if not self._left:
            self._recorder.end()
            self._begun = False

    def _flush(self) -> None:
        if self._recorder is not None and self._at > self._mark:
            self._recorder.raw(self._buffer[self._mark : self._at])
        self._mark = self._at

    # Headers.

    def _next(self) -> Member | None:
        if self._left:
            self._pass_over()
        if self._padding:
            self._take(self._padding)
            self._padding = 0
        block = self._block()
        if block is None:
            return None
        member = self._parsed(block)
        if member.type in _SPECIAL or self._defaults:
            return self._extended(member, block)
        self._admit(member)
        return member

    def _parsed(self, block: bytes) -> Member:
        if not checksum_is_right(block):
            raise self._bad("a header whose checksum is wrong: no tar, or it is damaged")
        try:
            return parse_header(block)
        except (ValueError, OverflowError) as problem:
            raise self._bad(f"a header that cannot be: {problem}") from None

    def _extended(self, member: Member, block: bytes) -> Member | None:
        """A member that is described by more than its own block."""
        records: dict[bytes, bytes] = {}
        long: dict[bytes, bytes] = {}
        while (kind := member.type) in _EXTENSIONS:
            content = self._extension(member)
            if kind in (PAX, PAX_SUN):
                records = self._guarded(parse_pax, content)
            elif kind == PAX_GLOBAL:
                self._defaults |= self._guarded(_for_all, content)
            elif kind != GNU_LABEL:
                long[kind] = content.partition(b"\0")[0]
            following = self._block()
            if following is None:
                return None
            block = following
            member = self._parsed(block)
        member.name = long.get(GNU_NAME, member.name)
        member.linkname = long.get(GNU_LINK, member.linkname)
        self._apply(member, {**self._defaults, **records}, block)
        self._admit(member)
        return member

    def _apply(self, member: Member, records: dict[bytes, bytes], block: bytes) -> None:
        try:
            apply_pax(member, records)
            if member.type == GNU_SPARSE:
                member.sparse = sparse.old_gnu(member, block, self._raw_block)
            elif sparse.in_pax(records):
                member.sparse = sparse.pax(member, records, self._raw_block)
        except (ValueError, OverflowError) as problem:
            raise self._bad(str(problem)) from None

    def _admit(self, member: Member) -> None:
        """The last look at a member before it is given out."""
        name, link, limits = member.name, member.linkname, self._limits
        if len(name) > limits.name or len(link) > limits.name:
            raise self._bad("a name longer than any path")
        try:
            refuse_impossible(member)
        except ValueError as problem:
            raise self._bad(f"a header that cannot be: {problem}") from None
        if name[-1:] == b"/" and member.type == FILE:
            member.type = FOLDER  # V7 wrote folders so
        if member.type in HEADER_ONLY:
            member.size = 0
        size = member.size if member.sparse is None else member.sparse.size
        if size > limits.size:
            raise self._bad(f"a file of {size} bytes")
        self._member, self._apart = member, False
        self._left = left = member.size
        self._padding = -left % BLOCK
        if not left and self._recorder is not None:
            self._recorder.whole(self._buffer[self._mark : self._at], name, b"")
            self._mark = self._at

    def _block(self) -> bytes | None:
        """The next header block; None at the end, which is a block of zeros or nothing."""
        if self._ended:
            return None
        at = self._at
        if at + BLOCK > len(self._buffer):
            self._fill(0)
            at = 0
            if len(self._buffer) < BLOCK:
                if self._buffer:
                    raise self._bad("it ends in the middle of a header")
                self._ended = True
                return None
        self._at = at + BLOCK
        block = self._buffer[at : at + BLOCK]
        if not block[0] and block == ZEROS:
            self._ended = True
            return None
        return block

    def _raw_block(self) -> bytes:
        return self._take(BLOCK)

    def _extension(self, member: Member) -> bytes:
        if not 0 <= member.size <= self._limits.header:
            raise self._bad(f"an extended header of {member.size} bytes")
        return self._take(member.size + -member.size % BLOCK)[: member.size]

    def _guarded(self, parse: Callable[[T], R], data: T) -> R:
        try:
            return parse(data)
        except (ValueError, OverflowError) as problem:
            raise self._bad(f"a header that cannot be: {problem}") from None

    # The buffer.

    def _pass_over(self) -> None:
        """Go to the end of the content, which nobody wanted."""
        if self._begun:  # somebody wanted a part
            for _ in self._pieces():
                pass
            return
        left, self._left = self._left, 0
        have = len(self._buffer) - self._at
        if left > have and self._file is not None:
            self._seek(left - have)
            return
        while left > have:
            self._at = len(self._buffer)
            left -= have
            self._fill(1)
            have = len(self._buffer)
        self._at += left

    def _seek(self, distance: int) -> None:
        assert self._file is not None
        self._before += len(self._buffer)
        self._buffer, self._at = b"", 0
        target = self._file.tell() + distance
        if target > self._size:
            raise self._bad("it ends in the middle of a file")
        self._file.seek(target)
        self._before += distance

    def _drain(self) -> None:
        """What follows the end, so that a digest covers the whole stream."""
        if self._file is not None:
            return
        while self._buffer:
            self._at = len(self._buffer)
            self._fill(0)

    def _take(self, size: int) -> bytes:
        """Exactly so many bytes. Raises BadArchive when the stream ends first."""
        if self._at + size > len(self._buffer):
            self._fill(size)
        start = self._at
        self._at = start + size
        return self._buffer[start : self._at]

    def _fill(self, size: int) -> None:
        """Have at least `size` bytes in the buffer; with 0, a block if there is one more."""
        self._flush()
        rest = self._buffer[self._at :]
        self._before += self._at
        pieces, have = [rest], len(rest)
        while have < (size or BLOCK):
            more = self._source.read(self._look)
            if not more:
                break
            pieces.append(more)
            have += len(more)
        self._buffer = b"".join(pieces) if rest else b"".join(pieces[1:])
        self._at = self._mark = 0
        if have < size:
            raise self._bad("it ends too early")

    def _bad(self, what: str) -> BadArchive:
        return BadArchive(f"the tar is damaged at byte {self.offset}: {what}")


def _size(file: BinaryIO) -> int:
    here = file.tell()
    size = file.seek(0, 2)
    file.seek(here)
    return size


def _for_all(content: bytes) -> dict[bytes, bytes]:
    """A global pax header. Raises ValueError when it says what cannot be true of all."""
    records = parse_pax(content)
    for key in (*_NOT_FOR_ALL, *(key for key in records if key.startswith(b"GNU.sparse."))):
        if key in records:
            raise ValueError(f"a {key!r} for all members")
    return records
