# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that is really full, and layers of limited size."""

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from hostkit.storage.driver import StorageDriver
from hostkit.storage.errors import StorageError
from hostkit.system import syscalls
from hostkit.testing.subject import REFUSALS, Subject, touching
from hostkit.testing.tars import file, tar

_SMALL = "16m"
_FILLED_FOR_REAL = 1 << 30  # a file system of its own for tests; another one is not filled
_LARGE = tar(file(b"small", b"1"), file(b"large", b"x" * (32 << 20)))
_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def _small_root(subject: Subject) -> Generator[str]:
    """A root that can be filled: the case's own when its file system is small, else a tmpfs."""
    space = os.statvfs(subject.root)
    if space.f_blocks * space.f_frsize < _FILLED_FOR_REAL:
        root = f"{subject.root}/small"
        os.mkdir(root)
        yield root
        return
    if subject.driver.capabilities.block_backed:
        pytest.skip(f"{subject.plugin.name} needs more than a small tmpfs")
    root = f"{subject.root}/tmpfs"
    os.mkdir(root)
    syscalls.mount("tmpfs", root, "tmpfs", 0, f"size={_SMALL}")
    try:
        yield root
    finally:
        syscalls.umount(root, syscalls.MNT_DETACH)
        os.rmdir(root)


def _fill(path: str) -> None:
    """Until not one byte fits any more."""
    size = 1 << 26
    with open(path, "wb", buffering=0) as file:
        while size:
            try:
                os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, size)
            except OSError as problem:
                assert problem.errno in _FULL  # noqa: PT017 - any other is no full disk
                size //= 4
    for number in range(100_000):  # what is kept for small files and folders
        try:
            with open(f"{path}-{number}", "wb", buffering=0) as more:
                more.write(b"x" * 4096)
        except OSError as problem:
            assert problem.errno in _FULL  # noqa: PT017 - as above
            return


def _empty(path: str) -> None:
    folder, name = os.path.split(path)
    for one in os.listdir(folder):
        if one.startswith(name):
            os.unlink(f"{folder}/{one}")


def _write(driver: StorageDriver, layer: str) -> None:
    with driver.mount(layer) as mount:
        touching("file")(mount.path)


class Space:
    """Full is told, harms nobody, and can be got out of."""

    def test_a_layer_that_does_not_fit_is_refused_and_can_be_removed(
        self, subject: Subject
    ) -> None:
        with _small_root(subject) as root:
            driver = subject.driver = subject.open(root=root)
            subject.layer("bottom", None, touching("below"))
            filler = f"{root}/filler"
            driver.create("top", "bottom")
            with open(filler, "wb") as file:
                room = os.statvfs(root)
                free = room.f_bavail * room.f_frsize
                os.posix_fallocate(file.fileno(), 0, max(free - (8 << 20), 4096))
            with pytest.raises(REFUSALS) as raised:
                subject.apply("top", _LARGE)
            assert getattr(raised.value, "errno", errno.ENOSPC) in _FULL
            driver.remove("top")
            os.unlink(filler)
            subject.layer("top", "bottom", touching("again"))
            assert b"/below" in subject.look("top")
            subject.remove_all()
            driver.close()
        subject.driver = subject.open()

    def test_a_full_disk_refuses_what_is_new_and_lets_layers_be_removed(
        self, subject: Subject
    ) -> None:
        with _small_root(subject) as root:
            driver = subject.open(root=root)
            for name in ("bottom", "kept"):
                driver.create(name)
                _write(driver, name)
                driver.commit(name)
            driver.create("active", "bottom")
            _write(driver, "active")
            _fill(f"{root}/filler")
            for number in range(20):  # nothing of a refused layer stays to take more room
                try:
                    driver.create(f"new-{number}", "bottom")
                    _write(driver, f"new-{number}")
                except REFUSALS:
                    break
            else:
                pytest.fail("a full disk took twenty layers")
            for layer in [one.id for one in driver.layers() if one.id != "kept"][::-1]:
                driver.remove(layer)
            assert [one.id for one in driver.layers()] == ["kept"]
            _empty(f"{root}/filler")
            driver.create("after", "kept")
            _write(driver, "after")
            assert [f"{one.code} {one.subject}" for one in driver.check()] == []
            driver.remove("after")
            driver.remove("kept")
            driver.close()

    def test_a_size_limit_is_kept(self, subject: Subject) -> None:
        """Moby's SetQuota."""
        subject.needs("size_limit")
        subject.layer("bottom")
        size = 300 << 20 if subject.driver.capabilities.block_backed else 50 << 20
        subject.driver.create("limited", "bottom", read_write=True, size=size)
        assert subject.driver.info("limited").size_limit == size
        with subject.driver.mount("limited") as mount:
            with open(f"{mount.path}/half", "wb") as file:
                os.posix_fallocate(file.fileno(), 0, size // 2)
            with pytest.raises(OSError) as raised, open(f"{mount.path}/more", "wb") as file:  # noqa: PT011 - the number is looked at
                os.posix_fallocate(file.fileno(), 0, size)
            assert raised.value.errno in _FULL
        subject.driver.create("free", "bottom", read_write=True)
        assert subject.driver.info("free").size_limit is None

    def test_a_size_limit_of_nothing_is_refused(self, subject: Subject) -> None:
        subject.needs("size_limit")
        for size in (0, -1):
            with pytest.raises(StorageError):
                subject.driver.create("none", size=size)
        assert subject.layers() == {}
