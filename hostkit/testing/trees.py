# SPDX-License-Identifier: GPL-3.0-or-later
"""A file tree as a value: everything that a layer must keep, so that two can be compared."""

import errno
import hashlib
import os
import stat

from hostkit.value import NamedTuple

# Of the mount or the machine, not of the layer.
_OTHERS = ("trusted.overlay.", "user.overlay.", "security.selinux")
_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "folder",
    stat.S_IFLNK: "link",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}


class Entry(NamedTuple):
    """One name of a tree."""

    kind: str
    mode: int
    owner: tuple[int, int]
    mtime_ns: int
    size: int  # of a file
    content: str  # of a file, as sha256; of a link, where it leads; of a device, its number
    xattrs: tuple[tuple[str, bytes], ...]
    same_as: bytes  # the first name of the same file, b"" for one with one name


Tree = dict[bytes, Entry]


def look(root: str | bytes, *, top: bool = True) -> Tree:
    """Everything below a folder, and with `top` the folder itself as b""."""
    base = os.fsencode(root)
    tree: Tree = {}
    names: dict[tuple[int, int], bytes] = {}
    pending = [b""]
    while pending:
        below = pending.pop()
        for name in sorted(os.listdir(base + below), reverse=True):
            pending_path = below + b"/" + name
            info = os.lstat(base + pending_path)
            if stat.S_ISDIR(info.st_mode):
                pending.append(pending_path)
            tree[pending_path] = _entry(base + pending_path, info)
    for path in sorted(tree):
        info = os.lstat(base + path)
        if info.st_nlink > 1 and not stat.S_ISDIR(info.st_mode):
            first = names.setdefault((info.st_dev, info.st_ino), path)
            tree[path] = tree[path]._replace(same_as=first)
    tree.pop(b"/lost+found", None)  # a block device's file system has it
    if top:
        tree[b""] = _entry(base, os.lstat(base))
    return tree


def _entry(path: bytes, info: os.stat_result) -> Entry:
    kind = _KINDS[stat.S_IFMT(info.st_mode)]
    content = ""
    if kind == "file":
        content = _digest(path)
    elif kind == "link":
        content = os.fsdecode(os.readlink(path))
    elif kind.endswith("device"):
        content = f"{os.major(info.st_rdev)}:{os.minor(info.st_rdev)}"
    return Entry(
        kind,
        stat.S_IMODE(info.st_mode),
        (info.st_uid, info.st_gid),
        info.st_mtime_ns,
        info.st_size if kind == "file" else 0,
        content,
        _xattrs(path),
        b"",
    )


def _digest(path: bytes) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _xattrs(path: bytes) -> tuple[tuple[str, bytes], ...]:
    try:
        keys = os.listxattr(path, follow_symlinks=False)
    except OSError as problem:
        if problem.errno != errno.ENOTSUP:
            raise
        return ()
    return tuple(
        (key, os.getxattr(path, key, follow_symlinks=False))
        for key in sorted(keys)
        if not key.startswith(_OTHERS)
    )


def differences(one: Tree, two: Tree) -> list[str]:
    """What differs, a line each, so that a failed test says what and not only that."""
    lines = [f"only before: {path!r}" for path in sorted(one.keys() - two.keys())]
    lines += [f"only after: {path!r}" for path in sorted(two.keys() - one.keys())]
    for path in sorted(one.keys() & two.keys()):
        lines += [
            f"{path!r}: {field} {was!r} became {now!r}"
            for field, was, now in zip(one[path]._fields, one[path], two[path], strict=True)
            if was != now
        ]
    return lines
