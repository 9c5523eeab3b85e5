# SPDX-License-Identifier: GPL-3.0-or-later
"""One member of a tar stream and its header blocks.

Formats: POSIX.1-2001 (pax) and ustar, GNU with long names and base-256 numbers, and V7.
tar(5) of libarchive describes all of them; pax keys for xattrs are star's `SCHILY.xattr.`.
"""

from typing import Final
from zlib import adler32

BLOCK: Final = 512
ZEROS: Final = bytes(BLOCK)
NS: Final = 1_000_000_000

FILE, OLD_FILE, CONTIGUOUS = b"0", b"\0", b"7"
HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, FOLDER, FIFO = b"1", b"2", b"3", b"4", b"5", b"6"
PAX, PAX_GLOBAL, GNU_NAME, GNU_LINK, GNU_SPARSE = b"x", b"g", b"L", b"K", b"S"
XATTR_PREFIX: Final = b"SCHILY.xattr."
_NEGATIVE = 0xFF


class Member:
    """One entry. `name` and `linkname` are bytes as they stand; times are in nanoseconds."""

    __slots__ = (
        "devmajor",
        "devminor",
        "gid",
        "linkname",
        "mode",
        "mtime_ns",
        "name",
        "size",
        "sparse",
        "type",
        "uid",
        "xattrs",
    )

    def __init__(self, name: bytes, kind: bytes = FILE) -> None:
        self.name = name
        self.type = kind
        self.mode = 0o644
        self.uid = 0
        self.gid = 0
        self.size = 0  # bytes of payload in the stream
        self.mtime_ns = 0
        self.linkname = b""
        self.devmajor = 0
        self.devminor = 0
        self.xattrs: dict[bytes, bytes] = {}
        self.sparse: Sparse | None = None

    def __repr__(self) -> str:
        return f"<Member {self.name!r} type {self.type!r} size {self.size}>"


class Sparse:
    """Where the data of a sparse file belongs: `size` as unpacked, and (offset, length)s."""

    __slots__ = ("pieces", "size")

    def __init__(self, size: int, pieces: list[tuple[int, int]]) -> None:
        self.size = size
        self.pieces = pieces


def checksum_is_right(block: bytes) -> bool:
    """Whether a header block has the sum that it says; some old tars summed signed bytes."""
    # adler32 begins with the sum of the bytes modulo 65521, which 256 bytes never reach.
    total = (adler32(block[:256]) & 0xFFFF) + (adler32(block[256:]) & 0xFFFF) - 2
    total += 256 - ((adler32(block[148:156]) & 0xFFFF) - 1)
    try:
        stored = int(block[148:156].strip(b"\0 ") or b"0", 8)
    except ValueError:
        return False
    if stored == total:
        return True
    high = sum(byte >> 7 for byte in block[:148]) + sum(byte >> 7 for byte in block[156:])
    return stored == total - 256 * high


def number(field: bytes) -> int:
    r"""An octal or base-256 number field. Raises ValueError.

    >>> number(b"0000644 "), number(b"\x80" + bytes(6) + b"\x07")
    (420, 7)
    """
    first = field[0]
    if first & 0x80:
        value = int.from_bytes(field, "big")
        if first == _NEGATIVE:  # , in two's complement
            return value - (1 << 8 * len(field))
        return value & ~(0x80 << 8 * (len(field) - 1))
    return int(field.partition(b"\0")[0].strip() or b"0", 8)


def parse_header(block: bytes) -> Member:
    """The member of one header block, without what pax or GNU headers before it say.

    Raises ValueError.
    """
    name = block[:100].partition(b"\0")[0]
    kind = block[156:157]
    member = Member(name, FILE if kind == OLD_FILE else kind)
    member.mode = number(block[100:108]) & 0o7777
    member.uid = number(block[108:116])
    member.gid = number(block[116:124])
    member.size = number(block[124:136])
    member.mtime_ns = number(block[136:148]) * NS
    member.linkname = block[157:257].partition(b"\0")[0]
    magic = block[257:263]
    if magic[:5] == b"ustar":
        if kind in (CHARACTER, BLOCK_DEVICE):
            member.devmajor = number(block[329:337])
            member.devminor = number(block[337:345])
        if magic == b"ustar\0" and block[345] and kind != GNU_SPARSE:
            member.name = block[345:500].partition(b"\0")[0] + b"/" + name
    if member.size < 0:
        raise ValueError("a negative size")
    if kind in (OLD_FILE, FILE) and member.name.endswith(b"/"):
        member.type = FOLDER  # V7 wrote folders so
    return member


def parse_pax(data: bytes) -> dict[bytes, bytes]:
    r"""The records of a pax header, `LENGTH KEY=VALUE\n` each. Raises ValueError.

    >>> parse_pax(b"12 path=abc\n")
    {b'path': b'abc'}
    """
    records: dict[bytes, bytes] = {}
    at = 0
    while at < len(data):
        space = data.index(b" ", at, at + 20)
        end = at + int(data[at:space])
        if end > len(data) or end <= space + 2 or data[end - 1 : end] != b"\n":
            raise ValueError("a pax record has a wrong length")
        key, sign, value = data[space + 1 : end - 1].partition(b"=")
        if not sign or not key:
            raise ValueError("a pax record has no key")
        records[key] = value
        at = end
    return records


def seconds_to_ns(text: bytes) -> int:
    """A pax time, exact where a float would not be. Raises ValueError.

    >>> seconds_to_ns(b"1.5"), seconds_to_ns(b"-0.25"), seconds_to_ns(b"1234567890.123456789")
    (1500000000, -250000000, 1234567890123456789)
    """
    whole, _, fraction = text.partition(b".")
    if fraction and not fraction.isdigit():
        raise ValueError("not a time")
    ns = int(fraction[:9].ljust(9, b"0")) if fraction else 0
    return int(whole) * NS + (-ns if whole.startswith(b"-") else ns)


def apply_pax(member: Member, records: dict[bytes, bytes]) -> None:
    """What a pax header says goes before what the old header says. Raises ValueError."""
    for key, value in records.items():
        if key in (b"size", b"uid", b"gid"):
            setattr(member, key.decode(), int(value))
        elif key == b"path":
            member.name = value
        elif key == b"linkpath":
            member.linkname = value
        elif key == b"mtime":
            member.mtime_ns = seconds_to_ns(value)
        elif key.startswith(XATTR_PREFIX):
            member.xattrs[key[len(XATTR_PREFIX) :]] = value
    if member.size < 0:
        raise ValueError("a negative size")
    if b"\0" in member.name or b"\0" in member.linkname:
        raise ValueError("a name with a NUL")
