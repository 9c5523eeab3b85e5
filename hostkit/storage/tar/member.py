# SPDX-License-Identifier: GPL-3.0-or-later
"""One member of a tar stream and its header blocks.

Formats: POSIX.1-2001 (pax) and ustar, star, GNU with long names and base-256 numbers, and V7.
tar(5) of libarchive describes all of them; pax keys for xattrs are star's `SCHILY.xattr.`.
"""

from functools import lru_cache
from struct import Struct
from typing import Final
from zlib import adler32

from hostkit.storage.tar import acl

BLOCK: Final = 512
ZEROS: Final = bytes(BLOCK)
NS: Final = 1_000_000_000

FILE, OLD_FILE, CONTIGUOUS = b"0", b"\0", b"7"
HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, FOLDER, FIFO = b"1", b"2", b"3", b"4", b"5", b"6"
PAX, PAX_GLOBAL, PAX_SUN = b"x", b"g", b"X"
GNU_NAME, GNU_LINK, GNU_SPARSE, GNU_LABEL = b"L", b"K", b"S", b"V"
XATTR_PREFIX: Final = b"SCHILY.xattr."
SPARSE_MAP: Final = b"GNU.sparse.map"
# These have no content, whatever size their headers say.
HEADER_ONLY: Final = frozenset((HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, FOLDER, FIFO))
_NEGATIVE = 0xFF
_MOST_ID = (1 << 32) - 2  # -1 would mean "leave it", chown(2)
_MOST_NS = ((1 << 63) - 1) * NS
_MOST_DEVICE = (1 << 32) - 1
_UNUSUAL = (b".", b"/", b"")  # beginnings of a path
_SPARSE_PARTS = (b"GNU.sparse.offset", b"GNU.sparse.numbytes")
# name mode uid gid size mtime checksum type link magic major minor prefix
_fields = Struct("100s8s8s8s12s12s8sc100s6s66x8s8s155s12x").unpack


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
    # adler32 begins with 1 and the sum of the bytes modulo 65521, which 256 bytes never reach.
    field = block[148:156]
    total = (
        (adler32(block[:256]) & 0xFFFF)
        + (adler32(block[256:]) & 0xFFFF)
        - (adler32(field) & 0xFFFF)
        + 255  # the field counts as eight spaces
    )
    try:
        stored = int(field.strip(b"\0 ") or b"0", 8)
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
    digits = field.partition(b"\0")[0].strip()
    if not digits:
        return 0
    if not digits.isdigit():
        raise ValueError(f"{digits!r} is no number")
    return int(digits, 8)


_often = lru_cache(512)(number)  # modes, owners and times repeat


def parse_header(block: bytes) -> Member:
    """The member of one header block, without what pax or GNU headers before it say.

    Raises ValueError.
    """
    name, mode, uid, gid, size, mtime, _, kind, link, magic, major, minor, prefix = _fields(block)
    name = name.partition(b"\0")[0]
    if kind == OLD_FILE:
        kind = FILE
    member = Member(name, kind)
    member.mode = _often(mode) & 0o7777
    member.uid = _often(uid)
    member.gid = _often(gid)
    member.size = number(size)
    member.mtime_ns = _often(mtime) * NS
    if link[0]:
        member.linkname = link.partition(b"\0")[0]
    if magic[:5] == b"ustar":
        if kind in (CHARACTER, BLOCK_DEVICE):
            member.devmajor = number(major)
            member.devminor = number(minor)
        if prefix[0] and magic[5] == 0 and kind != GNU_SPARSE:
            if block[508:512] == b"tar\0":  # star: two times lie behind a shorter prefix
                prefix = prefix[:131]
            member.name = prefix.partition(b"\0")[0] + b"/" + name
    return member


def parse_pax(data: bytes) -> dict[bytes, bytes]:
    r"""The records of a pax header, `LENGTH KEY=VALUE\n` each. Raises ValueError.

    GNU's sparse format 0.0 repeats two keys; they become the map of format 0.1.

    >>> parse_pax(b"12 path=abc\n")
    {b'path': b'abc'}
    """
    records: dict[bytes, bytes] = {}
    parts: list[bytes] = []
    at = 0
    while at < len(data):
        space = data.index(b" ", at, at + 20)
        if not data[at:space].isdigit():
            raise ValueError("a pax record without a length")
        end = at + int(data[at:space])
        if end > len(data) or end <= space + 2 or data[end - 1] != 10:  # noqa: PLR2004 - \n
            raise ValueError("a pax record has a wrong length")
        key, sign, value = data[space + 1 : end - 1].partition(b"=")
        if not sign or not key:
            raise ValueError("a pax record has no key")
        if key in _SPARSE_PARTS:
            if key != _SPARSE_PARTS[len(parts) % 2]:
                raise ValueError("a sparse map out of order")
            parts.append(value)
        else:
            records[key] = value
        at = end
    if parts:
        records[SPARSE_MAP] = b",".join(parts)
    return records


def seconds_to_ns(text: bytes) -> int:
    """A pax time, exact where a float would not be. Raises ValueError.

    >>> seconds_to_ns(b"1.5"), seconds_to_ns(b"-0.25"), seconds_to_ns(b"1234567890.123456789")
    (1500000000, -250000000, 1234567890123456789)
    """
    sign = text[:1] == b"-"
    whole, _, fraction = text[sign:].partition(b".")
    if not whole.isdigit() or (fraction and not fraction.isdigit()):
        raise ValueError("not a time")
    ns = int(whole) * NS + (int(fraction[:9].ljust(9, b"0")) if fraction else 0)
    return -ns if sign else ns


def apply_pax(member: Member, records: dict[bytes, bytes]) -> None:
    """What a pax header says goes before what the old header says. Raises ValueError."""
    for key, value in records.items():
        if key.startswith(XATTR_PREFIX):
            member.xattrs[xattr_name(key)] = value
        elif key in acl.KEYS:
            _apply_acl(member, acl.KEYS[key], value)
        elif not value:  # as if it were not said (POSIX, pax)
            continue
        elif key in (b"size", b"uid", b"gid"):
            if not value.isdigit():
                raise ValueError(f"{value!r} is no number")
            setattr(member, key.decode(), int(value))
        elif key == b"path":
            member.name = value
        elif key == b"linkpath":
            member.linkname = value
        elif key == b"mtime":
            member.mtime_ns = seconds_to_ns(value)


def _apply_acl(member: Member, name: bytes, text: bytes) -> None:
    found = acl.from_text(text)
    if found is not None:
        member.xattrs.setdefault(name, found)


def xattr_name(key: bytes) -> bytes:
    """The attribute that a pax key names; GNU tar writes `=` and `%` in it as in a URL."""
    name = key[len(XATTR_PREFIX) :]
    if b"%" in name:
        name = name.replace(b"%3D", b"=").replace(b"%25", b"%")
    return name


@lru_cache(8)  # who unpacks asks for the name that the recorder has asked for
def normal_name(name: bytes) -> bytes:
    """A path below the root without `.`, `..` or empty parts. Raises ValueError if it leaves.

    >>> normal_name(b"./usr//bin/../lib/")
    b'usr/lib'
    """
    path = name[2:] if name[:2] == b"./" else name
    if path[-1:] == b"/":
        path = path[:-1]
    if b"/." not in path and b"//" not in path and path[:1] not in _UNUSUAL:
        return path
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            if not parts:
                raise ValueError("it leads out of the layer")
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


def refuse_impossible(member: Member) -> None:
    """What no file system call takes. Raises ValueError."""
    if not member.name:
        raise ValueError("a member without a name")
    if b"\0" in member.name or b"\0" in member.linkname:
        raise ValueError("a name with a NUL")
    if member.size < 0:
        raise ValueError("a negative size")
    if not (0 <= member.uid <= _MOST_ID and 0 <= member.gid <= _MOST_ID):
        raise ValueError(f"an owner {member.uid}:{member.gid}")
    if not -_MOST_NS <= member.mtime_ns <= _MOST_NS:
        raise ValueError("a time beyond all years")
    if member.devmajor or member.devminor:
        _refuse_device(member)
    if member.xattrs and any(not key or b"\0" in key for key in member.xattrs):
        raise ValueError("an attribute without a name")


def _refuse_device(member: Member) -> None:
    if not (0 <= member.devmajor <= _MOST_DEVICE and 0 <= member.devminor <= _MOST_DEVICE):
        raise ValueError(f"a device {member.devmajor}:{member.devminor}")
