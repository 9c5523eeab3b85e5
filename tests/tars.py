# SPDX-License-Identifier: GPL-3.0-or-later
"""Tars for tests: made in a line, unpacked, put together again, and trees held together."""

import hashlib
import io
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from hostkit.storage.rooted import Tree
from hostkit.storage.tar.member import FOLDER, HARD_LINK, SYMLINK, Member
from hostkit.storage.tar.reader import LIMITS, Limits, TarReader
from hostkit.storage.tar.split import SplitWriter, reassemble
from hostkit.storage.tar.writer import TarWriter
from hostkit.storage.unpack import Whiteouts, unpack

_DETACHED = ("trusted.overlay.", "user.overlay.", "security.selinux")


def file(name: str | bytes, data: bytes = b"", **fields: object) -> tuple[Member, bytes]:
    """A file with a content."""
    return member(name, **fields), data


def folder(name: str | bytes, **fields: object) -> tuple[Member, bytes]:
    return member(name, FOLDER, mode=0o755, **fields), b""


def symlink(name: str | bytes, target: bytes) -> tuple[Member, bytes]:
    return member(name, SYMLINK, linkname=target), b""


def hard_link(name: str | bytes, target: bytes) -> tuple[Member, bytes]:
    return member(name, HARD_LINK, linkname=target), b""


def node(name: str | bytes, kind: bytes, major: int = 0, minor: int = 0) -> tuple[Member, bytes]:
    return member(name, kind, devmajor=major, devminor=minor), b""


def member(name: str | bytes, kind: bytes = b"0", /, **fields: object) -> Member:
    """A member; fields by name."""
    made = Member(os.fsencode(name), kind)
    made.uid, made.gid = os.geteuid(), os.getegid()
    for key, value in fields.items():
        setattr(made, key, value)
    return made


def tar(*members: tuple[Member, bytes]) -> bytes:
    """The bytes of a tar."""
    sink = io.BytesIO()
    writer = TarWriter(sink)
    for made, data in members:
        made.size = len(data) or made.size
        writer.add(made)
        writer.content(data)
        writer.end_content(len(data))
    writer.close()
    return sink.getvalue()


def put(
    data: bytes,
    target: Path,
    whiteouts: Whiteouts = Whiteouts.REMOVE,
    below: Sequence[Path] = (),
    limits: Limits = LIMITS,
) -> int:
    """Unpack a tar below a folder, which is made."""
    target.mkdir(parents=True, exist_ok=True)
    reader = TarReader(io.BytesIO(data), limits=limits)
    return unpack(reader, str(target), whiteouts, [str(one) for one in below])


def put_and_rebuild(
    data: bytes, target: Path, whiteouts: Whiteouts = Whiteouts.REMOVE
) -> tuple[SplitWriter, bytes]:
    """Unpack with a tar-split, and what the tar-split and the tree give together."""
    lines: list[bytes] = []
    writer = SplitWriter(lines.append)
    target.mkdir(parents=True, exist_ok=True)
    unpack(TarReader(io.BytesIO(data), recorder=writer), str(target), whiteouts)
    writer.close()
    return writer, rebuilt(b"".join(lines), target)


def rebuilt(split: bytes, target: Path) -> bytes:
    """What a tar-split and a tree give together."""
    with Tree(str(target)) as tree:
        return b"".join(reassemble(io.BytesIO(split), tree.open, check=True))


def manifest(root: Path | str, *, times: bool = True) -> dict[bytes, tuple[object, ...]]:
    """All that a tree holds, as far as a layer keeps it."""
    found: dict[bytes, tuple[object, ...]] = {}
    inodes: dict[tuple[int, int], bytes] = {}
    top = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    pending = [(b"", top)]
    while pending:
        path, at = pending.pop()
        for word in sorted(os.listdir(at)):
            name = os.fsencode(word)
            below = path + b"/" + name
            info = os.stat(name, dir_fd=at, follow_symlinks=False)
            first = inodes.setdefault((info.st_dev, info.st_ino), below)
            found[below] = (*_facts(at, name, info), info.st_mtime_ns if times else 0, first)
            if stat.S_ISDIR(info.st_mode):
                flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
                pending.append((below, os.open(name, flags, dir_fd=at)))
        os.close(at)
    return found


def _facts(at: int, name: bytes, info: os.stat_result) -> tuple[object, ...]:
    path = b"/proc/self/fd/%d/%s" % (at, name)
    keys = [
        key for key in os.listxattr(path, follow_symlinks=False) if not key.startswith(_DETACHED)
    ]
    xattrs = tuple((key, os.getxattr(path, key, follow_symlinks=False)) for key in sorted(keys))
    content: object = None
    if stat.S_ISREG(info.st_mode):
        with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=at), "rb") as opened:
            content = (info.st_size, hashlib.file_digest(opened, "sha256").hexdigest())
    elif stat.S_ISLNK(info.st_mode):
        content = os.readlink(name, dir_fd=at)
    return info.st_mode, info.st_uid, info.st_gid, info.st_rdev, content, xattrs
