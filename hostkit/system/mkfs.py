# SPDX-License-Identifier: GPL-3.0-or-later
"""File systems made, known again and made larger."""

import os
import re
import struct
import uuid as uuids

from hostkit import process
from hostkit.errors import HostkitError
from hostkit.value import NamedTuple

KINDS = ("xfs", "ext4")
_HEAD = 66 << 10
_XFS, _EXT, _BTRFS = b"XFSB", 0xEF53, b"_BHRfS_M"
_EXT_AT, _BTRFS_AT, _XFS_HEAD = 1024, 64 << 10, 48
_EXT4_FEATURES = 0x40 | 0x80 | 0x200  # extents, 64 bit, flexible groups
_MAKING_S, _GROWING_S, _CHECKING_S = 900.0, 300.0, 3600.0
_CRC_SINCE = (3, 16)  # xfs with crc and finobt: moby, daemon/graphdriver/devmapper
_SAID = 400


class FileSystem(NamedTuple):
    """What lies on a device."""

    kind: str
    uuid: str


class ProgramFailed(HostkitError):
    """A program of a file system or of LVM did not do its work: what it said."""


def identify(path: str) -> FileSystem | None:
    """The file system on a device or in a file, None for none we know. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return look_at_head(os.pread(descriptor, _HEAD, 0))
    finally:
        os.close(descriptor)


def look_at_head(head: bytes) -> FileSystem | None:
    """The file system that the first 66 KiB show."""
    if head[:4] == _XFS and len(head) >= _XFS_HEAD:
        return FileSystem("xfs", _uuid(head[32:48]))
    if head[_BTRFS_AT + 64 : _BTRFS_AT + 72] == _BTRFS:
        return FileSystem("btrfs", _uuid(head[_BTRFS_AT + 32 : _BTRFS_AT + 48]))
    if len(head) >= _EXT_AT + 256:
        (magic,) = struct.unpack_from("<H", head, _EXT_AT + 56)
        (features,) = struct.unpack_from("<I", head, _EXT_AT + 96)
        if magic == _EXT:
            kind = "ext4" if features & _EXT4_FEATURES else "ext3"
            return FileSystem(kind, _uuid(head[_EXT_AT + 104 : _EXT_AT + 120]))
    return None


def _uuid(data: bytes) -> str:
    return str(uuids.UUID(bytes=data))


def supported(kind: str) -> bool:
    """Whether the kernel knows a file system already and its programs are there."""
    with open("/proc/filesystems") as table:
        known = any(line.split()[-1:] == [kind] for line in table)
    return known and process.find_program(f"mkfs.{kind}") is not None


def make_command(kind: str, device: str, kernel: tuple[int, int], extra: list[str]) -> list[str]:
    """How a file system is made that a kernel can mount. Raises ProgramFailed.

    >>> make_command("xfs", "/dev/dm-1", (3, 10), [])
    ['mkfs.xfs', '-q', '-m', 'crc=0,finobt=0', '/dev/dm-1']
    """
    if kind == "xfs":
        old = ["-m", "crc=0,finobt=0"] if kernel < _CRC_SINCE else []
        return ["mkfs.xfs", "-q", *old, *extra, device]
    if kind == "ext4":
        eager = "nodiscard,lazy_itable_init=0,lazy_journal_init=0"
        return ["mkfs.ext4", "-q", "-E", eager, *extra, device]
    raise ProgramFailed(f"{kind} is not a file system for layers", f"use one of {', '.join(KINDS)}")


def make(kind: str, device: str, extra: list[str]) -> None:
    """Make a file system. Raises ProgramFailed."""
    _run(make_command(kind, device, kernel_version(os.uname().release), extra), _MAKING_S)
    if kind == "ext4":
        _run(["tune2fs", "-c", "-1", "-i", "0", device], _MAKING_S)


def kernel_version(release: str) -> tuple[int, int]:
    """Two numbers of a kernel's release, (0, 0) for what has none.

    >>> kernel_version("3.10.0-1160.el7.x86_64"), kernel_version("6.1.0-rc1")
    ((3, 10), (6, 1))
    """
    match = re.match(r"([0-9]{1,6})\.([0-9]{1,6})", release)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def grow(kind: str, device: str, mounted: str) -> None:
    """Let a mounted file system fill its device. Raises ProgramFailed."""
    argv = ["xfs_growfs", mounted] if kind == "xfs" else ["resize2fs", device]
    _run(argv, _GROWING_S)


def check(kind: str, device: str) -> str:
    """What is wrong with a file system that is not mounted, "" for nothing; writes nothing.

    Raises ProgramFailed when it could not be looked at.
    """
    argv = ["xfs_repair", "-n", device] if kind == "xfs" else ["e2fsck", "-f", "-n", device]
    done = _ended(argv, _CHECKING_S)
    found = (1,) if kind == "xfs" else (1, 2, 4, 5, 6, 7)
    if done.status != 0 and done.status not in found:
        raise _failed(done)
    return "" if done.status == 0 else _said(done)


def _run(argv: list[str], timeout: float) -> None:
    done = _ended(argv, timeout)
    if done.status != 0:
        raise _failed(done)


def _ended(argv: list[str], timeout: float) -> process.Completed:
    try:
        return process.run(argv, timeout=timeout)
    except FileNotFoundError:
        raise ProgramFailed(f"{argv[0]} is not installed") from None


def _failed(done: process.Completed) -> ProgramFailed:
    how = "was too slow and was ended" if done.timed_out else f"exited {done.status}"
    return ProgramFailed(f"{' '.join(done.argv)} {how}: {_said(done)}")


def _said(done: process.Completed) -> str:
    text = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
    return "; ".join(text.splitlines())[-_SAID:]
