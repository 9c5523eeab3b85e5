# SPDX-License-Identifier: GPL-3.0-or-later
"""Overlay mounts of up to 500 layers.

mount(2) takes one page of options and the kernel cuts a longer string without a word: at a
colon that mounts a wrong tree. So, in this order: absolute paths while they fit; paths
relative to a common folder, which hold more than 128 of Docker's short links; and one
`lowerdir+` a layer through the new mount API (Linux 6.7), to the kernel's own limit of 500,
also relative: a value there has 255 bytes at most.

A common folder with `:`, `,` or a backslash in its name is always gone into: kernels differ in
how these are to be escaped.
"""

import errno
import os
import threading
from collections.abc import Callable
from functools import cache

from hostkit.system import syscalls
from hostkit.system.syscalls import MOUNT_DATA_LIMIT
from hostkit.value import NamedTuple

MOST_LOWER = 500  # OVL_MAX_STACK
_MOST_IN_A_PAGE = 128  # of Docker's short links, beside an upper folder and options


class OverlaySpec(NamedTuple):
    """One overlay mount: folders below `base`, nearest layer first; read-only without upper."""

    base: str
    lower: tuple[str, ...]
    upper: str = ""
    work: str = ""
    options: tuple[str, ...] = ()  # index=off ...
    flags: int = 0

    def apply(self, target: str) -> None:
        """Mount it. Raises OSError: E2BIG when this kernel cannot take so many layers."""
        if len(self.lower) > MOST_LOWER:
            raise OSError(errno.E2BIG, f"{len(self.lower)} layers, the kernel takes 500", target)
        target = os.path.abspath(target)  # we may go into another folder
        flags = self.flags | (0 if self.upper else syscalls.MS_RDONLY)
        absolute = self._data(self.base + "/")
        if len(os.fsencode(absolute)) <= MOUNT_DATA_LIMIT and not _special(self.base):
            syscalls.mount("overlay", target, "overlay", flags, absolute)
            return
        relative = self._data("")
        if len(os.fsencode(relative)) <= MOUNT_DATA_LIMIT:
            _in_folder(
                self.base, lambda: syscalls.mount("overlay", target, "overlay", flags, relative)
            )
        else:
            _in_folder(self.base, lambda: self._layer_by_layer(target, flags))

    def _data(self, prefix: str) -> str:
        words = ["lowerdir=" + ":".join(_escaped(prefix + one) for one in self.lower)]
        if self.upper:
            words += [
                f"upperdir={_escaped(prefix + self.upper)}",
                f"workdir={_escaped(prefix + self.work)}",
            ]
        return ",".join((*words, *self.options))

    def _layer_by_layer(self, target: str, flags: int) -> None:
        try:
            context = syscalls.fsopen("overlay")
        except OSError as problem:
            if problem.errno == errno.ENOSYS:
                raise self._too_many(target) from None
            raise
        try:
            for one in self.lower:
                self._configure(context, target, "lowerdir+", one)
            if self.upper:
                self._configure(context, target, "upperdir", self.upper)
                self._configure(context, target, "workdir", self.work)
            for option in self.options:
                key, _, value = option.partition("=")
                self._configure(context, target, key, value or None)
            mounted = syscalls.fsmount(context, flags)
        finally:
            os.close(context)
        try:
            syscalls.move_mount(mounted, target)
        finally:
            os.close(mounted)  # an open descriptor would keep the mount busy

    def _configure(self, context: int, target: str, key: str, value: str | None) -> None:
        try:
            syscalls.fsconfig(context, key, value)
        except OSError as problem:
            if key == "lowerdir+" and problem.errno == errno.EINVAL:
                raise self._too_many(target) from None
            said = syscalls.context_messages(context)
            raise OSError(problem.errno, f"{key}: {said or problem.strerror}", target) from None

    def _too_many(self, target: str) -> OSError:
        text = f"{len(self.lower)} layers are more than this kernel's mount options hold"
        return OSError(errno.E2BIG, text, target)


@cache
def most_lower() -> int:
    """How many lower layers this kernel joins: 500 where it has `lowerdir+`, else 128.

    Asking it may load the module that a mount would load.
    """
    try:
        context = syscalls.fsopen("overlay")
    except OSError:  # Linux before 5.2, or no right to mount at all
        return _MOST_IN_A_PAGE
    try:
        syscalls.fsconfig(context, "lowerdir+", "/")
    except OSError:
        return _MOST_IN_A_PAGE
    finally:
        os.close(context)
    return MOST_LOWER


def _escaped(path: str) -> str:
    r"""A path as a mount option: overlayfs ends one at `:` and `,` unless a \ stands before."""
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def _special(path: str) -> bool:
    return any(mark in path for mark in ":,\\")


def _in_folder(folder: str, act: Callable[[], None]) -> None:
    """Call `act` with another working folder, without moving the other threads of the process."""
    failed: list[BaseException] = []

    def moved() -> None:
        try:
            syscalls.unshare(syscalls.CLONE_FS)
            os.chdir(folder)
            act()
        except BaseException as problem:  # noqa: BLE001 - raised again by who waits
            failed.append(problem)

    thread = threading.Thread(target=moved)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
