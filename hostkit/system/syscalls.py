# SPDX-License-Identifier: GPL-3.0-or-later
"""System calls that Python's os module has not, each with the kernel's own errno.

The numbers of the new mount API are the same on every architecture (they were given out
after Linux 5.1 unified the tables), so `syscall(2)` serves where the C library is older.
"""

import ctypes
import errno
import os

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MNT_DETACH = 0x2
UMOUNT_NOFOLLOW = 0x8

CLONE_FS = 0x200
CLONE_NEWNS = 0x20000

_MOVE_MOUNT_F_EMPTY_PATH = 0x4
_FSOPEN, _FSCONFIG, _FSMOUNT, _MOVE_MOUNT = 430, 431, 432, 429
_FSOPEN_CLOEXEC = _FSMOUNT_CLOEXEC = 0x1
_FSCONFIG_SET_FLAG, _FSCONFIG_SET_STRING, _FSCONFIG_CMD_CREATE = 0, 1, 6
_MESSAGES = 64

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, path: str | bytes) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), os.fsdecode(path))
    return result


def mount(source: str, target: str, fstype: str, flags: int = 0, data: str = "") -> None:
    """mount(2). Raises OSError.

    The kernel cuts `data` silently at one page (4096 bytes with the final NUL on every
    architecture that matters); a cut list of layers would mount another tree, so a longer one
    is refused here with E2BIG.
    """
    options = os.fsencode(data)
    if len(options) > MOUNT_DATA_LIMIT:
        raise OSError(errno.E2BIG, f"mount options of {len(options)} bytes", target)
    _checked(
        _libc.mount(
            os.fsencode(source),
            os.fsencode(target),
            os.fsencode(fstype),
            ctypes.c_ulong(flags),
            options or None,
        ),
        target,
    )


MOUNT_DATA_LIMIT = 4095


def umount(target: str, flags: int = 0) -> None:
    """umount2(2). Raises OSError."""
    _checked(_libc.umount2(os.fsencode(target), flags), target)


def unshare(flags: int) -> None:
    """unshare(2); os.unshare came with Python 3.12. Raises OSError."""
    _checked(_libc.unshare(flags), "")


def setns(descriptor: int, kind: int = 0) -> None:
    """setns(2); os.setns came with Python 3.12. Raises OSError."""
    _checked(_libc.setns(descriptor, kind), "")


def syncfs(descriptor: int) -> None:
    """Write one file system out, syncfs(2) (Linux 2.6.39). Raises OSError."""
    _checked(_libc.syncfs(descriptor), "")


def fsopen(fstype: str) -> int:
    """A file-system context, fsopen(2). Raises OSError: ENOSYS before Linux 5.2."""
    name = os.fsencode(fstype)
    return _checked(_libc.syscall(_FSOPEN, name, _FSOPEN_CLOEXEC), fstype)


def fsconfig(context: int, key: str, value: str | None = None) -> None:
    """Give a context an option: a flag without a value. Raises OSError."""
    command = _FSCONFIG_SET_FLAG if value is None else _FSCONFIG_SET_STRING
    words = (os.fsencode(key), None if value is None else os.fsencode(value))
    _checked(_libc.syscall(_FSCONFIG, context, command, *words, 0), key)


def fsmount(context: int, attributes: int = 0) -> int:
    """Make the file system of a context; gives a mount attached nowhere yet. Raises OSError.

    `attributes` are MOUNT_ATTR_*; those for read-only, nosuid, nodev and noexec have the
    values of the MS_* flags.
    """
    _checked(_libc.syscall(_FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0), "fsconfig")
    return _checked(_libc.syscall(_FSMOUNT, context, _FSMOUNT_CLOEXEC, attributes), "fsmount")


def move_mount(mounted: int, target: str) -> None:
    """Attach what `fsmount` gave. Raises OSError."""
    words = (mounted, b"", AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH)
    _checked(_libc.syscall(_MOVE_MOUNT, *words), target)


def context_messages(context: int) -> str:
    """What the kernel has to say about a failed context ("e overlay: ..."), read away."""
    lines: list[str] = []
    while len(lines) < _MESSAGES:
        try:
            lines.append(os.read(context, 1024).decode("utf-8", "replace").strip())
        except OSError:  # ENODATA: no more
            break
    return "; ".join(lines)
