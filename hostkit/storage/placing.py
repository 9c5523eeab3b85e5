# SPDX-License-Identifier: GPL-3.0-or-later
"""Each kind of tar member, made in a folder of a tree that is open."""

import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

from hostkit.storage.attributes import (
    dress,
    dress_file,
    member_of,
    proc_path,
    set_time,
    strip_others,
    xattrs_of,
)
from hostkit.storage.below import OPAQUE_XATTRS, Below, is_whiteout, lstat
from hostkit.storage.rooted import NO_WAY, Folder, Tree
from hostkit.storage.tar.member import (
    BLOCK_DEVICE,
    CHARACTER,
    CONTIGUOUS,
    FIFO,
    FILE,
    FOLDER,
    GNU_SPARSE,
    HARD_LINK,
    SYMLINK,
    Member,
    normal_name,
)
from hostkit.storage.tar.reader import TarReader
from hostkit.system.copy import copy_content
from hostkit.system.tree import remove_tree

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_HOLE = 1 << 16  # so many zeros at such a place are not written
_NOTHING = bytes(_HOLE)


class Placing(ABC):
    """A tree that the members of a tar are put into; ValueError for what cannot be."""

    def __init__(self, folder: str, tar: TarReader, below: Below, *, overlay: bool) -> None:
        self.bytes = 0
        self._tar = tar
        self._below = below
        self._overlay = overlay
        self._opaque_name = OPAQUE_XATTRS[0]
        self._tree = Tree(folder, self._missing)
        empty = not os.listdir(self._tree.root.descriptor)
        # What this tar brought; None: all that there is.
        self._made: set[bytes] | None = None if empty else set()
        self._times: dict[bytes, int] = {}  # of folders, set when nothing is added any more
        self._owner = (os.geteuid(), os.getegid())
        self._umask = _umask()
        self._makers: dict[bytes, Callable[[Member, Folder, bytes], None]] = {
            FILE: self._file,
            CONTIGUOUS: self._file,
            GNU_SPARSE: self._file,
            FOLDER: self._folder,
            SYMLINK: self._symlink,
            HARD_LINK: self._hard_link,
            CHARACTER: self._node,
            BLOCK_DEVICE: self._node,
            FIFO: self._node,
        }

    @abstractmethod
    def _missing(self, folder: Folder, name: bytes) -> bytes | None:
        """Make a folder that the tar does not describe, or give a link that stands there."""

    def _place(self, member: Member, path: bytes) -> None:
        maker = self._makers.get(member.type)
        if maker is None:
            raise ValueError(f"a member of type {member.type!r}")
        above, _, name = path.rpartition(b"/")
        if not name:
            self._root(member)
            return
        folder = self._tree.folder(above, make=True)
        if folder.path != above:  # behind a link, which Docker would follow from its own root
            self._tar.apart()
        maker(member, folder, name)
        if self._made is not None:
            self._note(folder.path, name)

    def _note(self, path: bytes, name: bytes) -> None:
        assert self._made is not None
        self._made.add(path + b"/" + name if path else name)
        while path and path not in self._made:
            self._made.add(path)
            path = path.rpartition(b"/")[0]

    def _root(self, member: Member) -> None:
        if member.type != FOLDER:
            raise ValueError("the root of the layer is not a folder")
        self._redress(member, self._tree.root, b".")
        self._times[b""] = member.mtime_ns
        self._tree.changed(b"")

    def _file(self, member: Member, folder: Folder, name: bytes) -> None:
        permissions = member.mode & 0o777
        where = folder.descriptor
        try:
            descriptor = os.open(name, _NEW, permissions, dir_fd=where)
        except FileExistsError:
            self._remove(folder, name)
            descriptor = os.open(name, _NEW, permissions, dir_fd=where)
        try:
            if member.sparse is not None:
                self._holed(member, descriptor)
            elif member.size:
                _pour(descriptor, self._tar.chunks(), member.size)
                self.bytes += member.size
            inherits = folder.special or bool(permissions & self._umask)
            chown = inherits or (member.uid, member.gid) != self._owner
            if chown or member.mode != permissions or member.xattrs:
                dress_file(member, descriptor, chown=chown, inherits=inherits)
            os.utime(descriptor, ns=(member.mtime_ns, member.mtime_ns))
        finally:
            os.close(descriptor)

    def _holed(self, member: Member, descriptor: int) -> None:
        assert member.sparse is not None
        waiting = iter(member.sparse.pieces)
        offset, left = next(waiting, (0, 0))
        for piece in self._tar.chunks():
            data = memoryview(piece)
            while data:
                while not left:
                    offset, left = next(waiting)  # the map has room for all, the reader saw to it
                written = os.pwrite(descriptor, data[:left], offset)
                data, offset, left = data[written:], offset + written, left - written
        os.ftruncate(descriptor, member.sparse.size)
        self.bytes += member.sparse.size

    def _folder(self, member: Member, folder: Folder, name: bytes) -> None:
        where, hides = folder.descriptor, False
        try:
            os.mkdir(name, member.mode & 0o777, dir_fd=where)
        except FileExistsError:
            info = os.stat(name, dir_fd=where, follow_symlinks=False)
            if stat.S_ISDIR(info.st_mode):
                self._redress(member, folder, name)
                self._tree.changed(folder.below(name))
                self._times[folder.below(name)] = member.mtime_ns
                return
            self._remove(folder, name)
            os.mkdir(name, member.mode & 0o777, dir_fd=where)
            hides = self._overlay
        dress(member, where, name, inherits=folder.special)
        if hides:  # what the whiteout hid stays hidden
            os.setxattr(proc_path(where, name), self._opaque_name, b"y")
        self._times[folder.below(name)] = member.mtime_ns

    def _redress(self, member: Member, folder: Folder, name: bytes) -> None:
        """Make a folder that is there already what the member says."""
        strip_others(proc_path(folder.descriptor, name), member.xattrs)
        dress(member, folder.descriptor, name, inherits=False)

    def _symlink(self, member: Member, folder: Folder, name: bytes) -> None:
        if not member.linkname:
            raise ValueError("a link to nothing")
        where = folder.descriptor
        self._placed(folder, name, lambda: os.symlink(member.linkname, name, dir_fd=where))
        dress(member, where, name, inherits=False)
        set_time(where, name, member.mtime_ns)

    def _node(self, member: Member, folder: Folder, name: bytes) -> None:
        kind = {CHARACTER: stat.S_IFCHR, BLOCK_DEVICE: stat.S_IFBLK}.get(member.type, stat.S_IFIFO)
        device = 0 if kind == stat.S_IFIFO else os.makedev(member.devmajor, member.devminor)
        if kind == stat.S_IFCHR and not device and self._overlay:
            raise ValueError("a device 0:0 would be a whiteout")
        where = folder.descriptor
        mode = kind | (member.mode & 0o777)
        self._placed(folder, name, lambda: os.mknod(name, mode, device, dir_fd=where))
        dress(member, where, name, inherits=folder.special)
        set_time(where, name, member.mtime_ns)

    def _hard_link(self, member: Member, folder: Folder, name: bytes) -> None:
        new = folder.below(name)
        # Another folder may close the one that we have.
        where = os.dup(folder.descriptor)
        try:
            source, leaf = self._link_target(member)
            here = source.descriptor
            target = lstat(here, leaf) or self._copied_up(source, leaf)
            if target is None:
                raise ValueError(f"a link to {shown(member.linkname)}, which is not there")
            if stat.S_ISDIR(target.st_mode) or (self._overlay and is_whiteout(target)):
                raise ValueError(f"a link to {shown(member.linkname)}, which is not a file")
            present = lstat(where, name)
            if present is not None:
                if os.path.samestat(present, target):
                    return
                if source.path == new or source.path.startswith(new + b"/"):
                    raise ValueError("a link in the place of a folder that its target is in")
                self._remove(Folder(where, folder.path), name)
                source, leaf = self._link_target(member)
                here = source.descriptor
            os.link(leaf, name, src_dir_fd=here, dst_dir_fd=where, follow_symlinks=False)
        finally:
            os.close(where)

    def _link_target(self, member: Member) -> tuple[Folder, bytes]:
        above, _, leaf = normal_name(member.linkname).rpartition(b"/")
        if not leaf:
            raise ValueError("a link to the root")
        try:
            return self._tree.folder(above, make=bool(self._below)), leaf
        except OSError as problem:
            if problem.errno not in NO_WAY:
                raise
            raise ValueError(f"a link to {shown(member.linkname)}, which is not there") from None

    def _placed(self, folder: Folder, name: bytes, place: Callable[[], None]) -> None:
        try:
            place()
        except FileExistsError:
            self._remove(folder, name)
            place()

    def _copied_up(self, folder: Folder, name: bytes) -> os.stat_result | None:
        """Bring a file of the layers below into this one, so that it can be linked."""
        found = self._below.find(folder.below(name))
        if found is None:
            return None
        try:
            if not stat.S_ISREG(found.info.st_mode):
                raise ValueError("a link to what is no file of the layers below")
            source = os.open(found.name, _READ, dir_fd=found.folder)
            try:
                target = os.open(name, _NEW, 0o600, dir_fd=folder.descriptor)
                try:
                    copy_content(source, target, found.info.st_size)
                    like = member_of(name, FILE, found.info)
                    like.xattrs = xattrs_of(source, follow=True)
                    dress_file(like, target, chown=True, inherits=True)
                    os.utime(target, ns=(like.mtime_ns, like.mtime_ns))
                finally:
                    os.close(target)
            finally:
                os.close(source)
        finally:
            found.close()
        return lstat(folder.descriptor, name)

    def _remove(self, folder: Folder, name: bytes) -> None:
        """Make room for another; a folder that goes takes the open ones below it along."""
        path, where = folder.below(name), folder.descriptor
        info = lstat(where, name)
        if info is None:
            return
        is_mark = self._overlay and is_whiteout(info)
        if path in self._tree.crossed:
            self._tree.forget(but=folder)
            self._tar.replaced()
        elif not is_mark and (self._made is None or path in self._made):
            self._tar.replaced()
        if not stat.S_ISDIR(info.st_mode):
            os.unlink(name, dir_fd=where)
            return
        self._tree.gone(path)
        remove_tree(name, dir_fd=where)
        inside = path + b"/"
        for below in [one for one in self._times if one == path or one.startswith(inside)]:
            del self._times[below]


def shown(name: bytes) -> str:
    """A name as a message has it."""
    return repr(name[:200].decode("utf-8", "replace"))


def _pour(descriptor: int, pieces: Iterable[bytes | memoryview], size: int) -> None:
    """Write a content; long runs of zeros become holes."""
    at, hole = 0, False
    for piece in pieces:
        if len(piece) < _HOLE:  # the usual file is one small piece
            _write(descriptor, piece, at)
            hole = False
        else:
            hole = _write_with_holes(descriptor, memoryview(piece), at)
        at += len(piece)
    if hole:
        os.ftruncate(descriptor, size)


def _write_with_holes(descriptor: int, data: memoryview, at: int) -> bool:
    """Whether it ended in a hole."""
    start = end = 0
    for offset in range(0, len(data), _HOLE):
        block = data[offset : offset + _HOLE]
        end = offset + len(block)
        if not block[0] and not block[-1] and bytes(block) == _NOTHING:
            _write(descriptor, data[start:offset], at + start)
            start = end
    _write(descriptor, data[start:], at + start)
    return start == end


def _write(descriptor: int, data: bytes | memoryview, at: int) -> None:
    written = os.pwrite(descriptor, data, at) if data else 0
    while written < len(data):
        written += os.pwrite(descriptor, data[written:], at + written)


def _umask() -> int:
    """The bits that the process keeps from new files; read by setting it, for want of a call."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
