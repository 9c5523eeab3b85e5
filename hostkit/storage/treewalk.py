# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between two mounted trees, found in one pass over both.

Two entries are the same when type, mode, owner, device, size, time of change to the
nanosecond, target and extended attributes are. Where both have also the same time of inode
change they are one file in a snapshot; where that differs and all else agrees the contents
are compared, for a program can set the time of a file it has changed (moby issue 8242).

A copy has other inodes. Whoever made it says when (`Copied`): what has a time of inode change
in that span has not been touched since, and a folder among them has the entries it had.

Depth is bound neither by PATH_MAX nor by open files: the way down is kept as names.
"""

import os
import stat
from collections.abc import Iterator
from typing import Self

from hostkit.storage.attributes import proc_path, xattrs_of
from hostkit.storage.below import lstat
from hostkit.storage.driver import ChangeKind
from hostkit.storage.rooted import FOLDER
from hostkit.value import NamedTuple

_CHUNK = 1 << 20
_OPEN = 64
_LAG_NS = 50_000_000  # a file's times are of the last tick, up to 10 ms before the clock's
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Copied(NamedTuple):
    """When the upper tree was copied from the lower one, as time.time_ns() says."""

    begin_ns: int
    end_ns: int

    def covers(self, ctime_ns: int) -> bool:
        """Whether something has not been touched since."""
        return self.begin_ns - _LAG_NS <= ctime_ns < self.end_ns - _LAG_NS

    def excludes(self, ctime_ns: int) -> bool:
        """Whether something surely has been touched since."""
        return not self.begin_ns - _LAG_NS <= ctime_ns < self.end_ns + _LAG_NS


class Entry(NamedTuple):
    """A difference found: `info` is what is there now, None for what is gone."""

    kind: ChangeKind
    path: bytes
    info: os.stat_result | None
    depth: int  # of the folder that it is in


class Way:
    """The way down into a tree, opened where it is needed."""

    def __init__(self, root: str) -> None:
        self._open = {0: os.open(root, FOLDER & ~os.O_NOFOLLOW)}
        self._names: list[bytes] = []

    def close(self) -> None:
        """Give the descriptors back."""
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def enter(self, name: bytes) -> None:
        """Go down into a folder."""
        self._names.append(name)

    def leave(self) -> None:
        """Go up again."""
        descriptor = self._open.pop(len(self._names), None)
        if descriptor is not None:
            os.close(descriptor)
        self._names.pop()

    def here(self) -> int:
        """The descriptor of the folder, good until the next call. Raises OSError."""
        return self.at(len(self._names))

    def at(self, depth: int) -> int:
        """The descriptor of a folder on the way. Raises OSError."""
        found = self._open.get(depth)
        if found is not None:
            return found
        at = depth
        while at not in self._open:
            at -= 1
        descriptor = self._open[at]
        while at < depth:
            descriptor = os.open(self._names[at], FOLDER, dir_fd=descriptor)
            at += 1
            self._open[at] = descriptor
            if len(self._open) > _OPEN:
                os.close(self._open.pop(min(key for key in self._open if key)))
        return descriptor


class _Frame:
    """A folder on the way: what is still to be looked at in it."""

    __slots__ = ("before", "names", "old", "waiting")

    def __init__(self, names: list[bytes], before: set[bytes] | None, *, old: bool) -> None:
        self.names = names  # the next one last
        self.before = before  # what the lower folder has; None: the same names
        self.old = old  # whether there is a lower folder
        self.waiting: Entry | None = None  # told when something in it differs


class Comparison:
    """Two trees held against each other; without a lower one all is new."""

    def __init__(self, lower: str | None, upper: str, copied: Copied | None = None) -> None:
        self.upper = Way(upper)
        self._copied = copied
        try:
            self.lower = Way(lower) if lower is not None else None
        except BaseException:
            self.upper.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.upper.close()
        if self.lower is not None:
            self.lower.close()

    def entries(self) -> Iterator[Entry]:
        """Every difference, parents before what is in them. Raises OSError."""
        if self.lower is not None and os.path.samestat(
            os.fstat(self.lower.here()), os.fstat(self.upper.here())
        ):
            return
        frames = [self._frame(old=self.lower is not None, touched=True)]
        waiting: list[Entry] = []
        paths = [b""]
        while frames:
            frame = frames[-1]
            if not frame.names:
                if waiting and waiting[-1] is frame.waiting:
                    waiting.pop()
                self._leave(frames)
                paths.pop()
                continue
            name = frame.names.pop()
            depth = len(frames) - 1
            path = paths[-1] + name
            found, enter = self._look(frame, name, path, depth)
            if found is not None:
                if waiting:
                    yield from waiting
                    waiting.clear()
                yield found
            if enter is not None:
                self._enter(frames, name, enter)
                paths.append(path + b"/")
                if found is None:
                    assert enter.info is not None
                    entry = Entry(ChangeKind.MODIFIED, path, enter.info, depth)
                    frames[-1].waiting = entry
                    waiting.append(entry)

    def _look(
        self, frame: _Frame, name: bytes, path: bytes, depth: int
    ) -> tuple[Entry | None, "_Inner | None"]:
        """What is to be told of an entry, and whether to go down into it."""
        info = lstat(self.upper.here(), name)
        if info is None:
            gone = frame.before is not None and name in frame.before
            return Entry(ChangeKind.DELETED, path, None, depth) if gone else None, None
        is_folder = stat.S_ISDIR(info.st_mode)
        touched = True
        if frame.old and self._copied is not None and self._copied.covers(info.st_ctime_ns):
            if not is_folder:
                return None, None
            touched = False
        was = self._was(frame, name) if touched else info
        if was is None:
            inner = _Inner(info, old=False, touched=True) if is_folder else None
            return Entry(ChangeKind.ADDED, path, info, depth), inner
        if not is_folder:
            same = self._same(name, was, info)
            return None if same else Entry(ChangeKind.MODIFIED, path, info, depth), None
        old = stat.S_ISDIR(was.st_mode)
        if old and touched and os.path.samestat(was, info):
            return None, None
        same = not touched or (old and self._same_folder(name, was, info))
        found = None if same else Entry(ChangeKind.MODIFIED, path, info, depth)
        return found, _Inner(info, old=old, touched=touched)

    def _was(self, frame: _Frame, name: bytes) -> os.stat_result | None:
        if not frame.old or (frame.before is not None and name not in frame.before):
            return None
        assert self.lower is not None
        return lstat(self.lower.here(), name)

    def _enter(self, frames: list[_Frame], name: bytes, inner: "_Inner") -> None:
        self.upper.enter(name)
        if inner.old and self.lower is not None:
            self.lower.enter(name)
        frames.append(self._frame(old=inner.old, touched=inner.touched))

    def _leave(self, frames: list[_Frame]) -> None:
        frame = frames.pop()
        if frames:
            self.upper.leave()
            if frame.old and self.lower is not None:
                self.lower.leave()

    def _frame(self, *, old: bool, touched: bool) -> _Frame:
        names = _names(self.upper.here())
        before: set[bytes] | None = set()
        if old and not touched:
            before = None
        elif old and self.lower is not None:
            before = set(_names(self.lower.here()))
            names = list(before.union(names))
        names.sort(reverse=True)
        return _Frame(names, before, old=old)

    def _same_folder(self, name: bytes, was: os.stat_result, info: os.stat_result) -> bool:
        if _meta(was) != _meta(info):
            return False
        if was.st_ctime_ns == info.st_ctime_ns and was.st_ino == info.st_ino:
            return True
        return self._same_xattrs(name)

    def _same(self, name: bytes, was: os.stat_result, info: os.stat_result) -> bool:
        if was.st_size != info.st_size or _meta(was) != _meta(info):
            return False
        same_inode = was.st_ino == info.st_ino
        if same_inode and was.st_ctime_ns == info.st_ctime_ns:
            return True
        if info.st_nlink > 1 and self._has_new_name(was, info, same_inode=same_inode):
            return False
        assert self.lower is not None
        old, new = self.lower.here(), self.upper.here()
        if stat.S_ISLNK(info.st_mode):
            if os.readlink(name, dir_fd=old) != os.readlink(name, dir_fd=new):
                return False
        elif stat.S_ISREG(info.st_mode) and not same_content(old, new, name):
            return False
        return self._same_xattrs(name)

    def _has_new_name(self, was: os.stat_result, info: os.stat_result, *, same_inode: bool) -> bool:
        """A file of several names that was touched: one may be new, and must be a link to it."""
        touched = self._copied is not None and self._copied.excludes(info.st_ctime_ns)
        return same_inode or touched or info.st_nlink > was.st_nlink

    def _same_xattrs(self, name: bytes) -> bool:
        assert self.lower is not None
        one, two = proc_path(self.lower.here(), name), proc_path(self.upper.here(), name)
        return xattrs_of(one) == xattrs_of(two)


class _Inner(NamedTuple):
    """A folder to go down into."""

    info: os.stat_result
    old: bool
    touched: bool


def same_content(old: int, new: int, name: bytes) -> bool:
    """Whether the files of one name in two folders hold the same. Raises OSError."""
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


def _meta(info: os.stat_result) -> tuple[int, ...]:
    return (info.st_mode, info.st_uid, info.st_gid, info.st_rdev, info.st_mtime_ns)


def _names(folder: int) -> list[bytes]:
    return [os.fsencode(name) for name in os.listdir(folder)]
