# SPDX-License-Identifier: GPL-3.0-or-later
"""What a tar does to a folder, and that a hostile one does nothing beside it."""

import io
import os
import resource
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.storage.errors import BadArchive, StorageError
from hostkit.storage.rooted import Tree
from hostkit.storage.tar.member import BLOCK_DEVICE, CHARACTER, FIFO, FILE, GNU_SPARSE, Member
from hostkit.storage.tar.reader import TarReader
from hostkit.storage.unpack import Whiteouts, unpack
from hostkit.system.tree import remove_tree
from tests.tars import (
    file,
    folder,
    hard_link,
    manifest,
    member,
    node,
    put,
    put_and_rebuild,
    symlink,
    tar,
)

BOTH = pytest.mark.parametrize("whiteouts", [Whiteouts.REMOVE, Whiteouts.OVERLAY])
OPAQUE = "trusted.overlay.opaque"


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """A folder to unpack into; what lies beside it must stay as it is."""
    beside = tmp_path / "beside"
    beside.mkdir()
    (beside / "file").write_text("precious")
    (tmp_path / "file").write_text("precious")
    (tmp_path / "t").mkdir()
    before = {key: value for key, value in manifest(tmp_path).items() if key != b"/t"}
    yield tmp_path / "t"
    remove_tree(str(tmp_path / "t"))  # may be deeper than what pytest can remove
    assert manifest(tmp_path) == before


def opaque(path: Path) -> bool:
    return OPAQUE in os.listxattr(path)


# What a layer holds.


@pytest.mark.root
def test_everything_that_a_header_says_is_done(tree: Path) -> None:
    made, data = file("f", b"content", uid=5_000_000, gid=7, mode=0o6755, mtime_ns=-1_500_000_001)
    made.xattrs = {b"user.a": b"\0", b"security.capability": b"\1\0\0\2" + bytes(16)}
    fifo = member("p", FIFO, mode=0o1644, mtime_ns=5)
    sticky = folder("s")
    sticky[0].mode, sticky[0].mtime_ns = 0o1777, 123_456_789
    put(tar((made, data), (fifo, b""), sticky, node("n", BLOCK_DEVICE, 300, 70_000)), tree)
    info = (tree / "f").stat()
    assert (info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode)) == (5_000_000, 7, 0o6755)
    assert info.st_mtime_ns == -1_500_000_001
    assert os.getxattr(tree / "f", "user.a") == b"\0"
    assert "security.capability" in os.listxattr(tree / "f")
    assert stat.S_ISFIFO((tree / "p").stat().st_mode)
    assert stat.S_IMODE((tree / "s").stat().st_mode) == 0o1777
    assert (tree / "s").stat().st_mtime_ns == 123_456_789
    info = (tree / "n").stat()
    assert (os.major(info.st_rdev), os.minor(info.st_rdev)) == (300, 70_000)


def test_the_umask_of_the_process_changes_nothing_and_is_not_changed(tree: Path) -> None:
    before = os.umask(0o077)
    try:
        made, data = file("f", b"", mode=0o666)
        put(tar((made, data), folder("d")), tree)
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)
    assert stat.S_IMODE((tree / "f").stat().st_mode) == 0o666
    assert stat.S_IMODE((tree / "d").stat().st_mode) == 0o755


@pytest.mark.root
def test_nothing_is_inherited_from_a_setgid_folder(tree: Path) -> None:
    made, _ = folder("d")
    made.mode, made.gid = 0o2755, 50
    put(tar((made, b""), file("d/f"), folder("d/e"), file("d/e/f")), tree)
    assert (tree / "d/f").stat().st_gid == os.getegid()
    assert (tree / "d/e").stat().st_gid == os.getegid()
    assert not (tree / "d/e").stat().st_mode & stat.S_ISGID


ACL = b"\2\0\0\0" + b"".join(
    tag.to_bytes(2, "little") + perm.to_bytes(2, "little") + who.to_bytes(4, "little")
    for tag, perm, who in (
        (1, 7, 0xFFFFFFFF),
        (2, 7, 1234),
        (4, 5, 0xFFFFFFFF),
        (16, 7, 0xFFFFFFFF),
        (32, 0, 0xFFFFFFFF),
    )
)


@pytest.mark.root
def test_nothing_is_inherited_from_a_default_acl(tree: Path) -> None:
    made, _ = folder("d")
    made.xattrs = {b"system.posix_acl_default": ACL}
    own, data = file("d/own", b"1", mode=0o770)
    own.xattrs = {b"system.posix_acl_access": ACL}
    try:
        put(tar((made, b""), file("d/f", b"x"), folder("d/e"), (own, data)), tree)
    except OSError as problem:
        pytest.skip(f"no ACLs on this file system: {problem}")
    assert os.getxattr(tree / "d", "system.posix_acl_default") == ACL
    assert os.listxattr(tree / "d/f") == []
    assert os.listxattr(tree / "d/e") == []
    assert stat.S_IMODE((tree / "d/f").stat().st_mode) == 0o644
    assert os.getxattr(tree / "d/own", "system.posix_acl_access") == ACL


def test_attributes_that_a_folder_has_no_more_go(tree: Path) -> None:
    (tree / "d").mkdir()
    os.setxattr(tree / "d", "user.old", b"1")
    put(tar(folder("d")), tree)
    assert os.listxattr(tree / "d") == []


def test_links_across_folders_and_chains_of_them_are_one_file(tree: Path) -> None:
    put(tar(file("a/f", b"1"), hard_link("b/c/g", b"a/f"), hard_link("h", b"./b//c/g")), tree)
    inodes = {(tree / name).stat().st_ino for name in ("a/f", "b/c/g", "h")}
    assert len(inodes) == 1


def test_a_link_to_a_file_that_is_replaced_later_keeps_the_old_one(tree: Path) -> None:
    put(tar(file("f", b"old"), hard_link("g", b"f"), file("f", b"new")), tree)
    assert ((tree / "f").read_bytes(), (tree / "g").read_bytes()) == (b"new", b"old")


def test_a_link_to_itself_and_a_second_one_in_the_same_place_change_nothing(tree: Path) -> None:
    put(
        tar(file("f", b"1"), hard_link("f", b"f"), hard_link("g", b"f"), hard_link("g", b"f")), tree
    )
    assert (tree / "f").read_bytes() == b"1"
    put(tar(symlink("l", b"."), hard_link("l/f", b"f")), tree)
    assert (tree / "f").read_bytes() == b"1"


def test_holes_come_back_as_holes(tree: Path) -> None:
    data = b"a" * 70_000 + bytes(10 << 20) + b"b" * 10 + bytes(5 << 20)
    put(tar(file("f", data)), tree)
    assert (tree / "f").read_bytes() == data
    assert (tree / "f").stat().st_blocks * 512 < 1 << 20


def test_a_sparse_file_larger_than_four_gigabytes(
    tree: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    source = tmp_path_factory.mktemp("sparse")
    with (source / "f").open("wb") as opened:
        opened.seek((5 << 30) + 3)
        opened.write(b"end")
    for kind in ("gnu", "posix"):
        data = subprocess.run(
            ["tar", "-cS", f"--format={kind}", "-C", source, "f"], check=True, capture_output=True
        ).stdout
        assert put(data, tree) == (5 << 30) + 6
        with (tree / "f").open("rb") as opened:
            opened.seek((5 << 30) + 3)
            assert opened.read() == b"end"
        assert (tree / "f").stat().st_blocks * 512 < 1 << 20


@BOTH
def test_a_tree_deeper_than_path_max_and_open_files(tree: Path, whiteouts: Whiteouts) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        path = "directory/" * 1500
        data = tar(file(path + "f", b"deep"), hard_link(path + "g", (path + "f").encode()))
        _, back = put_and_rebuild(data, tree, whiteouts)
        assert back == data
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("name", [b"n" * 255, b"a\nb", b"\xff\xfe", b" ", b"-rf", b"a\\b", b"*"])
def test_names_of_any_bytes(tree: Path, name: bytes) -> None:
    data = tar(file(name, b"1"), hard_link(b"d/" + name, name), symlink(b"l", name))
    _, back = put_and_rebuild(data, tree)
    assert back == data
    assert sorted(os.listdir(os.fsencode(tree))) == sorted([name, b"d", b"l"])
    assert os.readlink(os.fsencode(tree / "l")) == name


def test_a_folder_over_a_file_and_a_file_over_a_folder(tree: Path) -> None:
    put(tar(file("a", b"1"), file("d/x/y", b"2"), folder("a"), file("a/b"), file("d", b"3")), tree)
    assert (tree / "a/b").exists()
    assert (tree / "d").read_bytes() == b"3"


def test_times_of_folders_that_are_replaced_do_not_stick_to_what_replaces_them(tree: Path) -> None:
    one, two = folder("d"), file("d", b"")
    one[0].mtime_ns, two[0].mtime_ns = 10**9, 2 * 10**9
    put(tar(one, folder("d/e"), two), tree)
    assert (tree / "d").stat().st_mtime_ns == 2 * 10**9


# Hostile ones.


@pytest.mark.parametrize("name", ["../x", "a/../../x", "..", "/../x"])
def test_a_name_that_leads_out_is_refused(tree: Path, name: str) -> None:
    with pytest.raises(BadArchive, match="leads out"):
        put(tar(file(name, b"bad")), tree)


def test_an_absolute_name_is_below_the_root(tree: Path) -> None:
    put(tar(file("/etc/x", b"1")), tree)
    assert (tree / "etc/x").exists()


@BOTH
@pytest.mark.parametrize("target", [b"..", b"../beside", b"/", b"/../beside", b"x/../../beside"])
def test_nothing_is_written_through_a_link(tree: Path, target: bytes, whiteouts: Whiteouts) -> None:
    for last in (
        file("l/file", b"bad"),
        folder("l/beside"),
        hard_link("l/file", b"own"),
        file("l/.wh.file"),
    ):
        try:
            put(tar(file("own", b"1"), symlink("l", target), last), tree, whiteouts)
        except (BadArchive, OSError):
            continue


def test_a_link_to_something_outside_is_no_way_to_read_it(tree: Path) -> None:
    os.symlink("../beside/file", tree / "l")
    with pytest.raises(BadArchive, match="leads out"):
        put(tar(hard_link("g", b"../beside/file")), tree)
    put(tar(hard_link("g", b"l")), tree)  # the link itself
    assert (tree / "g").is_symlink()
    with Tree(str(tree)) as inside, pytest.raises(OSError, match="l"):
        inside.open(b"l")


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (hard_link("g", b"d"), "not a file"),
        (hard_link("g", b"missing/f"), "not there"),
        (hard_link("g", b"missing"), "not there"),
        (hard_link("g", b"."), "root"),
        (hard_link("d", b"d/f"), "in the place of a folder"),
        (symlink("l", b""), "link to nothing"),
        (file("d/f/g"), "in the way"),
        (file("."), "root of the layer"),
        (file(".wh."), "whiteout of nothing"),
        (file(".wh..."), "whiteout of nothing"),
        (file("d/.wh.."), "whiteout of nothing"),
        (file(".wh.x/y"), "named as a whiteout"),
        ((member("x", b"M"), b""), "type b'M'"),
    ],
)
@BOTH
def test_what_cannot_be_is_refused_by_name(
    tree: Path, bad: tuple[Member, bytes], words: str, whiteouts: Whiteouts
) -> None:
    with pytest.raises(BadArchive, match=words):
        put(tar(folder("d"), file("d/f", b"1"), bad), tree, whiteouts)


@pytest.mark.root
def test_a_device_that_would_be_a_whiteout_is_refused_on_overlay(tree: Path) -> None:
    with pytest.raises(BadArchive, match="would be a whiteout"):
        put(tar(node("x", CHARACTER)), tree, Whiteouts.OVERLAY)
    put(tar(node("x", CHARACTER)), tree, Whiteouts.REMOVE)


@pytest.mark.root
def test_attributes_of_overlayfs_are_never_taken(tree: Path) -> None:
    made, _ = folder("d")
    made.xattrs = {b"trusted.overlay.redirect": b"/etc", b"user.overlay.opaque": b"y"}
    put(tar((made, b"")), tree, Whiteouts.OVERLAY)
    assert os.listxattr(tree / "d") == []


def test_links_in_a_circle_end(tree: Path) -> None:
    with pytest.raises(OSError, match="a/f"):
        put(tar(symlink("a", b"b"), symlink("b", b"a"), file("a/f")), tree)


def test_links_up_and_down_end(tree: Path) -> None:
    up = b"d/../" * 800
    links = [symlink(f"l{at}", up + b"l%d" % (at + 1)) for at in range(39)]
    with pytest.raises(OSError, match="l0"):
        put(tar(folder("d"), *links, symlink("l39", up + b"l0"), file("l0/f")), tree)


# Whiteouts: what is below goes, what the same layer brings stays.


def test_whiteouts_take_away_what_was_there(tree: Path) -> None:
    put(tar(file("a"), file("d/x/y"), file("k/old"), file("k/sub/old")), tree)
    put(
        tar(
            file(".wh.a"),
            file(".wh.d"),
            file("k/new"),
            file("k/sub/new"),
            file("k/.wh..wh..opq"),
            file("missing/.wh.x"),
            file(".wh..wh.aufs"),
        ),
        tree,
    )
    assert set(manifest(tree)) == {b"/k", b"/k/new", b"/k/sub", b"/k/sub/new"}


def test_a_whiteout_spares_what_its_own_layer_brings(tree: Path) -> None:
    put(tar(file("a", b"old"), file("d/old")), tree)
    put(tar(file("a", b"new"), file(".wh.a"), file("d/new"), file(".wh.d")), tree)
    assert set(manifest(tree)) == {b"/a", b"/d", b"/d/new"}
    assert (tree / "a").read_bytes() == b"new"


@pytest.mark.root
def test_whiteouts_of_overlayfs(tree: Path) -> None:
    data = tar(
        file(".wh.gone"),
        file("d/.wh..wh..opq"),
        file(".wh.r"),
        file("r/f"),  # a folder in the place of what is gone
        file("s/f"),
        file(".wh.s"),
        file("k", b"1"),
        file(".wh.k"),
    )
    put(data, tree, Whiteouts.OVERLAY)
    info = (tree / "gone").lstat()
    assert stat.S_ISCHR(info.st_mode)
    assert info.st_rdev == 0
    assert all(opaque(tree / name) for name in "drs")
    assert (tree / "k").read_bytes() == b"1"


# What lies in the layers below an upper folder.


@pytest.fixture
def below(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    """Two layers, the nearer first."""
    near, far = (tmp_path_factory.mktemp(name) for name in ("near", "far"))
    usr, _ = folder("usr")
    usr.mode, usr.mtime_ns, usr.xattrs = 0o1711, 7 * 10**9, {b"user.k": b"v"}
    put(
        tar((usr, b""), file("usr/lib/f", b"far"), symlink("lib", b"/usr/lib"), file("gone/x")), far
    )
    put(tar(file(".wh.gone"), file("usr/bin/b", b"near")), near, Whiteouts.OVERLAY)
    os.chmod(near / "usr", 0o1700)
    return near, far


@pytest.mark.root
def test_a_folder_that_the_tar_does_not_describe_is_as_below(
    tree: Path, below: tuple[Path, ...]
) -> None:
    os.utime(below[0] / "usr", ns=(9, 9))
    put(tar(file("usr/new"), file("gone/y")), tree, Whiteouts.OVERLAY, below)
    info = (tree / "usr").stat()
    assert (stat.S_IMODE(info.st_mode), info.st_mtime_ns) == (0o1700, 9)
    assert stat.S_IMODE((tree / "gone").stat().st_mode) == 0o755


@pytest.mark.root
def test_a_link_below_is_followed_as_in_the_mounted_tree(
    tree: Path, below: tuple[Path, ...]
) -> None:
    put(tar(file("lib/new", b"1")), tree, Whiteouts.OVERLAY, below)
    assert set(manifest(tree)) == {b"/usr", b"/usr/lib", b"/usr/lib/new"}


@pytest.mark.root
def test_a_hard_link_to_a_file_below_brings_it_up(tree: Path, below: tuple[Path, ...]) -> None:
    put(tar(hard_link("usr/g", b"lib/f")), tree, Whiteouts.OVERLAY, below)
    assert (tree / "usr/g").read_bytes() == b"far"
    assert (tree / "usr/g").samefile(tree / "usr/lib/f")
    with pytest.raises(BadArchive, match="not there"):
        put(tar(hard_link("usr/h", b"gone/x")), tree, Whiteouts.OVERLAY, below)


@pytest.mark.root
def test_an_opaque_root_hides_all_names_below(tree: Path, below: tuple[Path, ...]) -> None:
    put(tar(file("usr/own"), file(".wh..wh..opq")), tree, Whiteouts.OVERLAY, below)
    assert opaque(tree / "usr")
    assert stat.S_ISCHR((tree / "lib").lstat().st_mode)


# Files of aufs with several names.


def test_links_into_the_private_folder_of_aufs_are_links_of_one_file(tree: Path) -> None:
    data = tar(
        folder(".wh..wh.plnk"),
        file(".wh..wh.plnk/12.34", b"shared"),
        hard_link("a", b".wh..wh.plnk/12.34"),
        hard_link("d/b", b"./.wh..wh.plnk/12.34"),
    )
    writer, back = put_and_rebuild(data, tree)
    assert back == data
    assert writer.is_exact
    assert set(manifest(tree)) == {b"/a", b"/d", b"/d/b"}
    assert (tree / "a").samefile(tree / "d/b")


# Whatever comes.

PARTS = st.sampled_from(
    [b"a", b"b", b"c", b".", b"..", b"", b".wh.a", b".wh..wh..opq", b".wh..wh.plnk", b"x" * 256]
)
PATHS = st.builds(b"/".join, st.lists(PARTS, min_size=1, max_size=4))
KINDS = st.sampled_from([b"0", b"1", b"2", b"3", b"5", b"6", b"7", b"\0", b"V", b"D"])


@st.composite
def hostile(draw: st.DrawFn) -> tuple[Member, bytes]:
    made = member(b"x", draw(KINDS))
    made.name, made.linkname = draw(PATHS), draw(PATHS)
    made.mode = draw(st.sampled_from([0, 0o644, 0o755, 0o7777]))
    made.mtime_ns = draw(st.sampled_from([0, -1, 1 << 62]))
    if draw(st.booleans()):
        made.xattrs = {
            draw(st.sampled_from([b"user.x", b"trusted.overlay.redirect", b"bad"])): b"/"
        }
    return made, draw(st.sampled_from([b"", b"data"])) if made.type == FILE else b""


@pytest.mark.root
@given(st.lists(hostile(), max_size=10), st.lists(hostile(), max_size=6), st.booleans())
def test_no_tar_changes_anything_outside(
    first: list[tuple[Member, bytes]], second: list[tuple[Member, bytes]], overlay: bool
) -> None:
    top = Path(tempfile.mkdtemp())
    try:
        for name in ("a", "b", "below/a"):
            (top / name).mkdir(parents=True)
            (top / name / "a").write_text("precious")
        before = manifest(top)
        os.mkdir(top / "t")
        kind = Whiteouts.OVERLAY if overlay else Whiteouts.REMOVE
        for members in (first, second):
            reader = TarReader(io.BytesIO(tar(*members)))
            try:
                unpack(reader, str(top / "t"), kind, [str(top / "below")] if overlay else [])
            except (BadArchive, StorageError, OSError):
                continue
        after = manifest(top)
        inside = [key for key in after if key == b"/t" or key.startswith(b"/t/")]
        for key in inside:
            del after[key]
        assert after == before
    finally:
        shutil.rmtree(top)


def test_a_sparse_map_that_lies_is_refused(tree: Path) -> None:
    made = member("x", GNU_SPARSE)
    block = bytearray(tar((made, b""))[:512])
    for pieces in ([(0, 1 << 30)], [(10, 1), (0, 1)], [(1 << 40, 1)]):
        for at, (offset, length) in enumerate(pieces):
            block[386 + 24 * at : 410 + 24 * at] = b"%011o\0%011o\0" % (offset, length)
        block[483:495] = b"%011o\0" % 100
        block[148:156] = b"        "
        block[148:156] = b"%06o\0 " % sum(block)
        with pytest.raises(BadArchive, match="sparse map"):
            put(bytes(block), tree)
