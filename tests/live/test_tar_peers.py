# SPDX-License-Identifier: GPL-3.0-or-later
"""Random trees packed by one program and unpacked by another: GNU tar, bsdtar, Python, ours."""

import io
import os
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostkit.storage import treediff
from hostkit.system.tree import remove_tree
from tests.rig.tools import ToolsUnavailableError, unpack
from tests.tars import manifest, put

pytestmark = pytest.mark.root
LIBARCHIVE = ("libarchive-tools", "libarchive13")
# name, content or kind, mode, time in ns, extended attributes
ITEM = st.tuples(
    st.sampled_from(
        ["a", "b", "d/a", "d/e/a", "d/\u00e9", "n" * 255, "x y", "l" * 90 + "/" + "m" * 90]
    ),
    st.sampled_from(["file", "big", "hole", "folder", "link", "long link", "hard", "fifo", "node"]),
    st.sampled_from([0o644, 0o4755, 0o1777, 0o600]),
    st.sampled_from([0, 1, 1_700_000_000_123_456_789, -1_500_000_000, 5_000_000_000_000_000_000]),
    st.sampled_from([{}, {"user.k": b"\0v\n"}]),
)
TREES = st.lists(ITEM, max_size=12)
# libarchive 3.6 takes a fraction before 1970 for one after the second; GNU tar does as we do.
WHOLE = TREES.map(
    lambda items: [(*one[:3], one[3] if one[3] >= 0 else -(10**10), one[4]) for one in items]
)
FEW = settings(max_examples=25)


@pytest.fixture(scope="module")
def bsdtar() -> tuple[str, dict[str, str]]:
    try:
        usr = unpack(LIBARCHIVE) / "usr"
    except ToolsUnavailableError as error:
        pytest.skip(f"no bsdtar to compare with: {error}")
    libraries = ":".join(str(one.parent) for one in usr.glob("lib/*/libarchive.so.13"))
    env = {"LD_LIBRARY_PATH": libraries, "LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]}
    program = str(usr / "bin/bsdtar")
    if subprocess.run([program, "--version"], env=env, capture_output=True, check=False).returncode:
        pytest.skip("bsdtar does not start here")
    return program, env


@contextmanager
def planted(
    items: list[tuple[str, str, int, int, dict[str, bytes]]],
) -> Generator[tuple[Path, Path]]:
    """A tree, and an empty folder beside it."""
    top = Path(tempfile.mkdtemp())
    tree = top / "tree"
    tree.mkdir()
    files: list[Path] = []
    try:
        for name, kind, mode, when, xattrs in items:
            path = tree / name
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                _make(path, kind, files)
            except OSError:
                continue
            if not path.is_symlink():
                path.chmod(mode)
                if kind not in ("fifo", "node"):
                    for key, value in xattrs.items():
                        os.setxattr(path, key, value)
            os.utime(path, ns=(when, when), follow_symlinks=False)
        (top / "out").mkdir()
        yield tree, top / "out"
    finally:
        remove_tree(str(top))


def _make(path: Path, kind: str, files: list[Path]) -> None:
    if kind in ("file", "big", "hole"):
        with path.open("xb") as opened:
            opened.write(b"content" if kind == "file" else os.urandom(70_000))
            if kind == "hole":
                opened.truncate(3 << 20)
        files.append(path)
    elif kind == "folder":
        path.mkdir()
    elif kind in ("link", "long link"):
        path.symlink_to("d/a" if kind == "link" else "t" * 200)
    elif kind == "hard":
        if not files:
            raise FileNotFoundError
        os.link(files[0], path)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "node":
        os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(7, 300))


def ours(tree: Path) -> bytes:
    sink = io.BytesIO()
    treediff.write_diff(None, str(tree), sink)
    return sink.getvalue()


GNU = ("tar", "--xattrs", "--xattrs-include=*", "--numeric-owner")


@FEW
@given(TREES)
def test_gnu_tar_unpacks_what_we_pack(
    items: list[tuple[str, str, int, int, dict[str, bytes]]],
) -> None:
    with planted(items) as (tree, out):
        subprocess.run([*GNU, "-xpf", "-", "-C", out], input=ours(tree), check=True)
        assert manifest(out) == manifest(tree)


@FEW
@given(WHOLE)
def test_bsdtar_unpacks_what_we_pack(
    bsdtar: tuple[str, dict[str, str]],
    items: list[tuple[str, str, int, int, dict[str, bytes]]],
) -> None:
    program, env = bsdtar
    with planted(items) as (tree, out):
        subprocess.run([program, "-xpf", "-", "-C", out], input=ours(tree), check=True, env=env)
        assert manifest(out) == manifest(tree)


@FEW
@given(TREES)
def test_python_reads_what_we_pack(
    items: list[tuple[str, str, int, int, dict[str, bytes]]],
) -> None:
    with planted(items) as (tree, _):
        names = {os.fsdecode(name[1:]) for name in manifest(tree)}
        with tarfile.open(fileobj=io.BytesIO(ours(tree))) as archive:
            assert {one.name.rstrip("/") for one in archive} - {"."} == names
            for one in archive:
                if one.isreg():
                    opened = archive.extractfile(one)
                    assert opened is not None
                    assert opened.read() == (tree / one.name).read_bytes()


@FEW
@given(TREES, st.sampled_from(["gnu", "posix"]), st.booleans())
def test_we_unpack_what_gnu_tar_packs(
    items: list[tuple[str, str, int, int, dict[str, bytes]]], kind: str, sparse: bool
) -> None:
    with planted(items) as (tree, out):
        words = ["-S"] if sparse else []
        options = [*GNU[1:], "--format=posix"] if kind == "posix" else ["--format=gnu"]
        done = subprocess.run(
            ["tar", *options, *words, "-cf", "-", "-C", tree, "."], check=True, capture_output=True
        )
        put(done.stdout, out)
        exact = kind == "posix"
        one, two = manifest(out, times=exact), manifest(tree, times=exact)
        if not exact:  # no attributes either
            one, two = ({k: (*v[:5], *v[6:]) for k, v in found.items()} for found in (one, two))
        assert one == two


@FEW
@given(WHOLE)
def test_we_unpack_what_bsdtar_packs(
    bsdtar: tuple[str, dict[str, str]],
    items: list[tuple[str, str, int, int, dict[str, bytes]]],
) -> None:
    program, env = bsdtar
    with planted(items) as (tree, out):
        command = [program, "--format=pax", "-cf", "-", "-C", str(tree), "."]
        done = subprocess.run(command, check=True, capture_output=True, env=env)
        put(done.stdout, out)
        assert manifest(out) == manifest(tree)


ACL = bytes.fromhex(
    "02000000 01000600ffffffff 02000400d2040000 04000400ffffffff"
    "080007002b110000 10000700ffffffff 20000000ffffffff"
)


@pytest.mark.parametrize("packer", ["gnu", "bsdtar"])
def test_access_control_lists_of_others_are_kept(
    bsdtar: tuple[str, dict[str, str]], packer: str
) -> None:
    program, env = bsdtar
    with planted([("a", "file", 0o644, 1, {}), ("d", "folder", 0o755, 1, {})]) as (tree, out):
        try:
            os.setxattr(tree / "a", "system.posix_acl_access", ACL)
            os.setxattr(tree / "d", "system.posix_acl_default", ACL)
        except OSError as problem:
            pytest.skip(f"no ACLs on this file system: {problem}")
        words = [*GNU, "--acls", "--format=posix"] if packer == "gnu" else [program, "--format=pax"]
        command = [*words, "-cf", "-", "-C", str(tree), "."]
        done = subprocess.run(
            command, check=True, capture_output=True, env=None if packer == "gnu" else env
        )
        assert b"SCHILY.acl.access" in done.stdout
        put(done.stdout, out)
        assert manifest(out, times=False) == manifest(tree, times=False)
