# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between two mounted trees, and the layer tar that turns one into the other.

Two entries are the same when type, mode, owner, device, size, time of change to the
nanosecond, target and extended attributes are. Where both have also the same time of inode
change they are one file in a snapshot; where that differs and all else agrees the contents
are compared, for a program can set the time of a file it has changed (moby issue 8242).
"""

import errno
import os
import stat
from collections.abc import Iterator
from typing import BinaryIO

from hostkit.storage.driver import Change, ChangeKind
from hostkit.storage.errors import StorageError
from hostkit.storage.tar.member import (
    BLOCK_DEVICE,
    CHARACTER,
    FIFO,
    FILE,
    FOLDER,
    HARD_LINK,
    SYMLINK,
    Member,
)
from hostkit.storage.tar.writer import TarWriter
from hostkit.storage.unpack import OPAQUE, WHITEOUT
from hostkit.value import NamedTuple

_CHUNK = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_TYPES = {
    stat.S_IFREG: FILE,
    stat.S_IFDIR: FOLDER,
    stat.S_IFLNK: SYMLINK,
    stat.S_IFCHR: CHARACTER,
    stat.S_IFBLK: BLOCK_DEVICE,
    stat.S_IFIFO: FIFO,
}


class Entry(NamedTuple):
    """A difference found: `info` is what is there now, None for what is gone."""

    kind: ChangeKind
    path: bytes
    info: os.stat_result | None


def changes(lower: str | None, upper: str) -> Iterator[Change]:
    """What differs, sorted by path; a folder with a change below it comes as modified."""
    for entry in compare(lower, upper):
        yield Change(entry.kind, b"/" + entry.path)


def compare(lower: str | None, upper: str) -> Iterator[Entry]:
    """Every difference, parents before what is in them. Raises OSError, StorageError."""
    new = os.open(upper, _FOLDER)
    old = os.open(lower, _FOLDER) if lower is not None else None
    try:
        yield from _compare(old, new, b"")
    finally:
        os.close(new)
        if old is not None:
            os.close(old)


def _compare(old: int | None, new: int, path: bytes) -> Iterator[Entry]:
    before = set(_names(old)) if old is not None else set[bytes]()
    after = _names(new)
    for name in sorted(before.union(after)):
        below = path + b"/" + name if path else name
        info = _lstat(new, name)
        if info is None:
            yield Entry(ChangeKind.DELETED, below, None)
            continue
        was = _lstat(old, name) if old is not None and name in before else None
        if was is None:
            yield Entry(ChangeKind.ADDED, below, info)
        elif stat.S_ISDIR(info.st_mode) and stat.S_ISDIR(was.st_mode):
            yield from _folders(old, new, name, below, (was, info))
            continue
        elif not _same(old, new, name, was, info):
            yield Entry(ChangeKind.MODIFIED, below, info)
        if stat.S_ISDIR(info.st_mode):
            yield from _all_below(new, name, below)


def _folders(
    old: int | None,
    new: int,
    name: bytes,
    path: bytes,
    infos: tuple[os.stat_result, os.stat_result],
) -> Iterator[Entry]:
    """A folder that both trees have."""
    was, info = infos
    if (was.st_dev, was.st_ino) == (info.st_dev, info.st_ino):
        return
    assert old is not None
    one = os.open(name, _FOLDER, dir_fd=old)
    try:
        two = os.open(name, _FOLDER, dir_fd=new)
        try:
            inner = _compare(one, two, path)
            first = next(inner, None)
            differs = _meta(was) != _meta(info) or _xattrs(old, name) != _xattrs(new, name)
            if first is not None or differs:
                yield Entry(ChangeKind.MODIFIED, path, info)
            if first is not None:
                yield first
                yield from inner
        finally:
            os.close(two)
    finally:
        os.close(one)


def _all_below(parent: int, name: bytes, path: bytes) -> Iterator[Entry]:
    inner = os.open(name, _FOLDER, dir_fd=parent)
    try:
        yield from _compare(None, inner, path)
    finally:
        os.close(inner)


def _same(
    old: int | None, new: int, name: bytes, was: os.stat_result, info: os.stat_result
) -> bool:
    if _meta(was) != _meta(info) or was.st_size != info.st_size:
        return False
    if was.st_mtime_ns != info.st_mtime_ns:
        return False
    if was.st_ctime_ns == info.st_ctime_ns and was.st_ino == info.st_ino:
        return True
    assert old is not None
    if stat.S_ISLNK(info.st_mode):
        return os.readlink(name, dir_fd=old) == os.readlink(name, dir_fd=new)
    if _xattrs(old, name) != _xattrs(new, name):
        return False
    return not stat.S_ISREG(info.st_mode) or _same_content(old, new, name)


def _meta(info: os.stat_result) -> tuple[int, ...]:
    return (info.st_mode, info.st_uid, info.st_gid, info.st_rdev)


def _same_content(old: int, new: int, name: bytes) -> bool:
    one = os.open(name, _FILE, dir_fd=old)
    try:
        two = os.open(name, _FILE, dir_fd=new)
        try:
            while (data := os.read(one, _CHUNK)) == os.read(two, _CHUNK):
                if not data:
                    return True
        finally:
            os.close(two)
    finally:
        os.close(one)
    return False


def _names(folder: int) -> list[bytes]:
    return [os.fsencode(name) for name in os.listdir(folder)]


def _lstat(parent: int, name: bytes) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _xattrs(parent: int, name: bytes) -> dict[bytes, bytes]:
    """The attributes that belong to the layer; those of overlayfs and SELinux do not."""
    path = b"/proc/self/fd/%d/%s" % (parent, name)
    try:
        keys = os.listxattr(path, follow_symlinks=False)
    except OSError as problem:
        if problem.errno == errno.ENOTSUP:
            return {}
        raise
    return {
        os.fsencode(key): os.getxattr(path, key, follow_symlinks=False)
        for key in keys
        if not key.startswith(("trusted.overlay.", "user.overlay.", "security.selinux"))
    }


def write_diff(lower: str | None, upper: str, sink: BinaryIO) -> None:
    """The layer tar of what differs: what is gone becomes a whiteout `.wh.NAME`."""
    tar = TarWriter(sink)
    root = os.open(upper, _FOLDER)
    links: dict[tuple[int, int], bytes] = {}
    try:
        for entry in compare(lower, upper):
            if entry.info is None:
                folder, slash, name = entry.path.rpartition(b"/")
                tar.add(Member(folder + slash + WHITEOUT + name))
            else:
                add_entry(tar, root, entry.path, entry.info, links)
        tar.close()
    finally:
        os.close(root)


def write_upper(upper: str, sink: BinaryIO) -> None:
    """The layer tar of an upper folder of overlayfs: devices 0:0 are whiteouts."""
    tar = TarWriter(sink)
    root = os.open(upper, _FOLDER)
    links: dict[tuple[int, int], bytes] = {}
    try:
        for entry in compare(None, upper):
            info = entry.info
            assert info is not None
            folder, slash, name = entry.path.rpartition(b"/")
            if stat.S_ISCHR(info.st_mode) and info.st_rdev == 0:
                tar.add(Member(folder + slash + WHITEOUT + name))
                continue
            add_entry(tar, root, entry.path, info, links)
            if stat.S_ISDIR(info.st_mode) and _is_opaque(root, entry.path):
                tar.add(Member(entry.path + b"/" + OPAQUE))
        tar.close()
    finally:
        os.close(root)


def _is_opaque(root: int, path: bytes) -> bool:
    where = b"/proc/self/fd/%d/%s" % (root, path)
    for key in ("trusted.overlay.opaque", "user.overlay.opaque"):
        try:
            if os.getxattr(where, key, follow_symlinks=False) == b"y":
                return True
        except OSError:
            continue
    return False


def add_entry(
    tar: TarWriter,
    root: int,
    path: bytes,
    info: os.stat_result,
    links: dict[tuple[int, int], bytes],
) -> None:
    """One file of a tree; a second name of a file that was added is a hard link."""
    kind = _TYPES.get(stat.S_IFMT(info.st_mode))
    if kind is None:  # a socket: tar cannot hold one, and its server makes it anew
        return
    member = Member(path + b"/" if kind == FOLDER else path, kind)
    member.mode, member.uid, member.gid = stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid
    member.mtime_ns = info.st_mtime_ns
    if kind != FOLDER and info.st_nlink > 1:
        first = links.setdefault((info.st_dev, info.st_ino), path)
        if first != path:
            member.type, member.linkname = HARD_LINK, first
            tar.add(member)
            return
    member.xattrs = _xattrs(root, path)
    if kind == SYMLINK:
        member.linkname = os.readlink(path, dir_fd=root)
    elif kind in (CHARACTER, BLOCK_DEVICE):
        member.devmajor, member.devminor = os.major(info.st_rdev), os.minor(info.st_rdev)
    if kind == FILE:
        member.size = info.st_size
        tar.add(member)
        _copy_content(tar, root, path, info.st_size)
    else:
        tar.add(member)


def _copy_content(tar: TarWriter, root: int, path: bytes, size: int) -> None:
    descriptor = os.open(path, _FILE, dir_fd=root)
    try:
        left = size
        while left:
            data = os.read(descriptor, min(left, _CHUNK))
            if not data:
                raise StorageError(f"{os.fsdecode(path)!r} has become shorter while it was read")
            tar.content(data)
            left -= len(data)
    finally:
        os.close(descriptor)
    tar.end_content(size)
