# SPDX-License-Identifier: GPL-3.0-or-later
"""A layer as its tar describes it, held against the tree that its driver shows.

The digest of a layer proves the contents of its files, for these come from the tree; owner,
mode, times, links and attributes come from the tar-split, so a digest says nothing of them.
Here both are compared, and what is in the tree and not in the tar is named.
"""

import errno
import os
import stat
from collections.abc import Iterator

from hostkit.storage import treediff
from hostkit.storage.digest import HashingSource
from hostkit.storage.driver import Change, ChangeKind
from hostkit.storage.errors import BadArchive, ReadOnlyStore
from hostkit.storage.layerdb import StoredLayer
from hostkit.storage.layerstore import LayerStore
from hostkit.storage.rooted import Tree
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
from hostkit.storage.tar.reader import CHUNK, Source, TarReader
from hostkit.storage.unpack import OPAQUE, WHITEOUT

_TYPES = {
    FILE: stat.S_IFREG,
    CONTIGUOUS: stat.S_IFREG,
    GNU_SPARSE: stat.S_IFREG,
    HARD_LINK: stat.S_IFREG,
    FOLDER: stat.S_IFDIR,
    SYMLINK: stat.S_IFLNK,
    CHARACTER: stat.S_IFCHR,
    BLOCK_DEVICE: stat.S_IFBLK,
    FIFO: stat.S_IFIFO,
}
# Made by mkfs, by a security module, by overlayfs: in the tree and of no layer.
_NOT_OF_LAYERS = (b"lost+found",)
_FOREIGN_XATTRS = ("security.selinux", "trusted.overlay.", "user.overlay.")
_MOST = 20  # differences of one layer that are told


class Compared:
    """What came of it: the digest of the tar, and what differs, in words, at most 20."""

    def __init__(self) -> None:
        self.digest = ""
        self.differences: list[str] = []
        self.more = 0

    def add(self, words: str) -> None:
        """One difference."""
        if len(self.differences) < _MOST:
            self.differences.append(words)
        else:
            self.more += 1


def compare(layers: LayerStore, layer: StoredLayer, tar: Source) -> Compared:
    """Read a layer's tar, and compare each member with the tree. Raises Damaged, OSError.

    `tar` are the bytes of `layers.unchecked`, so that somebody may count them.
    """
    compared = Compared()
    with layers.mounted(layer) as path, Tree(path) as tree, HashingSource(tar) as hashing:
        seen = _Seen(tree, compared)
        try:
            for member in TarReader(hashing):
                seen.note(member)
        except BadArchive as problem:
            compared.add(problem.message)
        while hashing.read(CHUNK):
            pass
        compared.digest = hashing.digest()
        seen.finish()
        for change in _changes(layers, layer, path):
            seen.hold_against(change)
    return compared


def _changes(layers: LayerStore, layer: StoredLayer, path: str) -> Iterator[Change]:
    """What differs from the parent's tree, by the driver's own way where it has one."""
    parent = layers.get(layer.parent) if layer.parent is not None else None
    below = parent.cache_id if parent is not None else None
    if layers.driver.info(layer.cache_id).parent == below:  # vfs of Docker knows no parents
        try:
            yield from layers.driver.changes(layer.cache_id)
        except ReadOnlyStore:
            pass
        else:
            return
    if parent is None:
        yield from treediff.changes(None, path)
        return
    with layers.mounted(parent) as lower:
        yield from treediff.changes(lower, path)


class _Seen:
    """The members of one layer: the last of each name counts."""

    def __init__(self, tree: Tree, compared: Compared) -> None:
        self._tree = tree
        self._compared = compared
        self._names: set[bytes] = set()
        self._suspects: dict[bytes, Member] = {}  # may still be replaced by a later member
        self._gone: set[bytes] = set()
        self._cleared: set[bytes] = set()

    def note(self, member: Member) -> None:
        path = self._place(member.name)
        folder, _, name = path.rpartition(b"/")
        if name == OPAQUE:
            self._cleared.add(folder)
        elif name.startswith(WHITEOUT):
            self._gone.add(_joined(folder, name[len(WHITEOUT) :]))
        else:
            self._names.add(path)
            self._suspects.pop(path, None)
            if self._differs(path, member):
                self._suspects[path] = member

    def finish(self) -> None:
        """What still differs now that no member follows."""
        for path, member in self._suspects.items():
            if path not in self._gone:
                self._compared.add(f"{_shown(path)}: {self._differs(path, member)}")
        for path in self._gone - self._names:
            if self._info(path) is not None:
                self._compared.add(f"{_shown(path)} is there, though the layer takes it away")

    def hold_against(self, change: Change) -> None:
        """A difference from the parent that no member brought."""
        path = change.path.lstrip(b"/")
        if path in self._names or path in _NOT_OF_LAYERS:
            return
        if change.kind is ChangeKind.DELETED:
            if path not in self._gone and not self._is_under(path):
                self._compared.add(f"{_shown(path)} is gone, though the layer does not say so")
            return
        info = self._info(path)
        if info is not None and not stat.S_ISDIR(info.st_mode) and not stat.S_ISSOCK(info.st_mode):
            self._compared.add(f"{_shown(path)} is not of the layer")

    def _is_under(self, path: bytes) -> bool:
        """Whether a folder above was emptied, taken away or replaced."""
        while path:
            path = path.rpartition(b"/")[0]
            if path in self._cleared or path in self._gone:
                return True
            if path in self._names and not self._is_folder(path):
                return True
        return b"" in self._cleared

    def _is_folder(self, path: bytes) -> bool:
        info = self._info(path)
        return info is not None and stat.S_ISDIR(info.st_mode)

    def _place(self, name: bytes) -> bytes:
        """Where in the tree a member lies, the links on its way followed."""
        folder, _, leaf = normal_name(name).rpartition(b"/")
        try:
            return self._tree.folder(folder).below(leaf) if leaf else b""
        except OSError:
            return _joined(folder, leaf)

    def _info(self, path: bytes) -> os.stat_result | None:
        folder, _, leaf = path.rpartition(b"/")
        try:
            where = self._tree.folder(folder).descriptor
            return os.stat(leaf or b".", dir_fd=where, follow_symlinks=False)
        except OSError as problem:
            if problem.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise
            return None

    def _differs(self, path: bytes, member: Member) -> str:
        """How an entry differs from its member, "" for not at all."""
        info = self._info(path)
        if info is None:
            return "it is missing"
        if stat.S_IFMT(info.st_mode) != _TYPES.get(member.type, stat.S_IFREG):
            return "it is of another kind" if member.type != HARD_LINK else ""
        if member.type == HARD_LINK:
            return ""
        return "; ".join(self._unequal(path, member, info))

    def _unequal(self, path: bytes, member: Member, info: os.stat_result) -> Iterator[str]:
        folder, _, leaf = path.rpartition(b"/")
        where = self._tree.folder(folder).descriptor
        if (info.st_uid, info.st_gid) != (member.uid, member.gid):
            yield f"owner {info.st_uid}:{info.st_gid}, not {member.uid}:{member.gid}"
        if member.type == SYMLINK:
            if os.readlink(leaf, dir_fd=where) != member.linkname:
                yield "it leads elsewhere"
        elif stat.S_IMODE(info.st_mode) != member.mode:
            yield f"mode {stat.S_IMODE(info.st_mode):o}, not {member.mode:o}"
        if stat.S_ISREG(info.st_mode):
            size = member.sparse.size if member.sparse else member.size
            if info.st_size != size:
                yield f"{info.st_size} bytes, not {size}"
        if member.type in (CHARACTER, BLOCK_DEVICE):
            device = os.makedev(member.devmajor, member.devminor)
            if info.st_rdev != device:
                yield "another device"
        # Folders change when something is added to them, and Docker knows no time before 1970.
        if member.type != FOLDER and member.mtime_ns > 0 and info.st_mtime_ns != member.mtime_ns:
            yield f"time {info.st_mtime_ns}, not {member.mtime_ns} ns"
        yield from _xattrs(b"/proc/self/fd/%d/%s" % (where, leaf or b"."), member)


def _xattrs(path: bytes, member: Member) -> Iterator[str]:
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as problem:
        if problem.errno != errno.ENOTSUP:
            raise
        names = []
    found = {
        os.fsencode(name): os.getxattr(path, name, follow_symlinks=False)
        for name in names
        if not name.startswith(_FOREIGN_XATTRS)
    }
    wanted = {
        key: value
        for key, value in member.xattrs.items()
        if not os.fsdecode(key).startswith(_FOREIGN_XATTRS)
    }
    # File systems without them, and engines of old, leave the attributes of users out.
    for key in found.keys() | wanted.keys():
        if found.get(key) != wanted.get(key) and not (
            key.startswith(b"user.") and key not in found
        ):
            yield f"attribute {os.fsdecode(key)} differs"


def _joined(folder: bytes, name: bytes) -> bytes:
    return folder + b"/" + name if folder else name


def _shown(path: bytes) -> str:
    return "/" + path.decode("utf-8", "backslashreplace")
