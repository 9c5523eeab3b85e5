# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the cases of this folder make their roots."""

import os
from collections.abc import Iterator

import pytest

from hostkit.system import syscalls
from hostkit.testing.leftovers import private_mounts


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str | None]:
    """A tmpfs that nobody else sees: the many fsyncs cost nothing; tests/live has real disks."""
    if os.geteuid() != 0:
        yield None
        return
    place = str(tmp_path_factory.mktemp("memory"))
    with private_mounts():
        syscalls.mount("tmpfs", place, "tmpfs", 0, "size=2g")
        try:
            yield place
        finally:
            syscalls.umount(place)


@pytest.fixture
def driver_folder(memory: str | None) -> str | None:
    return memory
