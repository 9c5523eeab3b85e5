# SPDX-License-Identifier: GPL-3.0-or-later
"""Locks among processes; the kernel takes them back from one that is killed."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def locked(path: str, kind: int = fcntl.LOCK_EX) -> Generator[None]:
    """Have the lock of a file, which is made if need be.

    Raises BlockingIOError when somebody has it and `kind` says not to wait.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)
