# SPDX-License-Identifier: GPL-3.0-or-later
"""overlay2 on real file systems and kernels, and on a data root that a real dockerd wrote."""

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from hostkit.storage.errors import Damaged, StorageError, Unsupported
from hostkit.storage.tar.reader import TarReader
from hostkit.system import mounts, quota, syscalls
from hostkit_drivers import overlay2
from hostkit_drivers.overlay2 import trial
from hostkit_drivers.overlay2.driver import Overlay2
from tests.live.test_layer_life import base, in_child, nothing_is_left, small_file_system, write
from tests.rig.namespace import run_apart
from tests.rig.tools import LAB, ToolsUnavailableError, unpack

pytestmark = pytest.mark.root

ROOT = Path(__file__).resolve().parents[2]


def chain(driver: Overlay2, length: int) -> str:
    """Committed layers on top of one another; the name of the topmost."""
    parent = None
    for number in range(length):
        layer = f"l{number}"
        driver.create(layer, parent)
        write(f"{driver.home}/{layer}/diff/file{number}", layer)
        write(f"{driver.home}/{layer}/diff/top", layer)
        driver.commit(layer)
        parent = layer
    assert parent is not None
    return parent


@pytest.mark.parametrize("name", ["plain", "a:b", "a,b", "back\\slash", "a b\nc", "ü" * 60])
@pytest.mark.parametrize("length", [3, 90])
def test_any_name_of_the_root_is_mounted_right(tmp_path: Path, name: str, length: int) -> None:
    def all_of_it() -> None:
        syscalls.mount("none", str(tmp_path), "tmpfs")
        root = f"{tmp_path}/{name}"
        with Overlay2(root) as driver:
            top = chain(driver, length)
            driver.create("rw", top, read_write=True)
            with driver.mount("rw") as mounted:
                assert len(os.listdir(mounted.path)) == length + 1
                assert Path(f"{mounted.path}/top").read_text() == top
                write(f"{mounted.path}/new")
            assert [one.path for one in driver.changes("rw")] == [b"/new"]

    run_apart(all_of_it)


@pytest.mark.parametrize("length", [128, 499])
def test_many_layers_are_one_tree(tmp_path: Path, length: int) -> None:
    def all_of_it() -> None:
        syscalls.mount("none", str(tmp_path), "tmpfs")
        with Overlay2(str(tmp_path)) as driver:
            top = chain(driver, length)
            driver.create("rw", top, read_write=True)
            with driver.mount("rw") as mounted:
                assert Path(f"{mounted.path}/top").read_text() == top
                assert Path(f"{mounted.path}/file0").read_text() == "l0"
            if length == 499:
                driver.create("most", top)
                driver.commit("most")
                with driver.mount("most") as mounted:
                    assert Path(f"{mounted.path}/file0").read_text() == "l0"
                with pytest.raises(StorageError, match="500 layers"):
                    driver.create("too-many", "most")
                assert not driver.exists("too-many")

    run_apart(all_of_it)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
def test_what_was_unpacked_is_seen_and_comes_out_again(tmp_path: Path, kind: str) -> None:
    tools = lab_tools()

    def all_of_it() -> None:
        os.environ["PATH"] = f"{tools}/usr/sbin:{os.environ['PATH']}"
        os.environ["LD_LIBRARY_PATH"] = f"{tools}/usr/lib/x86_64-linux-gnu"
        place = tmp_path / "place"
        small_file_system(place, "320M", kind)
        with Overlay2(str(place)) as driver:
            base(driver)
            driver.create("next", "base")
            driver.apply_diff("next", TarReader(io.BytesIO(a_layer())))
            driver.commit("next")
            with driver.mount("next") as mounted:
                seen = sorted(os.listdir(f"{mounted.path}/etc"))
                assert seen == ["b", "c", "linked"]
                info = os.stat(f"{mounted.path}/etc/linked")
                assert info.st_ino == os.stat(f"{mounted.path}/etc/b").st_ino
                assert os.listdir(f"{mounted.path}/opaque") == []
            out = io.BytesIO()
            driver.diff("next", out)
            with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as tar:
                assert {"etc/.wh.a", "etc/c", "opaque/.wh..wh..opq"} <= set(tar.getnames())
            assert ("Supports d_type", "true") in driver.status()
            assert ("Backing Filesystem", "extfs" if kind == "ext4" else kind) in driver.status()
            driver.remove("next")
            driver.remove("base")
        nothing_is_left(place, overlay2.PLUGIN)
        mounts.unmount(str(place))

    run_apart(all_of_it)


def lab_tools() -> Path:
    try:
        return unpack(LAB)
    except ToolsUnavailableError as error:
        pytest.skip(f"no mkfs.xfs and mkfs.btrfs: {error}")


def a_layer() -> bytes:
    """`etc/a` goes, `etc/c` comes, `etc/linked` is another name of the lower `etc/b`."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, link in (
            ("etc", tarfile.DIRTYPE, ""),
            ("etc/.wh.a", tarfile.REGTYPE, ""),
            ("etc/c", tarfile.REGTYPE, ""),
            ("etc/linked", tarfile.LNKTYPE, "etc/b"),
            ("opaque", tarfile.DIRTYPE, ""),
            ("opaque/.wh..wh..opq", tarfile.REGTYPE, ""),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.mode = kind, link, 0o755
            tar.addfile(member)
    return out.getvalue()


def test_names_that_a_power_cut_took_are_made_anew(tmp_path: Path) -> None:
    def all_of_it() -> None:
        with Overlay2(str(tmp_path)) as driver:
            top = chain(driver, 4)
            home = Path(driver.home)
            driver.create("rw", top, read_write=True)
            names = (home / "l").iterdir()
            (home / "l1/link").write_bytes(b"")
            (home / "l2/lower").write_bytes(b"")
            (home / "l3/lower").unlink()
            for link in names:
                if os.readlink(link) in ("../l0/diff", "../l2/diff"):
                    link.unlink()
            (home / "l/ABCDEFGHIJKLMNOPQRSTUVWXYZ").symlink_to("../nobody/diff")
            (home / "rest").mkdir()
            (home / "rest/link").write_bytes(b"")
            codes = {(issue.code, issue.subject) for issue in driver.check()}
            assert ("overlay2-link-broken", "l1") in codes
            assert ("overlay2-lower-broken", "l2") in codes
            assert ("overlay2-link-broken", "l0") in codes
            assert ("overlay2-link-stray", "ABCDEFGHIJKLMNOPQRSTUVWXYZ") in codes
            assert ("overlay2-folder-without-layer", "rest") in codes
            mend(driver)
            with driver.mount("rw") as mounted:
                assert len(os.listdir(mounted.path)) == 5
                assert Path(f"{mounted.path}/top").read_text() == "l3"

    run_apart(all_of_it)


def mend(driver: Overlay2) -> None:
    for _ in range(4):
        issues = list(driver.check())
        if not issues:
            break
        for issue in issues:
            if issue in list(driver.check()):
                driver.repair(issue)
    assert list(driver.check()) == []


def as_docker_left_it(driver: Overlay2) -> None:
    """The same layers without our records."""
    subprocess.run(["rm", "-rf", f"{driver.home}/.hostkit"], check=True)


def test_another_engines_layers_are_mended_with_the_parents_of_its_layer_store(
    tmp_path: Path,
) -> None:
    def all_of_it() -> None:
        with Overlay2(str(tmp_path)) as driver:
            chain(driver, 3)
        as_docker_left_it(driver)
        home = Path(driver.home)
        for layer in ("l1", "l2"):
            (home / layer / "lower").write_bytes(b"")
        (home / "l1/link").write_bytes(b"")
        for link in (home / "l").iterdir():
            if os.readlink(link) == "../l1/diff":
                link.unlink()
        with Overlay2(str(tmp_path)) as driver:
            with pytest.raises(Damaged):
                driver.mount("l2")
            driver.told_parents = {"l0": None, "l1": "l0", "l2": "l1"}
            mend(driver)
            with driver.mount("l2") as mounted:
                assert sorted(os.listdir(mounted.path)) == ["file0", "file1", "file2", "top"]

    run_apart(all_of_it)


def test_layers_with_pointers_of_another_engine_are_read_through_their_mount(
    tmp_path: Path,
) -> None:
    def all_of_it() -> None:
        with Overlay2(str(tmp_path)) as driver:
            base(driver)
            driver.create("moved", "base")
            home, target = driver.home, f"{tmp_path}/mounted"
            os.mkdir(target)
            data = f"lowerdir={home}/base/diff,upperdir={home}/moved/diff,workdir={home}/moved/work"
            options = ",redirect_dir=on,metacopy=on,index=off"
            syscalls.mount("overlay", target, "overlay", 0, data + options)
            os.rename(f"{target}/etc", f"{target}/other")
            os.chmod(f"{target}/other/a", 0o700)
            mounts.unmount(target)
        as_docker_left_it(driver)
        reader = Overlay2(str(tmp_path), read_only=True)
        with pytest.raises(Unsupported, match=r"redirect|metacopy"):
            reader.diff("moved", io.BytesIO())
        with Overlay2(str(tmp_path)) as driver:
            found = [(one.kind.value, one.path) for one in driver.changes("moved")]
            assert found == [
                ("D", b"/etc"),
                ("A", b"/other"),
                ("A", b"/other/a"),
                ("A", b"/other/b"),
            ]
            out = io.BytesIO()
            driver.diff("moved", out)
            with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as tar:
                assert tar.getnames() == [".wh.etc", "other", "other/a", "other/b"]
                content = tar.extractfile("other/a")
                assert content is not None
                assert content.read() == b"text"

    run_apart(all_of_it)


def test_a_home_on_an_overlay_is_refused_with_the_problem_named(tmp_path: Path) -> None:
    def all_of_it() -> None:
        for name in ("lower", "upper", "work", "merged"):
            (tmp_path / name).mkdir()
        data = ",".join(f"{n}dir={tmp_path}/{n}" for n in ("lower", "upper", "work"))
        syscalls.mount("overlay", f"{tmp_path}/merged", "overlay", 0, data)
        with pytest.raises(Unsupported) as refused:
            Overlay2(f"{tmp_path}/merged")
        assert "nested-overlay" in refused.value.hint
        assert os.listdir(f"{tmp_path}/merged/overlay2/.hostkit") != ["trial"]
        mounts.unmount(f"{tmp_path}/merged")

    run_apart(all_of_it)


def test_a_size_is_refused_where_nothing_would_keep_it(tmp_path: Path) -> None:
    def all_of_it() -> None:
        assert not quota.available(str(tmp_path))
        with pytest.raises(Unsupported, match="project quotas"):
            Overlay2(str(tmp_path), {"overlay2.size": "1G"})

    run_apart(all_of_it)


USER = """
import io, os, sys
from hostkit.system import mounts
from hostkit_drivers import overlay2, vfs
mounts.enter_private_namespace()
for plugin in (vfs.PLUGIN, overlay2.PLUGIN):
    driver = plugin.open(sys.argv[1], {}, False)
    driver.create("base")
    with driver.mount("base") as mounted:
        os.mkdir(f"{mounted.path}/etc")
        open(f"{mounted.path}/etc/a", "w").close()
    driver.commit("base")
    driver.create("rw", "base", read_write=True)
    with driver.mount("rw") as mounted:
        os.unlink(f"{mounted.path}/etc/a")
    print([(one.kind.value, one.path) for one in driver.changes("rw")])
    driver.diff("rw", io.BytesIO())
    driver.remove("rw")
    driver.remove("base")
    driver.close()
"""


def run_python(tmp_path: Path, script: str, *before: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*before, sys.executable, "-c", script, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT}/drivers:{ROOT}/checks"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_both_drivers_work_in_a_user_namespace(tmp_path: Path) -> None:
    done = run_python(tmp_path, USER, "unshare", "--user", "--map-root-user", "--mount")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[('C', b'/etc'), ('D', b'/etc/a')]\n" * 2


def test_who_may_not_mount_is_told_what_to_do(tmp_path: Path) -> None:
    script = USER.replace("mounts.enter_private_namespace()", "")
    script = script.replace("(vfs.PLUGIN, overlay2.PLUGIN)", "(overlay2.PLUGIN,)")
    done = run_python(tmp_path, script, "setpriv", "--bounding-set=-sys_admin", "--inh-caps=-all")
    assert "Unsupported: overlay2 may not mount here" in done.stderr, done.stderr


def test_a_trial_leaves_nothing_even_when_it_is_killed(tmp_path: Path) -> None:
    def all_of_it() -> None:
        before = mounts.mount_points()

        def tries() -> None:
            for _ in range(3):
                trial.attempt(f"{tmp_path}/trial")

        in_child(tries)
        assert mounts.mount_points() == before
        assert os.listdir(tmp_path) == []

    run_apart(all_of_it)
