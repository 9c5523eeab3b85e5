# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes, diffs and their application."""

import io
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from hostkit.storage.driver import ChangeKind
from hostkit.storage.errors import NoSuchLayer, WrongState
from hostkit.testing.subject import REFUSALS, Subject, refuses, touching
from hostkit.testing.tars import file, folder, link, tar
from hostkit.testing.trees import differences

_FILES = 20
_DEPTH = 10


def _changes(subject: Subject, layer: str) -> list[tuple[str, str]]:
    return [(one.kind.value, os.fsdecode(one.path)) for one in subject.driver.changes(layer)]


def _members(data: bytes) -> set[str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {name.removeprefix("./") for name in archive.getnames()}


def _seen(subject: Subject, layer: str) -> set[str]:
    return {os.fsdecode(path) for path in subject.look(layer, top=False)}


class Differences:
    """The cases of moby's and containers/storage's graphtests, and those that they lack."""

    def test_changes_are_named_exactly(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching(*(f"file-{number}" for number in range(_FILES))))

        def change(path: str) -> None:
            for number in range(0, _FILES, 3):
                Path(path, f"file-{number}").write_text("modified")
                touching(f"added-{number}")(path)
                if number + 2 < _FILES:
                    os.unlink(f"{path}/file-{number + 2}")

        subject.layer("top", "bottom", change)
        expected = [("C", f"/file-{number}") for number in range(0, _FILES, 3)]
        expected += [("A", f"/added-{number}") for number in range(0, _FILES, 3)]
        expected += [("D", f"/file-{number}") for number in range(2, _FILES, 3)]
        assert sorted(_changes(subject, "top")) == sorted(expected)

    def test_a_change_below_names_the_folders_on_the_way(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("a/b/c", "other/file"))
        subject.layer("top", "bottom", touching("a/b/d"))
        assert _changes(subject, "top") == [("C", "/a"), ("C", "/a/b"), ("A", "/a/b/d")]

    def test_a_base_layer_is_all_added(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("a/b", "c"))
        assert _changes(subject, "bottom") == [("A", "/a"), ("A", "/a/b"), ("A", "/c")]
        assert {name.rstrip("/") for name in _members(subject.diff("bottom"))} == {"a", "a/b", "c"}

    def test_an_untouched_layer_has_no_changes_and_an_empty_diff(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("a/b"))
        subject.layer("top", "bottom")
        assert _changes(subject, "top") == []
        assert _members(subject.diff("top")) == set()

    def test_what_is_read_or_touched_without_a_change_may_be_named_but_nothing_else(
        self, subject: Subject
    ) -> None:
        subject.layer("bottom", None, touching("a/read", "a/touched", "b"))

        def touch(path: str) -> None:
            Path(path, "a/read").read_text()
            os.utime(f"{path}/a/touched", ns=(1, os.stat(f"{path}/a/touched").st_mtime_ns))

        subject.layer("top", "bottom", touch)
        assert set(_changes(subject, "top")) <= {("C", "/a"), ("C", "/a/touched")}

    @pytest.mark.parametrize("depth", range(_DEPTH))
    def test_a_path_removed_at_some_depth_and_made_again(
        self, subject: Subject, depth: int
    ) -> None:
        """containers/storage calls it Echo: opaque folders are where drivers go wrong."""
        parts = [f"d{number}" for number in range(_DEPTH)]
        whole = "/".join(parts)
        gone = "/".join(parts[: depth + 1])
        subject.layer("one", None, touching(f"{whole}/file"))
        subject.layer("two", "one", lambda path: shutil.rmtree(f"{path}/{gone}"))
        subject.layer("three", "two", touching(f"{whole}/file"))
        above = [("C", "/" + "/".join(parts[:number])) for number in range(1, depth + 1)]
        again = [("A", "/" + "/".join(parts[:number])) for number in range(depth + 1, _DEPTH + 1)]
        assert _changes(subject, "two") == [*above, ("D", f"/{gone}")]
        assert _changes(subject, "three") == [*above, *again, ("A", f"/{whole}/file")]
        subject.copy("two", "copy2")
        subject.driver.commit("copy2")
        subject.driver.create("copy3", "copy2")
        subject.apply("copy3", subject.diff("three"))
        assert _seen(subject, "copy2") == _seen(subject, "two")
        assert _seen(subject, "copy3") == _seen(subject, "three")

    def test_a_diff_applied_to_another_child_gives_the_same_tree(self, subject: Subject) -> None:
        names = [f"file-{number}" for number in range(10)]
        subject.layer("bottom", None, touching(*names, "var/lib/nested", "kept/file"))

        def change(path: str) -> None:
            for name in names[:-1]:
                Path(path, name).write_text(f"{name} changed")
            os.unlink(f"{path}/{names[-1]}")
            shutil.rmtree(f"{path}/var/lib")

        subject.layer("top", "bottom", change)
        data = subject.diff("top")
        subject.driver.create("copy", "bottom")
        assert subject.apply("copy", data) == sum(len(f"{name} changed") for name in names[:-1])
        assert differences(subject.look("top", top=False), subject.look("copy", top=False)) == []
        assert subject.diff("copy") == data

    def test_a_diff_is_the_same_bytes_each_time(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("a/b", "gone"))
        subject.layer("top", "bottom", touching("z", "a/c", "m/n"))
        subject.layer("less", "top", lambda path: os.unlink(f"{path}/gone"))
        for name in ("bottom", "top", "less"):
            data = subject.diff(name)
            assert subject.diff(name) == data
            subject.reopen()
            assert subject.diff(name) == data

    def test_a_diff_holds_what_changed_and_no_more(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching(*(f"d{n}/file" for n in range(10)), "large"))
        subject.layer("top", "bottom", touching("d3/new"))
        assert {name.rstrip("/") for name in _members(subject.diff("top"))} == {"d3", "d3/new"}
        subject.layer("less", "top", lambda path: os.unlink(f"{path}/large"))
        assert _members(subject.diff("less")) == {".wh.large"}

    def test_a_containers_layer_has_a_diff_while_it_runs(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("below"))
        subject.driver.create("container", "bottom", read_write=True)
        with subject.driver.mount("container") as mount:
            touching("written")(mount.path)
            assert _changes(subject, "container") == [("A", "/written")]
            assert _members(subject.diff("container")) == {"written"}

    def test_whiteouts_of_a_layer_tar(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("gone", "kept", "d/a", "d/b", "o/old", "o/d/older"))
        subject.driver.create("top", "bottom")
        parts = (
            *(file(b".wh.gone"), file(b"d/.wh.a"), file(b".wh.never-there"), file(b"x/.wh.y")),
            *(folder(b"o"), file(b"o/new", b"new"), file(b"o/.wh..wh..opq")),
        )
        subject.apply("top", tar(*parts))
        seen = _seen(subject, "top") - {"/x"}
        assert seen == {"/kept", "/d", "/d/b", "/o", "/o/new"}
        assert _seen(subject, "bottom") >= {"/gone", "/d/a", "/o/old", "/o/d/older"}

    def test_a_layer_tar_replaces_what_is_of_another_kind(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("file", "folder/inside", "other"))
        subject.driver.create("top", "bottom")
        parts = (folder(b"file"), file(b"file/inside", b"1"), file(b"folder", b"2"))
        subject.apply("top", tar(*parts, link(b"other", b"folder")))
        assert _seen(subject, "top") == {"/file", "/file/inside", "/folder", "/other"}
        assert subject.look("top")[b"/other"].kind == "link"

    def test_whiteouts_in_a_layer_that_stands_on_nothing_leave_nothing(
        self, subject: Subject
    ) -> None:
        subject.driver.create("bottom")
        subject.apply("bottom", tar(file(b".wh.x"), folder(b"d"), file(b"d/.wh..wh..opq")))
        assert _seen(subject, "bottom") == {"/d"}

    def test_two_tars_one_after_the_other(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("a", "b"))
        subject.driver.create("top", "bottom")
        subject.apply("top", tar(file(b"c", b"1"), file(b".wh.a")))
        subject.apply("top", tar(file(b"a", b"again"), file(b".wh.c")))
        assert _seen(subject, "top") == {"/a", "/b"}

    def test_only_an_active_layer_takes_a_tar(self, subject: Subject) -> None:
        subject.layer("bottom")
        data = tar(file(b"x"))
        refuses("committed", lambda: subject.apply("bottom", data), WrongState)
        refuses("missing", lambda: subject.apply("missing", data), NoSuchLayer)
        assert _seen(subject, "bottom") == set()

    def test_a_damaged_tar_leaves_a_layer_that_can_be_removed(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("below"))
        whole = tar(file(b"a", b"x" * 3000), file(b"b", b"y" * 3000))
        for name, data in (("cut", whole[:2000]), ("garbage", whole[:512] + b"\xff" * 4096)):
            subject.driver.create(name, "bottom")
            with pytest.raises(REFUSALS):
                subject.apply(name, data)
            assert subject.driver.info(name).state.value == "active"
            subject.driver.remove(name)
        assert subject.issues() == []

    def test_usage_is_what_a_layer_takes_by_itself(self, subject: Subject) -> None:
        size = 2 << 20
        subject.layer("bottom", None, lambda path: Path(path, "f").write_bytes(os.urandom(size)))
        subject.layer("top", "bottom", lambda path: Path(path, "g").write_bytes(os.urandom(size)))
        subject.layer("empty", "bottom")
        os.sync()  # delayed allocation
        base, top, empty = (subject.driver.usage(name) for name in ("bottom", "top", "empty"))
        assert base.bytes >= size
        assert top.bytes >= size
        assert min(one.inodes for one in (base, top, empty)) >= 0
        if (
            subject.driver.capabilities.shares_page_cache
            or subject.driver.capabilities.block_backed
        ):
            assert empty.bytes < size  # what the parent has is the parent's
            assert top.bytes < 2 * size

    def test_kinds_of_changes_are_dockers_letters(self) -> None:
        assert "".join(kind.value for kind in ChangeKind) == "ACD"
