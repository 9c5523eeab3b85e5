# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies under the upper folder of overlayfs, looked up without a mount."""

import os
import stat
from collections.abc import Iterator, Sequence
from typing import Self

from hostkit.storage.rooted import FOLDER
from hostkit.value import NamedTuple

OPAQUE_XATTRS = ("trusted.overlay.opaque", "user.overlay.opaque")


class Found(NamedTuple):
    """A file in the nearest layer that has it: the descriptor of its folder is the caller's."""

    folder: int
    name: bytes
    info: os.stat_result

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self.folder)


class Below:
    """Layers, the nearest first, as overlayfs would merge them."""

    def __init__(self, layers: Sequence[str]) -> None:
        self._roots = [os.open(layer, FOLDER & ~os.O_NOFOLLOW) for layer in layers]

    def close(self) -> None:
        """Give the descriptors back."""
        for root in self._roots:
            os.close(root)
        self._roots = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __bool__(self) -> bool:
        return bool(self._roots)

    def find(self, path: bytes) -> Found | None:
        """What a path without links and `..` is; None where there is nothing. Raises OSError."""
        folder, _, name = path.rpartition(b"/")
        for descriptor in self._folders(folder):
            info = lstat(descriptor, name)
            if info is not None:
                if is_whiteout(info):
                    break
                return Found(os.dup(descriptor), name, info)
        return None

    def info(self, path: bytes) -> os.stat_result | None:
        """The same, when only what it is is asked."""
        found = self.find(path)
        if found is None:
            return None
        found.close()
        return found.info

    def names(self, path: bytes) -> set[bytes]:
        """What is in a folder, without what is hidden. Raises OSError."""
        seen, hidden = set[bytes](), set[bytes]()
        for descriptor in self._folders(path):
            for word in os.listdir(descriptor):
                name = os.fsencode(word)
                if name in seen or name in hidden:
                    continue
                info = lstat(descriptor, name)
                gone = info is None or is_whiteout(info)
                (hidden if gone else seen).add(name)
        return seen

    def _folders(self, path: bytes) -> Iterator[int]:
        """The folders that are merged at a path, good until the next one."""
        names = path.split(b"/") if path else []
        for root in self._roots:
            descriptor, last = os.dup(root), False
            try:
                for name in names:
                    info = lstat(descriptor, name)
                    if info is None:
                        break
                    if not stat.S_ISDIR(info.st_mode):  # a whiteout, or a file over a folder
                        return
                    inner = os.open(name, FOLDER, dir_fd=descriptor)
                    os.close(descriptor)
                    descriptor = inner
                    last = last or is_opaque(descriptor)
                else:
                    yield descriptor
            finally:
                os.close(descriptor)
            if last:
                return


def is_whiteout(info: os.stat_result) -> bool:
    """Whether overlayfs takes it for the mark of something deleted."""
    return stat.S_ISCHR(info.st_mode) and info.st_rdev == 0


def is_opaque(folder: int) -> bool:
    """Whether a folder of an upper layer hides what is below it."""
    for key in OPAQUE_XATTRS:
        try:
            if os.getxattr(folder, key) == b"y":
                return True
        except OSError:
            continue
    return False


def lstat(folder: int, name: bytes) -> os.stat_result | None:
    """What a name is; None where there is nothing."""
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
