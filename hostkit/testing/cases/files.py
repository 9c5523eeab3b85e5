# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that a file may be or have is kept: in the layer, in those above it, in its diff."""

import errno
import os
import socket
import stat
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from hostkit.testing.subject import Subject, touching
from hostkit.testing.trees import Tree, differences, look

Maker = Callable[[str], object]
_NS = 1_234_567_890_123_456_789
_HOLE = 8 << 20
_BEYOND_4_GIB = (4 << 30) + 4096
# Version 2, cap_net_bind_service permitted and effective (capabilities(7), linux/capability.h).
_CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
# Version 2: user::rw- user:1000:rw- group::r-- mask::rw- other::r-- (linux/posix_acl_xattr.h).
_ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, rights, who)
    for tag, rights, who in (
        (0x01, 6, 0xFFFFFFFF),
        (0x02, 6, 1000),
        (0x04, 4, 0xFFFFFFFF),
        (0x10, 6, 0xFFFFFFFF),
        (0x20, 4, 0xFFFFFFFF),
    )
)
_NAMES = (
    *(b"plain", b" lead", b"trail ", b"new\nline", b"tab\t", b"\\back", b"a:b", b"a,b", b"a=b"),
    *(b"-rf", b"*", b"%41", b"\xff\xfe", b"\x01", b"\x7f", "ünï-名".encode(), b"n" * 255),
    *(b"\xe9" * 255, b"...", b".hidden", b"#", b"'\"", b"wh", b".whx", b"l", b"link", b"lower"),
)


def _modes(path: str) -> None:
    for mode in (0o000, 0o222, 0o755, 0o1777, 0o2755, 0o4711, 0o6777):
        Path(path, f"file-{mode:o}").write_text("x")
        os.chmod(f"{path}/file-{mode:o}", mode)
        os.mkdir(f"{path}/folder-{mode:o}")
        os.chmod(f"{path}/folder-{mode:o}", mode)


def _owners(path: str) -> None:
    for number, (uid, gid) in enumerate(((0, 1), (1, 0), (65534, 65534), (3_000_000_000, 100_000))):
        Path(path, f"{number}").write_text("x")
        os.symlink("nowhere", f"{path}/link-{number}")
        for name in (f"{number}", f"link-{number}"):
            os.chown(f"{path}/{name}", uid, gid, follow_symlinks=False)
    os.chmod(f"{path}/0", 0o6755)  # after the owner, whose change takes it away


def _base_of_moby(path: str) -> None:
    """A sticky folder of 1:2 and a setuid file that nobody may read."""
    os.mkdir(f"{path}/a subdir")
    os.chown(f"{path}/a subdir", 1, 2)
    os.chmod(f"{path}/a subdir", 0o1705)
    Path(path, "a file").write_text("Some data")
    os.chmod(f"{path}/a file", 0o4222)


def _times(path: str) -> None:
    os.mkdir(f"{path}/folder")
    Path(path, "file").write_text("x")
    os.symlink("file", f"{path}/link")
    os.mkfifo(f"{path}/fifo")
    for number, name in enumerate(("file", "link", "fifo", "folder")):
        os.utime(f"{path}/{name}", ns=(_NS, _NS + number), follow_symlinks=False)
    Path(path, "old").write_text("x")
    os.utime(f"{path}/old", ns=(1, 1))


def _user_attributes(path: str) -> None:
    Path(path, "file").write_text("x")
    os.mkdir(f"{path}/folder")
    for name in ("file", "folder"):
        for key, value in (("user.a", b"1"), ("user.empty", b""), ("user.any", bytes(range(256)))):
            os.setxattr(f"{path}/{name}", key, value)


def _trusted_attributes(path: str) -> None:
    _attribute(path, "trusted.hostkit", b"1")
    os.symlink("nowhere", f"{path}/link")
    os.setxattr(f"{path}/link", "trusted.hostkit", b"link", follow_symlinks=False)


def _attribute(path: str, key: str, value: bytes) -> None:
    Path(path, "file").write_text("x")
    os.setxattr(f"{path}/file", key, value)


def _acls(path: str) -> None:
    _attribute(path, "system.posix_acl_access", _ACL)
    os.mkdir(f"{path}/folder")
    os.setxattr(f"{path}/folder", "system.posix_acl_default", _ACL)


def _nodes(path: str) -> None:
    os.mknod(f"{path}/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(f"{path}/disk", stat.S_IFBLK | 0o660, os.makedev(8, 17))
    os.mknod(f"{path}/large", stat.S_IFCHR | 0o600, os.makedev(511, 1_000_000))
    os.mkfifo(f"{path}/fifo", 0o640)


def _links(path: str) -> None:
    os.makedirs(f"{path}/a/b")
    Path(path, "one").write_text("linked")
    os.link(f"{path}/one", f"{path}/a/two")
    os.link(f"{path}/one", f"{path}/a/b/three")
    os.symlink("nowhere", f"{path}/soft")
    os.link(f"{path}/soft", f"{path}/a/soft", follow_symlinks=False)
    for number, target in enumerate(("/etc/passwd", "../../..", ".", "x" * 1000)):
        os.symlink(target, f"{path}/a/b/{number}")


def _names(path: str) -> None:
    base = os.fsencode(path)
    for name in _NAMES:
        os.mkdir(base + b"/" + name)
        Path(os.fsdecode(base + b"/" + name + b"/" + name)).write_bytes(name)


def _deep(path: str) -> None:
    """Deeper than a path may be long."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(60):
        os.mkdir("d" * 100, dir_fd=folder)
        inner = os.open("d" * 100, os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)


def _empty_things(path: str) -> None:
    Path(path, "empty").touch()
    os.makedirs(f"{path}/a/b/c")


KINDS: dict[str, Maker] = {
    "modes": _modes,
    "owners": _owners,
    "moby's base": _base_of_moby,
    "times to the nanosecond": _times,
    "user attributes": _user_attributes,
    "trusted attributes": _trusted_attributes,
    "file capabilities": lambda path: _attribute(path, "security.capability", _CAPABILITY),
    "ACLs": _acls,
    "device nodes and fifos": _nodes,
    "hard and symbolic links": _links,
    "names of any bytes": _names,
    "empty things": _empty_things,
}


def made(maker: Maker) -> Maker:
    """Skips where the file system below has no such thing."""

    def fill(path: str) -> None:
        try:
            maker(path)
        except OSError as problem:
            if problem.errno in (errno.ENOTSUP, errno.EINVAL):
                pytest.skip(f"this file system has none of that: {problem}")
            raise

    return fill


class Files:
    """Full fidelity."""

    @pytest.mark.parametrize("what", KINDS)
    def test_it_is_kept_in_the_layer_and_in_those_above(self, subject: Subject, what: str) -> None:
        subject.active("bottom")
        before: Tree = {}
        with subject.driver.mount("bottom") as mount:
            made(KINDS[what])(mount.path)
            before = look(mount.path)
        subject.driver.commit("bottom")
        assert differences(before, subject.look("bottom")) == []
        subject.layer("middle", "bottom")
        subject.driver.create("top", "middle", read_write=True)
        assert differences(before, subject.look("top")) == []
        subject.reopen()
        assert differences(before, subject.look("bottom")) == []

    @pytest.mark.parametrize("what", KINDS)
    def test_a_diff_carries_it(self, subject: Subject, what: str) -> None:
        subject.layer("bottom", None, touching("below"))
        subject.layer("top", "bottom", made(KINDS[what]))
        subject.copy("top", "copy")
        assert differences(subject.look("top", top=False), subject.look("copy", top=False)) == []

    def test_a_socket_stays_in_its_layer_and_in_those_above(self, subject: Subject) -> None:
        def listen(path: str) -> None:
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(f"/proc/self/fd/{folder}/socket")
            os.close(folder)

        subject.layer("bottom", None, listen)
        subject.driver.create("top", "bottom")
        assert subject.look("bottom")[b"/socket"].kind == "socket"
        assert subject.look("top")[b"/socket"].kind == "socket"

    def test_what_a_root_folder_has_goes_to_the_layers_above(self, subject: Subject) -> None:
        subject.layer("bottom", None, lambda path: os.chmod(path, 0o700))
        subject.layer("one", "bottom")
        subject.layer("two", "bottom")
        for name in ("bottom", "one", "two"):
            assert subject.look(name)[b""].mode == 0o700

    def test_holes_stay_holes(self, subject: Subject) -> None:
        def holed(path: str) -> None:
            with open(f"{path}/holed", "wb") as file:
                file.seek(_HOLE)
                file.write(b"end")
            with open(f"{path}/large", "wb") as file:
                file.truncate(_BEYOND_4_GIB)

        subject.layer("bottom", None, holed)
        subject.driver.create("top", "bottom")
        with subject.driver.mount("top") as mount:
            for name, size in (("holed", _HOLE + 3), ("large", _BEYOND_4_GIB)):
                info = os.stat(f"{mount.path}/{name}")
                assert info.st_size == size
                assert info.st_blocks * 512 < 1 << 20
            with open(f"{mount.path}/holed", "rb") as file:
                assert file.seek(_HOLE) == _HOLE
                assert file.read() == b"end"

    def test_a_tree_deeper_than_a_path_may_be_long(self, subject: Subject) -> None:
        subject.layer("bottom", None, _deep)
        subject.driver.create("top", "bottom")
        tar = subject.diff("bottom")
        subject.driver.create("copy")
        subject.apply("copy", tar)
        assert subject.diff("copy") == tar
        for name in ("copy", "top", "bottom"):
            subject.driver.remove(name)

    def test_a_root_whose_name_has_meaning_elsewhere(self, subject: Subject) -> None:
        for name in ("a:b", "a,b", "a b", "a\\b", "a=b", "a\nb", 'a"b', "ü", "lowerdir=x"):
            driver = subject.open(root=f"{subject.root}/{name}")
            driver.create("bottom")
            with driver.mount("bottom") as mount:
                touching("below")(mount.path)
            driver.commit("bottom")
            driver.create("top", "bottom")
            with driver.mount("top") as mount:
                touching("above")(mount.path)
                assert set(os.listdir(mount.path)) - {"lost+found"} == {"above", "below"}
            assert [one.path for one in driver.changes("top")] == [b"/above"]
            driver.remove("top")
            driver.remove("bottom")
            driver.close()
