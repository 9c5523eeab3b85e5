# SPDX-License-Identifier: GPL-3.0-or-later
"""Loop devices: a file as a block device, by ioctls; losetup(8) is not needed.

A device is found again by the file itself (device and inode), as its path may be another one
in another mount namespace. With `autoclear` it goes with its last user, also after kill -9.
"""

import errno
import fcntl
import os
import stat
import struct
from collections.abc import Iterator

from hostkit.value import NamedTuple

CONTROL = "/dev/loop-control"
_MAJOR = 7
_SET_FD, _CLEAR_FD, _SET_STATUS, _GET_STATUS = 0x4C00, 0x4C01, 0x4C04, 0x4C05
_SET_CAPACITY, _CONFIGURE, _GET_FREE = 0x4C07, 0x4C0A, 0x4C82
READ_ONLY, AUTOCLEAR = 1, 4
# struct loop_info64 and, around it, struct loop_config (include/uapi/linux/loop.h).
INFO = struct.Struct("=QQQQQIIII64s64s32s2Q")
_CONFIG = struct.Struct("=II232s64x")
_NAME_SIZE = 64
_TRIES = 64
_TAKEN = (errno.EBUSY, errno.ENXIO)


class Backing(NamedTuple):
    """What a loop device says of its file."""

    device: int
    inode: int
    number: int
    flags: int


class Loop:
    """A loop device that is held open. `close()` lets it go: an autoclear one may end."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @property
    def number(self) -> tuple[int, int]:
        """Major and minor."""
        device = os.fstat(self._descriptor).st_rdev
        return os.major(device), os.minor(device)

    def refresh(self) -> None:
        """Take over the size of a file that has grown. Raises OSError."""
        fcntl.ioctl(self._descriptor, _SET_CAPACITY)

    def detach(self) -> None:
        """Part the device from its file, now or when its last user closes it. Raises OSError."""
        fcntl.ioctl(self._descriptor, _CLEAR_FD)

    def close(self) -> None:
        """Let it go; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> "Loop":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def unpack_info(data: bytes) -> Backing:
    """A struct loop_info64. Raises ValueError."""
    if len(data) != INFO.size:
        raise ValueError(f"{len(data)} bytes are no loop_info64")
    fields = INFO.unpack(data)
    return Backing(fields[0], fields[1], fields[5], fields[8])


def pack_info(path: str, flags: int) -> bytes:
    """A struct loop_info64 for a whole file."""
    name = os.fsencode(path)[: _NAME_SIZE - 1]
    return INFO.pack(0, 0, 0, 0, 0, 0, 0, 0, flags, name, b"", b"", 0, 0)


def attach(path: str, *, read_only: bool = False, autoclear: bool = True) -> Loop:
    """A new loop device on a file. Raises OSError.

    Others look for a free one at the same time, so a device that was free is tried and
    another one asked for until one is ours.
    """
    mode = os.O_RDONLY if read_only else os.O_RDWR
    flags = (READ_ONLY if read_only else 0) | (AUTOCLEAR if autoclear else 0)
    file = os.open(path, mode | os.O_CLOEXEC)
    try:
        for _ in range(_TRIES):
            device = f"/dev/loop{_free()}"
            descriptor = os.open(device, mode | os.O_CLOEXEC)
            try:
                _configure(descriptor, file, path, flags)
            except OSError as problem:
                os.close(descriptor)
                if problem.errno not in _TAKEN:
                    raise OSError(problem.errno, "cannot make it a loop device", path) from None
            except BaseException:
                os.close(descriptor)
                raise
            else:
                return Loop(device, descriptor)
    finally:
        os.close(file)
    raise OSError(errno.EBUSY, f"{_TRIES} loop devices were taken before they were ours", path)


def find(path: str) -> Loop | None:
    """The loop device on a file, held open; None when there is none. Raises OSError."""
    wanted = os.stat(path)
    for device in _used():
        try:
            descriptor = os.open(device, os.O_RDWR | os.O_CLOEXEC)
        except OSError:  # it went meanwhile, or is read-only and not what we look for
            continue
        try:
            backing = unpack_info(fcntl.ioctl(descriptor, _GET_STATUS, bytes(INFO.size)))
        except OSError:
            os.close(descriptor)
            continue
        if (backing.device, backing.inode) == (wanted.st_dev, wanted.st_ino):
            return Loop(device, descriptor)
        os.close(descriptor)
    return None


def _used() -> Iterator[str]:
    for name in sorted(os.listdir("/sys/block")):
        if name.startswith("loop") and os.path.exists(f"/sys/block/{name}/loop/backing_file"):
            yield f"/dev/{name}"


def _free() -> int:
    """The number of a device that nobody uses at this moment; its node is there."""
    control = os.open(CONTROL, os.O_RDWR | os.O_CLOEXEC)
    try:
        number = fcntl.ioctl(control, _GET_FREE)
    finally:
        os.close(control)
    path = f"/dev/loop{number}"
    if not os.path.exists(path):
        os.mknod(path, stat.S_IFBLK | 0o660, os.makedev(_MAJOR, number))
    return number


def _configure(device: int, file: int, path: str, flags: int) -> None:
    info = pack_info(path, flags)
    try:
        fcntl.ioctl(device, _CONFIGURE, _CONFIG.pack(file, 0, info))
    except OSError as problem:
        if problem.errno not in (errno.EINVAL, errno.ENOTTY):  # it came with Linux 5.8
            raise
    else:
        return
    fcntl.ioctl(device, _SET_FD, file)
    try:
        fcntl.ioctl(device, _SET_STATUS, info)
    except OSError:
        fcntl.ioctl(device, _CLEAR_FD)
        raise
