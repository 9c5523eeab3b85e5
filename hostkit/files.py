# SPDX-License-Identifier: GPL-3.0-or-later
"""Bounded reads, and writes that are whole or not there after a power cut."""

import errno
import os
import re
import stat
from collections.abc import Generator
from contextlib import contextmanager

READ_LIMIT = 4 << 20
_CHUNK = 1 << 16  # the kernel clears as much for each sysctl that is read


def read_bounded(path: str, limit: int = READ_LIMIT) -> tuple[bytes, bool]:
    """The first `limit` bytes of a regular file, and whether there was more.

    Raises OSError; a fifo, socket, device or folder is refused with EINVAL or EISDIR
    instead of waiting for somebody to write to it.
    """
    descriptor = open_regular(path)
    try:
        data = _read_all(descriptor, limit + 1)
    finally:
        os.close(descriptor)
    return data[:limit], len(data) > limit


def read_tail(path: str, limit: int) -> tuple[bytes, bool]:
    """The last `limit` bytes of a regular file, and whether there was more before them.

    Raises OSError, as `read_bounded` does. A file that grows meanwhile is not followed.
    """
    descriptor = open_regular(path)
    try:
        size = os.fstat(descriptor).st_size
        os.lseek(descriptor, max(0, size - limit), os.SEEK_SET)
        return _read_all(descriptor, limit), size > limit
    finally:
        os.close(descriptor)


def open_regular(path: str) -> int:
    """A descriptor to read a regular file from. Raises OSError, as `read_bounded` does."""
    # Opening alone would start a watchdog, rewind a tape or let the writer of a fifo go on.
    _refuse_irregular(path, os.stat(path).st_mode)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        _refuse_irregular(path, os.fstat(descriptor).st_mode)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _refuse_irregular(path: str, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a regular file", path)


def _read_all(descriptor: int, limit: int) -> bytes:
    pieces: list[bytes] = []
    while limit > 0:
        piece = os.read(descriptor, min(limit, _CHUNK))
        if not piece:
            break
        pieces.append(piece)
        limit -= len(piece)
    return b"".join(pieces)


def sync_folder(path: str) -> None:
    """Make the names in a folder survive a power cut (fsync(2), NOTES)."""
    descriptor = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomic(path: str, data: bytes, mode: int = 0o644) -> None:
    """Put `data` at `path`, whole or not at all, also across a power cut.

    Owner, mode and extended attributes (an SELinux label is one) of a file that is
    replaced are kept; `mode` is for a new one. A symbolic link is followed, so that
    /etc/sysctl.d/99-sysctl.conf stays a link, but what another user has put into a shared
    folder such as /tmp is refused. Raises OSError.
    """
    path = _own_place(path)
    folder = os.path.dirname(path)
    temporary = os.path.join(folder, f".{os.path.basename(path)}.{os.urandom(4).hex()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            write_all(descriptor, data)
            _copy_attributes(path, descriptor, mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(temporary, path)
    except BaseException:
        with _ignored():
            os.unlink(temporary)
        raise
    sync_folder(folder)


def _own_place(path: str) -> str:
    """Where a path leads; the kernel's fs.protected_symlinks does not see a rename."""
    folder, name = os.path.split(os.path.abspath(path))
    folder = os.path.realpath(folder)
    if os.stat(folder).st_mode & stat.S_ISVTX:
        here = os.path.join(folder, name)
        try:
            owner = os.lstat(here).st_uid
        except FileNotFoundError:
            return here
        if owner not in (0, os.geteuid()):
            raise PermissionError(errno.EACCES, "it belongs to another user", path)
    return os.path.realpath(path)


def remove_leftovers(path: str) -> None:
    """Remove what a `write_atomic` to `path` left beside it when it was killed."""
    folder, name = os.path.split(os.path.realpath(path))
    leftover = re.compile(re.escape(f".{name}.") + r"[0-9a-f]{8}\.tmp")
    for entry in os.listdir(folder):
        if leftover.fullmatch(entry):
            os.unlink(os.path.join(folder, entry))


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte; os.write alone may write fewer."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _copy_attributes(path: str, descriptor: int, mode: int) -> None:
    try:
        old = os.stat(path)
    except FileNotFoundError:
        os.fchmod(descriptor, mode)
        return
    os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
    with _ignored():  # file systems without extended attributes
        for name in os.listxattr(path):
            os.setxattr(descriptor, name, os.getxattr(path, name))


@contextmanager
def _ignored() -> Generator[None]:
    try:
        yield
    except OSError:
        pass
