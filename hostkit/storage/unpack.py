# SPDX-License-Identifier: GPL-3.0-or-later
"""A layer tar unpacked below a folder, whatever the tar says.

Every step goes from a descriptor of the parent folder and follows no link, so nothing is
made outside (`hostkit.storage.rooted`). A whiteout is about the layers below alone: what the
same tar brings stays, in whatever order they come (OCI image spec, layer.md).
"""

import errno
import os
import stat
from collections.abc import Sequence
from enum import Enum

from hostkit.storage.attributes import dress, member_of, proc_path, set_time, xattrs_of
from hostkit.storage.below import OPAQUE_XATTRS, Below, Found, is_opaque, is_whiteout, lstat
from hostkit.storage.errors import BadArchive
from hostkit.storage.placing import Placing, shown
from hostkit.storage.rooted import FOLDER as OPEN_FOLDER
from hostkit.storage.rooted import NO_WAY, Folder
from hostkit.storage.tar.member import CONTIGUOUS, FILE, FOLDER, Member, normal_name
from hostkit.storage.tar.reader import TarReader
from hostkit.system.tree import remove_tree

WHITEOUT = b".wh."
OPAQUE = b".wh..wh..opq"
_PRIVATE = b".wh..wh."  # what aufs keeps for itself
_LINKED = b".wh..wh.plnk/"  # where aufs keeps files that have several names


class Whiteouts(Enum):
    """What a whiteout in the tar becomes."""

    REMOVE = "remove"  # the tree holds the parent's files too: what is deleted goes
    OVERLAY = "overlay"  # the tree is an upper folder of overlayfs
    OVERLAY_USER = "overlay-user"  # the same, with the user.* attributes of a user namespace


def unpack(tar: TarReader, folder: str, whiteouts: Whiteouts, below: Sequence[str] = ()) -> int:
    """Unpack a layer into a folder; the bytes of file content.

    `below` are the layers under an upper folder of overlayfs, the nearest first: a folder that
    the tar does not describe is like theirs, and their links are followed.

    Raises BadArchive for a damaged or hostile tar, OSError for what the file system refuses.
    """
    with Below(below) as layers:
        work = _Unpacking(folder, tar, layers, whiteouts)
        try:
            for member in tar:
                work.add(member)
            work.finish()
        finally:
            work.close()
    return work.bytes


class _Unpacking(Placing):
    """One tar on its way into one folder."""

    def __init__(self, folder: str, tar: TarReader, below: Below, whiteouts: Whiteouts) -> None:
        super().__init__(folder, tar, below, overlay=whiteouts is not Whiteouts.REMOVE)
        self._opaque_name = OPAQUE_XATTRS[whiteouts is Whiteouts.OVERLAY_USER]
        self._linked: Folder | None = None

    def close(self) -> None:
        """Give the descriptors back, and take away what was only needed for hard links."""
        if self._linked is not None:
            os.close(self._linked.descriptor)
            remove_tree(self._linked.path, dir_fd=self._tree.root.descriptor)
        self._tree.close()

    def add(self, member: Member) -> None:
        """One member. Raises BadArchive, OSError."""
        try:
            path = normal_name(member.name)
            if WHITEOUT not in path or not self._marks(member, path):
                self._place(member, path)
        except ValueError as problem:
            raise BadArchive(f"{shown(member.name)}: {problem}") from None
        except NotADirectoryError:
            raise BadArchive(f"{shown(member.name)}: a file is in the way") from None
        except OSError as problem:
            problem.filename = os.fsdecode(member.name)
            raise

    def finish(self) -> None:
        """Times of folders, the deepest first: the rest would change them again."""
        for path in sorted(self._times, reverse=True):
            above, _, name = path.rpartition(b"/")
            folder = self._tree.folder(above)
            set_time(folder.descriptor, name or b".", self._times[path])

    # What is described elsewhere: in the layers below, or by aufs.

    def _missing(self, folder: Folder, name: bytes) -> bytes | None:
        """Make a folder as the layers below have it, or give a link of theirs."""
        path, where = folder.below(name), folder.descriptor
        info, hides = lstat(where, name), False
        if info is not None:
            if not (self._overlay and is_whiteout(info)):
                raise NotADirectoryError(errno.ENOTDIR, "not a folder", os.fsdecode(name))
            os.unlink(name, dir_fd=where)
            hides = True
        found = None if hides else self._below.find(path)
        if found is None:
            os.mkdir(name, 0o755, dir_fd=where)
            plain = Member(name, FOLDER)
            plain.mode, (plain.uid, plain.gid) = 0o755, self._owner
            dress(plain, where, name, inherits=folder.special)
            if hides:
                os.setxattr(proc_path(where, name), self._opaque_name, b"y")
            return None
        try:
            return self._as_below(found, folder, name)
        finally:
            found.close()

    def _as_below(self, found: Found, folder: Folder, name: bytes) -> bytes | None:
        if stat.S_ISLNK(found.info.st_mode):
            return os.readlink(found.name, dir_fd=found.folder)
        if not stat.S_ISDIR(found.info.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "not a folder", os.fsdecode(name))
        os.mkdir(name, 0o700, dir_fd=folder.descriptor)
        like = member_of(name, FOLDER, found.info)
        like.xattrs = xattrs_of(proc_path(found.folder, found.name))
        dress(like, folder.descriptor, name, inherits=folder.special)
        self._times[folder.below(name)] = like.mtime_ns
        return None

    def _link_target(self, member: Member) -> tuple[Folder, bytes]:
        path = normal_name(member.linkname)
        if path.startswith(_LINKED) and self._linked is not None:
            return self._linked, _flat(path)
        return super()._link_target(member)

    def _keep_linked(self, member: Member, path: bytes) -> None:
        """A file of aufs with several names: they follow as hard links to it."""
        if self._linked is None:
            root = self._tree.root.descriptor
            name = b".hostkit-" + os.urandom(8).hex().encode()
            os.mkdir(name, 0o700, dir_fd=root)
            self._linked = Folder(os.open(name, OPEN_FOLDER, dir_fd=root), name)
            if self._made is not None:
                self._made.add(name)
        self._tar.apart()
        self._file(member, self._linked, _flat(path))

    # Whiteouts.

    def _marks(self, member: Member, path: bytes) -> bool:
        """Names that begin with `.wh.`; False when there are none."""
        if path.startswith(_PRIVATE) and path != OPAQUE:
            if path.startswith(_LINKED) and member.type in (FILE, CONTIGUOUS):
                self._keep_linked(member, path)
            return True
        above, _, name = path.rpartition(b"/")
        if (b"/" + above).find(b"/" + WHITEOUT) >= 0:
            raise ValueError("in a folder that is named as a whiteout")
        if not name.startswith(WHITEOUT):
            return False
        hidden = name[len(WHITEOUT) :]
        if name == OPAQUE:
            self._opaque(above)
        elif name.startswith(_PRIVATE):
            pass
        elif hidden in (b"", b".", b".."):
            raise ValueError("a whiteout of nothing")
        elif self._overlay:
            self._hide(self._tree.folder(above, make=True), hidden)
        else:
            self._delete(above, hidden)
        return True

    def _hide(self, folder: Folder, name: bytes) -> None:
        """Hide what the layers below have there; what an earlier tar brought goes."""
        path, where = folder.below(name), folder.descriptor
        info = lstat(where, name)
        if info is not None and self._made is not None and path not in self._made:
            self._remove(folder, name)
            info = None
        if info is None:
            if self._shows(path):
                os.mknod(name, stat.S_IFCHR, 0, dir_fd=where)
                if self._made is not None:
                    self._made.add(path)
        elif stat.S_ISDIR(info.st_mode):
            os.setxattr(proc_path(where, name), self._opaque_name, b"y")

    def _shows(self, path: bytes) -> bool:
        """Whether the layers below have something there, as far as they are known.

        Where nothing is merged a mark would be seen by who lists the folder.
        """
        above = path.rpartition(b"/")[0]
        while above:
            if is_opaque(self._tree.folder(above).descriptor):
                return False
            above = above.rpartition(b"/")[0]
        return not self._below or self._below.info(path) is not None

    def _delete(self, above: bytes, name: bytes) -> None:
        try:
            folder = self._tree.folder(above)
        except OSError as problem:
            if problem.errno not in NO_WAY:
                raise
            return
        info = lstat(folder.descriptor, name)
        if info is None or self._made is None:
            return
        if folder.below(name) not in self._made:
            self._remove(folder, name)
        elif stat.S_ISDIR(info.st_mode):
            self._empty(folder.below(name))

    def _opaque(self, path: bytes) -> None:
        if self._overlay:
            folder = self._tree.folder(path, make=True)
            if folder.path:
                os.setxattr(folder.descriptor, self._opaque_name, b"y")
                self._empty(folder.path)
                return
            for name in self._below.names(b""):  # overlayfs has no opaque root
                self._hide(folder, name)
            return
        try:
            path = self._tree.folder(path).path
        except OSError as problem:
            if problem.errno not in NO_WAY:
                raise
        else:
            self._empty(path)

    def _empty(self, path: bytes) -> None:
        """Remove all in a folder that this layer did not bring, and marks of what is hidden."""
        pending = [path]
        while pending:
            inner = self._tree.folder(pending.pop())
            for word in os.listdir(inner.descriptor):
                name = os.fsencode(word)
                info = lstat(inner.descriptor, name)
                brought = self._made is None or inner.below(name) in self._made
                if info is None:
                    continue
                if not brought or (self._overlay and is_whiteout(info)):
                    self._remove(inner, name)
                elif stat.S_ISDIR(info.st_mode):
                    pending.append(inner.below(name))


def _flat(path: bytes) -> bytes:
    return path[len(_LINKED) :].replace(b"/", b"_")
