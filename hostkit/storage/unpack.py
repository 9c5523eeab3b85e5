# SPDX-License-Identifier: GPL-3.0-or-later
"""A layer tar unpacked below a folder, whatever the tar says.

Every step goes from a descriptor of the parent folder and follows no link, so nothing is
made outside. A link on the way is resolved as after chroot(2), which is what other engines
do; `..` at the top stays at the top.
"""

import errno
import os
import stat
from collections.abc import Callable
from enum import Enum

from hostkit.storage.errors import BadArchive
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
)
from hostkit.storage.tar.reader import TarReader
from hostkit.system.tree import remove_tree

WHITEOUT = b".wh."
OPAQUE = b".wh..wh..opq"
_PRIVATE = b".wh..wh."  # what aufs keeps for itself
_OPAQUE_XATTR = "trusted.overlay.opaque"
_OPAQUE_XATTR_USER = "user.overlay.opaque"
_LINKS = 40  # as the kernel, path_resolution(7)
_OPEN_FOLDERS = 64
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Whiteouts(Enum):
    """What a whiteout in the tar becomes."""

    REMOVE = "remove"  # the tree holds the parent's files too: what is deleted goes
    OVERLAY = "overlay"  # the tree is an upper folder of overlayfs
    OVERLAY_USER = "overlay-user"  # the same, with the user.* attributes of a user namespace


def unpack(tar: TarReader, folder: str, whiteouts: Whiteouts) -> int:
    """Unpack a layer into a folder; the bytes of file content.

    Raises BadArchive for a damaged or hostile tar, OSError for what the file system refuses.
    """
    umask = os.umask(0)
    work = _Unpacking(folder, whiteouts)
    try:
        for member in tar:
            work.add(member, tar)
        work.finish()
    finally:
        work.close()
        os.umask(umask)
    return work.bytes


class _Unpacking:
    """One tar on its way into one folder."""

    def __init__(self, folder: str, whiteouts: Whiteouts) -> None:
        self.bytes = 0
        self._whiteouts = whiteouts
        self._root = os.open(folder, _FOLDER & ~os.O_NOFOLLOW)
        self._folders: dict[bytes, int] = {}  # open parents, the longest unused one first
        self._times: dict[bytes, int] = {}  # of folders, set when nothing is added any more
        self._made: set[bytes] = set()  # what this layer brought: opaque spares it
        self._owner = (os.geteuid(), os.getegid())
        self._makers: dict[bytes, Callable[[Member, TarReader, int, bytes], None]] = {
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

    def close(self) -> None:
        self._forget_folders()
        os.close(self._root)

    def add(self, member: Member, tar: TarReader) -> None:
        path = _normal(member.name)
        parent, _, name = path.rpartition(b"/")
        if name.startswith(WHITEOUT):
            self._whiteout(parent, name)
            return
        if parent.startswith(_PRIVATE):
            return
        maker = self._makers.get(member.type)
        if maker is None:
            raise BadArchive(f"{_shown(member.name)}: a member of type {member.type!r}")
        if not name:
            if member.type != FOLDER:
                raise BadArchive("the root of the layer is not a folder")
            self._dress(member, self._root, b".")
            self._times[b""] = member.mtime_ns
            return
        maker(member, tar, self._parent(parent), name)
        self._made.add(path)
        if member.type == FOLDER:
            self._times[path] = member.mtime_ns

    def finish(self) -> None:
        """Times of folders, the deepest first: the rest would change them again."""
        for path in sorted(self._times, reverse=True):
            when = self._times[path]
            parent, _, name = path.rpartition(b"/")
            try:
                where = self._parent(parent) if path else self._root
                os.utime(name or b".", ns=(when, when), dir_fd=where, follow_symlinks=False)
            except FileNotFoundError:  # a later member has replaced it
                continue

    # The kinds of members.

    def _file(self, member: Member, tar: TarReader, parent: int, name: bytes) -> None:
        descriptor = self._created(parent, name, member.mode & 0o777)
        try:
            if member.sparse is not None:
                self._holed(member, tar, descriptor)
            else:
                for piece in tar.chunks():
                    written = os.write(descriptor, piece)
                    while written < len(piece):
                        written += os.write(descriptor, piece[written:])
                self.bytes += member.size
            if (member.uid, member.gid) != self._owner:
                os.fchown(descriptor, member.uid, member.gid)
            if member.mode & ~0o777:
                os.fchmod(descriptor, member.mode)
            if member.xattrs:
                _set_xattrs(member, f"/proc/self/fd/{descriptor}", follow=True)
            os.utime(descriptor, ns=(member.mtime_ns, member.mtime_ns))
        finally:
            os.close(descriptor)

    def _created(self, parent: int, name: bytes, mode: int) -> int:
        try:
            return os.open(name, _NEW, mode, dir_fd=parent)
        except FileExistsError:
            self._remove(parent, name)
            return os.open(name, _NEW, mode, dir_fd=parent)

    def _holed(self, member: Member, tar: TarReader, descriptor: int) -> None:
        assert member.sparse is not None
        waiting = iter(member.sparse.pieces)
        offset, left = next(waiting, (0, 0))
        for piece in tar.chunks():
            data = piece
            while data:
                while not left:
                    offset, left = next(waiting, (-1, -1))
                if left < 0:
                    raise BadArchive(f"{_shown(member.name)}: more data than its map has room for")
                written = os.pwrite(descriptor, data[:left], offset)
                data, offset, left = data[written:], offset + written, left - written
        os.ftruncate(descriptor, member.sparse.size)
        self.bytes += member.sparse.size

    def _folder(self, member: Member, _: TarReader, parent: int, name: bytes) -> None:
        try:
            os.mkdir(name, member.mode & 0o777, dir_fd=parent)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
                self._remove(parent, name)
                os.mkdir(name, member.mode & 0o777, dir_fd=parent)
        self._dress(member, parent, name)

    def _symlink(self, member: Member, _: TarReader, parent: int, name: bytes) -> None:
        if not member.linkname:
            raise BadArchive(f"{_shown(member.name)}: a link to nothing")
        self._placed(parent, name, lambda: os.symlink(member.linkname, name, dir_fd=parent))
        os.chown(name, member.uid, member.gid, dir_fd=parent, follow_symlinks=False)
        if member.xattrs:
            _set_xattrs(member, _proc_path(parent, name), follow=False)
        times = (member.mtime_ns, member.mtime_ns)
        os.utime(name, ns=times, dir_fd=parent, follow_symlinks=False)

    def _hard_link(self, member: Member, _tar: TarReader, parent: int, name: bytes) -> None:
        target = _normal(member.linkname)
        folder, _, leaf = target.rpartition(b"/")
        path = _normal(member.name)
        if target == path:
            return
        try:
            source = self._parent(folder, make=False)
            os.stat(leaf or b".", dir_fd=source, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            raise BadArchive(
                f"{_shown(member.name)} is a link to {_shown(member.linkname)}, which is not there"
            ) from None
        source = os.dup(source)  # the way to the new name may close it
        try:
            parent = self._parent(path.rpartition(b"/")[0])
            self._placed(
                parent,
                name,
                lambda: os.link(
                    leaf, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False
                ),
            )
        finally:
            os.close(source)

    def _node(self, member: Member, _: TarReader, parent: int, name: bytes) -> None:
        kind = {CHARACTER: stat.S_IFCHR, BLOCK_DEVICE: stat.S_IFBLK}.get(member.type, stat.S_IFIFO)
        device = os.makedev(member.devmajor, member.devminor)
        if kind == stat.S_IFCHR and device == 0 and self._whiteouts is not Whiteouts.REMOVE:
            raise BadArchive(f"{_shown(member.name)}: a device 0:0 would be a whiteout")
        make = kind | (member.mode & 0o777)
        self._placed(parent, name, lambda: os.mknod(name, make, device, dir_fd=parent))
        self._dress(member, parent, name)
        times = (member.mtime_ns, member.mtime_ns)
        os.utime(name, ns=times, dir_fd=parent, follow_symlinks=False)

    def _placed(self, parent: int, name: bytes, place: Callable[[], None]) -> None:
        try:
            place()
        except FileExistsError:
            self._remove(parent, name)
            place()

    def _dress(self, member: Member, parent: int, name: bytes) -> None:
        """Owner, then mode (a change of owner takes setuid away), then attributes."""
        os.chown(name, member.uid, member.gid, dir_fd=parent, follow_symlinks=False)
        os.chmod(name, member.mode, dir_fd=parent)
        if member.xattrs:
            _set_xattrs(member, _proc_path(parent, name), follow=False)

    # Whiteouts.

    def _whiteout(self, folder: bytes, name: bytes) -> None:
        if name == OPAQUE:
            self._opaque(folder)
            return
        if name.startswith(_PRIVATE):
            return
        hidden = name[len(WHITEOUT) :]
        if hidden in (b"", b".", b".."):
            raise BadArchive(f"{_shown(name)}: a whiteout of nothing")
        path = folder + b"/" + hidden if folder else hidden
        if self._whiteouts is Whiteouts.REMOVE:
            try:
                self._remove(self._parent(folder, make=False), hidden)
            except (FileNotFoundError, NotADirectoryError):
                return
            return
        parent = self._parent(folder)
        self._made.discard(path)
        self._placed(parent, hidden, lambda: os.mknod(hidden, stat.S_IFCHR, 0, dir_fd=parent))

    def _opaque(self, folder: bytes) -> None:
        if self._whiteouts is not Whiteouts.REMOVE:
            user = self._whiteouts is Whiteouts.OVERLAY_USER
            name = _OPAQUE_XATTR_USER if user else _OPAQUE_XATTR
            os.setxattr(self._parent(folder), name, b"y")
            return
        try:
            parent = self._parent(folder, make=False)
        except (FileNotFoundError, NotADirectoryError):
            return
        self._empty(parent, folder)

    def _empty(self, parent: int, folder: bytes) -> None:
        """Remove all below a folder that this layer did not bring."""
        for name in os.listdir(parent):
            entry = os.fsencode(name)
            path = folder + b"/" + entry if folder else entry
            if path not in self._made:
                self._remove(parent, entry)
            elif path in self._times:
                inner = os.open(entry, _FOLDER, dir_fd=parent)
                try:
                    self._empty(inner, path)
                finally:
                    os.close(inner)

    # The way to a folder.

    def _parent(self, path: bytes, *, make: bool = True) -> int:
        """A descriptor of a folder of the tree, made where it is missing."""
        if not path:
            return self._root
        descriptor = self._folders.get(path)
        if descriptor is None:
            descriptor = self._walk(path.split(b"/"), make=make)
            if len(self._folders) >= _OPEN_FOLDERS:
                os.close(self._folders.pop(next(iter(self._folders))))
            self._folders[path] = descriptor
        return descriptor

    def _walk(self, names: list[bytes], *, make: bool) -> int:
        """Open a folder name by name; a link is resolved with our root as its root."""
        way = [os.dup(self._root)]
        pending = names[::-1]
        links = 0
        try:
            while pending:
                name = pending.pop()
                if name in (b"", b"."):
                    continue
                if name == b"..":
                    if len(way) > 1:
                        os.close(way.pop())
                    continue
                try:
                    way.append(self._step(way[-1], name, make=make))
                except OSError as problem:
                    if problem.errno not in (errno.ELOOP, errno.ENOTDIR):
                        raise
                    links += 1
                    if links > _LINKS:
                        raise
                    pending.extend(_turned(way, name))
            return way.pop()
        finally:
            for descriptor in way:
                os.close(descriptor)

    def _step(self, parent: int, name: bytes, *, make: bool) -> int:
        try:
            return os.open(name, _FOLDER, dir_fd=parent)
        except FileNotFoundError:
            if not make:
                raise
            os.mkdir(name, 0o755, dir_fd=parent)
            return os.open(name, _FOLDER, dir_fd=parent)

    def _remove(self, parent: int, name: bytes) -> None:
        """Make room for another; a folder that goes takes the open ones below it along."""
        try:
            os.unlink(name, dir_fd=parent)
        except (IsADirectoryError, PermissionError):
            self._forget_folders(but=parent)
            remove_tree(name, dir_fd=parent)

    def _forget_folders(self, *, but: int = -1) -> None:
        for path, descriptor in tuple(self._folders.items()):
            if descriptor != but:
                os.close(descriptor)
                del self._folders[path]


def _normal(name: bytes) -> bytes:
    """A path below the root without `.`, `..` or empty parts. Raises BadArchive if it leaves."""
    if b"//" not in name and b"." not in name and not name.startswith(b"/"):
        return name.rstrip(b"/")
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part in (b"", b"."):
            continue
        if part == b"..":
            if not parts:
                raise BadArchive(f"{_shown(name)} leads out of the layer")
            parts.pop()
        else:
            parts.append(part)
    return b"/".join(parts)


def _turned(way: list[int], name: bytes) -> list[bytes]:
    """The names that a link on the way stands for, the last first; an absolute one starts anew."""
    try:
        target = os.readlink(name, dir_fd=way[-1])
    except OSError:  # not a link: a file that stands in the way
        raise NotADirectoryError(errno.ENOTDIR, "not a folder", os.fsdecode(name)) from None
    if target.startswith(b"/"):
        while len(way) > 1:
            os.close(way.pop())
    return target.split(b"/")[::-1]


def _set_xattrs(member: Member, path: str | bytes, *, follow: bool) -> None:
    """Attributes of overlayfs itself are never taken from a tar: they redirect lookups."""
    for key, value in member.xattrs.items():
        if key.startswith((b"trusted.overlay.", b"user.overlay.")):
            continue
        try:
            os.setxattr(path, key, value, follow_symlinks=follow)
        except OSError as problem:
            # As other engines do: user attributes are a nicety, capabilities are not.
            if problem.errno != errno.ENOTSUP or not key.startswith(b"user."):
                raise


def _proc_path(parent: int, name: bytes) -> bytes:
    """A path for calls that take no descriptor of a folder."""
    return b"/proc/self/fd/%d/%s" % (parent, name)


def _shown(name: bytes) -> str:
    return repr(name.decode("utf-8", "replace"))
