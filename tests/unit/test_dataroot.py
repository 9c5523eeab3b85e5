# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies in Docker's data root."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.facts import dataroot
from hostkit.facts.daemonconfig import DAEMON_CONFIG, DaemonConfig
from hostkit.facts.daemonjson import Setting
from hostkit.facts.dataroot import (
    DATA_ROOTS,
    PLACE,
    VOLUMES,
    DataRoot,
    Store,
    parse_repositories,
)
from hostkit.facts.fact import Facts
from hostkit.facts.mounts import MOUNTS, parse_mountinfo
from hostkit.facts.podmanconfig import STORAGE_CONF_FILE
from hostkit.facts.target import TARGET, Target
from hostkit.host.answer import Absent, Known, Unreadable
from hostkit.host.base import Space
from tests.fakes import FakeHost, fake_stat, make_facts

ROOT = "/var/lib/docker"
NO_CONFIG = {DAEMON_CONFIG: Absent("/etc/docker/daemon.json")}
A, B, C = ("a" * 64, "b" * 64, "c" * 64)


def image_files(driver: str, tagged: dict[str, str], ids: tuple[str, ...]) -> dict[str, str]:
    image = f"{ROOT}/image/{driver}"
    files = {f"{image}/imagedb/content/sha256/{one}": "{}" for one in ids}
    files[f"{image}/repositories.json"] = json.dumps(
        {"Repositories": {"app": {name: f"sha256:{one}" for name, one in tagged.items()}}}
    )
    return files


def read(files: dict[str, str], **host: Any) -> DataRoot:
    return make_facts(files, given=NO_CONFIG, **host).value(DATA_ROOTS)[0]


def test_a_driver_that_was_used_is_counted() -> None:
    root = read(
        {
            **image_files("overlay2", {"app:1": A}, (A, B)),
            f"{ROOT}/overlay2/l/X": "",
            f"{ROOT}/image/overlay2/layerdb/sha256/{A}/size": "1",
            f"{ROOT}/image/overlay2/layerdb/mounts/{C}/mount-id": "x",
        }
    )
    store = root.store("overlay2")
    assert store is not None
    assert store == Store("overlay2", True, images=2, dangling=1, containers=1)
    assert store.used
    assert [s.driver for s in root.occupied()] == ["overlay2"]


def test_an_image_on_which_another_was_built_does_not_dangle() -> None:
    files = image_files("overlay2", {"app:1": A}, (A, B, C))
    files[f"{ROOT}/image/overlay2/imagedb/metadata/sha256/{A}/parent"] = f"sha256:{B}"
    store = read(files).store("overlay2")
    assert store is not None
    assert store.dangling == 1  # C; B is the parent of A


def test_an_image_named_by_digest_only_dangles_as_docker_counts() -> None:
    store = read(image_files("aufs", {"app@sha256:12": A}, (A,))).store("aufs")
    assert store is not None
    assert store.dangling == 1


def test_broken_repositories_leave_dangling_unknown_and_images_counted() -> None:
    files = image_files("overlay2", {}, (A,))
    files[f"{ROOT}/image/overlay2/repositories.json"] = "{"
    store = read(files).store("overlay2")
    assert store is not None
    assert (store.images, store.dangling) == (1, None)


def test_an_empty_driver_folder_was_not_used() -> None:
    root = read({}, folders={f"{ROOT}/devicemapper": (), f"{ROOT}/overlay2": ("l",)})
    assert [s.driver for s in root.occupied()] == ["overlay2"]


def test_vfs_never_counts_as_used_before() -> None:
    root = read({}, folders={f"{ROOT}/vfs": ("dir",)})
    assert root.occupied() == ()


def test_a_half_written_image_is_none() -> None:
    content = f"{ROOT}/image/overlay2/imagedb/content/sha256"
    root = read({f"{content}/{A}": "{}", f"{content}/.tmp-{B}": ""})
    assert root.stores[0].images == 1


def test_loop_files_have_two_sizes() -> None:
    folder = f"{ROOT}/devicemapper/devicemapper"
    root = read(
        {f"{ROOT}/devicemapper/metadata/base": "{}"},
        stats={
            f"{folder}/data": fake_stat(size=100 << 30, allocated=5 << 30),
            f"{folder}/metadata": fake_stat(size=2 << 30, allocated=8 << 20),
        },
    )
    assert [(loop.size >> 30, loop.allocated >> 20) for loop in root.loops] == [(100, 5120), (2, 8)]


def test_each_user_mapping_has_a_root_of_its_own() -> None:
    facts = make_facts({f"{ROOT}/165536.165536/overlay2/l/X": ""}, given=NO_CONFIG)
    assert [root.path for root in facts.value(DATA_ROOTS)] == [ROOT, f"{ROOT}/165536.165536"]


def test_an_ordinary_user_is_told_that_root_could_read_it() -> None:
    facts = make_facts({}, given=NO_CONFIG, unreadable=[ROOT], needs_root=True, privileged=False)
    answer = facts.get(DATA_ROOTS)
    assert isinstance(answer, Unreadable)
    assert answer.needs_root


def test_no_data_root_is_absent() -> None:
    assert isinstance(make_facts({}, given=NO_CONFIG).get(DATA_ROOTS), Absent)


def test_unreadable_folders_leave_counts_unknown() -> None:
    path = f"{ROOT}/image/overlay2/imagedb/content/sha256"
    root = read({f"{ROOT}/overlay2/l/X": ""}, unreadable=[path])
    store = root.store("overlay2")
    assert store is not None
    assert store.images is None
    assert store.used is None
    assert root.unreadable[0].source == path


def test_the_configured_data_root_is_read() -> None:
    setting = Setting("data-root", "/data/docker", "/etc/docker/daemon.json", 3)
    config = DaemonConfig((), (setting,))
    facts = make_facts({"/data/docker/vfs/dir/x": ""}, given={DAEMON_CONFIG: config})
    assert facts.value(PLACE) == ("/data/docker", "/etc/docker/daemon.json", 3)
    assert facts.value(DATA_ROOTS)[0].path == "/data/docker"


def test_a_configuration_that_cannot_be_read_leaves_the_place_unknown() -> None:
    facts = make_facts({}, given={DAEMON_CONFIG: Unreadable("/etc/docker/daemon.json", "line 3")})
    assert isinstance(facts.get(PLACE), Unreadable)
    assert isinstance(facts.get(DATA_ROOTS), Unreadable)


def volumes(mountinfo: str, *existing: str) -> list[str]:
    space = Space(100, 50, 50, 10, 5)
    facts = Facts(
        FakeHost(folders=dict.fromkeys(existing, ()), spaces={"/": space}),
        {MOUNTS: Known(parse_mountinfo(mountinfo), "t"), **NO_CONFIG},
    )
    return [volume.path for volume in facts.value(VOLUMES)]


def test_containerds_folder_is_a_volume_of_its_own_only_elsewhere() -> None:
    root = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
    other = "2 1 8:2 / /var/lib/containerd rw - xfs /dev/sda2 rw\n"
    assert volumes(root) == [ROOT]
    assert volumes(root, "/var/lib/containerd") == [ROOT]
    assert volumes(root + other, "/var/lib/containerd") == [ROOT, "/var/lib/containerd"]


def test_a_real_aufs_data_root(shared_data: Path) -> None:
    """Docker 20.10 on Debian 12; images.txt and ps.txt beside it say what it holds."""
    files: dict[str, str] = {}
    with tarfile.open(shared_data / "aufs-dataroot" / "data-root.tar.gz") as archive:
        for member in archive:
            inside = archive.extractfile(member) if member.isfile() else None
            if inside is not None:
                content = io.TextIOWrapper(inside, "utf-8", "replace").read()
                files[f"{ROOT}/{member.name}"] = content
    store = read(files).store("aufs")
    assert store is not None
    assert store.occupied
    assert store.containers == 3
    assert (store.images or 0) >= 1


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("Repositories"), inner),
        max_leaves=12,
    )
)
def test_any_json_is_refused_or_read(tree: object) -> None:
    try:
        parse_repositories(json.dumps(tree))
    except ValueError:
        return


def test_images_are_not_followed_beyond_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataroot, "IMAGES_LIMIT", 1)
    store = read(image_files("overlay2", {"app:1": A}, (A, B))).store("overlay2")
    assert store is not None
    assert (store.images, store.dangling) == (2, None)


@pytest.mark.parametrize(
    ("engine", "files", "expected"),
    [
        ("docker", {}, ROOT),
        ("hostkit", {}, "/var/lib/hostkit"),
        ("podman", {}, "/var/lib/containers/storage"),
        ("podman", {STORAGE_CONF_FILE: '[storage]\ngraphroot = "/data/c"\n'}, "/data/c"),
        ("podman", {STORAGE_CONF_FILE: "[storage]\n"}, "/var/lib/containers/storage"),
        ("kubernetes", {}, "/var/lib/containerd"),
        ("kubernetes", {"/etc/containerd/config.toml": 'root = "/data/d"\n'}, "/data/d"),
    ],
)
def test_the_place_is_that_of_the_engine_to_be_served(
    engine: str, files: dict[str, str], expected: str
) -> None:
    facts = make_facts(files, given={TARGET: Target(engine), **NO_CONFIG})
    assert facts.value(PLACE).path == expected
