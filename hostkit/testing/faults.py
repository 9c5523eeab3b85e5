# SPDX-License-Identifier: GPL-3.0-or-later
"""Kill a process at any of its system calls, or let one of them fail, and see what is left.

Python's calls are wrapped, so it needs neither ptrace nor privileges; what a C library does
by itself is not seen.
"""

import builtins
import fcntl
import os
import pickle
import signal
import traceback
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar, cast

from hostkit.system import syscalls

T = TypeVar("T")
# All that leave something behind; `open` only when it makes a file.
_OS = (
    *("open", "write", "pwrite", "fsync", "fdatasync", "rename", "replace", "unlink", "remove"),
    *("mkdir", "rmdir", "mknod", "symlink", "link", "chmod", "fchmod", "chown", "fchown"),
    *("truncate", "ftruncate", "utime", "setxattr", "removexattr", "copy_file_range"),
)
_SYSTEM = ("mount", "umount", "move_mount", "syncfs")
# What a full disk refuses; it still lets things be taken away.
_TAKES_ROOM = frozenset(
    ("open", "write", "pwrite", "mkdir", "mknod", "symlink", "link", "setxattr", "copy_file_range")
)
_NEVER_FAILS = frozenset(("umount",))  # for want of room or of a sound disk
_MORE = ("w", "a", "x", "+")  # modes of open() that write


class Moments:
    """Sees the moments before and after each call, and half way through each write."""

    def __init__(self) -> None:
        self._saved: list[tuple[Any, str, Any]] = []

    def before(self, name: str) -> None:
        """The call has not begun."""

    def after(self, name: str) -> None:
        """The call is done."""

    def halves(self) -> bool:
        """Whether a write is to be cut in two."""
        return False

    def __enter__(self) -> "Moments":
        for module, names in ((os, _OS), (syscalls, _SYSTEM), (fcntl, ("ioctl",))):
            for name in names:
                self._put(module, name, self._wrapped(name, getattr(module, name)))
        self._put(builtins, "open", self._opening(builtins.open))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for module, name, call in reversed(self._saved):
            setattr(module, name, call)
        self._saved.clear()

    def _put(self, module: Any, name: str, call: Callable[..., Any]) -> None:
        self._saved.append((module, name, getattr(module, name)))
        setattr(module, name, call)

    def _wrapped(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if name == "open" and not args[1] & os.O_CREAT:
                return call(*args, **kwargs)
            self.before(name)
            if name == "write" and self.halves():
                call(args[0], bytes(args[1])[: len(args[1]) // 2])
                self.after(name)
            result = call(*args, **kwargs)
            self.after(name)
            return result

        return wrapper

    def _opening(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
            if not any(letter in mode for letter in _MORE):
                return call(file, mode, *args, **kwargs)
            self.before("open")
            result = call(file, mode, *args, **kwargs)
            self.after("open")
            return result

        return wrapper


class _Killing(Moments):
    """SIGKILL at a moment, counted from 1."""

    def __init__(self, point: int) -> None:
        super().__init__()
        self._left = point

    def before(self, name: str) -> None:
        self._moment()

    def after(self, name: str) -> None:
        self._moment()

    def halves(self) -> bool:
        self._left -= 1
        return self._left == 0

    def _moment(self) -> None:
        self._left -= 1
        if self._left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


class Failing(Moments):
    """An OSError instead of the call at one point, counted from 1.

    `lasting`: all later calls fail too; of a full disk (ENOSPC) those that take room.
    """

    def __init__(self, point: int, number: int, *, lasting: bool, full: bool) -> None:
        super().__init__()
        self._left = point
        self._number = number
        self._lasting = lasting
        self._full = full
        self.failed = ""  # the call that failed first

    def before(self, name: str) -> None:
        if name in _NEVER_FAILS or (self._full and name not in _TAKES_ROOM):
            return
        self._left -= 1
        if self._left == 0 or (self._lasting and self._left < 0):
            self.failed = self.failed or name
            raise OSError(self._number, f"{os.strerror(self._number)} (injected at {name})")


def killed_at(point: int, action: Callable[[], object]) -> bool:
    """Run `action` in a child killed at its moment `point`; False if it ended before that."""

    def killed() -> None:
        with _Killing(point):
            action()

    status, said = _forked(killed)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL, f"the action ended by {status}"
        return True
    assert status == 0, f"the action failed by itself:\n{said}"
    return False


def in_child(function: Callable[[], T]) -> T:
    """What a function gives in a process of its own. Raises AssertionError when it fails."""
    status, said = _forked(function)
    assert status == 0, f"in another process:\n{said}"
    return cast("T", said)


def _forked(function: Callable[[], object]) -> tuple[int, Any]:
    """How a child ended, and what its function gave or how it failed."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside test workers' threads
        child = os.fork()
    if child == 0:
        leave, write = os._exit, os.write
        status = 0
        try:
            os.close(reader)
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            said: object = function()
        except BaseException:  # noqa: BLE001 - the child must end here
            status, said = 1, traceback.format_exc()
        data = pickle.dumps(said)
        while data:
            data = data[write(writer, data) :]
        leave(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(child, 0)
    return status, pickle.loads(data) if data else None
