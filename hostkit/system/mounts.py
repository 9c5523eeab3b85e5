# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounts made and taken away in the namespace that we are in."""

import errno
import os
import time
from typing import Protocol

from hostkit.system import syscalls
from hostkit.value import NamedTuple

_BUSY_TRIES = 20
_BUSY_WAIT_S = 0.05


class Mountable(Protocol):
    """A mount that is not made yet: whoever runs a container makes it in its own namespace."""

    def apply(self, target: str) -> None:
        """Mount it. Raises OSError."""
        ...


class MountSpec(NamedTuple):
    """One mount(2)."""

    source: str
    fstype: str
    flags: int = 0
    data: str = ""

    def apply(self, target: str) -> None:
        """Mount it. Raises OSError.

        A read-only bind mount takes two calls (mount(2), "Creating a bind mount").
        """
        syscalls.mount(self.source, target, self.fstype, self.flags, self.data)
        read_only_bind = syscalls.MS_BIND | syscalls.MS_RDONLY
        if self.flags & read_only_bind == read_only_bind:
            try:
                syscalls.mount("none", target, "", self.flags | syscalls.MS_REMOUNT)
            except OSError:
                syscalls.umount(target, syscalls.MNT_DETACH)
                raise


def unmount(target: str) -> None:
    """Unmount if something is mounted there. Raises OSError.

    A moment of EBUSY (a scanner, udev) is waited for; after that the mount is detached and
    goes when its last user does.
    """
    for _ in range(_BUSY_TRIES):
        try:
            syscalls.umount(target, syscalls.UMOUNT_NOFOLLOW)
        except OSError as problem:
            if problem.errno in (errno.EINVAL, errno.ENOENT):  # not a mount point
                return
            if problem.errno != errno.EBUSY:
                raise
            time.sleep(_BUSY_WAIT_S)
        else:
            return
    syscalls.umount(target, syscalls.UMOUNT_NOFOLLOW | syscalls.MNT_DETACH)


def is_mounted(target: str) -> bool:
    """Whether something is mounted at a folder, in this namespace.

    By /proc/self/mountinfo: a bind mount within one file system has the same st_dev.
    Raises OSError when that cannot be read.
    """
    wanted = os.path.realpath(target)
    return any(point == wanted for point in mount_points())


def mount_points() -> list[str]:
    """Every mount point of this namespace, in the order of mounting. Raises OSError."""
    with open("/proc/self/mountinfo", "rb") as table:
        return [_plain(line.split(b" ", 5)[4]) for line in table]


def mount_namespace() -> str:
    """What tells this mount namespace from others, "mnt-4026531841"."""
    return os.readlink("/proc/self/ns/mnt").replace(":[", "-").rstrip("]")


def enter_private_namespace() -> None:
    """From here on this process sees its own mounts only, and no one else sees them.

    They end with the process, also by kill -9. Raises OSError: EPERM without CAP_SYS_ADMIN.
    """
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)


def is_shared(path: str) -> bool:
    """Whether what is mounted below a folder spreads to other namespaces.

    That is so when the mount that holds the folder is `shared:` (proc(5), mountinfo).
    """
    wanted = os.path.realpath(path) + "/"
    best, shared = "", False
    with open("/proc/self/mountinfo", "rb") as table:
        for line in table:
            fields, _, _ = line.partition(b" - ")
            words = fields.split(b" ")
            point = _plain(words[4]).rstrip("/") + "/"
            if wanted.startswith(point) and len(point) >= len(best):
                best = point
                shared = any(word.startswith(b"shared:") for word in words[6:])
    return shared


def _plain(field: bytes) -> str:
    r"""A path with mountinfo's octal escapes undone (space is \040)."""
    if b"\\" in field:
        for escaped, plain in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n")):
            field = field.replace(escaped, plain)
        field = field.replace(b"\\134", b"\\")
    return os.fsdecode(field)
