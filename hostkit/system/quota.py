# SPDX-License-Identifier: GPL-3.0-or-later
"""Project quotas: how much a folder and all below it may hold (xfs_quota(8), quotactl(2)).

The file system must be mounted with `pquota` (xfs) or `prjquota` (ext4 made with it).
"""

import ctypes
import fcntl
import os
import struct

from hostkit.system import mounts

_libc = ctypes.CDLL(None, use_errno=True)
_GET_XATTR, _SET_XATTR = 0x801C581F, 0x401C5820  # FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR
_FSXATTR = struct.Struct("=IIIII8x")  # flags, extsize, nextents, project, cowextsize
_INHERIT = 0x200  # FS_XFLAG_PROJINHERIT
_SET_LIMIT = (((ord("X") << 8) + 4) << 8) | 2  # QCMD(Q_XSETQLIM, PRJQUOTA)
# struct fs_disk_quota: version, flags, mask, id, hard and soft limit in 512 bytes
_LIMIT = struct.Struct("=bbHIQQ88x")
_VERSION, _OF_PROJECT, _BOTH_LIMITS = 1, 2, 0x0C
_BLOCK = 512
_OPTIONS = ("prjquota", "pquota")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def available(path: str) -> bool:
    """Whether the file system that holds a folder keeps project quotas. Raises OSError."""
    held = mounts.holding(path)
    return any(option in held.options for option in _OPTIONS) and os.path.exists(held.source)


def project(path: str) -> int:
    """The project that a folder belongs to, 0 for none. Raises OSError."""
    descriptor = os.open(path, _FOLDER)
    try:
        answer = fcntl.ioctl(descriptor, _GET_XATTR, bytes(_FSXATTR.size))
    finally:
        os.close(descriptor)
    return int(_FSXATTR.unpack(answer)[3])


def limit(path: str, number: int, size: int) -> None:
    """Let an empty folder, and what will be below it, hold `size` bytes. Raises OSError."""
    descriptor = os.open(path, _FOLDER)
    try:
        answer = fcntl.ioctl(descriptor, _GET_XATTR, bytes(_FSXATTR.size))
        flags, extent, _, _, shared = _FSXATTR.unpack(answer)
        wanted = _FSXATTR.pack(flags | _INHERIT, extent, 0, number, shared)
        fcntl.ioctl(descriptor, _SET_XATTR, wanted)
    finally:
        os.close(descriptor)
    blocks = max(1, size // _BLOCK)
    request = _LIMIT.pack(_VERSION, _OF_PROJECT, _BOTH_LIMITS, number, blocks, blocks)
    device = os.fsencode(mounts.holding(path).source)
    if _libc.quotactl(ctypes.c_int(_SET_LIMIT), device, number, request) < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), path)
