# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees copied, measured and removed, whatever is in them."""

import os
import socket
import stat
from pathlib import Path

import pytest

from hostkit.system.copy import can_share, copy_tree
from hostkit.system.tree import remove_tree, tree_usage


def deep(top: Path, depth: int) -> None:
    """Folders in one another: far longer as a path than the kernel takes."""
    at = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("folder", dir_fd=at)
        below = os.open("folder", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=at))
    os.close(at)


def test_a_tree_deeper_than_paths_and_recursion_is_copied_measured_and_removed(
    tmp_path: Path,
) -> None:
    (tmp_path / "one").mkdir()
    deep(tmp_path / "one", 1500)
    copy_tree(str(tmp_path / "one"), str(tmp_path / "two"))
    usage = tree_usage(str(tmp_path / "one"))
    assert usage.inodes == 1502
    assert tree_usage(str(tmp_path / "two")) == usage
    for name in ("one", "two"):
        remove_tree(str(tmp_path / name))
    assert os.listdir(tmp_path) == []


def test_a_wide_tree_goes_too(tmp_path: Path) -> None:
    for number in range(300):
        os.makedirs(tmp_path / f"top/{number}/a/b/c")
        (tmp_path / f"top/{number}/a/file").touch()
    assert tree_usage(str(tmp_path / "top")).inodes == 1 + 300 * 5
    remove_tree(str(tmp_path / "top"))
    remove_tree(str(tmp_path / "top"))
    assert os.listdir(tmp_path) == []


def test_a_link_is_removed_and_not_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").touch()
    (tmp_path / "top").mkdir()
    (tmp_path / "top/link").symlink_to("../kept")
    (tmp_path / "link").symlink_to("kept")
    remove_tree(str(tmp_path / "top"))
    remove_tree(str(tmp_path / "link"))
    assert sorted(os.listdir(tmp_path)) == ["kept"]
    assert os.listdir(tmp_path / "kept") == ["file"]


def test_a_copy_has_all_that_the_original_has(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir(mode=0o751)
    (one / "folder").mkdir()
    (one / "file").write_bytes(b"content")
    os.setxattr(one / "file", "user.key", b"\0value")
    os.setxattr(one / "folder", "user.key", b"of a folder")
    os.chmod(one / "file", 0o4711)
    os.link(one / "file", one / "folder/again")
    os.symlink("nowhere\n", one / "link")
    os.mkfifo(one / "fifo", 0o620)
    with open(os.fsencode(one) + b"/\xff\n name", "wb") as odd:
        odd.write(b"odd")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(one / "socket"))
    listener.close()
    with (one / "holes").open("wb") as sparse:
        sparse.truncate(64 << 20)
        sparse.seek(32 << 20)
        sparse.write(b"data")
    for name in ("file", "folder", "link", "fifo", "socket", "."):
        os.utime(one / name, ns=(1, 1234567891234567891), follow_symlinks=False)
    copy_tree(str(one), str(two))
    for below in [b".", *os.listdir(os.fsencode(one)), b"folder/again"]:
        was = os.lstat(os.path.join(os.fsencode(one), below))
        now = os.lstat(os.path.join(os.fsencode(two), below))
        assert facts(was) == facts(now), below
    assert os.getxattr(two / "file", "user.key") == b"\0value"
    assert os.getxattr(two / "folder", "user.key") == b"of a folder"
    assert (two / "file").stat().st_ino == (two / "folder/again").stat().st_ino
    assert (two / "holes").stat().st_blocks * 512 < 1 << 20
    assert (two / "holes").read_bytes()[32 << 20 :][:5] == b"data\0"


def facts(info: os.stat_result) -> tuple[int, ...]:
    when = info.st_mtime_ns
    size = info.st_size if stat.S_ISREG(info.st_mode) else 0
    return info.st_mode, info.st_uid, info.st_gid, info.st_nlink, size, when


def test_sharing_is_asked_without_a_trace(tmp_path: Path) -> None:
    assert can_share(str(tmp_path)) in (True, False)
    assert os.listdir(tmp_path) == []
    assert can_share(str(tmp_path / "nothing")) is False


def test_a_copy_onto_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    with pytest.raises(FileExistsError):
        copy_tree(str(tmp_path / "one"), str(tmp_path))
