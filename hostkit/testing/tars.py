# SPDX-License-Identifier: GPL-3.0-or-later
"""Layer tars written for the tests, sound ones and hostile ones."""

import io
import os
from collections.abc import Iterator, Mapping

from hostkit.storage.tar.member import (
    BLOCK,
    CHARACTER,
    FOLDER,
    HARD_LINK,
    SYMLINK,
    Member,
)
from hostkit.storage.tar.writer import TarWriter

Part = tuple[Member, bytes]
_OUT = b"../" * 40
_EIB = 1 << 60


def file(
    name: bytes, content: bytes = b"", *, mode: int = 0o644, xattrs: Mapping[bytes, bytes] = {}
) -> Part:
    """A file."""
    member = Member(name)
    member.mode, member.size, member.xattrs = mode, len(content), dict(xattrs)
    return member, content


def folder(name: bytes, *, mode: int = 0o755, xattrs: Mapping[bytes, bytes] = {}) -> Part:
    """A folder."""
    member = Member(name.rstrip(b"/") + b"/", FOLDER)
    member.mode, member.xattrs = mode, dict(xattrs)
    return member, b""


def link(name: bytes, target: bytes, kind: bytes = SYMLINK) -> Part:
    """A symbolic or, with HARD_LINK, a hard link."""
    member = Member(name, kind)
    member.mode, member.linkname = 0o777, target
    return member, b""


def device(name: bytes, major: int, minor: int, kind: bytes = CHARACTER) -> Part:
    """A device node."""
    member = Member(name, kind)
    member.devmajor, member.devminor = major, minor
    return member, b""


def tar(*parts: Part) -> bytes:
    """The stream."""
    sink = io.BytesIO()
    writer = TarWriter(sink)
    for member, content in parts:
        writer.add(member)
        writer.content(content)
        writer.end_content(len(content))
    writer.close()
    return sink.getvalue()


def _claiming(name: bytes, size: int) -> bytes:
    """A file whose header claims more than follows."""
    member = Member(name)
    member.size = size
    sink = io.BytesIO()
    TarWriter(sink).add(member)
    return sink.getvalue() + bytes(BLOCK)


def hostile(canary: str) -> Iterator[tuple[str, bytes]]:
    """Each with a name that says what it tries. `canary`: a folder outside, which it would reach.

    It holds a `file`, and must hold nothing else afterwards.
    """
    inner = os.fsencode(canary).lstrip(b"/")
    out = (
        ("a path that goes up", _OUT + inner),
        ("a path that goes down and up", b"a/b/" + _OUT + inner),
        ("an absolute path", b"/" + inner),
        ("through an absolute link", b"absolute/" + inner),
        ("through a relative link", b"relative/" + inner),
        ("through a link of links", b"twice/" + inner),
        ("through a link to itself", b"itself/" + inner),
    )
    ways = (
        *(link(b"absolute", b"/"), link(b"relative", _OUT), link(b"itself", b"itself")),
        *(folder(b"d"), link(b"d/up", _OUT), link(b"twice", b"d/up/relative")),
    )
    for what, path in out:
        yield f"{what}: file", tar(*ways, file(path + b"/file", b"hostile"))
        yield f"{what}: folder", tar(*ways, folder(path, mode=0o777))
        yield f"{what}: link", tar(*ways, link(path + b"/link", b"x"))
        yield f"{what}: whiteout", tar(*ways, file(path + b"/.wh.file"))
        yield f"{what}: opaque", tar(*ways, file(path + b"/.wh..wh..opq"))
        taken = link(b"x", path + b"/file", HARD_LINK)
        yield f"{what}: hard link", tar(*ways, taken, file(b"x", b"hostile"))
    yield from _links_hostile(_OUT + inner + b"/file")
    yield from _odd()
    yield from _damaged()


def _links_hostile(target: bytes) -> Iterator[tuple[str, bytes]]:
    yield "a file over a link", tar(link(b"x", target), file(b"x", b"hostile"))
    yield "a folder over a link", tar(link(b"x", target), folder(b"x", mode=0o777))
    yield "an owner through a link", tar(link(b"x", target), link(b"y", b"x", HARD_LINK))
    yield "a hard link to nothing", tar(link(b"x", b"missing", HARD_LINK))
    yield "a hard link to itself", tar(link(b"x", b"x", HARD_LINK))
    yield "a hard link to the root", tar(link(b"x", b".", HARD_LINK))
    yield "the root as a link", tar(link(b".", b"/"), file(target.strip(b"./"), b"hostile"))
    yield "the root as a file", tar(file(b".", b"hostile"))
    yield "a root that goes up", tar(folder(b".."), file(b"../file", b"hostile"))


def _odd() -> Iterator[tuple[str, bytes]]:
    for name in (b".wh.", b".wh..", b".wh...", b".wh..wh.", b"a/.wh..wh.plnk/x"):
        yield f"a whiteout {name.decode()}", tar(file(name))
    yield "a device that is a whiteout", tar(folder(b"d"), device(b"d/x", 0, 0))
    for key in (b"opaque", b"redirect", b"metacopy", b"origin"):
        attribute = {b"trusted.overlay." + key: b"y" if key == b"opaque" else b"/canary"}
        yield f"overlay's own {key.decode()}", tar(folder(b"d", xattrs=attribute))
        yield f"overlay's own {key.decode()} of a file", tar(file(b"f", b"x", xattrs=attribute))
    yield "the same name three times", tar(file(b"x", b"1"), folder(b"x"), file(b"x", b"3"))
    yield "a very long name", tar(file(b"n" * 5000))
    yield "a very deep path", tar(file(b"d/" * 3000 + b"x"))
    yield "an attribute without end", tar(file(b"x", xattrs={b"user.x": b"v" * (1 << 17)}))
    yield "an attribute of another's", tar(file(b"x", xattrs={b"security.selinux": b"x"}))


def _damaged() -> Iterator[tuple[str, bytes]]:
    yield "a file that claims an exbibyte", _claiming(b"bomb", _EIB)
    yield "a name with a NUL in pax", tar(file(b"a\0b"))
    yield "random bytes", bytes(range(256)) * 40
    whole = tar(file(b"a", b"x" * 3000), file(b"b", b"y" * 3000))
    yield "cut in a header", whole[: 512 * 7 + 100]
    yield "cut in a file", whole[:2000]
