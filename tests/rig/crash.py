# SPDX-License-Identifier: GPL-3.0-or-later
"""Kill a process at any of its system calls, and see what is left."""

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any

# All that leave something behind; `open` only when it makes a file.
_CALLS = ("open", "write", "fsync", "rename", "unlink", "ftruncate", "fchmod", "mkdir")


class Killer:
    """Counts the moments before and after each call, and half way through each write."""

    def __init__(self, point: int) -> None:
        self._left = point
        for name in _CALLS:
            setattr(os, name, self._wrapped(name, getattr(os, name)))

    def _wrapped(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if name == "open" and not args[1] & os.O_CREAT:
                return call(*args, **kwargs)
            self._moment()
            if name == "write" and self._left == 1:
                call(args[0], bytes(args[1])[: len(args[1]) // 2])
                self._moment()
            elif name == "write":
                self._moment()
            result = call(*args, **kwargs)
            self._moment()
            return result

        return wrapper

    def _moment(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def killed_at(point: int, action: Callable[[], object]) -> bool:
    """Run `action` in a child killed at its moment `point`; False if it ended before that."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside test workers' threads
        child = os.fork()
    if child == 0:
        leave = os._exit
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            Killer(point)
            action()
        except BaseException:  # noqa: BLE001 - the child must end here
            traceback.print_exc(file=sys.stderr)
            leave(1)
        leave(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the action failed by itself"
    return False
