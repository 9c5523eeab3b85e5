# SPDX-License-Identifier: GPL-3.0-or-later
"""Names, states and parents: the life of a layer."""

import os
import stat
import time
from functools import partial

import pytest

from hostkit.storage.driver import Layer, State
from hostkit.storage.errors import (
    LayerExists,
    LayerInUse,
    NoSuchLayer,
    ReadOnlyStore,
    StorageError,
    WrongState,
)
from hostkit.testing.faults import in_child
from hostkit.testing.subject import REFUSALS, Subject, refuses, touching
from hostkit.testing.trees import look

BAD_IDS = (
    *("", ".", "..", "../x", "a/b", "/a", "A", "-a", ".a", "_a", "a\n", "a b", "a\0", "ä", "a,b"),
    *("a:b", "a=b", "a@b", "a" * 129),
)
GOOD_IDS = ("a", "0", "a.b", "a-b_c", "a" * 128, "f" * 64, "0" * 64 + "-init", "a.tmp")
# A driver in the layout of Docker's data root has files of such names.
RESERVED = ("l", "base", "dir", "metadata", "mnt", "lower", "link", "deviceset-metadata")
_OLD = 10**9 * 1_000_000_000  # 2001: an atime that any read would move


class Layers:
    """What moby's graphtest and containerd's snapshot and metastore suites ask of names."""

    def test_a_new_store_has_no_layers(self, subject: Subject) -> None:
        assert subject.layers() == {}
        assert subject.issues() == []

    @pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
    def test_an_empty_layer_has_a_root_of_mode_0755_and_nothing_in_it(
        self, subject: Subject, umask: int
    ) -> None:
        before = os.umask(umask)
        try:
            subject.driver.create("empty")
        finally:
            os.umask(before)
        with subject.driver.mount("empty") as mount:
            info = os.stat(mount.path)
            assert stat.S_IMODE(info.st_mode) == 0o755
            assert (info.st_uid, info.st_gid) == (0, 0)
            assert [name for name in os.listdir(mount.path) if name != "lost+found"] == []

    def test_a_layer_says_what_it_is(self, subject: Subject) -> None:
        driver = subject.driver
        driver.create("bottom")
        assert driver.info("bottom") == Layer("bottom", None, State.ACTIVE)
        driver.commit("bottom")
        assert driver.info("bottom") == Layer("bottom", None, State.COMMITTED)
        driver.create("container", "bottom", read_write=True)
        assert driver.info("container") == Layer(
            "container", "bottom", State.ACTIVE, read_write=True
        )
        assert subject.layers() == {name: driver.info(name) for name in ("bottom", "container")}

    def test_a_layer_outlives_the_process_that_made_it(self, subject: Subject) -> None:
        subject.layer("bottom")
        subject.active("top", "bottom", touching("file"))
        before, seen = subject.layers(), subject.look("top")
        subject.reopen()
        assert subject.layers() == before
        assert subject.look("top") == seen

    def test_a_name_that_is_taken_is_refused_whatever_its_state(self, subject: Subject) -> None:
        subject.layer("bottom")
        subject.active("active", "bottom")
        subject.layer("committed", "bottom")
        for name in ("bottom", "active", "committed"):
            for parent in (None, "bottom"):
                refuses(name, partial(subject.driver.create, name, parent), LayerExists)
        assert set(subject.layers()) == {"bottom", "active", "committed"}

    def test_a_parent_that_is_not_there_is_refused(self, subject: Subject) -> None:
        refuses("create", lambda: subject.driver.create("top", "missing"), NoSuchLayer)
        assert subject.layers() == {}

    def test_a_parent_that_may_still_change_is_refused(self, subject: Subject) -> None:
        subject.driver.create("bottom")
        refuses("create", lambda: subject.driver.create("top", "bottom"), WrongState)
        subject.driver.commit("bottom")
        subject.driver.create("top", "bottom")
        refuses("create", lambda: subject.driver.create("more", "top"), WrongState)

    def test_a_layer_is_committed_once(self, subject: Subject) -> None:
        refuses("missing", lambda: subject.driver.commit("missing"), NoSuchLayer)
        subject.layer("bottom")
        refuses("committed", lambda: subject.driver.commit("bottom"), WrongState)

    def test_a_containers_layer_is_not_committed(self, subject: Subject) -> None:
        subject.layer("bottom")
        subject.driver.create("container", "bottom", read_write=True)
        refuses("commit", lambda: subject.driver.commit("container"), WrongState)

    def test_what_is_not_there_is_said_to_be_missing(self, subject: Subject) -> None:
        driver = subject.driver
        assert not driver.exists("missing")
        refuses("info", lambda: driver.info("missing"), NoSuchLayer)
        refuses("remove", lambda: driver.remove("missing"), NoSuchLayer)
        refuses("mount", lambda: driver.mount("missing").close(), NoSuchLayer)
        refuses("mount_spec", lambda: driver.mount_spec("missing"), NoSuchLayer)
        refuses("hold", lambda: driver.hold("missing").close(), NoSuchLayer)
        refuses("usage", lambda: driver.usage("missing"), NoSuchLayer)
        refuses("metadata", lambda: driver.metadata("missing"), NoSuchLayer)
        refuses("changes", lambda: list(driver.changes("missing")), NoSuchLayer)
        refuses("diff", lambda: subject.diff("missing"), NoSuchLayer)
        refuses("apply_diff", lambda: subject.apply("missing", bytes(1024)), NoSuchLayer)

    def test_a_layer_that_others_stand_on_stays(self, subject: Subject) -> None:
        subject.layer("a")
        subject.layer("b", "a")
        subject.driver.create("c", "b")
        for name in ("a", "b"):
            refuses(name, partial(subject.driver.remove, name), LayerInUse)
        for name in ("c", "b", "a"):
            subject.driver.remove(name)
        assert subject.layers() == {}

    def test_a_removed_layer_is_gone_and_its_name_is_free(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("old"))
        subject.driver.remove("bottom")
        assert not subject.driver.exists("bottom")
        refuses("remove again", lambda: subject.driver.remove("bottom"), NoSuchLayer)
        subject.driver.create("bottom")
        assert subject.look("bottom", top=False) == {}

    def test_layers_come_parents_first_and_each_once(self, subject: Subject) -> None:
        # Names in an order that is not that of the parents.
        for name, parent in (("z", None), ("a", "z"), ("m", "a"), ("b", "z"), ("0", "m")):
            subject.layer(name, parent)
        listed = list(subject.driver.layers())
        assert len(listed) == 5
        seen: set[str | None] = {None}
        for layer in listed:
            assert layer.parent in seen
            seen.add(layer.id)

    def test_layers_may_be_asked_and_removed_while_they_are_listed(self, subject: Subject) -> None:
        for name in ("a", "b", "c"):
            subject.layer(name)
        for layer in subject.driver.layers():
            assert subject.driver.info(layer.id) == layer
            subject.driver.remove(layer.id)
        assert subject.layers() == {}

    @pytest.mark.parametrize("name", BAD_IDS, ids=range(len(BAD_IDS)))
    def test_a_name_that_could_be_a_path_or_an_option_is_refused(
        self, subject: Subject, name: str
    ) -> None:
        driver = subject.driver
        refuses("create", lambda: driver.create(name), StorageError)
        refuses("remove", lambda: driver.remove(name), StorageError)
        refuses("mount", lambda: driver.mount(name).close(), StorageError)
        refuses("commit", lambda: driver.commit(name), StorageError)
        refuses("hold", lambda: driver.hold(name).close(), StorageError)
        refuses("info", lambda: driver.info(name), StorageError)
        refuses("create on it", lambda: driver.create("top", name), StorageError)
        assert subject.layers() == {}

    def test_every_name_that_the_contract_allows_works(self, subject: Subject) -> None:
        for name in GOOD_IDS:
            subject.layer(name, None, touching("file"))
            subject.driver.create("top", name)
            assert b"/file" in subject.look("top")
            subject.driver.remove("top")
        assert set(subject.layers()) == set(GOOD_IDS)

    @pytest.mark.parametrize("name", RESERVED)
    def test_a_name_that_the_driver_has_for_itself_works_or_is_refused(
        self, subject: Subject, name: str
    ) -> None:
        subject.layer("bottom", None, touching("file"))
        try:
            subject.driver.create(name, "bottom")
        except StorageError:
            assert not subject.driver.exists(name)
        else:
            assert b"/file" in subject.look(name)
            subject.driver.remove(name)
        subject.active("after", "bottom", touching("more"))
        assert subject.look("after", top=False).keys() == {b"/file", b"/more"}

    def test_another_process_sees_the_same(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("file"))

        def other() -> bool:
            driver = subject.open()
            with driver.mount("bottom") as mount:
                return look(mount.path, top=False).keys() == {b"/file"}

        assert in_child(other)

    def test_closing_twice_does_nothing(self, subject: Subject) -> None:
        subject.layer("bottom")
        subject.driver.close()
        subject.driver.close()
        subject.driver = subject.open()
        assert subject.driver.exists("bottom")

    def test_an_unknown_option_is_refused(self, subject: Subject) -> None:
        assert subject.plugin.open is not None
        with pytest.raises(StorageError, match="nonsense"):
            subject.plugin.open(subject.root, {"nonsense": "1"}, False)

    def test_what_is_said_for_people_is_text(self, subject: Subject) -> None:
        subject.layer("bottom")
        subject.layer("top", "bottom")
        for title, words in subject.driver.status():
            assert isinstance(title, str)
            assert isinstance(words, str)
        for name in ("bottom", "top"):
            for key, value in subject.driver.metadata(name).items():
                assert isinstance(key, str)
                assert isinstance(value, str)

    def test_a_store_that_is_sound_has_no_issues(self, subject: Subject) -> None:
        subject.layer("bottom")
        subject.layer("top", "bottom")
        subject.driver.create("container", "top", read_write=True)
        assert subject.issues() == []

    def test_a_size_limit_that_cannot_be_kept_is_refused(self, subject: Subject) -> None:
        if subject.driver.capabilities.size_limit:
            pytest.skip(f"{subject.plugin.name} can limit the size of a layer")
        refuses("size", lambda: subject.driver.create("small", size=1 << 25), StorageError)
        assert subject.layers() == {}


class ReadOnly:
    """A store that is opened to be read."""

    def test_nothing_can_be_changed(self, subject: Subject) -> None:
        subject.layer("bottom")
        subject.active("top", "bottom")
        reader = subject.open(read_only=True)
        refuses("create", lambda: reader.create("more"), ReadOnlyStore)
        refuses("commit", lambda: reader.commit("top"), ReadOnlyStore)
        refuses("remove", lambda: reader.remove("top"), ReadOnlyStore)
        refuses("cleanup", reader.cleanup, ReadOnlyStore)
        assert {one.id: one for one in reader.layers()} == subject.layers()

    def test_opening_leaves_no_trace_on_any_file(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("file"))
        subject.active("top", "bottom")
        subject.driver.close()
        before = _aged(subject.root)
        reader = subject.open(read_only=True)
        assert _stamps(before) == before
        assert {one.id for one in reader.layers()} == {"bottom", "top"}
        assert reader.info("top").parent == "bottom"
        list(reader.check())
        reader.usage("top")
        reader.metadata("top")
        reader.close()
        # Reading may move the time of access, nothing else.
        after = _stamps(before)
        assert {name: stamp[1:] for name, stamp in after.items()} == {
            name: stamp[1:] for name, stamp in before.items()
        }

    def test_a_root_that_is_not_there_is_not_made(self, subject: Subject) -> None:
        missing = f"{subject.root}/missing"
        try:
            reader = subject.open(read_only=True, root=missing)
            assert list(reader.layers()) == []
        except REFUSALS:
            pass
        assert not os.path.exists(missing)


def _aged(root: str) -> dict[str, tuple[int, ...]]:
    """The stamps of every file, after each got a time of access that a read would move."""
    names = [root]
    for folder, folders, files in os.walk(root):
        names += [os.path.join(folder, name) for name in (*folders, *files)]
    for name in names:
        info = os.lstat(name)
        os.utime(name, ns=(_OLD, info.st_mtime_ns), follow_symlinks=False)
    time.sleep(0.02)  # a stamp made from here on differs
    return _stamps(dict.fromkeys(names, ()))


def _stamps(names: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for name in names:
        info = os.lstat(name)
        found[name] = (info.st_atime_ns, info.st_mtime_ns, info.st_ctime_ns, info.st_size)
    return found
