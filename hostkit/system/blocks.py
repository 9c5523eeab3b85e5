# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be done to any block device: asked for its size, emptied, written out."""

import fcntl
import os
import stat
import struct

# _IO() has a bit for "no argument" on these (asm/ioctl.h).
_BARE = 0x20000000 if os.uname().machine.startswith(("ppc", "mips", "sparc", "alpha")) else 0
_DISCARD = _BARE | 0x1277


def device_number(path: str) -> tuple[int, int] | None:
    """Major and minor of a block device, None for what is none. Raises OSError."""
    info = os.stat(path)
    if not stat.S_ISBLK(info.st_mode):
        return None
    return os.major(info.st_rdev), os.minor(info.st_rdev)


def size(path: str) -> int:
    """Bytes of a device or file. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.lseek(descriptor, 0, os.SEEK_END)
    finally:
        os.close(descriptor)


def discard(path: str) -> None:
    """Tell a device that nothing on it is needed. Raises OSError: EBUSY when it is in use."""
    descriptor = os.open(path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    try:
        whole = os.lseek(descriptor, 0, os.SEEK_END)
        fcntl.ioctl(descriptor, _DISCARD, struct.pack("=QQ", 0, whole))
    finally:
        os.close(descriptor)


def flush(path: str) -> None:
    """What was written to a device is on it, past its own cache, after this. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
