# SPDX-License-Identifier: GPL-3.0-or-later
"""Differences of trees: found wholly, written as layers, and applied again."""

import io
import os
import resource
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostkit.storage import treediff
from hostkit.storage.errors import StorageError, Unsupported
from hostkit.storage.tar.reader import TarReader
from hostkit.storage.treewalk import Copied
from hostkit.storage.unpack import Whiteouts, unpack
from hostkit.system.copy import copy_tree
from hostkit.system.tree import remove_tree
from tests.tars import file, folder, hard_link, manifest, put, symlink, tar

pytestmark = pytest.mark.root


class Pair:
    """A lower tree, an upper one that began as its copy, and when it was copied."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.lower = top / "lower"
        self.upper = top / "upper"
        self.copied: Copied | None = None

    def copy(self) -> Path:
        begin = time.time_ns()
        copy_tree(str(self.lower), str(self.upper))
        self.copied = Copied(begin, time.time_ns())
        time.sleep(0.07)  # what is touched within 50 ms is looked at as a whole
        return self.upper

    def changes(self) -> list[str]:
        found = self.listed(None)
        assert self.listed(self.copied) == found
        return found

    def listed(self, copied: Copied | None) -> list[str]:
        return [
            f"{one.kind.value} {os.fsdecode(one.path)}"
            for one in treediff.changes(str(self.lower), str(self.upper), copied)
        ]

    def layer(self) -> bytes:
        sink = io.BytesIO()
        treediff.write_diff(str(self.lower), str(self.upper), sink, self.copied)
        return sink.getvalue()

    def applied(self) -> Path:
        again = self.top / "again"
        copy_tree(str(self.lower), str(again))
        put(self.layer(), again)
        return again


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    made = Pair(tmp_path)
    put(
        tar(
            file("a", b"1"),
            file("b", b"2"),
            file("d/e/f", b"3"),
            file("d/g", b"4"),
            folder("empty"),
            symlink("l", b"a"),
            file("h1", b"5"),
            hard_link("h2", b"h1"),
        ),
        made.lower,
    )
    made.copy()
    yield made
    for name in ("lower", "upper", "again"):
        remove_tree(str(tmp_path / name))


def rewrite(path: Path, data: bytes) -> None:
    """Other content of the same length, with the time it had."""
    info = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def test_a_copy_differs_in_nothing(pair: Pair) -> None:
    assert pair.changes() == []


def _link_elsewhere(tree: Path) -> None:
    (tree / "l").unlink()
    (tree / "l").symlink_to("b")


def _folder_for_file(tree: Path) -> None:
    (tree / "a").unlink()
    (tree / "a").mkdir()


def _file_for_folder(tree: Path) -> None:
    shutil.rmtree(tree / "d")
    (tree / "d").write_bytes(b"f")


CHANGES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "added": (lambda t: (t / "d/e/new").write_bytes(b""), ["C /d", "C /d/e", "A /d/e/new"]),
    "deleted": (lambda t: (t / "d/e/f").unlink(), ["C /d", "C /d/e", "D /d/e/f"]),
    "folder gone": (lambda t: shutil.rmtree(t / "d"), ["D /d"]),
    "content, old time": (lambda t: rewrite(t / "d/g", b"x"), ["C /d", "C /d/g"]),
    "mode": (lambda t: (t / "a").chmod(0o4711), ["C /a"]),
    "owner": (lambda t: os.lchown(t / "l", 9, 9), ["C /l"]),
    "attribute": (lambda t: os.setxattr(t / "a", "user.x", b"1"), ["C /a"]),
    "attribute of a folder": (lambda t: os.setxattr(t / "empty", "user.x", b""), ["C /empty"]),
    "time": (lambda t: os.utime(t / "a", ns=(0, 1)), ["C /a"]),
    "target": (_link_elsewhere, ["C /l"]),
    "new name": (lambda t: os.link(t / "a", t / "z"), ["C /a", "A /z"]),
    "file to folder": (_folder_for_file, ["C /a"]),
    "folder to file": (_file_for_folder, ["C /d"]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_change_is_seen_and_brings_the_same_tree_again(pair: Pair, name: str) -> None:
    change, expected = CHANGES[name]
    change(pair.upper)
    assert pair.listed(pair.copied) == expected
    if name != "new name":
        assert pair.changes() == expected
    assert manifest(pair.applied()) == manifest(pair.upper)


def test_the_same_trees_give_the_same_bytes(pair: Pair) -> None:
    (pair.upper / "new").write_bytes(b"1" * 1000)
    assert pair.layer() == pair.layer()


def test_a_socket_is_left_out_and_told(pair: Pair) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(pair.upper / "socket"))
    told: list[bytes] = []
    treediff.write_diff(str(pair.lower), str(pair.upper), io.BytesIO(), skipped=told.append)
    assert told == [b"socket"]


def test_a_file_that_would_become_a_whiteout_is_refused(pair: Pair) -> None:
    (pair.upper / "d/.wh.g").write_bytes(b"")
    with pytest.raises(StorageError, match=r"'d/\.wh\.g' cannot be in a layer"):
        pair.layer()


def test_a_changed_root_comes_along(pair: Pair) -> None:
    pair.upper.chmod(0o700)
    os.setxattr(pair.upper, "user.root", b"1")
    again = pair.applied()
    assert stat.S_IMODE(again.stat().st_mode) == 0o700
    assert os.getxattr(again, "user.root") == b"1"


def test_a_tree_deeper_than_path_max_and_open_files(pair: Pair) -> None:
    path = "directory/" * 1200
    put(tar(file(path + "f", b"old"), file(path + "g")), pair.lower)
    remove_tree(str(pair.upper))
    pair.copied = None
    put(tar(file(path + "f", b"new")), pair.upper)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        found = pair.listed(None)
        assert {f"C /{path}f", f"D /{path}g"} <= set(found)
        pair.layer()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# Upper folders of overlayfs.


def upper_layer(upper: Path, *below: Path) -> bytes:
    sink = io.BytesIO()
    treediff.write_upper(str(upper), sink, [str(one) for one in below])
    return sink.getvalue()


def test_an_upper_folder_is_written_and_unpacked_as_it_was(tmp_path: Path) -> None:
    data = tar(file(".wh.x"), folder("d"), file("d/.wh..wh..opq"), file("d/f", b"1"))
    put(data, tmp_path / "one", Whiteouts.OVERLAY)
    layer = upper_layer(tmp_path / "one")
    put(layer, tmp_path / "two", Whiteouts.OVERLAY)
    trees = [manifest(tmp_path / name, times=False) for name in ("one", "two")]
    assert trees[0] == trees[1]
    assert os.getxattr(tmp_path / "two/d", "trusted.overlay.opaque") == b"y"
    assert upper_layer(tmp_path / "two") == layer


def test_what_an_upper_folder_changes_is_told_without_a_mount(tmp_path: Path) -> None:
    far, near, upper = (tmp_path / name for name in ("far", "near", "upper"))
    put(tar(file("a"), file("gone"), file("d/1"), file("d/2/x"), file("e/f")), far)
    put(tar(file(".wh.gone"), file("d/3")), near, Whiteouts.OVERLAY)
    put(
        tar(
            file("a"),
            file("gone"),
            file("new"),
            file(".wh.missing"),
            file(".wh.e"),
            folder("d"),
            file("d/.wh..wh..opq"),
            file("d/1"),
            file("d/2/y"),
        ),
        upper,
        Whiteouts.OVERLAY,
    )
    found = treediff.upper_changes(str(upper), [str(near), str(far)])
    assert [f"{one.kind.value} {os.fsdecode(one.path)}" for one in found] == [
        "C /a",
        "C /d",
        "C /d/1",
        "C /d/2",
        "D /d/2/x",
        "A /d/2/y",
        "D /d/3",
        "D /e",
        "A /gone",
        "A /new",
    ]


@pytest.mark.parametrize("key", ["trusted.overlay.redirect", "trusted.overlay.metacopy"])
def test_an_upper_folder_that_is_not_whole_is_refused(tmp_path: Path, key: str) -> None:
    (tmp_path / "u/d").mkdir(parents=True)
    os.setxattr(tmp_path / "u/d", key, b"/elsewhere")
    with pytest.raises(Unsupported, match="other layers"):
        upper_layer(tmp_path / "u")


# Whatever changes.

NAMES = st.sampled_from(["a", "b", "c", "a/b", "a/c", "b/a", "b/a/c", "c/\udcff", "c/a b"])
ACTS = st.tuples(st.sampled_from("fdlnxmhtu"), NAMES, NAMES, st.integers(0, 5))


def act(top: Path, kind: str, name: str, other: str, number: int) -> None:
    path = top / name
    if kind == "f":
        path.write_bytes(b"%d" % number * number)
    elif kind == "d":
        path.mkdir()
    elif kind == "l":
        path.symlink_to(other)
    elif kind == "n":
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, number + 1))
    elif kind == "x":
        os.setxattr(path, f"user.{number}", b"v", follow_symlinks=False)
    elif kind == "m":
        os.chmod(path, 0o600 + number) if not path.is_symlink() else None
    elif kind == "h":
        os.link(top / other, path, follow_symlinks=False)
    elif kind == "t":
        os.utime(path, ns=(number, number), follow_symlinks=False)
    else:
        remove_tree(str(path))


@settings(max_examples=60)
@given(st.lists(ACTS, max_size=25), st.lists(ACTS, max_size=15), st.booleans())
def test_any_difference_applied_gives_the_other_tree(
    first: list[tuple[str, str, str, int]],
    second: list[tuple[str, str, str, int]],
    say: bool,
) -> None:
    pair = Pair(Path(tempfile.mkdtemp()))
    try:
        pair.lower.mkdir()
        for one in first:
            _tried(pair.lower, one)
        pair.copy()
        for one in second:
            _tried(pair.upper, one)
        if not say:
            pair.copied = None
        again = pair.applied()
        assert _shape(manifest(again)) == _shape(manifest(pair.upper))
        sink = io.BytesIO()
        treediff.write_diff(None, str(pair.upper), sink)
        whole = pair.top / "whole"
        whole.mkdir()
        unpack(TarReader(io.BytesIO(sink.getvalue())), str(whole), Whiteouts.REMOVE)
        assert manifest(whole) == manifest(pair.upper)
    finally:
        shutil.rmtree(pair.top)


def _tried(top: Path, what: tuple[str, str, str, int]) -> None:
    try:
        act(top, *what)
    except OSError:
        return


def _shape(found: dict[bytes, tuple[object, ...]]) -> dict[bytes, tuple[object, ...]]:
    """Without which names are one file: that a name has gone needs no mention."""
    return {key: value[:-1] for key, value in found.items()}
