# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads that end, and writes that are whole."""

import errno
import os
from pathlib import Path

import pytest

from hostkit import files


def test_the_limit_is_exact(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"12345")
    assert files.read_bounded(str(path), 5) == (b"12345", False)
    assert files.read_bounded(str(path), 4) == (b"1234", True)
    assert files.read_bounded(str(path), 0) == (b"", True)


def test_the_tail(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"12345")
    assert files.read_tail(str(path), 5) == (b"12345", False)
    assert files.read_tail(str(path), 2) == (b"45", True)
    assert files.read_tail(str(path), 99) == (b"12345", False)


@pytest.mark.parametrize("read", [files.read_bounded, files.read_tail])
def test_what_is_no_regular_file(tmp_path: Path, read: object) -> None:
    assert callable(read)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    for path, number in (
        (tmp_path / "fifo", errno.EINVAL),
        ("/dev/zero", errno.EINVAL),
        (tmp_path, errno.EISDIR),
        (tmp_path / "loop", errno.ELOOP),
        (tmp_path / "none", errno.ENOENT),
    ):
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(OSError) as caught:  # noqa: PT011 - the number says which
            read(str(path), 10)
        assert caught.value.errno == number
        assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("read", [files.read_bounded, files.read_tail])
def test_a_device_is_not_even_opened(read: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(read)

    def opened(path: str, flags: int) -> int:
        raise AssertionError((path, flags))

    monkeypatch.setattr(os, "open", opened)
    with pytest.raises(OSError, match="not a regular file"):
        read("/dev/zero", 10)


def test_files_of_proc_whose_size_is_nothing() -> None:
    assert b"MemTotal" in files.read_bounded("/proc/meminfo")[0]


def test_a_new_file_is_whole_and_has_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "f"
    files.write_atomic(str(path), b"x" * 100_000, 0o600)
    assert path.read_bytes() == b"x" * 100_000
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["f"]


def test_a_replaced_file_keeps_mode_and_stays_behind_its_link(tmp_path: Path) -> None:
    path, link = tmp_path / "f", tmp_path / "l"
    path.write_bytes(b"old")
    path.chmod(0o640)
    link.symlink_to("f")
    files.write_atomic(str(link), b"new", 0o600)
    assert link.is_symlink()
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640


def test_what_another_user_put_into_a_shared_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, link = tmp_path / "target", tmp_path / "shared" / "report"
    target.write_bytes(b"old")
    link.parent.mkdir()
    link.parent.chmod(0o1777)
    link.symlink_to("../target")
    files.write_atomic(str(link), b"ours")
    assert target.read_bytes() == b"ours"

    real = os.lstat
    theirs = os.stat_result((*real(link)[:4], 12345, *real(link)[5:]))

    def lstat(path: str) -> os.stat_result:
        return theirs if path == str(link) else real(path)

    monkeypatch.setattr(os, "lstat", lstat)
    with pytest.raises(PermissionError, match="another user"):
        files.write_atomic(str(link), b"new")
    assert target.read_bytes() == b"ours"


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def full(descriptor: int, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "write_all", full)
    with pytest.raises(OSError, match="No space"):
        files.write_atomic(str(path), b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["f"]
