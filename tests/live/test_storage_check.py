# SPDX-License-Identifier: GPL-3.0-or-later
"""`storage check` finds each kind of damage and nothing else, and `repair` mends what it can."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hostkit.storage import digest, fsck
from hostkit.storage.driver import Issue
from hostkit.storage.image import reference
from hostkit.storage.image.names import names_json
from hostkit.storage.image.store import ImageStore
from hostkit.storage.layerstore import untold
from tests.rig.imageroot import apart, archive_of, leftovers, load_file, packed, store
from tests.rig.images import layer_tar

pytestmark = pytest.mark.root
BASE = layer_tar({"etc": None, "etc/motd": b"one\n", "bin": None, "bin/sh": b"#!/", "l -> x": None})
TOP = layer_tar({"etc/motd": b"two\n", "bin/.wh.sh": b"", "new": b"new"})


def found(images: ImageStore) -> list[Issue]:
    return list(fsck.check(images, content=True, tell=untold))


def tree(images: ImageStore, layer: int) -> Path:
    """What overlay2 keeps of a layer, 0 for the lowest."""
    chain = next(images.images()).config.chain()[layer]
    return Path(images.layers.driver.home, images.layers.get(chain).cache_id, "diff")


def with_image(tmp_path: Path, act: Callable[[ImageStore], object]) -> None:
    archive = tmp_path / "app.tar"
    archive.write_bytes(packed(archive_of([BASE, TOP])))

    def action() -> None:
        with store(tmp_path / "root") as images:
            load_file(images, archive)
            assert found(images) == []
            act(images)

    apart(action)


def keep_times(path: Path, change: Callable[[], object]) -> None:
    info = path.lstat()
    change()
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns), follow_symlinks=False)


def _made_a_folder(top: Path) -> None:
    (top / "new").unlink()
    (top / "new").mkdir()


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "owner": (lambda top: os.chown(top / "new", 7, 8), "/new: owner 7:8, not 0:0"),
    "mode": (lambda top: (top / "new").chmod(0o4755), "/new: mode 4755, not 755"),
    "time": (lambda top: os.utime(top / "new", (5, 5)), "/new: time 5000000000"),
    "attribute": (
        lambda top: os.setxattr(top / "new", "user.x", b"1"),
        "/new: attribute user.x differs",
    ),
    "extra": (lambda top: (top / "extra").write_bytes(b""), "/extra is not of the layer"),
    "whiteout gone": (
        lambda top: (top / "bin/sh").unlink(),
        "/bin/sh is there, though the layer takes it away",
    ),
    "kind": (
        _made_a_folder,
        "/new: it is of another kind|Is a directory|not a file",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_what_no_digest_shows_is_found(tmp_path: Path, kind: str) -> None:
    damage, said = DAMAGE[kind]

    def act(images: ImageStore) -> None:
        damage(tree(images, 1))
        issues = found(images)
        assert issues
        assert any(part in issue.text for part in said.split("|") for issue in issues), issues
        assert {one.code for one in issues} <= {"layer-metadata-differs", "layer-content-differs"}

    with_image(tmp_path, act)


def test_a_changed_content_names_the_file(tmp_path: Path) -> None:
    def act(images: ImageStore) -> None:
        file = tree(images, 1) / "new"
        keep_times(file, lambda: file.write_bytes(b"NEW"))
        issues = found(images)
        assert [one.code for one in issues] == ["layer-content-differs"]
        assert "'new'" in issues[0].text

    with_image(tmp_path, act)


def test_damage_that_is_mended(tmp_path: Path) -> None:
    root = tmp_path / "root"

    def act(images: ImageStore) -> None:
        image = next(images.images())
        base, top = image.config.chain()
        gone = digest.of(b"gone")
        names = images.names()
        listed = names_json({**names, reference.parse("lost:1"): gone})
        Path(images.folder, "repositories.json").write_bytes(listed)
        driver = images.layers.driver
        driver.create("ab" * 32, images.layers.get(base).cache_id)
        os.mkdir(f"{images.layers.staging}/{'cd' * 32}")
        codes = {one.code: one for one in found(images)}
        assert set(codes) == {"image-name-lost", "layer-needless", "layer-unfinished"}
        for issue in codes.values():
            fsck.repair(images, issue)
        assert found(images) == []
        Path(images.layers.place(top), "cache-id").unlink()
        assert {one.code for one in found(images)} == {"layer-entry-damaged"}
        for issue in found(images):
            fsck.repair(images, issue)
        issues = found(images)
        assert {one.code for one in issues} == {"image-layer-missing", "layer-needless"}
        assert next(one for one in issues if not one.repair).subject == image.id
        load_file(images, tmp_path / "app.tar")
        images.collect()
        assert found(images) == []
        config = Path(images.folder, "imagedb/content/sha256", image.id[7:])
        config.write_bytes(config.read_bytes() + b" ")
        issues = found(images)
        assert [one.code for one in issues] == ["image-config-damaged"]
        fsck.repair(images, issues[0])
        images.collect()
        assert found(images) == []

    with_image(tmp_path, act)
    assert leftovers(root) == []


def test_loading_again_replaces_a_layer_whose_tree_is_gone(tmp_path: Path) -> None:
    def act(images: ImageStore) -> None:
        image = next(images.images())
        top = images.layers.get(image.config.chain()[1])
        images.layers.driver.remove(top.cache_id)
        assert [one.code for one in found(images)] == ["layer-tree-missing"]
        load_file(images, tmp_path / "app.tar")
        assert found(images) == []
        assert images.layers.get(top.chain_id).cache_id != top.cache_id

    with_image(tmp_path, act)


def test_a_check_changes_nothing(tmp_path: Path) -> None:
    root = tmp_path / "root"

    def state() -> dict[str, tuple[int, ...]]:
        kept: dict[str, tuple[int, ...]] = {}
        for folder, folders, names in os.walk(root):
            for name in (*folders, *names):
                info = os.lstat(os.path.join(folder, name))
                kept[os.path.join(folder, name)] = (info.st_mtime_ns, info.st_ctime_ns, info.st_ino)
        return kept

    with_image(tmp_path, lambda _: None)
    before = state()

    def action() -> None:
        with store(root, read_only=True) as images:
            assert found(images) == []

    apart(action)
    assert state() == before
