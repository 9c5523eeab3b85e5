# SPDX-License-Identifier: GPL-3.0-or-later
"""What must not be changed, looked at: mounts outside of it that nobody else sees."""

import os
from collections.abc import Generator
from contextlib import contextmanager

from hostkit.system import mounts, syscalls
from hostkit.system.mounts import Mountable

_PLACE = "/tmp"  # noqa: S108 - a folder that nobody can foretell, with a mount that nobody else sees


@contextmanager
def mounted_aside(spec: Mountable) -> Generator[str]:
    """The folder where a mount is seen while this lasts. Raises OSError.

    For a process in a mount namespace of its own (`mounts.enter_private_namespace`).
    """
    folder = f"{_PLACE}/hostkit-{os.getpid()}-{os.urandom(8).hex()}"
    os.mkdir(folder, 0o700)
    try:
        spec.apply(folder)
        try:
            yield folder
        finally:
            mounts.unmount(folder)
    finally:
        os.rmdir(folder)


def make_read_only(path: str) -> None:
    """From here on nothing below a folder can be changed through its path by this process.

    Not even the time of the last access is: the folder is mounted upon itself, read-only, in
    this process's own mount namespace. Raises OSError.
    """
    mounts.MountSpec(path, "", syscalls.MS_BIND | syscalls.MS_RDONLY).apply(path)
