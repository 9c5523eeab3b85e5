# SPDX-License-Identifier: GPL-3.0-or-later
"""Differences of mounted trees, and the layer tar that turns one into the other.

The same trees give the same bytes. A name that begins with `.wh.` cannot be in a layer: it
would delete a file where the layer is applied (OCI image spec, layer.md), so it is refused.
"""

import os
import stat
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager

from hostkit.storage.attributes import member_of, proc_path, xattrs_of
from hostkit.storage.below import Below, is_opaque, is_whiteout, lstat
from hostkit.storage.driver import Change, ChangeKind
from hostkit.storage.errors import StorageError, Unsupported
from hostkit.storage.rooted import FOLDER as OPEN_FOLDER
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
from hostkit.storage.tar.writer import Sink, TarWriter
from hostkit.storage.treewalk import Comparison, Copied, Entry, Way
from hostkit.storage.unpack import OPAQUE, WHITEOUT

_CHUNK = 1 << 20
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_TYPES = {
    stat.S_IFREG: FILE,
    stat.S_IFDIR: FOLDER,
    stat.S_IFLNK: SYMLINK,
    stat.S_IFCHR: CHARACTER,
    stat.S_IFBLK: BLOCK_DEVICE,
    stat.S_IFIFO: FIFO,
}
# In an upper folder they say that content or name is in a layer below.
_ELSEWHERE = ("overlay.redirect", "overlay.metacopy", "overlay.whiteout")
_PLAIN_ROOT = (0o755, 0, 0)
Skipped = Callable[[bytes], None]


def changes(lower: str | None, upper: str, copied: Copied | None = None) -> Iterator[Change]:
    """What differs, sorted by path; a folder with a change below it comes as modified."""
    for entry in compare(lower, upper, copied):
        yield Change(entry.kind, b"/" + entry.path)


def compare(lower: str | None, upper: str, copied: Copied | None = None) -> Iterator[Entry]:
    """Every difference, parents before what is in them. Raises OSError."""
    with Comparison(lower, upper, copied) as trees:
        yield from trees.entries()


def upper_changes(upper: str, below: Sequence[str]) -> Iterator[Change]:
    """What an upper folder of overlayfs changes in the layers below, the nearest first.

    As `changes` of the mounted trees would say it, but it costs what the upper folder holds.
    """
    with Below(below) as layers, Comparison(None, upper) as tree:
        hiding: list[_Hiding] = []
        for entry in tree.entries():
            path, info = entry.path, entry.info
            assert info is not None
            while hiding and not path.startswith(hiding[-1].prefix):
                yield from hiding.pop().gone(None)
            if hiding:
                yield from hiding[-1].gone(path)
            was = layers.info(path)
            if is_whiteout(info):
                if was is not None:
                    yield Change(ChangeKind.DELETED, b"/" + path)
                continue
            yield Change(ChangeKind.ADDED if was is None else ChangeKind.MODIFIED, b"/" + path)
            if was is not None and stat.S_ISDIR(was.st_mode) and stat.S_ISDIR(info.st_mode):
                folder = tree.upper.at(entry.depth)
                name = path.rpartition(b"/")[2]
                with _opened(folder, name) as inner:
                    if hiding or is_opaque(inner):
                        hiding.append(_Hiding(path + b"/", layers.names(path), inner))
        while hiding:
            yield from hiding.pop().gone(None)


class _Hiding:
    """A folder that shows nothing of the layers below: what they have in it is gone."""

    def __init__(self, prefix: bytes, names: set[bytes], folder: int) -> None:
        self.prefix = prefix
        gone = [prefix + name for name in names if lstat(folder, name) is None]
        self._gone = sorted(gone, reverse=True)

    def gone(self, before: bytes | None) -> Iterator[Change]:
        """What is gone and comes before a path, or all that is left of it."""
        while self._gone and (before is None or self._gone[-1] < before):
            yield Change(ChangeKind.DELETED, b"/" + self._gone.pop())


@contextmanager
def _opened(folder: int, name: bytes) -> Generator[int]:
    descriptor = os.open(name, OPEN_FOLDER, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def write_diff(
    lower: str | None,
    upper: str,
    sink: Sink,
    copied: Copied | None = None,
    skipped: Skipped | None = None,
) -> None:
    """The layer tar of what differs: what is gone becomes a whiteout `.wh.NAME`.

    `skipped` is told of sockets: tar cannot hold one, and its server makes it anew.
    Raises OSError, StorageError.
    """
    with Comparison(lower, upper, copied) as trees:
        writer = LayerWriter(sink, trees.upper, skipped)
        writer.root(trees.lower)
        for entry in trees.entries():
            if entry.info is None:
                writer.whiteout(entry.path)
            else:
                writer.entry(entry.path, entry.info, entry.depth)
        writer.close()


def write_upper(
    upper: str, sink: Sink, below: Sequence[str] = (), skipped: Skipped | None = None
) -> None:
    """The layer tar of an upper folder of overlayfs; `below` are the layers under it.

    Raises Unsupported where parts of the layer lie elsewhere (redirect_dir, metacopy): such a
    one must be read through its mount.
    """
    with Comparison(None, upper) as tree:
        writer = LayerWriter(sink, tree.upper, skipped, is_upper=True)
        if below:
            with Way(below[0]) as lower:
                writer.root(lower)
        else:
            writer.root(None)
        for entry in tree.entries():
            assert entry.info is not None
            if is_whiteout(entry.info):
                writer.whiteout(entry.path)
            else:
                writer.entry(entry.path, entry.info, entry.depth)
        writer.close()


class LayerWriter:
    """Files of one tree written as members of a layer tar."""

    def __init__(
        self, sink: Sink, tree: Way, skipped: Skipped | None = None, *, is_upper: bool = False
    ) -> None:
        self._tar = TarWriter(sink)
        self._tree = tree
        self._skipped = skipped
        self._is_upper = is_upper
        self._links: dict[tuple[int, int], bytes] = {}

    def close(self) -> None:
        """The end of the tar."""
        self._tar.close()

    def root(self, lower: Way | None) -> None:
        """The root itself, where it is not as the lower one (or as roots are)."""
        here = self._tree.here()
        info, xattrs = os.fstat(here), self._xattrs(here, b".")
        was, plain = _PLAIN_ROOT, dict[bytes, bytes]()
        if lower is not None:
            was = _owner(os.fstat(lower.here()))
            plain = xattrs_of(proc_path(lower.here(), b"."))
        if _owner(info) != was or xattrs != plain:
            member = member_of(b"./", FOLDER, info)
            member.xattrs = xattrs
            self._tar.add(member)

    def whiteout(self, path: bytes) -> None:
        """The mark of something deleted."""
        folder, slash, name = path.rpartition(b"/")
        self._refuse_mark(path, name)
        self._tar.add(Member(folder + slash + WHITEOUT + name))

    def entry(self, path: bytes, info: os.stat_result, depth: int) -> None:
        """A file; a second name of one that was written is a hard link."""
        kind = _TYPES.get(stat.S_IFMT(info.st_mode))
        name = path.rpartition(b"/")[2]
        self._refuse_mark(path, name)
        if kind is None:
            if self._skipped is not None:
                self._skipped(path)
            return
        member = member_of(path + b"/" if kind == FOLDER else path, kind, info)
        if info.st_nlink > 1 and kind != FOLDER:
            first = self._links.setdefault((info.st_dev, info.st_ino), path)
            if first != path:
                member.type, member.linkname = HARD_LINK, first
                self._tar.add(member)
                return
        try:
            self._add(member, self._tree.at(depth), name, info)
        except OSError as problem:
            problem.filename = os.fsdecode(path)
            raise

    def _add(self, member: Member, folder: int, name: bytes, info: os.stat_result) -> None:
        kind = member.type
        member.xattrs = self._xattrs(folder, name)
        if kind == FILE:
            self._file(member, folder, name, info.st_size)
            return
        if kind == SYMLINK:
            member.linkname = os.readlink(name, dir_fd=folder)
        elif kind in (CHARACTER, BLOCK_DEVICE):
            member.devmajor, member.devminor = os.major(info.st_rdev), os.minor(info.st_rdev)
        self._tar.add(member)
        if kind == FOLDER and self._is_upper:
            with _opened(folder, name) as inner:
                if is_opaque(inner):
                    self._tar.add(Member(member.name + OPAQUE))

    def _file(self, member: Member, folder: int, name: bytes, size: int) -> None:
        descriptor = os.open(name, _FILE, dir_fd=folder)
        try:
            member.size = size
            self._tar.add(member)
            left = size
            while left:
                data = os.read(descriptor, min(left, _CHUNK))
                if not data:
                    raise StorageError(f"{_shown(member.name)} became shorter while it was read")
                self._tar.content(data)
                left -= len(data)
        finally:
            os.close(descriptor)
        self._tar.end_content(size)

    def _xattrs(self, folder: int, name: bytes) -> dict[bytes, bytes]:
        path = proc_path(folder, name)
        if self._is_upper:
            for key in os.listxattr(path, follow_symlinks=False):
                if key.partition(".")[2] in _ELSEWHERE:
                    raise Unsupported(
                        f"{os.fsdecode(name)!r} has {key}: parts of it lie in other layers",
                        "read the layer through its mount",
                    )
        return xattrs_of(path)

    def _refuse_mark(self, path: bytes, name: bytes) -> None:
        if name.startswith(WHITEOUT):
            raise StorageError(
                f"{_shown(path)} cannot be in a layer: a name with .wh. stands for a deletion",
                "rename or delete the file",
            )


def _owner(info: os.stat_result) -> tuple[int, int, int]:
    return stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid


def _shown(path: bytes) -> str:
    return repr(path[:200].decode("utf-8", "replace"))
