# SPDX-License-Identifier: GPL-3.0-or-later
"""Access control lists as star, GNU tar and bsdtar write them, made into Linux's attributes."""

from struct import pack

KEYS = {
    b"SCHILY.acl.access": b"system.posix_acl_access",
    b"SCHILY.acl.default": b"system.posix_acl_default",
}
_VERSION = 2
_NOBODY = 0xFFFFFFFF
_FIELDS = (3, 4)  # a fourth is the number of a name
_LIMIT = 8191  # entries; a file system keeps far fewer
# Kind, without and with a name: linux/posix_acl.h
_TAGS = {b"user": (0x01, 0x02), b"group": (0x04, 0x08), b"mask": (0x10, 0), b"other": (0x20, 0)}
_BITS = {114: 4, 119: 2, 120: 1, 45: 0}  # r w x -


def from_text(text: bytes) -> bytes | None:
    """The attribute; None where the mode says it all. Raises ValueError.

    >>> from_text(b"user::rw-,user:7:r--,group::r--,mask::r--,other::---").hex()[:24]
    '0200000001000600ffffffff'
    >>> from_text(b"user::rw-,group::r--,other::r--") is None
    True
    """
    entries: list[tuple[int, int, int]] = []
    for line in text.replace(b"\n", b",").split(b","):
        words = line.partition(b"#")[0].strip().split(b":")
        if words == [b""]:
            continue
        if len(words) not in _FIELDS or words[0] not in _TAGS or len(entries) == _LIMIT:
            raise ValueError(f"{line[:80]!r} in an access control list")
        plain, named = _TAGS[words[0]]
        if not words[1]:
            entries.append((plain, _bits(words[2]), _NOBODY))
        elif named:
            entries.append((named, _bits(words[2]), _id(words[3] if words[3:] else words[1])))
        else:
            raise ValueError(f"{line[:80]!r} in an access control list")
    if all(who == _NOBODY and tag != _TAGS[b"mask"][0] for tag, _, who in entries):
        return None
    entries.sort(key=lambda entry: (entry[0], entry[2]))
    return pack("<I", _VERSION) + b"".join(pack("<HHI", *entry) for entry in entries)


def _bits(word: bytes) -> int:
    if not word or any(letter not in _BITS for letter in word):
        raise ValueError(f"{word[:20]!r} in an access control list")
    return sum(_BITS[letter] for letter in set(word))


def _id(word: bytes) -> int:
    if not word.isdigit() or int(word) >= _NOBODY:
        raise ValueError(
            f"an access control list for {word[:40]!r}, which is no number: whom it means cannot"
            " be known here (bsdtar writes numbers)"
        )
    return int(word)
