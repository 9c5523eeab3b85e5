# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of an archive by name: a tar file, or a folder that holds the same.

Nothing is unpacked to the disk by a name of the archive, so none can lead anywhere: names are
only looked up. Each name that is asked for must be there once.
"""

import os
import posixpath
import stat
from typing import Protocol

from hostkit.storage.errors import BadArchive
from hostkit.storage.image.streams import Section
from hostkit.storage.tar.member import CONTIGUOUS, FILE, HARD_LINK, SYMLINK
from hostkit.storage.tar.reader import CHUNK, Limits, Placed, index

_MEMBERS = 100_000  # of an archive of images; 500 images of 50 layers have 75,000
LIMITS = Limits(members=_MEMBERS)
_LINKS = 8
_SHOWN = 80
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Archive(Protocol):
    """Files by name."""

    def has(self, name: str) -> bool: ...

    def open(self, name: str) -> Section:
        """A file to be read. Raises BadArchive when it is not there once, or leads out."""
        ...

    def close(self) -> None: ...


def read(archive: Archive, name: str, limit: int) -> bytes:
    """A whole file. Raises BadArchive when it is missing or has more than `limit` bytes."""
    section = archive.open(name)
    if section.left > limit:
        raise BadArchive(f"{shown(name)} has {section.left} bytes where {limit} are plenty")
    pieces: list[bytes] = []
    while piece := section.read(CHUNK):
        pieces.append(piece)
    return b"".join(pieces)


class TarArchive:
    """A tar file; what is where in it is read once, in the beginning. Raises BadArchive."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._files: dict[str, tuple[int, int] | None] = {}  # None: more than once
        self._links: dict[str, str] = {}
        with open(descriptor, "rb", buffering=0, closefd=False) as file:
            file.seek(0)
            for placed in index(file, LIMITS):
                self._note(placed)

    def _note(self, placed: Placed) -> None:
        member = placed.member
        name = _plain(os.fsdecode(member.name))
        if member.type in (FILE, CONTIGUOUS):
            self._files[name] = None if name in self._files else (placed.offset, member.size)
        elif member.type == SYMLINK:
            target = posixpath.join(posixpath.dirname(name), os.fsdecode(member.linkname))
            self._link(name, target)
        elif member.type == HARD_LINK:
            self._link(name, os.fsdecode(member.linkname))

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return name in self._files or name in self._links

    def names(self) -> list[str]:
        """Every file, in the order of the archive."""
        return [*self._files, *self._links]

    def open(self, name: str) -> Section:
        """A file to be read; the links that Docker wrote for equal layers are followed."""
        at = _plain(name)
        for _ in range(_LINKS):
            if at in self._files and at not in self._links:
                place = self._files[at]
                if place is None:
                    raise BadArchive(f"the archive has {shown(at)} more than once")
                return Section(self._descriptor, *place)
            if at not in self._links:
                raise BadArchive(f"the archive has no {shown(name)}")
            if at in self._files:
                raise BadArchive(f"the archive has {shown(at)} more than once")
            at = self._links[at]
        raise BadArchive(f"{shown(name)} is a link that leads nowhere")

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _link(self, name: str, target: str) -> None:
        if self._links.get(name, _plain(target)) != _plain(target):
            self._files[name] = None
        self._links[name] = _plain(target)


class FolderArchive:
    """A folder, as skopeo's `oci:` and `docker save | tar -x` leave one."""

    def __init__(self, path: str) -> None:
        self._folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._open: list[int] = []

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        try:
            self.open(name)
        except BadArchive:
            return False
        return True

    def open(self, name: str) -> Section:
        """A file to be read; no link is followed."""
        at = os.dup(self._folder)
        *folders, leaf = _plain(name).split("/")
        try:
            for folder in folders:
                inner = os.open(folder, _FOLDER, dir_fd=at)
                os.close(at)
                at = inner
            descriptor = os.open(leaf, _FILE, dir_fd=at)
        except (OSError, ValueError) as problem:
            reason = problem.strerror if isinstance(problem, OSError) else problem
            raise BadArchive(f"the folder has no {shown(name)}: {reason}") from None
        finally:
            os.close(at)
        self._open.append(descriptor)
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode):
            raise BadArchive(f"{shown(name)} is no file")
        return Section(descriptor, 0, info.st_size)

    def close(self) -> None:
        """Close all that was opened."""
        for descriptor in (*self._open, self._folder):
            os.close(descriptor)
        self._open.clear()


def _plain(name: str) -> str:
    """A name as it is looked up; one that leads out of the archive stays one that is not there.

    >>> _plain("./a//b/../c"), _plain("/a"), _plain("../a")
    ('a/c', 'a', '../a')
    """
    return posixpath.normpath(name.lstrip("/")) if name.strip("/") else "."


def shown(name: str) -> str:
    """A name from an archive, short enough for a sentence."""
    return repr(name if len(name) <= _SHOWN else name[:_SHOWN] + "...")
