# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of layers: what `ROOT/image/DRIVER/layerdb` says, as Docker has it.

`layerdb/sha256/CHAIN` names the driver's layer (`cache-id`), its content (`diff`), its
parent and size, and holds the tar-split from which its tar is put together again.
`layerdb/mounts/CONTAINER` names the driver's layers of a container. (moby,
layer/filestore.go)
"""

import os
import re
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from hostkit import files
from hostkit.storage import digest
from hostkit.storage.compression import GZIP_DAMAGE, gunzipped
from hostkit.storage.digest import chain_id, hex_of
from hostkit.storage.errors import Damaged, NoSuchLayer, ReadOnlyStore, StorageError
from hostkit.storage.locking import locked
from hostkit.value import NamedTuple

_HEX = r"[0-9a-f]{64}"
_SMALL = 4096
SPLIT = "tar-split.json.gz"


class StoredLayer(NamedTuple):
    """A layer of an image; `size` is bytes of file content, `cache_id` the driver's layer."""

    chain_id: str
    diff_id: str
    parent: str | None
    cache_id: str
    size: int


class LayerNames:
    """The layers and containers of one driver below one root, as their files say."""

    def __init__(self, root: str, driver: str, *, read_only: bool) -> None:
        self.read_only = read_only
        self._image = f"{root}/image/{driver}"
        self.folder = f"{self._image}/layerdb"
        self.staging = f"{self.folder}/tmp"  # noqa: S108 - not the /tmp of everybody
        if not read_only:
            for folder in (f"{self.folder}/sha256", f"{self.folder}/mounts", self.staging):
                os.makedirs(folder, mode=0o700, exist_ok=True)

    def get(self, chain: str) -> StoredLayer:
        """One layer. Raises NoSuchLayer, Damaged."""
        folder = self.place(chain)
        if not os.path.isdir(folder):
            raise NoSuchLayer(f"there is no layer {chain} in {self.folder}")
        try:
            parent = _line(f"{folder}/parent") if os.path.exists(f"{folder}/parent") else None
            layer = StoredLayer(
                chain,
                digest.valid_digest(_line(f"{folder}/diff")),
                parent,
                _line(f"{folder}/cache-id"),
                int(_line(f"{folder}/size")),
            )
        except (OSError, ValueError, StorageError) as problem:
            raise Damaged(f"layer {chain}: {problem}", "see `hostkit storage check`") from None
        if chain_id(layer.diff_id, layer.parent) != chain:
            raise Damaged(f"layer {chain} has another content or parent than its name says")
        return layer

    def layers(self) -> Iterator[StoredLayer]:
        """Every layer that is whole; `check` names the others."""
        for chain in self.chains():
            try:
                yield self.get(chain)
            except Damaged:
                continue

    def chains(self) -> list[str]:
        """The names of all layers, also of damaged ones."""
        try:
            names = sorted(os.listdir(f"{self.folder}/sha256"))
        except FileNotFoundError:
            return []
        return [f"sha256:{name}" for name in names if re.fullmatch(_HEX, name)]

    def chain(self, chain: str) -> list[StoredLayer]:
        """A layer and all below it, the lowest first. Raises NoSuchLayer, Damaged."""
        found: list[StoredLayer] = []
        at: str | None = chain
        while at is not None:
            found.append(self.get(at))
            at = found[-1].parent
        return found[::-1]

    def containers(self) -> dict[str, tuple[str, ...]]:
        """The driver's layers of each container: its own, and the one it was prepared in."""
        found: dict[str, tuple[str, ...]] = {}
        for name in self._container_names():
            lines = (self._container_line(name, part) for part in ("mount-id", "init-id"))
            found[name] = tuple(filter(None, lines))
        return found

    def containers_on(self, chains: Collection[str]) -> list[str]:
        """The containers that stand directly on one of these layers."""
        names = self._container_names()
        return [name for name in names if self._container_line(name, "parent") in chains]

    def stood_on(self) -> set[str]:
        """The layers that containers stand on."""
        lines = (self._container_line(name, "parent") for name in self._container_names())
        return set(filter(None, lines))

    def _container_names(self) -> list[str]:
        try:
            return sorted(os.listdir(f"{self.folder}/mounts"))
        except FileNotFoundError:
            return []

    def _container_line(self, name: str, part: str) -> str:
        try:
            return _line(f"{self.folder}/mounts/{name}/{part}")
        except (FileNotFoundError, NotADirectoryError):
            return ""

    def unfinished(self) -> list[str]:
        """What additions and removals that were cut short have left in the staging folder."""
        try:
            names = sorted(os.listdir(self.staging))
        except FileNotFoundError:
            return []
        return [name for name in names if re.fullmatch(_HEX + "(-removing)?", name)]

    @contextmanager
    def split(self, chain: str) -> Generator[BinaryIO]:
        """The tar-split of a layer, unpacked while it is read."""
        try:
            with open(f"{self.place(chain)}/{SPLIT}", "rb") as packed, gunzipped(packed) as split:
                yield split
        except FileNotFoundError as problem:
            raise Damaged(f"layer {chain}: {problem.filename} is gone") from None
        except GZIP_DAMAGE as problem:
            raise Damaged(f"layer {chain}: its {SPLIT} is damaged: {problem}") from None

    def place(self, chain: str) -> str:
        return f"{self.folder}/sha256/{hex_of(chain)}"

    @contextmanager
    def locked(self, kind: int) -> Generator[None]:
        if self.read_only:
            raise ReadOnlyStore(f"{self._image} was opened to be read")
        with locked(f"{self._image}/.hostkit.lock", kind):
            yield


def _line(path: str) -> str:
    return files.read_bounded(path, _SMALL)[0].decode("ascii", "replace").strip()
