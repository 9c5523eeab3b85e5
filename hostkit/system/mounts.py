# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounts made and taken away in the namespace that we are in."""

import errno
import os
import time
from typing import Protocol

from hostkit.system import syscalls
from hostkit.value import NamedTuple

_BUSY_TRIES = 10
_BUSY_WAIT_S = 0.02
_PLACE = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


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

    A moment of EBUSY (a scanner, udev) is waited for, 0.2 s; after that the mount is detached
    and goes when its last user does.
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
    """Whether something is mounted at a folder, in this namespace. Raises OSError.

    By the kernel's number of the mount: a bind mount within one file system has the same
    st_dev. Before Linux 3.15 the whole table of mounts is read.
    """
    try:
        here = os.open(target, _PLACE)
    except FileNotFoundError:
        return False
    try:
        above = os.open(os.path.dirname(os.path.abspath(target)), _PLACE)
        try:
            numbers = _mount_number(here), _mount_number(above)
        finally:
            os.close(above)
    finally:
        os.close(here)
    if None not in numbers:
        return numbers[0] != numbers[1]
    wanted = os.path.realpath(target)
    return any(point == wanted for point in mount_points())


def _mount_number(descriptor: int) -> bytes | None:
    with open(f"/proc/self/fdinfo/{descriptor}", "rb") as lines:
        return next((line for line in lines if line.startswith(b"mnt_id:")), None)


def points_below(folder: str) -> list[str]:
    """Where something is mounted below a folder, not at it, in the order of mounting.

    `folder` has no link in it. Raises OSError.
    """
    return [point for point in mount_points() if point.startswith(folder + "/")]


def mount_points() -> list[str]:
    """Every mount point of this namespace, in the order of mounting. Raises OSError."""
    with open("/proc/self/mountinfo", "rb") as table:
        return [_plain(line.split(b" ", 5)[4]) for line in table]


def points_of(device: tuple[int, int]) -> list[str]:
    """Where a block device is mounted in this namespace. Raises OSError."""
    number = b"%d:%d" % device
    with open("/proc/self/mountinfo", "rb") as table:
        fields = [line.split(b" ", 5) for line in table]
    return [_plain(line[4]) for line in fields if line[2] == number]


def mount_namespace() -> str:
    """What tells this mount namespace from others, "mnt-4026531841"."""
    return os.readlink("/proc/self/ns/mnt").replace(":[", "-").rstrip("]")


def enter_private_namespace() -> None:
    """From here on this process sees its own mounts only, and no one else sees them.

    They end with the process, also by kill -9. Raises OSError: EPERM without CAP_SYS_ADMIN.
    """
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)


class Held(NamedTuple):
    """The mount that holds a folder, as /proc/self/mountinfo has it (proc(5))."""

    point: str
    fstype: str
    source: str
    options: frozenset[str]  # of the file system
    shared: bool  # what is mounted below spreads to other namespaces


def holding(path: str) -> Held:
    """The mount that holds a folder. Raises OSError."""
    wanted = os.path.realpath(path) + "/"
    best, found = "", b""
    with open("/proc/self/mountinfo", "rb") as table:
        for line in table:
            point = _plain(line.split(b" ", 5)[4]).rstrip("/") + "/"
            if wanted.startswith(point) and len(point) >= len(best):
                best, found = point, line
    fields, _, behind = found.partition(b" - ")
    fstype, source, options = behind.split(b" ", 2)
    return Held(
        best.rstrip("/") or "/",
        os.fsdecode(fstype),
        _plain(source),
        frozenset(os.fsdecode(options).strip().split(",")),
        any(word.startswith(b"shared:") for word in fields.split(b" ")[6:]),
    )


def _plain(field: bytes) -> str:
    r"""A path with mountinfo's octal escapes undone (space is \040)."""
    if b"\\" in field:
        for escaped, plain in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n")):
            field = field.replace(escaped, plain)
        field = field.replace(b"\\134", b"\\")
    return os.fsdecode(field)
