# SPDX-License-Identifier: GPL-3.0-or-later
"""Images in a real data root: kept exactly, taken away wholly, whatever is killed or hostile."""

import json
import os
import random
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from hostkit.storage import digest
from hostkit.storage.errors import BadArchive, StorageError
from hostkit.storage.image import reference
from hostkit.storage.image.store import ImageInUse, ImageStore, NoSuchImage
from hostkit.system import mounts
from hostkit.testing.faults import killed_at
from tests.rig.imageroot import (
    apart,
    archive_of,
    config_of,
    import_bytes,
    leftovers,
    load_file,
    packed,
    save_file,
    store,
)
from tests.rig.images import layer_tar

pytestmark = pytest.mark.root
BASE = layer_tar({"etc": None, "etc/motd": b"one\n", "big": bytes(200_000), "l -> /etc/motd": None})
TOP = layer_tar({"etc/motd": b"two\n", ".wh.big": b"", "new": b"new"})
LAYERS = [BASE, TOP]


@pytest.fixture(params=["overlay2", "vfs"])
def driver(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "app.tar"
    path.write_bytes(packed(archive_of(LAYERS)))
    return path


def test_a_layer_comes_back_byte_for_byte(tmp_path: Path, driver: str, archive: Path) -> None:
    def action() -> None:
        with store(tmp_path / "root", driver) as images:
            image = images.get(load_file(images, archive)[0].id)
            for chain, layer in zip(image.config.chain(), LAYERS, strict=True):
                assert b"".join(images.layers.read(chain)) == layer
            for kind in ("docker", "oci"):
                saved = tmp_path / f"{kind}.tar"
                save_file(images, "app:1", saved, kind)
                save_file(images, "app:1", tmp_path / "again.tar", kind)
                assert saved.read_bytes() == (tmp_path / "again.tar").read_bytes()
                with store(tmp_path / f"root-{kind}", driver) as others:
                    assert load_file(others, saved)[0].id == image.id

    apart(action)


def test_the_same_tar_and_time_give_the_same_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")

    def action() -> None:
        ids: set[str] = set()
        for name in ("a", "b"):
            with store(tmp_path / name) as images:
                ids.add(import_bytes(images, BASE, "base:1", changes=("CMD x",)))
                found = images.find("base:1")
                assert found.config.created == "2023-11-14T22:13:20Z"
        assert len(ids) == 1

    apart(action)


def test_names_and_ids_find_images_and_the_last_name_takes_all(tmp_path: Path) -> None:
    root = tmp_path / "root"

    def action() -> None:
        with store(root) as images:
            one = import_bytes(images, BASE, "x/app:1", "x/app:2")
            two = import_bytes(images, TOP, "app")
            for word in ("x/app:1", "docker.io/x/app:2", one, one[7:19]):
                assert images.find(word).id == one
            for word in ("x/app", "nothing", "f" * 64):
                with pytest.raises(NoSuchImage):
                    images.find(word)
            assert images.tag(two, [reference.parse("x/app:2")]) == [reference.parse("x/app:2")]
            assert images.find("x/app:2").id == two
            with pytest.raises(ImageInUse, match="several repositories"):
                images.remove(two)
            assert images.remove("x/app:2").images == ()
            assert images.remove(two[:20]).untagged == ("app:latest",)
            removed = images.remove("x/app:1")
            assert (removed.images, len(removed.layers)) == ((one,), 1)
            assert images.names() == {}

    apart(action)
    assert leftovers(root) == []


def test_what_is_used_is_not_removed_and_keeps_its_layers(tmp_path: Path, archive: Path) -> None:
    def action() -> None:
        with store(tmp_path / "root") as images:
            image = images.get(load_file(images, archive)[0].id)
            base = images.put(config_of([BASE]))
            images.tag(base, [reference.parse("base:1")])
            images.set_parent(image.id, base)
            top = image.config.chain()[-1]
            container = Path(images.layers.folder, "mounts", "c" * 64)
            container.mkdir()
            (container / "parent").write_text(top)
            with pytest.raises(ImageInUse, match="container cccccccccccc is of"):
                images.remove("app:1")
            with pytest.raises(ImageInUse, match="was built on"):
                images.remove("base:1")
            assert images.names() != {}
            assert images.remove("app:1", force=True).layers == ()
            assert images.layers.has(top)
            (container / "parent").unlink()
            container.rmdir()
            layers, _ = images.collect()
            assert layers == [top]
            assert [one.id for one in images.images()] == [base]

    apart(action)


def test_four_load_the_same_image_at_once(tmp_path: Path, driver: str, archive: Path) -> None:
    root = tmp_path / "root"

    def one(seed: int) -> None:
        mounts.enter_private_namespace()
        with store(root, driver) as images:
            for _ in range(3):
                load_file(images, archive)
                if random.Random(seed).random() < 0.5:
                    images.collect()

    def action() -> None:
        with store(root, driver):
            pass
        children: list[int] = []
        for seed in range(4):
            child = os.fork()
            if child == 0:
                try:
                    one(seed)
                except BaseException:  # noqa: BLE001 - the child must end here
                    traceback.print_exc()
                    os._exit(1)
                os._exit(0)
            children.append(child)
        assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0, 0]
        with store(root, driver) as images:
            assert len(list(images.layers.driver.layers())) == 2
            assert images.layers.unfinished() == []
            images.remove("app:1")

    apart(action)
    assert leftovers(root) == []


def whole(images: ImageStore) -> None:
    """Every image that is named or listed has all of its layers."""
    assert set(images.names().values()) <= set(images.ids())
    for image in images.ids():
        assert all(map(images.layers.has, images.get(image).config.chain()))


def crashes(
    root: Path, prepare: Callable[[ImageStore], object], act: Callable[[ImageStore], object]
) -> int:
    """Kill an action at many moments, look at what is left each time; how many kills."""
    kills, point = 0, 1
    chance = random.Random(4)
    while True:
        with store(root) as images:
            prepare(images)

        def action() -> None:
            mounts.enter_private_namespace()
            with store(root) as images:
                act(images)

        killed = killed_at(point, action)
        with store(root) as images:
            images.layers.driver.cleanup()
            whole(images)
            act(images)
            whole(images)
            for image in images.ids():
                images.remove(image, force=True)
            images.collect()
        assert leftovers(root) == [], f"killed at {point}"
        if not killed:
            return kills
        kills += 1
        point += 1 + chance.randrange(max(1, point // 4))


def test_a_load_that_is_killed_anywhere_leaves_nothing_half_done(
    tmp_path: Path, archive: Path
) -> None:
    def action() -> None:
        kills = crashes(
            tmp_path / "root", lambda _: None, lambda images: load_file(images, archive)
        )
        assert kills > 15

    apart(action)


def test_a_removal_that_is_killed_anywhere_can_be_finished(tmp_path: Path, archive: Path) -> None:
    def remove(images: ImageStore) -> None:
        for image in images.ids():
            images.remove(image)

    def action() -> None:
        kills = crashes(tmp_path / "root", lambda images: load_file(images, archive), remove)
        assert kills > 8

    apart(action)


# Hostile archives: one clear error, and nothing is left.


def changed(**files: bytes | None) -> dict[str, bytes]:
    """A sound archive with files replaced or, by None, taken out; `_` in names is a dot."""
    made: dict[str, bytes] = dict(archive_of(LAYERS))
    for key, content in files.items():
        name = {"manifest": "manifest.json", "first": "0/layer.tar", "second": "1/layer.tar"}[key]
        if content is None:
            del made[name]
        else:
            made[name] = content
    return made


def manifest(**more: object) -> bytes:
    sound = json.loads(archive_of(LAYERS)["manifest.json"])[0]
    return json.dumps([{**sound, **more}]).encode()


HOSTILE = {
    "no layer": (changed(second=None), "no '1/layer.tar'"),
    "another layer": (changed(second=BASE), "not sha256:"),
    "cut layer": (changed(second=TOP[:700]), "too early|middle"),
    "no tar": (changed(second=b"x" * 5000), "no tar"),
    "empty layer": (changed(second=b""), "empty"),
    "no manifest": (changed(manifest=None), "no images in it"),
    "manifest of nothing": (changed(manifest=b"[]"), "names no image"),
    "manifest no JSON": (changed(manifest=b"{"), "no JSON"),
    "manifest no list": (changed(manifest=b"{}"), "no list"),
    "deep manifest": (changed(manifest=b"[" * 100_000), "nested too deep"),
    "huge manifest": (changed(manifest=b"[" + b" " * (5 << 20) + b"]"), "are plenty"),
    "a million layers": (
        changed(manifest=manifest(Layers=["0/layer.tar"] * 200_000)),
        "layers: .* are the most",
    ),
    "too few layers": (changed(manifest=manifest(Layers=["0/layer.tar"])), "names 2 layers"),
    "traversal": (
        changed(manifest=manifest(Layers=["../../etc/passwd", "1/layer.tar"])),
        "no '../",
    ),
    "config elsewhere": (changed(manifest=manifest(Config="/etc/passwd")), "has no '/etc/passwd'"),
    "config of another digest": (
        {**changed(), archive_of(LAYERS)["manifest.json"].decode().split('"')[3]: b"{}"},
        "is damaged",
    ),
    "hostile name": (
        changed(manifest=manifest(RepoTags=["../../etc"])),
        "cannot be an image's name",
    ),
    "name no text": (changed(manifest=manifest(RepoTags=[7])), "no string"),
    "for windows": (archive_of(LAYERS, os="windows"), "'windows', not for linux"),
    "no rootfs": (archive_of(LAYERS, rootfs=None), "rootfs is not made of layers"),
    "bad digests": (
        archive_of(LAYERS, rootfs={"type": "layers", "diff_ids": ["../x", "y"]}),
        "is no digest",
    ),
    "leaves the layer": (archive_of([layer_tar({"../../out": b"x"})]), "lead"),
    "endless link": (archive_of([layer_tar({"a -> a": None, "a/b": b"x"})]), "."),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_is_refused_and_leaves_nothing(tmp_path: Path, kind: str) -> None:
    files, said = HOSTILE[kind]
    path, root = tmp_path / "bad.tar", tmp_path / "root"
    path.write_bytes(packed(files))

    def action() -> None:
        with store(root) as images:
            with pytest.raises((StorageError, OSError), match=said):
                load_file(images, path)
            assert (images.ids(), images.names(), images.layers.chains()) == ([], {}, [])
            assert list(images.layers.driver.layers()) == []

    apart(action)
    assert leftovers(root) == []
    assert not (tmp_path / "out").exists()


def test_one_bad_image_of_two_keeps_the_other_out_and_a_sound_one_in(
    tmp_path: Path, archive: Path
) -> None:
    good, bad = archive_of([BASE], name="good:1"), archive_of([TOP], name="bad:1")
    listed = [*json.loads(good["manifest.json"]), *json.loads(bad["manifest.json"])]
    listed[1]["Layers"] = ["1/layer.tar"]
    files = {**bad, **good, "1/layer.tar": BASE, "manifest.json": json.dumps(listed).encode()}
    path = tmp_path / "two.tar"
    path.write_bytes(packed(files))

    def action() -> None:
        with store(tmp_path / "root") as images:
            kept = load_file(images, archive)[0].id
            with pytest.raises(BadArchive):
                load_file(images, path)
            assert images.ids() == [kept]
            assert len(images.layers.chains()) == 2
            whole(images)

    apart(action)


def oci_layout(folder: Path, index: Mapping[str, object], *blobs: bytes) -> Path:
    """An OCI layout in a folder."""
    place = folder / "layout"
    (place / "blobs/sha256").mkdir(parents=True)
    (place / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (place / "index.json").write_text(json.dumps(index))
    for blob in blobs:
        (place / "blobs/sha256" / digest.of(blob)[7:]).write_bytes(blob)
    return place


def described(media: str, blob: bytes, **more: object) -> dict[str, object]:
    return {"mediaType": media, "digest": digest.of(blob), "size": len(blob), **more}


OCI = "application/vnd.oci.image."


def oci_manifest(content: bytes, files: list[bytes], **more: object) -> bytes:
    listed = [described(f"{OCI}layer.v1.tar", layer) for layer in files]
    tree = {"config": described(f"{OCI}config.v1+json", content), "layers": listed, **more}
    return json.dumps({"schemaVersion": 2, **tree}).encode()


def test_of_several_platforms_the_one_of_this_machine_is_taken(tmp_path: Path) -> None:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    config = config_of([BASE], architecture=machine)
    other = oci_manifest(config_of([TOP], architecture="s390x"), [TOP])
    mine = oci_manifest(config, [BASE])
    inner = [
        described(f"{OCI}manifest.v1+json", blob, platform={"os": "linux", "architecture": name})
        for blob, name in ((other, "s390x"), (mine, machine))
    ]
    attests = {"annotations": {"vnd.docker.reference.type": "attestation-manifest"}}
    inner.append(described(f"{OCI}manifest.v1+json", b"{}", **attests))
    nested = json.dumps({"schemaVersion": 2, "manifests": inner}).encode()
    name = {"annotations": {"org.opencontainers.image.ref.name": "quay.io/x/app:3"}}
    index = {"manifests": [described(f"{OCI}index.v1+json", nested, **name)]}
    layout = oci_layout(tmp_path, index, nested, mine, other, config, BASE)

    def action() -> None:
        with store(tmp_path / "root") as images:
            loaded = load_file(images, layout)
            assert [(one.id, str(one.names[0])) for one in loaded] == [
                (digest.of(config), "quay.io/x/app:3")
            ]

    apart(action)


def test_blobs_that_are_not_what_points_to_them_are_refused(tmp_path: Path) -> None:
    config = config_of([BASE])
    sound = oci_manifest(config, [BASE])
    media = f"{OCI}manifest.v1+json"
    cases = {
        "not what its digest says": [{**described(media, sound), "size": 3}],
        "has no": [described(media, b"other")],
        "is no digest": [{**described(media, sound), "digest": "sha256:../../etc"}],
        "is no number": [{**described(media, sound), "size": -1}],
        "no image of containers": [
            described(media, oci_manifest(config, [BASE], config=described("x/y", config)))
        ],
        "names no image": [],
        "has \\d+ bytes, not": [
            described(media, oci_manifest(config, [], layers=[{**described("x", BASE), "size": 5}]))
        ],
    }
    for number, (said, manifests) in enumerate(cases.items()):
        blobs = (
            sound,
            config,
            BASE,
            oci_manifest(config, [BASE], config=described("x/y", config)),
            oci_manifest(config, [], layers=[{**described("x", BASE), "size": 5}]),
        )
        layout = oci_layout(tmp_path / str(number), {"manifests": manifests}, *blobs)
        root = tmp_path / f"root{number}"

        def action(root: Path = root, layout: Path = layout, said: str = said) -> None:
            with store(root) as images:
                with pytest.raises(BadArchive, match=said):
                    load_file(images, layout)
                assert images.layers.chains() == []

        apart(action)
        assert leftovers(root) == []


def test_an_archive_of_docker_before_1_10_is_loaded(tmp_path: Path) -> None:
    lower, upper = "a" * 64, "b" * 64
    files = {
        "repositories": json.dumps({"old/app": {"1": upper}}).encode(),
        f"{lower}/json": json.dumps(
            {"id": lower, "created": "2014-01-01T00:00:00Z", "container_config": {"Cmd": ["a"]}}
        ).encode(),
        f"{upper}/json": json.dumps(
            {"id": upper, "parent": lower, "os": "linux", "config": {"Cmd": ["sh"]}, "Size": 3}
        ).encode(),
        f"{lower}/layer.tar": BASE,
        f"{upper}/layer.tar": TOP,
        f"{lower}/VERSION": b"1.0",
    }
    path = tmp_path / "old.tar"
    path.write_bytes(packed(files))

    def action() -> None:
        with store(tmp_path / "root") as images:
            loaded = load_file(images, path)[0]
            config = images.get(loaded.id).config
            assert str(loaded.names[0]) == "old/app:1"
            assert config.diff_ids == (digest.of(BASE), digest.of(TOP))
            assert (config.config, config.history[0].created_by) == ({"Cmd": ["sh"]}, "a")

    apart(action)
