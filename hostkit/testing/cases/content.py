# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done in one layer is seen in those above it and nowhere else."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hostkit.testing.subject import Subject, touching
from hostkit.testing.trees import look


def _names(subject: Subject, layer: str) -> set[str]:
    return {os.fsdecode(path) for path in subject.look(layer, top=False)}


def _read(subject: Subject, layer: str, name: str) -> str:
    with subject.driver.mount(layer, read_only=True) as mount:
        return Path(mount.path, name).read_text()


class Content:
    """The cases of containerd's suite, most of them named for a bug of Docker's."""

    def test_a_change_is_seen_above_and_not_below_or_beside(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("file", content="old"))
        subject.driver.create("beside", "bottom")
        subject.layer("top", "bottom", touching("file", "more", content="new"))
        subject.driver.create("above", "top")
        assert _read(subject, "above", "file") == "new"
        assert _read(subject, "bottom", "file") == "old"
        assert _read(subject, "beside", "file") == "old"
        assert _names(subject, "beside") == {"/file"}

    def test_a_file_changed_again_and_again_within_a_second(self, subject: Subject) -> None:
        """Moby issue 21555: same size, same second, other content."""
        subject.layer("layer0", None, touching("file", content="0"))
        for number in range(1, 6):
            below, name = f"layer{number - 1}", f"layer{number}"

            def change(path: str, number: int = number) -> None:
                info = os.stat(f"{path}/file")
                Path(path, "file").write_text(str(number))
                os.utime(f"{path}/file", ns=(info.st_atime_ns, info.st_mtime_ns))

            subject.layer(name, below, change)
            assert _read(subject, name, "file") == str(number)
            assert [one.path for one in subject.driver.changes(name)] == [b"/file"]
            subject.copy(name, f"copy{number}")
            assert _read(subject, f"copy{number}", "file") == str(number)

    def test_a_removed_file_stays_away_above_and_stays_below(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("kept", "gone"))
        subject.layer("top", "bottom", lambda path: os.unlink(f"{path}/gone"))
        subject.layer("above", "top")
        for name in ("top", "above"):
            assert _names(subject, name) == {"/kept"}
        assert _names(subject, "bottom") == {"/kept", "/gone"}
        subject.layer("again", "above", touching("gone", content="new"))
        assert _read(subject, "again", "gone") == "new"

    def test_a_removed_folder_that_is_made_again_is_empty(self, subject: Subject) -> None:
        """Moby issue 25244."""
        subject.layer("bottom", None, touching("a/b/old", "a/older"))

        def anew(path: str) -> None:
            shutil.rmtree(f"{path}/a")
            touching("a/new")(path)

        subject.layer("top", "bottom", anew)
        subject.layer("above", "top", touching("a/newer"))
        assert _names(subject, "top") == {"/a", "/a/new"}
        assert _names(subject, "above") == {"/a", "/a/new", "/a/newer"}
        subject.copy("top", "copy")
        assert _names(subject, "copy") == {"/a", "/a/new"}

    def test_a_file_becomes_a_folder_and_a_folder_a_file(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("file", "folder/inside"))

        def turn(path: str) -> None:
            os.unlink(f"{path}/file")
            shutil.rmtree(f"{path}/folder")
            touching("file/inside", "folder")(path)

        subject.layer("top", "bottom", turn)
        subject.copy("top", "copy")
        for name in ("top", "copy"):
            assert _names(subject, name) == {"/file", "/file/inside", "/folder"}

    def test_a_change_of_owner_or_mode_alone(self, subject: Subject) -> None:
        """Moby issues 20240, 24913, 27298, 28391."""
        subject.layer("bottom", None, touching("opt/a", "opt/b"))

        def change(path: str) -> None:
            os.chown(f"{path}/opt", 1, 1)
            os.chown(f"{path}/opt/a", 1, 1)
            os.chmod(f"{path}/opt/b", 0o600)

        subject.layer("one", "bottom", change)
        subject.layer("two", "one", lambda path: os.chown(f"{path}/opt/a", 2, 2))
        seen = subject.look("two")
        assert seen[b"/opt"].owner == (1, 1)
        assert seen[b"/opt/a"].owner == (2, 2)
        assert seen[b"/opt/b"].mode == 0o600
        subject.copy("two", "copy")
        assert subject.look("copy")[b"/opt"].owner == (1, 1)

    def test_a_file_moved_out_of_a_lower_layer(self, subject: Subject) -> None:
        """A hard link is made and the old name removed, as dpkg does."""
        subject.layer("bottom", None, touching("dir1/f1"))

        def move(path: str) -> None:
            os.mkdir(f"{path}/dir2")
            os.link(f"{path}/dir1/f1", f"{path}/dir2/f2")
            os.unlink(f"{path}/dir1/f1")

        subject.layer("top", "bottom", move)
        assert _names(subject, "top") == {"/dir1", "/dir2", "/dir2/f2"}
        assert _read(subject, "top", "dir2/f2") == "dir1/f1"

    def test_a_file_is_renamed_and_a_folder_may_be(self, subject: Subject) -> None:
        """Moby issue 25409. rename(2) of a lower layer's folder may fail with EXDEV."""
        subject.layer("bottom", None, touching("file", "folder/inside"))

        def rename(path: str) -> None:
            os.rename(f"{path}/file", f"{path}/renamed")
            try:
                os.rename(f"{path}/folder", f"{path}/moved")
            except OSError as problem:
                if problem.errno != errno.EXDEV:
                    raise
                shutil.move(f"{path}/folder", f"{path}/moved")

        subject.layer("top", "bottom", rename)
        subject.copy("top", "copy")
        for name in ("top", "copy"):
            assert _names(subject, name) == {"/renamed", "/moved", "/moved/inside"}
            assert _read(subject, name, "renamed") == "file"

    def test_one_of_two_hard_links_is_changed_above(self, subject: Subject) -> None:
        def linked(path: str) -> None:
            touching("one", "folder/other")(path)
            os.link(f"{path}/one", f"{path}/folder/two")

        subject.layer("bottom", None, linked)
        subject.layer("top", "bottom", lambda path: os.unlink(f"{path}/one"))
        assert _read(subject, "top", "folder/two") == "one"
        assert _names(subject, "top") == {"/folder", "/folder/other", "/folder/two"}
        assert subject.look("bottom")[b"/one"].same_as == b"/folder/two"

    def test_a_committed_layer_refuses_every_write(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("file"))
        with subject.driver.mount("bottom") as mount:
            _refuses_writes(mount.path)
        with subject.driver.mount("bottom", read_only=True) as mount:
            _refuses_writes(mount.path)

    def test_an_active_layer_mounted_to_be_read_refuses_every_write(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("below"))
        subject.active("top", "bottom", touching("file"))
        subject.active("alone", None, touching("file"))
        for name in ("top", "alone"):
            with subject.driver.mount(name, read_only=True) as mount:
                _refuses_writes(mount.path)

    def test_the_working_folder_inside_is_where_the_mount_is(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("folder/file"))
        subject.driver.create("top", "bottom")
        before = os.getcwd()
        with subject.driver.mount("top") as mount:
            os.chdir(f"{mount.path}/folder")
            try:
                assert os.getcwd() == os.path.realpath(f"{mount.path}/folder")
                touching("made")(".")
            finally:
                os.chdir(before)

    def test_a_folder_keeps_its_inode_when_something_is_added(self, subject: Subject) -> None:
        """Moby issue 19647."""
        subject.layer("bottom", None, touching("folder/file"))
        subject.driver.create("top", "bottom")
        with subject.driver.mount("top") as mount:
            before = os.stat(f"{mount.path}/folder").st_ino
            touching("folder/more")(mount.path)
            assert os.stat(f"{mount.path}/folder").st_ino == before

    def test_an_open_file_keeps_its_inode_when_it_is_written(self, subject: Subject) -> None:
        """Moby issue 12327."""
        subject.layer("bottom", None, touching("file"))
        subject.driver.create("top", "bottom")
        with subject.driver.mount("top") as mount, open(f"{mount.path}/file") as reader:
            with open(f"{mount.path}/file", "a") as writer:
                writer.write("more")
            assert os.fstat(reader.fileno()).st_ino == os.stat(f"{mount.path}/file").st_ino

    def test_a_name_of_an_application_that_looks_like_a_whiteout(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("x", "folder/y"))
        subject.active("top", "bottom", touching(".wh.x", "folder/.wh..wh..opq"))
        seen = _names(subject, "top")
        assert {"/x", "/.wh.x", "/folder/y", "/folder/.wh..wh..opq"} <= seen
        subject.driver.commit("top")
        subject.driver.create("above", "top")
        assert _names(subject, "above") == seen

    def test_the_parents_tree_is_the_same_whatever_is_done_above(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("a/b/c", "d", "e/f"))
        before = subject.look("bottom")

        def destroy(path: str) -> None:
            for name in os.listdir(path):
                if os.path.isdir(f"{path}/{name}") and name != "lost+found":
                    shutil.rmtree(f"{path}/{name}")
            Path(path, "d").write_text("changed")
            os.chmod(path, 0o700)
            os.chmod(f"{path}/d", 0)

        subject.active("top", "bottom", destroy)
        assert subject.look("bottom") == before
        subject.driver.remove("top")
        assert subject.look("bottom") == before


def _refuses_writes(path: str) -> None:
    writes: tuple[Callable[[], object], ...] = (
        lambda: open(f"{path}/new", "w").close(),
        lambda: open(f"{path}/file", "a").close(),
        lambda: os.unlink(f"{path}/file"),
        lambda: os.chmod(f"{path}/file", 0o600),
        lambda: os.mkdir(f"{path}/folder"),
        lambda: os.setxattr(f"{path}/file", "trusted.x", b"1"),
    )
    for write in writes:
        with pytest.raises(OSError, match="Read-only"):
            write()
    assert b"/file" in look(path)
