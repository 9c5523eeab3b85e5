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

from hostkit.value import NamedTuple

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

    Goes by descriptors, so a path may be longer than the kernel takes at once; only a file of
    several names needs the path of the first. Raises OSError, also when the tree is moved
    meanwhile.
    """
    os.mkdir(target, 0o700)
    top = os.open(target, _FOLDER)
    try:
        _Copying(top, os.open(source, _FOLDER & ~os.O_NOFOLLOW), os.dup(top)).run()
    finally:
        os.close(top)


class _Level(NamedTuple):
    """A folder above the one that is being copied."""

    pending: list[str]  # the folders in it that are still to be copied
    info: os.stat_result


class _Copying:
    """One copy under way: a folder of each tree is open, the way back is `..`."""

    def __init__(self, top: int, source: int, target: int) -> None:
        self._top, self._source, self._target = top, source, target
        self._path: list[str] = []
        self._links: dict[tuple[int, int], str] = {}

    def run(self) -> None:
        """Copy everything, and close the two folders."""
        try:
            self._run()
        finally:
            os.close(self._source)
            os.close(self._target)

    def _run(self) -> None:
        above: list[_Level] = []
        info, pending = os.fstat(self._source), self._files()
        while True:
            if pending:
                name = pending.pop()
                above.append(_Level(pending, info))
                os.mkdir(name, 0o700, dir_fd=self._target)
                self._go(name)
                self._path.append(name)
                info, pending = os.fstat(self._source), self._files()
                continue
            _dress(f"/proc/self/fd/{self._source}/.", f"/proc/self/fd/{self._target}/.", info)
            if not above:
                return
            pending, info = above.pop()
            self._go("..")
            self._path.pop()
            if not os.path.samestat(os.fstat(self._source), info):
                raise OSError(errno.ESTALE, "a folder was moved while it was copied")

    def _go(self, name: str) -> None:
        source = os.open(name, _FOLDER, dir_fd=self._source)
        os.close(self._source)
        self._source = source
        target = os.open(name, _FOLDER, dir_fd=self._target)
        os.close(self._target)
        self._target = target

    def _files(self) -> list[str]:
        """Copy what is no folder; gives the folders."""
        folders: list[str] = []
        with os.scandir(self._source) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                else:
                    self._file(entry.name, entry.stat(follow_symlinks=False))
        return folders

    def _file(self, name: str, info: os.stat_result) -> None:
        if info.st_nlink > 1:
            path = "/".join((*self._path, name))
            first = self._links.setdefault((info.st_dev, info.st_ino), path)
            if first != path:
                places = {"src_dir_fd": self._top, "dst_dir_fd": self._target}
                os.link(first, name, **places, follow_symlinks=False)
                return
        if stat.S_ISREG(info.st_mode):
            self._content(name, info.st_size)
        elif stat.S_ISLNK(info.st_mode):
            os.symlink(os.readlink(name, dir_fd=self._source), name, dir_fd=self._target)
        else:  # a socket too: nobody answers on it, but it was there
            os.mknod(name, info.st_mode, info.st_rdev, dir_fd=self._target)
        _dress(f"/proc/self/fd/{self._source}/{name}", f"/proc/self/fd/{self._target}/{name}", info)

    def _content(self, name: str, size: int) -> None:
        one = os.open(name, _READ, dir_fd=self._source)
        try:
            two = os.open(name, _NEW, 0o600, dir_fd=self._target)
            try:
                copy_content(one, two, size)
            finally:
                os.close(two)
        finally:
            os.close(one)


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
