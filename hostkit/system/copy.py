# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and trees copied with all that a file system keeps of them.

Content shares its blocks with the original where the file system can (FICLONE), holes stay
holes, hard links stay links among the copies, and every extended attribute goes along:
POSIX ACLs and file capabilities are such (acl(5), capabilities(7)).
"""

import errno
import fcntl
import os
import stat

_FICLONE = 0x40049409
_CHUNK = 1 << 20
_RANGE = 1 << 30
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# EXDEV: another file system; EINVAL, EOPNOTSUPP: it cannot; ENOSYS: Linux before 4.5; EPERM,
# EBADF: some old file systems say so.
_CANNOT = (
    errno.EXDEV,
    errno.EINVAL,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
    errno.ENOTTY,
    errno.EPERM,
    errno.EBADF,
    errno.EIO,
)


def can_share(folder: str) -> bool:
    """Whether files of a folder can share their blocks until one is written."""
    flags = os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC
    opened: list[int] = []
    try:
        opened.append(os.open(folder, flags, 0o600))
        opened.append(os.open(folder, flags, 0o600))
        os.write(opened[0], b"x")
        fcntl.ioctl(opened[1], _FICLONE, opened[0])
    except OSError:  # also: Linux before 3.11 has no files without a name
        return False
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return True


def copy_content(source: int, target: int, size: int) -> None:
    """Copy `size` bytes between two descriptors, sharing blocks or keeping holes.

    Raises OSError.
    """
    if not size:
        return
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as problem:
        if problem.errno not in _CANNOT:
            raise
    else:
        return
    os.ftruncate(target, size)
    at = 0
    while at < size:
        try:
            start = os.lseek(source, at, os.SEEK_DATA)
            end = os.lseek(source, start, os.SEEK_HOLE)
        except OSError as problem:
            if problem.errno == errno.ENXIO:  # a hole to the end
                return
            start, end = at, size  # a file system that knows no holes
        _copy_range(source, target, start, min(end, size))
        at = end


def _copy_range(source: int, target: int, start: int, end: int) -> None:
    while start < end:
        try:
            done = os.copy_file_range(source, target, min(end - start, _RANGE), start, start)
        except OSError as problem:
            if problem.errno not in _CANNOT:
                raise
            data = os.pread(source, min(end - start, _CHUNK), start)
            done = os.pwrite(target, data, start) if data else 0
        if not done:
            raise OSError(errno.EIO, "the file became shorter while it was copied")
        start += done


def copy_tree(source: str, target: str) -> None:
    """Copy a folder with all below it; `target` is made and must not be there.

    Raises OSError.
    """
    os.mkdir(target, 0o700)
    links: dict[tuple[int, int], str] = {}
    above: list[tuple[str, os.stat_result]] = []
    pending = [""]
    while pending:
        below = pending.pop()
        folder = source + below
        above.append((below, os.lstat(folder)))
        with os.scandir(folder) as entries:
            for entry in entries:
                path = f"{below}/{entry.name}"
                info = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(info.st_mode):
                    os.mkdir(target + path, 0o700)
                    pending.append(path)
                else:
                    _copy_one(source, target, path, info, links)
    for below, info in reversed(above):  # a parent after its children: making one changes it
        _dress(source + below, target + below, info)


def _copy_one(
    source: str, target: str, path: str, info: os.stat_result, links: dict[tuple[int, int], str]
) -> None:
    if info.st_nlink > 1:
        first = links.setdefault((info.st_dev, info.st_ino), path)
        if first != path:
            os.link(target + first, target + path, follow_symlinks=False)
            return
    if stat.S_ISREG(info.st_mode):
        one = os.open(source + path, _READ)
        try:
            two = os.open(target + path, _NEW, 0o600)
            try:
                copy_content(one, two, info.st_size)
            finally:
                os.close(two)
        finally:
            os.close(one)
    elif stat.S_ISLNK(info.st_mode):
        os.symlink(os.readlink(source + path), target + path)
    else:
        os.mknod(target + path, info.st_mode, info.st_rdev)
    _dress(source + path, target + path, info)


def copy_look(source: str, target: str, *, but: str = "") -> None:
    """Give one file or folder what another has besides its content.

    `but`: the beginning of attributes that are left out. Raises OSError.
    """
    _dress(source, target, os.lstat(source), but)


def _dress(source: str, target: str, info: os.stat_result, but: str = "") -> None:
    """Owner, mode, attributes, times, in this order: each may undo what comes after it."""
    os.chown(target, info.st_uid, info.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(info.st_mode):
        os.chmod(target, stat.S_IMODE(info.st_mode))
    try:
        keys = os.listxattr(source, follow_symlinks=False)
    except OSError as problem:
        if problem.errno != errno.ENOTSUP:
            raise
        keys = []
    for key in keys:
        if but and key.startswith(but):
            continue
        value = os.getxattr(source, key, follow_symlinks=False)
        os.setxattr(target, key, value, follow_symlinks=False)
    os.utime(target, ns=(info.st_atime_ns, info.st_mtime_ns), follow_symlinks=False)
