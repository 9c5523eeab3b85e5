# SPDX-License-Identifier: GPL-3.0-or-later
"""A file given another content, whole or not at all, and given back."""

import difflib
import errno
import os
import stat

from hostkit import files, text
from hostkit.system.machine import Machine
from hostkit.value import NamedTuple

LIMIT = 1 << 20  # the journal keeps both contents


class FileState(NamedTuple):
    """A regular file as it is."""

    content: bytes
    mode: int
    uid: int
    gid: int


class WriteFile(NamedTuple):
    """Put a content at an absolute path. `before` is None when there is no such file.

    A new file gets `mode`; one that is there keeps its mode, owner and attributes.
    """

    path: str
    content: bytes
    mode: int
    before: FileState | None
    kind: str = "write-file"
    version: int = 1

    def describe(self) -> str:
        """One sentence."""
        return f"{'create' if self.before is None else 'change'} {self.path}"

    def diff(self) -> str:
        """The change, safe to print."""
        lines = difflib.unified_diff(
            _lines(self.before.content if self.before else b""),
            _lines(self.content),
            self.path if self.before else "/dev/null",
            self.path,
            lineterm="",
        )
        return "\n".join(map(text.printable, lines))

    def conflicts(self, machine: Machine) -> tuple[str, ...]:
        """The file is neither as it was nor as this step leaves it."""
        now = look(machine, self.path)
        if now == self.before or self._is_ours(now):
            return ()
        return (f"{self.path} {_difference(now, self.before)}",)

    def apply(self, machine: Machine) -> None:
        """Write it."""
        self._refuse_unfit(machine)
        path = machine.at(self.path)
        files.remove_leftovers(path)
        files.write_atomic(path, self.content, self.mode)

    def verify(self, machine: Machine) -> tuple[str, ...]:
        """The content is there."""
        ours = self._is_ours(look(machine, self.path))
        return () if ours else (f"{self.path} does not have the new content",)

    def undo(self, machine: Machine) -> None:
        """Give back the former content or absence; what is not ours is left alone."""
        path = machine.at(self.path)
        files.remove_leftovers(path)
        if not self._is_ours(look(machine, self.path)):
            return
        if self.before is not None:
            files.write_atomic(path, self.before.content, self.before.mode)
        else:
            os.unlink(path)
            files.sync_folder(os.path.dirname(path))

    def restored(self, machine: Machine) -> tuple[str, ...]:
        """Bytes, mode and owner, or absence, are as before."""
        now = look(machine, self.path)
        return () if now == self.before else (f"{self.path} {_difference(now, self.before)}",)

    def _is_ours(self, now: FileState | None) -> bool:
        if now is None:
            return False
        if self.before is None:
            return (now.content, now.mode) == (self.content, self.mode)
        return now == self.before._replace(content=self.content)

    def _refuse_unfit(self, machine: Machine) -> None:
        path = machine.at(self.path)
        if not os.path.isabs(self.path) or os.path.normpath(self.path) != self.path:
            raise OSError(errno.EINVAL, "not a plain absolute path", self.path)
        if len(self.content) > LIMIT:
            raise OSError(errno.EFBIG, f"more than {LIMIT} bytes", self.path)
        if self.before is not None and os.stat(path).st_nlink > 1:
            # A replaced file would part from its other names.
            raise OSError(errno.EMLINK, "the file has several names (hard links)", self.path)


def look(machine: Machine, path: str) -> FileState | None:
    """The file as it is, None when there is none. Raises OSError if it is no regular file."""
    where = machine.at(path)
    try:
        info = os.lstat(where)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(info.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", path)
    content, more = files.read_bounded(where, LIMIT)
    if more:
        raise OSError(errno.EFBIG, f"more than {LIMIT} bytes", path)
    return FileState(content, stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid)


def _lines(content: bytes) -> list[str]:
    *lines, rest = text.decode(content).split("\n")
    return [*lines, rest, "(no newline at the end of the file)"] if rest else lines


def _difference(now: FileState | None, before: FileState | None) -> str:
    if now is None:
        return "is gone: something else has removed it"
    if before is None:
        return "is there with another content: something else has written it"
    if now.content != before.content:
        return "has another content: something else has written it"
    return (
        f"has mode {now.mode:o} and owner {now.uid}:{now.gid},"
        f" it had {before.mode:o} and {before.uid}:{before.gid}"
    )
