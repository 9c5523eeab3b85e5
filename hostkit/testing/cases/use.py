# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounts and holds: who uses a layer, and what happens when he is gone."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from hostkit.storage.errors import LayerInUse, NoSuchLayer
from hostkit.system import mounts, syscalls
from hostkit.testing.faults import in_child
from hostkit.testing.subject import Subject, refuses, touching

_THREADS = 32
_ROUNDS = 4
_WAIT_S = 20.0


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _WAIT_S
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


class Use:
    """References are counted, over threads, openings, processes and namespaces."""

    def test_the_last_of_two_users_unmounts(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("file"))
        subject.driver.create("top", "bottom")
        before = mounts.mount_points()
        first = subject.driver.mount("top")
        second = subject.driver.mount("top")
        assert first.path == second.path
        first.close()
        first.close()
        assert Path(second.path, "file").exists()
        second.close()
        assert mounts.mount_points() == before

    def test_the_last_of_two_openings_unmounts(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("file"))
        other = subject.open()
        with subject.driver.mount("bottom") as first:
            with other.mount("bottom") as second:
                assert Path(second.path, "file").exists()
            assert Path(first.path, "file").exists()

    def test_a_layer_in_use_is_not_removed(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("file"))
        with subject.driver.mount("bottom") as mount:
            refuses("remove", lambda: subject.driver.remove("bottom"), LayerInUse)
            assert Path(mount.path, "file").exists()
        with subject.driver.hold("bottom") as hold:
            assert hold.path == ""
            refuses("remove", lambda: subject.driver.remove("bottom"), LayerInUse)
            refuses("elsewhere", lambda: subject.open().remove("bottom"), LayerInUse)
        subject.driver.remove("bottom")

    def test_a_layer_below_one_that_is_in_use_stays(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("file"))
        subject.driver.create("top", "bottom")
        with subject.driver.mount("top") as mount:
            refuses("remove", lambda: subject.driver.remove("bottom"), LayerInUse)
            assert Path(mount.path, "file").exists()

    def test_a_hold_mounts_nothing(self, subject: Subject) -> None:
        subject.layer("bottom")
        before = mounts.mount_points()
        with subject.driver.hold("bottom"):
            assert mounts.mount_points() == before

    def test_cleanup_spares_what_is_in_use(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("file"))
        with subject.driver.mount("bottom") as mount:
            subject.driver.cleanup()
            subject.open().cleanup()
            assert Path(mount.path, "file").exists()

    def test_a_specification_shows_the_same_elsewhere(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("below"))
        subject.active("top", "bottom", touching("above"))
        place = f"{subject.root}/elsewhere"
        os.mkdir(place)
        for name, read_only, names in (
            ("bottom", True, {"below"}),
            ("top", True, {"below", "above"}),
            ("top", False, {"below", "above"}),
        ):
            with subject.driver.hold(name):
                subject.driver.mount_spec(name, read_only=read_only).apply(place)
                try:
                    assert set(os.listdir(place)) - {"lost+found"} == names
                    if not read_only:
                        touching("above")(place)
                finally:
                    syscalls.umount(place)
        os.rmdir(place)

    def test_a_killed_users_layer_is_free(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("file"))
        before = mounts.mount_points()
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            subject.open().mount("bottom")
            os.write(writer, b"mounted")
            time.sleep(_WAIT_S)
            os._exit(1)
        os.close(writer)
        assert os.read(reader, 7) == b"mounted"
        os.close(reader)
        refuses("remove", lambda: subject.driver.remove("bottom"), LayerInUse)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        subject.reopen().cleanup()
        assert mounts.mount_points() == before
        subject.driver.remove("bottom")

    def test_a_mount_that_leaked_into_another_namespace_hinders_nothing(
        self, subject: Subject
    ) -> None:
        """Moby's MountLeaks: a process that was started meanwhile has a copy of the mount."""
        subject.layer("bottom", None, touching("file"))
        subject.driver.create("top", "bottom")
        mount = subject.driver.mount("top")
        sleeper = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sleep", "60"]
        )
        try:
            own = os.readlink("/proc/self/ns/mnt")
            _until(lambda: os.readlink(f"/proc/{sleeper.pid}/ns/mnt") != own)
            _until(lambda: Path(f"/proc/{sleeper.pid}/comm").read_text() == "sleep\n")
            mount.close()
            subject.driver.remove("top")
            assert set(subject.layers()) == {"bottom"}
            subject.active("top", "bottom", touching("again"))
            subject.driver.remove("top")
        finally:
            sleeper.kill()
            sleeper.wait()

    def test_a_layer_is_used_in_two_namespaces(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("file"))

        def elsewhere() -> bool:
            mounts.enter_private_namespace()
            with subject.open().mount("bottom") as mount:
                return Path(mount.path, "file").exists()

        with subject.driver.mount("bottom") as mount:
            assert in_child(elsewhere)
            assert Path(mount.path, "file").exists()
        subject.driver.remove("bottom")

    def test_32_threads_mount_and_unmount_one_layer(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("file"))
        subject.driver.create("top", "bottom")
        before = mounts.mount_points()
        failed: list[BaseException] = []

        def use() -> None:
            try:
                for _ in range(_ROUNDS):
                    with subject.driver.mount("top") as mount:
                        assert Path(mount.path, "file").read_text() == "file"
            except BaseException as problem:  # noqa: BLE001 - told below
                failed.append(problem)

        threads = [threading.Thread(target=use) for _ in range(_THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        assert mounts.mount_points() == before
        subject.driver.remove("top")

    def test_a_mount_that_is_given_back_twice_frees_the_layer_once(self, subject: Subject) -> None:
        subject.layer("bottom")
        first, second = subject.driver.mount("bottom"), subject.driver.mount("bottom")
        first.close()
        first.close()
        refuses("remove", lambda: subject.driver.remove("bottom"), LayerInUse)
        second.close()
        subject.driver.remove("bottom")
        refuses("mount", lambda: subject.driver.mount("bottom").close(), NoSuchLayer)
