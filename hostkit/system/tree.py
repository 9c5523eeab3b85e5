# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole file trees: taken away, and measured."""

import errno
import os
import stat
import time
from collections.abc import Iterator

from hostkit.system import mounts
from hostkit.value import NamedTuple

_TRIES = 5
_WAIT_S = 0.1
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SECTOR = 512  # the unit of st_blocks, stat(2)
_OPEN_AT_ONCE = 64  # folders of one way down; what is deeper is moved up
Name = str | bytes


class Usage(NamedTuple):
    """What a tree takes up."""

    bytes: int  # as allocated on the disk
    inodes: int


def remove_tree(name: Name, *, dir_fd: int | None = None) -> None:
    """Remove a file or a folder with all below it; nothing is no error.

    Follows no link and goes by descriptors, so a tree that is changed meanwhile cannot lead
    it elsewhere. Raises OSError: EBUSY, and removes nothing, when something is mounted in
    it: a bind mount left there would lose files that are not the tree's.
    """
    for attempt in range(_TRIES):
        try:
            _remove(name, dir_fd)
        except FileNotFoundError:
            return
        except OSError as problem:
            again = problem.errno in (errno.ENOTEMPTY, errno.EBUSY)  # somebody still writes there
            if not again or attempt == _TRIES - 1:
                raise
            time.sleep(_WAIT_S)
        else:
            return


def _remove(name: Name, dir_fd: int | None) -> None:
    try:
        os.unlink(name, dir_fd=dir_fd)
    except (IsADirectoryError, PermissionError):
        descriptor = os.open(name, _FOLDER, dir_fd=dir_fd)
    else:
        return
    try:
        _refuse_mounts(descriptor)
        _empty(descriptor)
    finally:
        os.close(descriptor)
    os.rmdir(name, dir_fd=dir_fd)


def _refuse_mounts(folder: int) -> None:
    path = os.readlink(f"/proc/self/fd/{folder}")
    inside = mounts.points_below(path)
    if inside:
        raise OSError(errno.EBUSY, f"{inside[-1]!r} is mounted in it", path)


def _empty(top: int) -> None:
    """Remove all below a folder, without Python's recursion: a hostile tree is deeper."""
    way: list[tuple[int, str, list[str]]] = [(top, "", _without_files(top))]
    try:
        while way:
            folder, name, pending = way[-1]
            if pending:
                below = pending.pop()
                inner = os.open(below, _FOLDER, dir_fd=folder)
                if len(way) > _OPEN_AT_ONCE:
                    try:
                        _lift(inner, top, below)
                    finally:
                        os.close(inner)
                    os.rmdir(below, dir_fd=folder)
                else:
                    way.append((inner, below, _without_files(inner)))
                continue
            way.pop()
            if way:
                os.close(folder)
                os.rmdir(name, dir_fd=way[-1][0])
            else:
                lifted = _without_files(top)  # from below what can be open at once
                if lifted:
                    way.append((top, "", lifted))
    finally:
        for folder, _, _ in way:
            if folder != top:
                os.close(folder)


def _without_files(folder: int) -> list[str]:
    """Remove the files of a folder; gives the folders in it."""
    below: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                below.append(entry.name)
            else:
                os.unlink(entry.name, dir_fd=folder)
    return below


def _lift(inner: int, top: int, name: str) -> None:
    """Empty a folder of files and move its folders to the top."""
    for moved, below in enumerate(_without_files(inner)):
        place = f".{name[:64]}.{moved}.{os.urandom(4).hex()}"
        os.rename(below, place, src_dir_fd=inner, dst_dir_fd=top)


def tree_usage(path: str) -> Usage:
    """What a tree takes up; a file with several names counts once. Raises OSError."""
    total, count, seen = os.lstat(path).st_blocks, 1, set[tuple[int, int]]()
    for entries in _folders(path):
        for entry in entries:
            info = entry.stat(follow_symlinks=False)
            if info.st_nlink > 1 and not stat.S_ISDIR(info.st_mode):
                if (info.st_dev, info.st_ino) in seen:
                    continue
                seen.add((info.st_dev, info.st_ino))
            total += info.st_blocks
            count += 1
    return Usage(total * _SECTOR, count)


def _folders(top: str) -> Iterator[list[os.DirEntry[str]]]:
    """What is in each folder of a tree, whatever its depth: the way back up is `..`."""
    at = os.open(top, _FOLDER & ~os.O_NOFOLLOW)
    above: list[list[str]] = []
    try:
        while True:
            with os.scandir(at) as entries:
                found = list(entries)
            yield found
            above.append([entry.name for entry in found if entry.is_dir(follow_symlinks=False)])
            while not above[-1]:
                above.pop()
                if not above:
                    return
                at = _moved(at, "..")
            at = _moved(at, above[-1].pop())
    finally:
        os.close(at)


def _moved(at: int, name: str) -> int:
    there = os.open(name, _FOLDER, dir_fd=at)
    os.close(at)
    return there
