# SPDX-License-Identifier: GPL-3.0-or-later
"""File systems: which the kernel knows, and what the one below a path can hold and do."""

import re
from enum import StrEnum
from functools import cache

from hostkit.facts.fact import Fact, Facts, file_fact, refuse, run_text
from hostkit.facts.mounts import MOUNTS, Mount
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.host.base import Host, Space
from hostkit.host.commands import XFS_INFO
from hostkit.value import NamedTuple

LINK_LIMIT = 40  # of the kernel (path_resolution(7))
_FTYPE = r"\bftype=([01])\b"


class DType(StrEnum):
    """Whether readdir(3) tells the type of an entry, which overlay cannot do without."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


# File systems that fill d_type whatever their options. ext3 and ext4 do it through the
# feature `filetype`, on by default since e2fsprogs 1.19 (2000); xfs must be asked.
_WITH_D_TYPE = frozenset(("ext2", "ext3", "ext4", "btrfs", "tmpfs", "overlay", "zfs", "f2fs"))


class Volume(NamedTuple):
    """What a path lies on. `path` has its links resolved; it need not exist yet."""

    path: str
    mount: Mount
    space: Space
    d_type: DType

    @property
    def inodes_limited(self) -> bool:
        """Whether inodes can run out: btrfs and others report none at all."""
        return self.space.inodes > 0


def parse_filesystems(content: str) -> frozenset[str]:
    r"""The names in /proc/filesystems, those without a device included.

    >>> sorted(parse_filesystems("nodev\tproc\n\text4\nnodev\toverlay\n"))
    ['ext4', 'overlay', 'proc']
    """
    lines = [line.split() for line in content.splitlines() if line.strip()]
    if not all(len(words) == 1 or (len(words) == 2 and words[0] == "nodev") for words in lines):  # noqa: PLR2004 - flag and name
        refuse("not a list of file systems")
    return frozenset(words[-1] for words in lines)


def parse_xfs_info(content: str) -> bool:
    """Whether an xfs has ftype=1. Both `ascii-ci=0 ftype=1` and `ascii-ci=0, ftype=1` are printed.

    >>> parse_xfs_info("naming   =version 2     bsize=4096   ascii-ci=0 ftype=0")
    False
    """
    naming = next((line for line in content.splitlines() if line.startswith("naming")), "")
    match = re.search(_FTYPE, naming)
    if not match:
        refuse("this xfs_info does not print ftype; xfsprogs 3.2 or later does")
    return match[1] == "1"


def resolve(host: Host, path: str) -> Answer[str]:
    """The path with every symbolic link followed; what does not exist is kept as it is."""
    pending = [part for part in reversed(path.split("/")) if part not in ("", ".")]
    here, links = "", 0
    while pending:
        part = pending.pop()
        if part == "..":
            here = here.rpartition("/")[0]
            continue
        entry = host.stat(f"{here}/{part}", follow=False)
        if isinstance(entry, Unreadable):
            return entry
        if isinstance(entry, Known) and entry.value.target:
            links += 1
            if links > LINK_LIMIT:
                return Unreadable(path, "too many levels of symbolic links")
            target = entry.value.target
            here = "" if target.startswith("/") else here
            pending += [part for part in reversed(target.split("/")) if part not in ("", ".")]
        else:
            here = f"{here}/{part}"
    return Known(here or "/", path)


@cache
def volume(path: str) -> Fact[Volume]:
    """The volume that a path lies on, or would lie on."""
    return Fact(f"volume of {path}", lambda facts: _volume(facts, path), waits=True)


@cache
def xfs_ftype(path: str) -> Fact[bool]:
    """Whether the xfs below a path has ftype=1; Absent when it lies on something else."""
    return Fact(f"ftype of {path}", lambda facts: _xfs_ftype(facts, path), waits=True)


def _holding(facts: Facts, path: str) -> Answer[tuple[str, Mount]]:
    """The path without links, and its mount."""
    mounts = facts.value(MOUNTS)
    real = resolve(facts.host, path)
    if not isinstance(real, Known):
        return real
    mount = mounts.holding(real.value)
    if mount is None:  # a chroot whose root is no mount point
        return Unreadable(path, "no line of mountinfo holds it")
    return Known((real.value, mount), path)


def _xfs_ftype(facts: Facts, path: str) -> Answer[bool]:
    held = _holding(facts, path)
    if not isinstance(held, Known):
        return held
    mount = held.value[1]
    if mount.fstype != "xfs":
        return Absent(path, f"lies on {mount.fstype}, not on xfs")
    answer = run_text(facts.host, XFS_INFO, parse_xfs_info, mount.target)
    if isinstance(answer, Absent):  # the file system is there, only its tool is not
        return Unreadable(answer.source, "xfs_info is not installed (package xfsprogs)")
    return answer


def _volume(facts: Facts, path: str) -> Answer[Volume]:
    held = _holding(facts, path)
    if not isinstance(held, Known):
        return held
    real, mount = held.value
    space = _space(facts.host, real)
    if not isinstance(space, Known):
        return space
    d_type = DType.YES if mount.fstype in _WITH_D_TYPE else DType.UNKNOWN
    if mount.fstype == "xfs":
        ftype = facts.known(xfs_ftype(path))
        d_type = {True: DType.YES, False: DType.NO, None: DType.UNKNOWN}[ftype]
    return Known(Volume(real, mount, space.value, d_type), space.source)


def _space(host: Host, path: str) -> Answer[Space]:
    """Of the path or, while it does not exist, of the nearest folder above it."""
    answer = host.space(path)
    while isinstance(answer, Absent) and path != "/":
        path = path.rpartition("/")[0] or "/"
        answer = host.space(path)
    return answer


KERNEL_FILESYSTEMS: Fact[frozenset[str]] = file_fact(
    "kernel file systems", "/proc/filesystems", parse_filesystems
)

RUN_FOLDER = "/run"
RUN_SPACE: Fact[Space] = Fact(
    "space of /run", lambda facts: facts.host.space(RUN_FOLDER), waits=False
)
