# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole file trees: taken away, and measured."""

import errno
import os
import time

from hostkit.value import NamedTuple

_TRIES = 5
_WAIT_S = 0.1
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SECTOR = 512  # the unit of st_blocks, stat(2)
Name = str | bytes


class Usage(NamedTuple):
    """What a tree takes up."""

    bytes: int  # as allocated on the disk
    inodes: int


def remove_tree(name: Name, *, dir_fd: int | None = None) -> None:
    """Remove a file or a folder with all below it; nothing is no error.

    Follows no link and goes by descriptors, so a tree that is changed meanwhile cannot lead
    it elsewhere. Raises OSError: EBUSY for a mount below that stays.
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
    # A stack of our own: a hostile tree is deeper than Python's, or than open files go.
    try:
        _empty(descriptor)
    finally:
        os.close(descriptor)
    os.rmdir(name, dir_fd=dir_fd)


def _empty(folder: int) -> None:
    """Remove all below a folder; deep folders are first moved up, so depth costs nothing."""
    while True:
        below: list[str] = []
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    below.append(entry.name)
                else:
                    os.unlink(entry.name, dir_fd=folder)
        if not below:
            return
        for name in below:
            inner = os.open(name, _FOLDER, dir_fd=folder)
            try:
                _lift(inner, folder, name)
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=folder)


def _lift(inner: int, top: int, name: str) -> None:
    """Empty a folder of files and move its folders to the top."""
    moved = 0
    with os.scandir(inner) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                place = f".{name[:64]}.{moved}.{os.urandom(4).hex()}"
                os.rename(entry.name, place, src_dir_fd=inner, dst_dir_fd=top)
                moved += 1
            else:
                os.unlink(entry.name, dir_fd=inner)


def tree_usage(path: str) -> Usage:
    """What a tree takes up; a file with several names counts once. Raises OSError."""
    total, seen, pending = 0, set[tuple[int, int]](), [path]
    count = 0
    while pending:
        folder = pending.pop()
        total += os.lstat(folder).st_blocks * _SECTOR
        count += 1
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                    continue
                info = entry.stat(follow_symlinks=False)
                if info.st_nlink > 1:
                    if (info.st_dev, info.st_ino) in seen:
                        continue
                    seen.add((info.st_dev, info.st_ino))
                total += info.st_blocks * _SECTOR
                count += 1
    return Usage(total, count)
