# SPDX-License-Identifier: GPL-3.0-or-later
"""A tree whose root nothing leads out of: folders by descriptors, links as after chroot(2).

Each step goes from the descriptor of a folder and follows no link by itself. A link on the way
is read and resolved with our root as its root; `..` at the top stays at the top. Paths may be
longer than PATH_MAX and deeper than a process may have open files.
"""

import errno
import os
import stat
from collections.abc import Callable
from typing import BinaryIO, Self

from hostkit.storage.tar.member import normal_name

_LINKS = 40  # as the kernel, path_resolution(7)
_STEPS = 100_000  # of one way; links that go up and down would make it endless
_OPEN = 64  # folders kept open
_NEAR = 8  # how far up an open folder is looked for
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
NO_WAY = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)  # why a folder cannot be come to
Maker = Callable[["Folder", bytes], bytes | None]


class Folder:
    """An open folder: its descriptor, good until the tree is asked for others, and its path.

    What is made in a `special` one inherits its group or an ACL.
    """

    __slots__ = ("descriptor", "path", "special")

    def __init__(self, descriptor: int, path: bytes) -> None:
        self.descriptor = descriptor
        self.path = path  # from the root, without links
        self.special = _is_special(descriptor)

    def below(self, name: bytes) -> bytes:
        """The path of what lies in it."""
        return self.path + b"/" + name if self.path else name


class Tree:
    """One tree. `make` is asked for a folder that is missing (see `folder`)."""

    def __init__(self, root: str | bytes, make: Maker | None = None) -> None:
        self.root = Folder(os.open(root, FOLDER & ~os.O_NOFOLLOW), b"")
        self.crossed: set[bytes] = set()  # links that were on a way
        self._make = make
        self._open: dict[bytes, Folder] = {}  # the one opened first goes first

    def close(self) -> None:
        """Give the descriptors back."""
        self.forget()
        os.close(self.root.descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def forget(self, *, but: Folder | None = None) -> None:
        """Close the open folders: the ways to them have changed."""
        for path, folder in tuple(self._open.items()):
            if folder is not but:
                os.close(folder.descriptor)
                del self._open[path]

    def gone(self, path: bytes) -> None:
        """A folder has been removed with all that was in it."""
        inside = path + b"/"
        for name, folder in tuple(self._open.items()):
            if folder.path == path or folder.path.startswith(inside):
                os.close(folder.descriptor)
                del self._open[name]

    def changed(self, path: bytes) -> None:
        """A folder has got another mode or other attributes."""
        for folder in (self.root, *self._open.values()):
            if folder.path == path:
                folder.special = _is_special(folder.descriptor)

    def folder(self, path: bytes, *, make: bool = False) -> Folder:
        """The folder that a path without `..` leads to. Raises OSError.

        Where there is none, and with `make`, the maker gives one, or the target of a link that
        stands there for it.
        """
        if not path:
            return self.root
        found = self._open.get(path)
        if found is None:
            found = self._walk(path, make=make)
            if len(self._open) >= _OPEN:
                os.close(self._open.pop(next(iter(self._open))).descriptor)
            self._open[path] = found
        return found

    def open(self, name: bytes) -> BinaryIO:
        """A file to be read. Raises OSError; ValueError for a name that leads out."""
        folder, _, leaf = normal_name(name).rpartition(b"/")
        descriptor = os.open(leaf, _FILE, dir_fd=self.folder(folder).descriptor)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "not a file", os.fsdecode(name))
        return os.fdopen(descriptor, "rb", buffering=0)

    def _walk(self, path: bytes, *, make: bool) -> Folder:
        pending: list[bytes] = []
        at, above = self.root, path
        for _ in range(_NEAR):
            above, _, name = above.rpartition(b"/")
            pending.append(name)
            near = self._open.get(above)
            if near is not None or not above:
                at = near or self.root
                break
        else:
            pending = path.split(b"/")[::-1]
        return _Way(self, at, pending).end(self._make if make else None)


class _Way:
    """From one folder to another, name by name."""

    def __init__(self, tree: Tree, start: Folder, pending: list[bytes]) -> None:
        self._tree = tree
        self._pending = pending  # the next name last
        self._path = start.path
        self._descriptor = os.dup(start.descriptor)
        self._links = self._steps = 0

    def end(self, make: Maker | None) -> Folder:
        """Go there."""
        try:
            while self._pending:
                self._count()
                name = self._pending.pop()
                if name == b"..":
                    self._restart(self._path.rpartition(b"/")[0])
                elif name not in (b"", b"."):
                    self._step(name, make)
            return Folder(self._descriptor, self._path)
        except BaseException:
            os.close(self._descriptor)
            raise

    def _step(self, name: bytes, make: Maker | None) -> None:
        try:
            self._enter(name)
        except FileNotFoundError:
            if make is None:
                raise
            self._made(name, make)
        except OSError as problem:
            if problem.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            try:
                target = os.readlink(name, dir_fd=self._descriptor)
            except OSError:  # not a link: something that stands in the way
                if make is None:
                    raise problem from None
                self._made(name, make)
            else:
                self._tree.crossed.add(self._path + b"/" + name if self._path else name)
                self._turn(target)

    def _enter(self, name: bytes) -> None:
        inner = os.open(name, FOLDER, dir_fd=self._descriptor)
        os.close(self._descriptor)
        self._descriptor = inner
        self._path = self._path + b"/" + name if self._path else name

    def _made(self, name: bytes, make: Maker) -> None:
        link = make(Folder(self._descriptor, self._path), name)
        if link is None:
            self._enter(name)
        else:
            self._turn(link)

    def _turn(self, target: bytes) -> None:
        self._links += 1
        if self._links > _LINKS:
            raise OSError(errno.ELOOP, "too many links", os.fsdecode(target))
        if target.startswith(b"/"):
            self._restart(b"")
        self._pending.extend(target.split(b"/")[::-1])

    def _restart(self, path: bytes) -> None:
        """Begin again at the top and go to a folder that has been passed."""
        self._move(os.dup(self._tree.root.descriptor))
        for name in path.split(b"/") if path else ():
            self._count()
            self._move(os.open(name, FOLDER, dir_fd=self._descriptor))
        self._path = path

    def _move(self, descriptor: int) -> None:
        os.close(self._descriptor)
        self._descriptor = descriptor

    def _count(self) -> None:
        self._steps += 1
        if self._steps > _STEPS:
            raise OSError(errno.ELOOP, "a way that does not end", os.fsdecode(self._path[:80]))


def _is_special(descriptor: int) -> bool:
    if os.fstat(descriptor).st_mode & stat.S_ISGID:
        return True
    try:
        os.getxattr(descriptor, "system.posix_acl_default")
    except OSError:
        return False
    return True
