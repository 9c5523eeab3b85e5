# SPDX-License-Identifier: GPL-3.0-or-later
"""Owner, mode, extended attributes and times of what lies in an open folder.

They are set in this order, for each may undo one that comes after it: a change of owner takes
setuid and capabilities away, a change of mode the mask of an ACL.
"""

import errno
import os
import stat
from collections.abc import Mapping

from hostkit.storage.tar.member import Member

OVERLAY_XATTRS = ("trusted.overlay.", "user.overlay.")
_OVERLAY = (b"trusted.overlay.", b"user.overlay.")
_ACLS = ("system.posix_acl_access", "system.posix_acl_default")


def dress(member: Member, folder: int, name: bytes, *, inherits: bool) -> None:
    """Give what was made for a member all but its times; `inherits` takes other ACLs away."""
    os.chown(name, member.uid, member.gid, dir_fd=folder, follow_symlinks=False)
    is_link = member.type == b"2"
    if not is_link:
        os.chmod(name, member.mode, dir_fd=folder)
    if member.xattrs or (inherits and not is_link):
        path = proc_path(folder, name)
        if inherits and not is_link:
            strip_acls(path, follow=False)
        set_xattrs(path, member.xattrs, follow=False)


def dress_file(member: Member, descriptor: int, *, chown: bool, inherits: bool) -> None:
    """The same for a file that is open; `chown` where it was made with another owner."""
    if chown:
        os.fchown(descriptor, member.uid, member.gid)
    if inherits:
        strip_acls(descriptor, follow=True)
    if inherits or member.mode & ~0o777:
        os.fchmod(descriptor, member.mode)
    if member.xattrs:
        set_xattrs(descriptor, member.xattrs, follow=True)


def set_time(folder: int, name: bytes, when: int) -> None:
    """The time of change, and of reading."""
    os.utime(name, ns=(when, when), dir_fd=folder, follow_symlinks=False)


def set_xattrs(path: int | bytes, xattrs: Mapping[bytes, bytes], *, follow: bool) -> None:
    """Attributes of overlayfs itself are never taken from others: they redirect lookups."""
    for key, value in xattrs.items():
        if key.startswith(_OVERLAY):
            continue
        try:
            _set(path, key, value, follow=follow)
        except OSError as problem:
            # As other engines do: user attributes are a nicety, capabilities are not.
            if problem.errno not in (errno.ENOTSUP, errno.EPERM) or not key.startswith(b"user."):
                raise


def xattrs_of(path: int | bytes, *, follow: bool = False) -> dict[bytes, bytes]:
    """The attributes that belong to the layer; those of overlayfs and SELinux do not."""
    try:
        keys = os.listxattr(path) if follow else os.listxattr(path, follow_symlinks=False)
    except OSError as problem:
        if problem.errno == errno.ENOTSUP:
            return {}
        raise
    if not keys:
        return {}
    found: dict[bytes, bytes] = {}
    for key in keys:
        if key == "security.selinux" or key.startswith(OVERLAY_XATTRS):
            continue
        try:
            value = os.getxattr(path, key) if follow else _get(path, key)
        except OSError as problem:
            if problem.errno != errno.ENODATA:  # it has gone meanwhile
                raise
        else:
            found[os.fsencode(key)] = value
    return found


def proc_path(folder: int, name: bytes) -> bytes:
    """A path for calls that take no descriptor of a folder."""
    return b"/proc/self/fd/%d/%s" % (folder, name)


def strip_acls(path: int | bytes, *, follow: bool) -> None:
    """Take away what a default ACL of the folder gave."""
    for key in _ACLS:
        try:
            if follow:
                os.removexattr(path, key)
            else:
                os.removexattr(path, key, follow_symlinks=False)
        except OSError as problem:
            if problem.errno not in (errno.ENODATA, errno.ENOTSUP):
                raise


def strip_others(path: bytes, keep: Mapping[bytes, bytes]) -> None:
    """Take the attributes away that a file has and should not have."""
    for key in xattrs_of(path):
        if key not in keep:
            os.removexattr(path, key, follow_symlinks=False)


def member_of(name: bytes, kind: bytes, info: os.stat_result) -> Member:
    """The member that describes a file of a tree, without link, device and attributes."""
    member = Member(name, kind)
    member.mode, member.uid, member.gid = stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid
    member.mtime_ns = info.st_mtime_ns
    return member


def _set(path: int | bytes, key: bytes, value: bytes, *, follow: bool) -> None:
    if follow:
        os.setxattr(path, key, value)
    else:
        os.setxattr(path, key, value, follow_symlinks=False)


def _get(path: int | bytes, key: str) -> bytes:
    return os.getxattr(path, key, follow_symlinks=False)
