# SPDX-License-Identifier: GPL-3.0-or-later
"""What a driver must not leave behind, and a namespace in which its mounts touch nobody."""

import errno
import os
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager

from hostkit.system import mounts, syscalls

State = dict[str, set[str]]
_TRIES = 100
_WAIT_S = 0.02


@contextmanager
def private_mounts() -> Generator[None]:
    """A mount namespace of our own until the end; what is still mounted then goes with it."""
    home = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    folder = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        mounts.enter_private_namespace()
        try:
            yield
        finally:
            _return_to(home)
            os.fchdir(folder)
    finally:
        os.close(folder)
        os.close(home)


def _return_to(namespace: int) -> None:
    """A thread that has just ended shares our working folder a moment longer: setns(2), EINVAL."""
    for _ in range(_TRIES):
        try:
            syscalls.setns(namespace, syscalls.CLONE_NEWNS)
        except OSError as problem:
            if problem.errno != errno.EINVAL:
                raise
            time.sleep(_WAIT_S)
        else:
            return
    syscalls.setns(namespace, syscalls.CLONE_NEWNS)


def state(root: str) -> State:
    """Mounts, loop devices over files below `root`, dm devices, descriptors, threads."""
    return {
        "mount": set(mounts.mount_points()),
        "loop device": {f"{name}: {file}" for name, file in _loops() if root in file},
        "device-mapper device": {name for name in _blocks() if name.startswith("dm-")},
        "open file": _descriptors(),
        "thread": {thread.name for thread in threading.enumerate()},
    }


def left_behind(before: State, after: State) -> list[str]:
    """What is there after and was not before."""
    return [f"{kind}: {one}" for kind in after for one in sorted(after[kind] - before[kind])]


def names_below(root: str) -> set[str]:
    """Every name below a folder."""
    return {
        os.path.relpath(os.path.join(folder, name), root)
        for folder, folders, files in os.walk(root)
        for name in (*folders, *files)
    }


def _blocks() -> list[str]:
    return os.listdir("/sys/block") if os.path.isdir("/sys/block") else []


def _loops() -> Generator[tuple[str, str]]:
    for name in _blocks():
        try:
            with open(f"/sys/block/{name}/loop/backing_file") as file:
                yield name, file.read().strip()
        except OSError:
            continue


def _descriptors() -> set[str]:
    found: set[str] = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{name} {os.readlink(f'/proc/self/fd/{name}')}")
        except OSError:  # the one that lists them
            continue
    return found
