# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine we run on."""

import errno
import os
import stat
import time
from collections.abc import Callable
from typing import Any

from hostkit import files, process, text
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.host.base import FileKind, FileStat, Output, SourceKind, Space, Tail
from hostkit.host.commands import Command

TOTAL_BUDGET_S = 60.0
_KINDS: tuple[tuple[Callable[[int], bool], FileKind], ...] = (
    (stat.S_ISREG, "file"),
    (stat.S_ISDIR, "folder"),
    (stat.S_ISLNK, "link"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISFIFO, "fifo"),
    (stat.S_ISCHR, "char"),
    (stat.S_ISBLK, "block"),
)
_PERMISSION = (errno.EACCES, errno.EPERM)
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENXIO)


class LocalHost:
    """Asks the live machine; every question ends, at the latest with the total budget."""

    kind: SourceKind = "live"

    def __init__(self, budget_s: float = TOTAL_BUDGET_S) -> None:
        self.name = os.uname().nodename
        self.privileged = os.geteuid() == 0
        self.taken_at = time.time()
        self._deadline = time.monotonic() + budget_s

    def read(self, path: str, limit: int = files.READ_LIMIT) -> Answer[bytes]:
        """The bytes of a file. More than `limit` is Unreadable, never cut silently."""
        try:
            data, more = files.read_bounded(path, limit)
        except (OSError, ValueError) as error:
            return _failed(path, error)
        if more:
            return Unreadable(path, f"larger than {limit} bytes")
        return Known(data, path)

    def tail(self, path: str, limit: int) -> Answer[Tail]:
        """The last `limit` bytes of a file."""
        try:
            return Known(Tail(*files.read_tail(path, limit)), path)
        except (OSError, ValueError) as error:
            return _failed(path, error)

    def listdir(self, path: str) -> Answer[tuple[str, ...]]:
        """The names in a folder, sorted."""
        try:
            return Known(tuple(sorted(os.listdir(path))), path)
        except (OSError, ValueError) as error:
            return _failed(path, error)

    def stat(self, path: str, *, follow: bool = True) -> Answer[FileStat]:
        """stat(2), or lstat(2) when a link is not to be followed."""
        try:
            info = os.stat(path, follow_symlinks=follow)
            target = os.readlink(path) if stat.S_ISLNK(info.st_mode) else ""
        except (OSError, ValueError) as error:
            return _failed(path, error)
        kinds: list[FileKind] = [kind for matches, kind in _KINDS if matches(info.st_mode)]
        rdev = (os.major(info.st_rdev), os.minor(info.st_rdev))
        value = FileStat(
            kind=kinds[0] if kinds else "file",  # some FUSE file systems tell none
            mode=stat.S_IMODE(info.st_mode),
            uid=info.st_uid,
            gid=info.st_gid,
            size=info.st_size,
            allocated=info.st_blocks * 512,
            inode=info.st_ino,
            device=info.st_dev,
            rdev=rdev,
            mtime=info.st_mtime,
            target=target,
        )
        return Known(value, path)

    def space(self, path: str) -> Answer[Space]:
        """statvfs(3) of the file system that holds a path."""
        try:
            info = os.statvfs(path)
        except (OSError, ValueError) as error:
            return _failed(path, error)
        unit = info.f_frsize
        value = Space(
            total=info.f_blocks * unit,
            free=info.f_bfree * unit,
            available=info.f_bavail * unit,
            inodes=info.f_files,
            inodes_free=info.f_ffree,
        )
        return Known(value, f"statvfs {path}")

    def run(self, command: Command, *args: str) -> Answer[Output]:
        """What a command of the table said, within its time-out and the total budget."""
        argv = (*command.argv, *args)
        source = " ".join(argv)
        left = self._deadline - time.monotonic()
        if left <= 0:
            return Unreadable(source, "not asked: the time for the whole run was used up")
        try:
            done = process.run(
                argv,
                timeout=min(command.timeout, left),
                limit=command.limit,
                user=process.NOBODY if command.unprivileged and self.privileged else None,
            )
        except FileNotFoundError:
            return Absent(source, f"{argv[0]} is not installed")
        except (OSError, ValueError) as error:
            return _failed(source, error)
        if done.timed_out:
            return Unreadable(source, f"did not answer within {min(command.timeout, left):.0f} s")
        if done.status not in command.ok and not done.truncated:  # an overflow is killed
            return Unreadable(source, _complaint(done), command.root and not self.privileged)
        return Known(Output(done.stdout, done.stderr, done.status, done.truncated), source)

    def native(self, source: str) -> Answer[Any]:
        """What one of the wrapped libraries knows; plain JSON values."""
        from hostkit.host import native  # noqa: PLC0415 - the libraries behind it are slow to import

        return native.ask(source)


def _complaint(done: process.Completed) -> str:
    lines = [line for line in text.decode(done.stderr).splitlines() if line.strip()]
    said = text.shorten(text.printable(lines[-1]), 200) if lines else "and said nothing"
    return f"exit status {done.status}: {said}"


def _failed(source: str, error: OSError | ValueError) -> Absent | Unreadable:
    if isinstance(error, ValueError):  # a NUL or half a character, out of somebody's file
        return Unreadable(source, "not a name that a file can have")
    if error.errno in _NOT_THERE:
        return Absent(source)
    denied = error.errno in _PERMISSION and os.geteuid() != 0
    return Unreadable(source, error.strerror or str(error), needs_root=denied)
