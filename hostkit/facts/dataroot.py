# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies in Docker's data root, read from its files so that a snapshot answers too.

Docker itself is never asked: with the wrong driver it does not see what is there.
"""

import re
from collections.abc import Iterable
from typing import cast

from hostkit.data import load_json
from hostkit.facts.containerdconfig import CONTAINERD_CONFIG
from hostkit.facts.daemonconfig import DAEMON_CONFIG, DEFAULT_DATA_ROOT
from hostkit.facts.daemonjson import Setting
from hostkit.facts.fact import Fact, Facts, read_text, refuse
from hostkit.facts.filesystems import Volume, volume
from hostkit.facts.graphdrivers import LIVES
from hostkit.facts.podmanconfig import STORAGE_CONF
from hostkit.facts.target import TARGET
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.host.base import Host
from hostkit.value import NamedTuple

# Where containerd of its own keeps images when Docker leaves them to it.
CONTAINERD_ROOT = "/var/lib/containerd"
PODMAN_ROOT = "/var/lib/containers/storage"
HOSTKIT_ROOT = "/var/lib/hostkit"
IMAGES_LIMIT = 2000  # beyond, images are counted but not followed to their parents
REPOSITORIES_LIMIT = 8 << 20
# With userns-remap each mapping has a data root of its own, named UID.GID.
_REMAPPED = r"\d+\.\d+"
_HEX = r"[0-9a-f]{64}"


class Place(NamedTuple):
    """Where an engine keeps images, and what says so (`line` 0: the default, or all of it)."""

    path: str
    source: str
    line: int = 0


class LoopFile(NamedTuple):
    """A file under loop-lvm: what it pretends to be, and what it takes of the disk, in bytes."""

    path: str
    size: int
    allocated: int


class Store(NamedTuple):
    """What one driver holds; None is a count that could not be made.

    `occupied`: its folder is not empty, which is how dockerd recognises a driver that was
    used before. `dangling`: images without a tag that no other image was built on.
    """

    driver: str
    occupied: bool
    images: int | None = 0
    dangling: int | None = 0
    containers: int | None = 0

    @property
    def used(self) -> bool | None:
        """Whether anything of the user's is in it; None when that is not known."""
        if self.images or self.containers:
            return True
        return None if self.images is None or self.containers is None else False


class DataRoot(NamedTuple):
    """One data root; `unreadable`: what of it could not be looked at."""

    path: str
    stores: tuple[Store, ...]
    loops: tuple[LoopFile, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()

    def store(self, driver: str) -> Store | None:
        """What one driver holds, or None when it never was here."""
        return next((store for store in self.stores if store.driver == driver), None)

    def occupied(self) -> tuple[Store, ...]:
        """The drivers that dockerd would take for used before (vfs it never counts)."""
        return tuple(s for s in self.stores if s.occupied and s.driver != "vfs")


class Repositories(NamedTuple):
    """What repositories.json names: the ids of images with a tag, and how many tags."""

    tagged: frozenset[str]
    tags: int


def parse_repositories(content: str) -> Repositories:
    """The images that have a tag, from image/DRIVER/repositories.json.

    >>> parse_repositories('{"Repositories": {"app": {"app:1": "sha256:aa"}}}')
    Repositories(tagged=frozenset({'aa'}), tags=1)
    """
    tree: object = load_json(content)
    tagged: list[str] = []
    for references in _members(_members(tree).get("Repositories")).values():
        for reference, image in _members(references).items():
            if "@" not in reference:
                tagged.append(str(image).removeprefix("sha256:"))
    return Repositories(frozenset(tagged), len(tagged))


def _members(tree: object) -> dict[str, object]:
    if not isinstance(tree, dict):
        refuse("not a map of repositories to their tags")
    return cast("dict[str, object]", tree)


def _place(facts: Facts) -> Answer[Place]:
    """The folder of the engine that is to be served, Docker when none is named."""
    target = facts.known(TARGET)
    if target is not None and target.engine == "podman":
        storage = facts.get(STORAGE_CONF)
        if isinstance(storage, Unreadable):
            return storage
        said = storage.value.text("storage", "graphroot") if isinstance(storage, Known) else None
        return _configured(said, PODMAN_ROOT)
    if target is not None and target.engine == "kubernetes":
        return _containerd_place(facts)
    if target is not None and target.engine == "hostkit":
        return Known(Place(HOSTKIT_ROOT, "default"), "default")
    return _docker_place(facts)


def _docker_place(facts: Facts) -> Answer[Place]:
    configured = facts.get(DAEMON_CONFIG)
    if isinstance(configured, Unreadable):
        return configured
    path = configured.value.data_root if isinstance(configured, Known) else DEFAULT_DATA_ROOT
    setting = configured.value.get("data-root") if isinstance(configured, Known) else None
    return _configured(setting, path)


def _containerd_place(facts: Facts) -> Answer[Place]:
    config = facts.get(CONTAINERD_CONFIG)
    if isinstance(config, Unreadable):
        return config
    root = config.value.layers.text("root") if isinstance(config, Known) else None
    return _configured(root, CONTAINERD_ROOT)


def _configured(setting: Setting | None, default: str) -> Known[Place]:
    """What a setting says when it is a path, else the default."""
    if setting is None or not str(setting.value).startswith("/"):
        return Known(Place(default, "default"), "default")
    return Known(Place(str(setting.value), setting.source, setting.line), setting.source)


def _volumes(facts: Facts) -> Answer[tuple[Volume, ...]]:
    """Of the data root first; containerd's folder only when it lies elsewhere."""
    first = facts.get(VOLUME)
    if not isinstance(first, Known):
        return first
    volumes = [first.value]
    containerd = _containerd_place(facts)
    path = containerd.value.path if isinstance(containerd, Known) else CONTAINERD_ROOT
    if isinstance(facts.host.stat(path), Known):
        second = facts.known(volume(path))
        if second is not None and second.mount.device != first.value.mount.device:
            volumes.append(second)
    return Known(tuple(volumes), first.source)


def _gather(facts: Facts) -> Answer[tuple[DataRoot, ...]]:
    host = facts.host
    place = _docker_place(facts)
    if not isinstance(place, Known):
        return place
    path = place.value.path
    names = host.listdir(path)
    if not isinstance(names, Known):
        return names
    roots = [_data_root(host, path, names.value)]
    for name in names.value:
        if re.fullmatch(_REMAPPED, name):
            below = host.listdir(f"{path}/{name}")
            if isinstance(below, Known):
                roots.append(_data_root(host, f"{path}/{name}", below.value))
    return Known(tuple(roots), path)


def _data_root(host: Host, path: str, names: Iterable[str]) -> DataRoot:
    present = frozenset(names)
    images = host.listdir(f"{path}/image")
    image_drivers = frozenset(images.value) if isinstance(images, Known) else frozenset[str]()
    unreadable = [images] if isinstance(images, Unreadable) else []
    drivers = [one for one in sorted(LIVES) if one in present or one in image_drivers]
    stores = [_store(host, path, driver, unreadable) for driver in drivers]
    return DataRoot(
        path=path,
        stores=tuple(stores),
        loops=_loops(host, f"{path}/devicemapper/devicemapper"),
        unreadable=tuple(dict.fromkeys(unreadable)),
    )


def _store(host: Host, root: str, driver: str, unreadable: list[Unreadable]) -> Store:
    image = f"{root}/image/{driver}"
    ids = _names(host, f"{image}/imagedb/content/sha256", unreadable)
    mounts = _names(host, f"{image}/layerdb/mounts", unreadable)
    folder = _names(host, f"{root}/{driver}", unreadable)
    return Store(
        driver=driver,
        occupied=bool(folder) or folder is None,
        images=_count(ids),
        dangling=None if ids is None else _dangling(host, image, ids),
        containers=_count(mounts),
    )


def _names(host: Host, path: str, unreadable: list[Unreadable]) -> tuple[str, ...] | None:
    """The names in a folder; () when there is none, None when that is not known."""
    answer = host.listdir(path)
    if isinstance(answer, Unreadable):
        unreadable.append(answer)
        return None
    return answer.value if isinstance(answer, Known) else ()


def _count(names: tuple[str, ...] | None) -> int | None:
    """How many are whole: Docker writes to a temporary name first."""
    return None if names is None else sum(bool(re.fullmatch(_HEX, name)) for name in names)


def _dangling(host: Host, image: str, ids: tuple[str, ...]) -> int | None:
    """How many images `docker image ls --filter dangling=true` would list."""
    whole = [name for name in ids if re.fullmatch(_HEX, name)]
    if not whole:
        return 0
    named = read_text(host, f"{image}/repositories.json", parse_repositories, REPOSITORIES_LIMIT)
    if isinstance(named, Unreadable):
        return None
    tagged = named.value.tagged if isinstance(named, Known) else frozenset[str]()
    untagged = [one for one in whole if one not in tagged]
    if not untagged or len(whole) > IMAGES_LIMIT:
        return None if untagged else 0
    parents = _parents(host, f"{image}/imagedb/metadata/sha256")
    return None if parents is None else sum(one not in parents for one in untagged)


def _parents(host: Host, folder: str) -> frozenset[str] | None:
    """The images that another was built on; None when that cannot be read."""
    names = host.listdir(folder)
    if isinstance(names, Unreadable):
        return None
    if isinstance(names, Absent):
        return frozenset()
    parents: list[str] = []
    for name in names.value[:IMAGES_LIMIT]:
        parent = read_text(host, f"{folder}/{name}/parent", str.strip, 256)
        if isinstance(parent, Unreadable):
            return None
        if isinstance(parent, Known):
            parents.append(parent.value.removeprefix("sha256:"))
    return frozenset(parents)


def _loops(host: Host, folder: str) -> tuple[LoopFile, ...]:
    found: list[LoopFile] = []
    for name in ("data", "metadata"):
        answer = host.stat(f"{folder}/{name}")
        if isinstance(answer, Known) and answer.value.kind == "file":
            found.append(LoopFile(f"{folder}/{name}", answer.value.size, answer.value.allocated))
    return tuple(found)


PLACE: Fact[Place] = Fact("data root", _place, waits=True)
# What the data root lies on, or would lie on.
VOLUME: Fact[Volume] = Fact(
    "volume of the data root", lambda facts: facts.get(volume(facts.value(PLACE).path)), waits=True
)
# Every file system that images fill.
VOLUMES: Fact[tuple[Volume, ...]] = Fact("volumes of images", _volumes, waits=True)
DATA_ROOTS: Fact[tuple[DataRoot, ...]] = Fact("what is in the data root", _gather, waits=True)
