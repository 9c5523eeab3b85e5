# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of layers on real mounts: killed anywhere, on a full disk, among many processes."""

import functools
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hostkit.storage.driver import State, StorageDriver
from hostkit.storage.errors import (
    Damaged,
    LayerInUse,
    NoSuchLayer,
    ReadOnlyStore,
    Unsupported,
    WrongState,
)
from hostkit.storage.plugin import DriverPlugin
from hostkit.storage.tar.reader import TarReader
from hostkit.system import mounts, syscalls
from hostkit.testing.faults import killed_at
from hostkit_drivers import overlay2, vfs
from tests.rig.namespace import run_apart

pytestmark = pytest.mark.root

ROOT = Path(__file__).resolve().parents[2]
DRIVERS = pytest.mark.parametrize("plugin", [vfs.PLUGIN, overlay2.PLUGIN], ids=["vfs", "overlay2"])


def opened(plugin: DriverPlugin, root: object, *, read_only: bool = False) -> StorageDriver:
    assert plugin.open is not None
    return plugin.open(str(root), {}, read_only)


@contextmanager
def store(plugin: DriverPlugin, root: object) -> Generator[StorageDriver]:
    driver = opened(plugin, root)
    try:
        yield driver
    finally:
        driver.close()


def write(path: str, text: str = "text") -> None:
    with open(path, "w") as file:
        file.write(text)


def base(driver: StorageDriver, layer: str = "base") -> None:
    """A committed layer with `etc/a` and `etc/b`."""
    driver.create(layer)
    with driver.mount(layer) as mounted:
        os.mkdir(f"{mounted.path}/etc")
        write(f"{mounted.path}/etc/a")
        write(f"{mounted.path}/etc/b")
    driver.commit(layer)


def small_file_system(place: Path, size: str = "16M", kind: str = "ext4") -> None:
    """One of its own on a folder; it is gone with the namespace."""
    image = place.with_suffix(".image")
    with image.open("wb") as file:
        file.truncate(int(size[:-1]) << 20)
    subprocess.run([f"mkfs.{kind}", "-q", str(image)], check=True)
    place.mkdir()
    subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=True)


def fill(place: Path) -> None:
    """Not a byte more goes on it."""
    for size in (1 << 20, 4096, 1):
        with open(place / f"filler-{size}", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def until_it_is_full(driver: StorageDriver) -> None:
    for number in range(10000):
        driver.create(f"another{number}", "base")
        with driver.mount(f"another{number}") as mounted:
            write(f"{mounted.path}/etc/new", "x" * 70000)


def nothing_is_left(root: Path, plugin: DriverPlugin) -> None:
    home = f"{root}/{plugin.name}"
    assert [point for point in mounts.mount_points() if point.startswith(f"{root}/")] == []
    for folder in ("creating", "removing", "active", "committed", "holds", "views", "mnt"):
        path = f"{home}/.hostkit/{folder}"
        assert not os.path.exists(path) or os.listdir(path) == [], folder
    left = [name for name in os.listdir(home) if name not in (".hostkit", "l", "dir")]
    for folder in ("l", "dir"):
        if os.path.isdir(f"{home}/{folder}"):
            left += os.listdir(f"{home}/{folder}")
    assert left == []


def whole_life(driver: StorageDriver) -> None:
    base(driver)
    driver.create("rw", "base", read_write=True)
    with driver.mount("rw") as mounted:
        write(f"{mounted.path}/etc/a", "other")
    driver.create("next", "base")
    with driver.mount("next", read_only=True):
        driver.remove("rw")
    driver.commit("next")
    driver.remove("next")
    driver.remove("base")
    driver.close()


def live_and_close(plugin: DriverPlugin, root: Path) -> None:
    whole_life(opened(plugin, root))


@DRIVERS
def test_killed_anywhere_a_store_opens_again_and_nothing_is_left(
    plugin: DriverPlugin, tmp_path: Path
) -> None:
    def all_of_it() -> None:
        syscalls.mount("none", str(tmp_path), "tmpfs")  # where syncing costs nothing
        point = 0
        while True:
            point += 1
            root = tmp_path / str(point)
            root.mkdir()
            if not killed_at(point, functools.partial(live_and_close, plugin, root)):
                break
            with store(plugin, root) as driver:
                # What is whole shows all that was written into it; the rest is gone.
                assert list(driver.check()) == []
                for layer in reversed(list(driver.layers())):
                    if layer.state is State.COMMITTED:
                        with driver.mount(layer.id) as mounted:
                            assert sorted(os.listdir(f"{mounted.path}/etc")) == ["a", "b"]
                for layer in reversed(list(driver.layers())):
                    driver.remove(layer.id)
                whole_life(driver)
            nothing_is_left(root, plugin)
        assert point > 60

    run_apart(all_of_it)


@DRIVERS
def test_a_full_disk_can_be_emptied_and_a_create_on_it_leaves_nothing(
    plugin: DriverPlugin, tmp_path: Path
) -> None:
    def all_of_it() -> None:
        place = tmp_path / "small"
        small_file_system(place)
        with store(plugin, place) as driver:
            base(driver)
            driver.create("rw", "base", read_write=True)
            fill(place)
            with pytest.raises(OSError, match="No space left"):
                until_it_is_full(driver)
            for layer in reversed(list(driver.layers())):
                driver.remove(layer.id)
            assert list(driver.check()) == []
        nothing_is_left(place, plugin)
        mounts.unmount(str(place))

    run_apart(all_of_it)


@DRIVERS
def test_a_reader_changes_nothing_and_needs_no_writable_file_system(
    plugin: DriverPlugin, tmp_path: Path
) -> None:
    def look(driver: StorageDriver) -> None:
        assert [layer.id for layer in driver.layers()] == ["base", "rw"]
        assert driver.info("rw").parent == "base"
        assert [(one.kind.value, one.path) for one in driver.changes("rw")] == [
            ("C", b"/etc"),
            ("C", b"/etc/a"),
        ]
        driver.diff("rw", io.BytesIO())
        assert list(driver.check()) == []
        assert driver.usage("base").inodes >= 2
        driver.status()
        driver.metadata("rw")
        driver.mount_spec("rw")
        with driver.hold("rw"):
            pass
        for change in (
            lambda: driver.create("new"),
            lambda: driver.remove("rw"),
            lambda: driver.commit("rw"),
            lambda: driver.mount("rw"),
            driver.cleanup,
        ):
            with pytest.raises(ReadOnlyStore):
                change()
        driver.close()

    def all_of_it() -> None:
        with store(plugin, tmp_path) as driver:
            base(driver)
            driver.create("rw", "base", read_write=True)
            with driver.mount("rw") as mounted:
                write(f"{mounted.path}/etc/a", "other")
        home = f"{tmp_path}/{plugin.name}"
        own = [f"{home}/.hostkit", f"{home}/l"] if plugin.name == "overlay2" else [home]
        before = {path: stamps(path) for top in own for path in everything(top)}
        time.sleep(0.05)
        look(opened(plugin, tmp_path, read_only=True))
        ours = {path: found for path, found in before.items() if "/dir/" not in path}
        assert {path: stamps(path) for path in ours} == ours
        syscalls.mount(str(tmp_path), str(tmp_path), "", syscalls.MS_BIND)
        flags = syscalls.MS_BIND | syscalls.MS_REMOUNT | syscalls.MS_RDONLY
        syscalls.mount("none", str(tmp_path), "", flags)
        look(opened(plugin, tmp_path, read_only=True))

    run_apart(all_of_it)


def everything(top: str) -> list[str]:
    return [f"{folder}/{name}" for folder, a, b in os.walk(top) for name in (*a, *b)]


def stamps(path: str) -> tuple[int, ...]:
    info = os.lstat(path)
    return info.st_atime_ns, info.st_mtime_ns, info.st_ctime_ns, info.st_ino


@DRIVERS
def test_a_mount_that_leaked_into_another_namespace_stops_nothing(
    plugin: DriverPlugin, tmp_path: Path
) -> None:
    def all_of_it() -> None:
        with store(plugin, tmp_path) as driver:
            base(driver)
            driver.create("rw", "base", read_write=True)
            mounted = driver.mount("rw")
            sleeper = subprocess.Popen(["unshare", "-m", "sleep", "60"])
            time.sleep(0.3)
            mounted.close()
            driver.remove("rw")
            driver.remove("base")
            sleeper.kill()
            sleeper.wait()
        nothing_is_left(tmp_path, plugin)

    run_apart(all_of_it)


@DRIVERS
def test_two_namespaces_mount_one_layer_and_neither_takes_it_from_the_other(
    plugin: DriverPlugin, tmp_path: Path
) -> None:
    def all_of_it() -> None:
        with store(plugin, tmp_path) as driver:
            base(driver)
            driver.create("rw", "base", read_write=True)
            with driver.mount("base") as mounted, driver.mount("rw") as written:

                def beside() -> None:
                    mounts.enter_private_namespace()
                    with store(plugin, tmp_path) as other:
                        with other.mount("base") as second:
                            assert os.listdir(f"{second.path}/etc")
                        with other.mount("rw", read_only=True) as view:
                            assert os.listdir(f"{view.path}/etc")
                        with pytest.raises(LayerInUse):
                            other.mount("rw")
                        with pytest.raises(LayerInUse):
                            other.remove("rw")

                in_child(beside)
                assert sorted(os.listdir(f"{mounted.path}/etc")) == ["a", "b"]
                write(f"{written.path}/etc/new")
            driver.remove("rw")
            driver.remove("base")
        nothing_is_left(tmp_path, plugin)

    run_apart(all_of_it)


def in_child(action: Callable[[], object]) -> None:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            action()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


@DRIVERS
def test_a_child_made_by_fork_ends_none_of_its_parents_uses(
    plugin: DriverPlugin, tmp_path: Path
) -> None:
    def all_of_it() -> None:
        with store(plugin, tmp_path) as driver:
            base(driver)
            with driver.mount("base") as mounted, driver.hold("base") as held:

                def close_all() -> None:
                    mounted.close()
                    held.close()
                    driver.close()

                in_child(close_all)
                assert sorted(os.listdir(f"{mounted.path}/etc")) == ["a", "b"]
                with pytest.raises(LayerInUse):
                    driver.remove("base")
            driver.remove("base")

    run_apart(all_of_it)


@DRIVERS
def test_what_a_killed_process_had_mounted_is_taken_away_at_the_next_opening(
    plugin: DriverPlugin, tmp_path: Path
) -> None:
    def mount_and_die() -> None:
        driver = opened(plugin, tmp_path)
        keep = [driver.mount("base"), driver.mount("rw"), driver.mount("rw", read_only=True)]
        assert keep
        os.kill(os.getpid(), signal.SIGKILL)

    def all_of_it() -> None:
        syscalls.mount(str(tmp_path), str(tmp_path), "", syscalls.MS_BIND)
        syscalls.mount("none", str(tmp_path), "", 1 << 20)  # shared, as under systemd
        before = mounts.mount_points()
        with store(plugin, tmp_path) as driver:
            base(driver)
            driver.create("rw", "base", read_write=True)
        assert mounts.mount_points() == before
        child = os.fork()
        if child == 0:
            mount_and_die()
        os.waitpid(child, 0)
        assert len(mounts.mount_points()) >= len(before) + 4
        with store(plugin, tmp_path) as driver:
            assert mounts.mount_points() == before
            driver.remove("rw")
            driver.remove("base")
        nothing_is_left(tmp_path, plugin)

    run_apart(all_of_it)


STORM = """
import os, random, sys
from hostkit.storage.errors import LayerExists, LayerInUse, NoSuchLayer, WrongState
from hostkit.system import mounts
from hostkit_drivers import overlay2, vfs
plugin = {"vfs": vfs, "overlay2": overlay2}[sys.argv[1]].PLUGIN
if sys.argv[3] == "apart":
    mounts.enter_private_namespace()
driver = plugin.open(sys.argv[2], {}, False)
dice = random.Random(int(sys.argv[4]))
for turn in range(40):
    one, below = f"l{dice.randrange(12)}", f"l{dice.randrange(12)}"
    try:
        match dice.randrange(6):
            case 0 | 1:
                driver.create(one, dice.choice((None, below)))
                with driver.mount(one) as mounted:
                    open(f"{mounted.path}/{one}", "w").write(one)
                driver.commit(one)
            case 2:
                driver.remove(one)
            case 3 | 4:
                with driver.mount(one, read_only=True) as mounted:
                    os.listdir(mounted.path)
            case 5:
                list(driver.changes(one))
    except (LayerExists, LayerInUse, NoSuchLayer, WrongState):
        pass
driver.close()
"""


@DRIVERS
def test_eight_processes_at_once_leave_a_sound_store(plugin: DriverPlugin, tmp_path: Path) -> None:
    def all_of_it() -> None:
        opened(plugin, tmp_path).close()
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT}/drivers:{ROOT}/checks"}
        running = [
            subprocess.Popen(
                [sys.executable, "-c", STORM, plugin.name, str(tmp_path), where, str(number)],
                env=environment,
            )
            for number, where in enumerate(("here", "apart") * 4)
        ]
        assert [one.wait(120) for one in running] == [0] * 8
        with store(plugin, tmp_path) as driver:
            assert list(driver.check()) == []
            for layer in reversed(list(driver.layers())):
                if layer.state is State.COMMITTED:
                    with driver.mount(layer.id) as mounted:
                        assert layer.id in os.listdir(mounted.path)
                driver.remove(layer.id)
        nothing_is_left(tmp_path, plugin)

    run_apart(all_of_it)


@DRIVERS
def test_a_mount_left_in_a_layer_is_not_emptied_with_it(
    plugin: DriverPlugin, tmp_path: Path
) -> None:
    def all_of_it() -> None:
        precious = tmp_path / "precious"
        precious.mkdir()
        write(f"{precious}/file")
        with store(plugin, tmp_path) as driver:
            driver.create("rw", read_write=True)
            inside = "diff" if plugin.name == "overlay2" else ""
            top = f"{driver.home}/rw" if inside else f"{driver.home}/dir/rw"
            place = f"{top}/{inside}/data".replace("//", "/")
            os.mkdir(place)
            syscalls.mount(str(precious), place, "", syscalls.MS_BIND)
            with pytest.raises(OSError, match="mounted in it"):
                driver.remove("rw")
            assert (precious / "file").exists()
            mounts.unmount(place)
            driver.remove("rw")
        nothing_is_left(tmp_path, plugin)

    run_apart(all_of_it)


@DRIVERS
def test_a_damaged_record_is_named_and_mended(plugin: DriverPlugin, tmp_path: Path) -> None:
    def all_of_it() -> None:
        with store(plugin, tmp_path) as driver:
            base(driver)
            driver.create("next", "base")
            driver.commit("next")
            own = Path(driver.home) / ".hostkit/committed"
            for damage in (b"", b"{", b'{"version": 9}', b"[]", b"\0" * 200, b"x" * 9999):
                (own / "base").write_bytes(damage)
                assert "next" in [layer.id for layer in driver.layers()]
                with pytest.raises(Damaged, match=r"damaged|longer"):
                    driver.remove("base")
                issues = {issue.code: issue for issue in driver.check()}
                driver.repair(issues["layer-record-damaged"])
                assert list(driver.check()) == []
                with driver.mount("next") as mounted:
                    assert os.listdir(f"{mounted.path}/etc")
            (own / "nobody").write_bytes(b"")
            (issue,) = driver.check()
            driver.repair(issue)
            driver.remove("next")
            driver.remove("base")
        nothing_is_left(tmp_path, plugin)

    run_apart(all_of_it)


def test_one_of_ten_thousand_layers_is_found_without_reading_the_others(tmp_path: Path) -> None:
    plugin = vfs.PLUGIN

    def all_of_it() -> None:
        with store(plugin, tmp_path) as driver:
            driver.create("base")
            driver.commit("base")
            folder = Path(driver.home) / ".hostkit/committed"
            text = (folder / "base").read_bytes()
            for number in range(10000):
                (folder / f"l{number}").write_bytes(text)
            begin = time.process_time()
            for number in range(100):
                driver.info(f"l{number}")
                assert not driver.exists(f"none{number}")
            assert time.process_time() - begin < 0.2
            driver.remove("l0")  # reads them all, once
            begin = time.process_time()
            for number in range(1, 101):
                driver.remove(f"l{number}")
            assert time.process_time() - begin < 1

    run_apart(all_of_it)


def test_a_file_system_without_locks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, how: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(Unsupported, match="no file locks"):
        opened(vfs.PLUGIN, tmp_path)


@DRIVERS
def test_the_wrong_state_is_said(plugin: DriverPlugin, tmp_path: Path) -> None:
    def all_of_it() -> None:
        with store(plugin, tmp_path) as driver:
            driver.create("base")
            with pytest.raises(WrongState):
                driver.create("next", "base")
            driver.commit("base")
            with pytest.raises(WrongState):
                driver.apply_diff("base", TarReader(io.BytesIO(b"")))
            with pytest.raises(NoSuchLayer):
                driver.create("next", "nothing")
            with driver.mount("base") as mounted, pytest.raises(OSError, match="Read-only"):
                write(f"{mounted.path}/new")
            driver.remove("base")
        nothing_is_left(tmp_path, plugin)

    run_apart(all_of_it)
