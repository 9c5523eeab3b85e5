# SPDX-License-Identifier: GPL-3.0-or-later
"""What overlayfs does on this kernel and this file system, by trying.

The trial mount is made by a thread with a mount namespace of its own, so nobody else sees it
and no end of the process leaves it behind.
"""

import ctypes
import errno
import os
import threading

from hostkit.errors import HostkitError
from hostkit.storage.errors import Unsupported
from hostkit.system import mounts, syscalls
from hostkit.system.overlay import OverlaySpec
from hostkit.system.tree import remove_tree
from hostkit.value import NamedTuple

PARAMETERS = "/sys/module/overlay/parameters"
_UNKNOWN_TYPE = 0  # DT_UNKNOWN
_ALL_IDS = ["0", "0", "4294967295"]
_libc = ctypes.CDLL(None, use_errno=True)


class Trial(NamedTuple):
    """What was seen."""

    options: tuple[str, ...]  # for every mount
    native_diff: bool  # an upper folder holds all that differs
    user: bool  # attributes of overlayfs are user.*, not trusted.*


class _Dirent(ctypes.Structure):
    """struct dirent of the C library on a 64-bit machine."""

    _fields_ = (
        ("d_ino", ctypes.c_uint64),
        ("d_off", ctypes.c_int64),
        ("d_reclen", ctypes.c_uint16),
        ("d_type", ctypes.c_uint8),
        ("d_name", ctypes.c_char * 256),
    )


def gives_types(folder: str) -> bool:
    """Whether readdir(3) tells the types of files; there must be one. Raises OSError."""
    readdir, fdopendir, closedir = _libc.readdir, _libc.fdopendir, _libc.closedir
    fdopendir.restype, closedir.argtypes = ctypes.c_void_p, (ctypes.c_void_p,)
    readdir.restype, readdir.argtypes = ctypes.POINTER(_Dirent), (ctypes.c_void_p,)
    stream = fdopendir(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    if not stream:
        raise OSError(ctypes.get_errno(), "cannot be listed", folder)
    try:
        while entry := readdir(stream):
            if entry.contents.d_name not in (b".", b".."):
                return bool(entry.contents.d_type != _UNKNOWN_TYPE)
    finally:
        closedir(stream)
    raise OSError(errno.ENOENT, "it is empty", folder)


def in_user_namespace() -> bool:
    """Whether root here is an ordinary user outside."""
    with open("/proc/self/uid_map", encoding="ascii") as table:
        return table.read().split() != _ALL_IDS


def options() -> tuple[str, ...]:
    """What every mount is given, so that an upper folder needs no mount to be understood."""
    if in_user_namespace():  # there metacopy and redirect_dir are off, and refused as options
        return ("userxattr", *_switched_off("index"))
    return _switched_off("index", "metacopy", "redirect_dir")


def _switched_off(*names: str) -> tuple[str, ...]:
    return tuple(f"{name}=off" for name in names if os.path.exists(f"{PARAMETERS}/{name}"))


def attempt(folder: str) -> Trial:
    """Mount an overlay in `folder`, which is made and removed. Raises Unsupported, OSError."""
    remove_tree(folder)
    try:
        for below in ("below/moved", "below/opaque", "above/opaque", "upper", "work", "merged"):
            os.makedirs(f"{folder}/{below}")
        if not gives_types(f"{folder}/below"):
            held = mounts.holding(folder)
            raise Unsupported(
                f"{held.fstype} at {held.point} does not tell the types of files (d_type)",
                "it must be made anew with ftype=1: hostkit explain xfs-ftype0-no-dtype",
            )
        return _apart(folder)
    finally:
        remove_tree(folder)


def _apart(folder: str) -> Trial:
    """The trial in a mount namespace that ends with its thread."""
    seen: list[Trial] = []
    failed: list[BaseException] = []

    def try_it() -> None:
        try:
            mounts.enter_private_namespace()
            seen.append(_mounted(folder))
        except BaseException as problem:  # noqa: BLE001 - raised again by who waits
            failed.append(problem)

    thread = threading.Thread(target=try_it)
    thread.start()
    thread.join()
    if failed:
        raise _explained(folder, failed[0])
    return seen[0]


def _mounted(folder: str) -> Trial:
    user = in_user_namespace()
    opaque = "user.overlay.opaque" if user else "trusted.overlay.opaque"
    os.setxattr(f"{folder}/above/opaque", opaque, b"y")
    given = options()
    spec = OverlaySpec(folder, ("above", "below"), "upper", "work", given)
    spec.apply(f"{folder}/merged")
    try:
        os.mkdir(f"{folder}/merged/opaque/new")
        # Before Linux 4.8 a folder that is copied up takes the mark along, which then hides
        # what is below it from whoever gets the upper folder as a layer.
        native = opaque not in os.listxattr(f"{folder}/upper/opaque")
        try:
            os.rename(f"{folder}/merged/moved", f"{folder}/merged/away")
        except OSError as problem:
            native = native and problem.errno == errno.EXDEV
        else:
            native = False  # the upper folder has a pointer to the old name instead of a copy
    finally:
        syscalls.umount(f"{folder}/merged", syscalls.MNT_DETACH)
    return Trial(given, native, user)


def _explained(folder: str, problem: BaseException) -> BaseException:
    if isinstance(problem, HostkitError) or not isinstance(problem, OSError):
        return problem
    said = os.strerror(problem.errno or 0)
    if problem.errno == errno.ENODEV:
        return Unsupported(
            "this kernel has no overlay file system", "hostkit explain overlay-module-missing"
        )
    if problem.errno in (errno.EPERM, errno.EACCES):
        if in_user_namespace():
            hint = "in a user namespace overlayfs needs Linux 5.11 and a mount namespace beside it"
        else:
            hint = "mounting needs root, or a user namespace: unshare -Urm"
        return Unsupported(f"overlay2 may not mount here: {said}", hint)
    held = mounts.holding(folder)
    code = "nested-overlay" if held.fstype == "overlay" else "backing-fs-unsupported"
    text = f"overlayfs refuses {held.fstype} at {held.point}: {said}"
    return Unsupported(text, f"hostkit explain {code}")
