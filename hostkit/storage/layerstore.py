# SPDX-License-Identifier: GPL-3.0-or-later
"""The layers of images by what is in them, in the layout of Docker's data root.

`ROOT/image/DRIVER/layerdb/sha256/CHAIN` names the driver's layer (`cache-id`), its content
(`diff`), its parent and size, and holds the tar-split from which its tar is put together
again. So a data root of Docker is read as our own is. (moby, layer/filestore.go)

A layer is there when its folder is: that is renamed into place after the driver's layer is
on the disk. What a crash leaves is a layer of the driver that nothing names; `sweep` takes
those away.
"""

import errno
import fcntl
import os
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from hostkit import files
from hostkit.storage import digest
from hostkit.storage.compression import gunzipped, gzip_writer
from hostkit.storage.digest import HashingSource, chain_id, hex_of
from hostkit.storage.driver import StorageDriver
from hostkit.storage.errors import (
    BadArchive,
    Damaged,
    LayerInUse,
    NoSuchLayer,
    ReadOnlyStore,
    StorageError,
)
from hostkit.storage.tar.reader import Source, TarReader
from hostkit.storage.tar.split import SplitWriter, reassemble
from hostkit.system.tree import remove_tree
from hostkit.value import NamedTuple

_HEX = r"[0-9a-f]{64}"
_SMALL = 4096
_SPLIT = "tar-split.json.gz"


class StoredLayer(NamedTuple):
    """A layer of an image; `size` is bytes of file content, `cache_id` the driver's layer."""

    chain_id: str
    diff_id: str
    parent: str | None
    cache_id: str
    size: int


class LayerStore:
    """The layers of one driver below one root."""

    def __init__(self, root: str, driver: StorageDriver, *, read_only: bool = False) -> None:
        self.driver = driver
        self.read_only = read_only
        self._image = f"{root}/image/{driver.name}"
        self._folder = f"{self._image}/layerdb"
        self._staging = f"{self._folder}/tmp"  # noqa: S108 - not the /tmp of everybody
        if not read_only:
            for folder in (f"{self._folder}/sha256", f"{self._folder}/mounts", self._staging):
                os.makedirs(folder, mode=0o700, exist_ok=True)

    @contextmanager
    def adding(self) -> Generator[None]:
        """While this lasts nothing that is not named yet is swept away."""
        with self._locked(fcntl.LOCK_SH):
            yield

    def get(self, chain: str) -> StoredLayer:
        """One layer. Raises NoSuchLayer, Damaged."""
        folder = self._place(chain)
        if not os.path.isdir(folder):
            raise NoSuchLayer(f"there is no layer {chain} in {self._folder}")
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
            names = sorted(os.listdir(f"{self._folder}/sha256"))
        except FileNotFoundError:
            return []
        return [f"sha256:{name}" for name in names if re.fullmatch(_HEX, name)]

    def register(
        self, source: Source, parent: str | None = None, *, diff_id: str | None = None
    ) -> StoredLayer:
        """Unpack an uncompressed layer tar on top of a layer; gives the layer that is there.

        Raises BadArchive when the tar is damaged or is not the one that `diff_id` names.
        """
        below = self.get(parent).cache_id if parent is not None else None
        cache_id = os.urandom(32).hex()
        stage = f"{self._staging}/{cache_id}"
        with self.adding():
            os.mkdir(stage, 0o700)
            try:
                self.driver.create(cache_id, below)
                try:
                    layer = self._filled(source, stage, cache_id, parent)
                    if diff_id is not None and layer.diff_id != diff_id:
                        raise BadArchive(f"the layer is {layer.diff_id}, not {diff_id}")
                    kept = self._publish(layer, stage)
                except BaseException:
                    self.driver.remove(cache_id)
                    raise
                if not kept:
                    self.driver.remove(cache_id)
            finally:
                remove_tree(stage)
        return self.get(layer.chain_id)

    def read(self, chain: str) -> Iterator[bytes]:
        """The layer's tar as it was registered, byte for byte. Raises Damaged, OSError."""
        layer = self.get(chain)
        with (
            open(f"{self._place(chain)}/{_SPLIT}", "rb") as packed,
            gunzipped(packed) as split,
            self.driver.mount(layer.cache_id, read_only=True) as mounted,
        ):
            root = os.open(mounted.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                yield from reassemble(split, lambda name: _inside(root, name))
            finally:
                os.close(root)

    def remove(self, chain: str) -> None:
        """Remove a layer that no image and no other layer needs. Raises LayerInUse."""
        with self._locked(fcntl.LOCK_EX):
            self._remove(chain)

    def sweep(self, needed: set[str]) -> list[str]:
        """Remove every layer that none of `needed` (chain ids) stands on; gives their names."""
        with self._locked(fcntl.LOCK_EX):
            keep = self._closure(needed)
            gone = [chain for chain in self._children_first() if chain not in keep]
            for chain in gone:
                self._remove(chain)
            for name in os.listdir(self._staging):
                remove_tree(f"{self._staging}/{name}")
            named = {layer.cache_id for layer in self.layers()} | self._mounted()
            for orphan in reversed([layer.id for layer in self.driver.layers()]):
                if orphan not in named and re.fullmatch(_HEX, orphan):
                    self._remove_orphan(orphan)
        return gone

    def _filled(self, source: Source, stage: str, cache_id: str, parent: str | None) -> StoredLayer:
        with (
            HashingSource(source) as hashing,
            open(f"{stage}/{_SPLIT}", "wb") as packed,
            gzip_writer(packed) as write,
        ):
            recorder = SplitWriter(write.write)
            size = self.driver.apply_diff(cache_id, TarReader(hashing, recorder=recorder))
            recorder.close()
            found = hashing.digest()
        return StoredLayer(chain_id(found, parent), found, parent, cache_id, size)

    def _publish(self, layer: StoredLayer, stage: str) -> bool:
        """Give the layer its name; False when it is there already."""
        words = {"diff": layer.diff_id, "cache-id": layer.cache_id, "size": str(layer.size)}
        if layer.parent is not None:
            words["parent"] = layer.parent
        for name, word in words.items():
            with open(f"{stage}/{name}", "wb") as file:
                file.write(word.encode())
        self.driver.commit(layer.cache_id)
        for name in os.listdir(stage):
            _sync(f"{stage}/{name}")
        files.sync_folder(stage)
        try:
            os.rename(stage, self._place(layer.chain_id))
        except OSError as problem:
            if problem.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return False
        files.sync_folder(f"{self._folder}/sha256")
        return True

    def _remove(self, chain: str) -> None:
        layer = self.get(chain)
        child = next((one.chain_id for one in self.layers() if one.parent == chain), None)
        if child is not None:
            raise LayerInUse(f"layer {child} stands on {chain}")
        aside = f"{self._staging}/{layer.cache_id}-removing"
        os.rename(self._place(chain), aside)
        files.sync_folder(f"{self._folder}/sha256")
        self.driver.remove(layer.cache_id)
        remove_tree(aside)

    def _remove_orphan(self, layer: str) -> None:
        try:
            self.driver.remove(layer)
        except (LayerInUse, NoSuchLayer):
            return

    def _closure(self, chains: set[str]) -> set[str]:
        keep: set[str] = set()
        pending = list(chains)
        while pending:
            chain = pending.pop()
            if chain not in keep:
                keep.add(chain)
                parent = self.get(chain).parent
                if parent is not None:
                    pending.append(parent)
        return keep

    def _children_first(self) -> list[str]:
        found = {layer.chain_id: layer for layer in self.layers()}
        depth: dict[str, int] = {}
        for chain, layer in found.items():
            steps, at = 0, layer.parent
            while at is not None and at in found:
                steps, at = steps + 1, found[at].parent
            depth[chain] = steps
        return sorted(found, key=lambda chain: -depth[chain])

    def _mounted(self) -> set[str]:
        """The driver's layers that containers have."""
        used: set[str] = set()
        for name in os.listdir(f"{self._folder}/mounts"):
            for part in ("mount-id", "init-id"):
                try:
                    used.add(_line(f"{self._folder}/mounts/{name}/{part}"))
                except FileNotFoundError:
                    continue
        return used

    def _place(self, chain: str) -> str:
        return f"{self._folder}/sha256/{hex_of(chain)}"

    @contextmanager
    def _locked(self, kind: int) -> Generator[None]:
        if self.read_only:
            raise ReadOnlyStore(f"{self._image} was opened to be read")
        path = f"{self._image}/.hostkit.lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, kind)
            yield
        finally:
            os.close(descriptor)


def _line(path: str) -> str:
    return files.read_bounded(path, _SMALL)[0].decode("ascii", "replace").strip()


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _inside(root: int, name: bytes) -> BinaryIO:
    """A file of a mounted layer; names were checked when it was unpacked."""
    path = os.path.normpath(b"/" + name).lstrip(b"/")
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, dir_fd=root), "rb", buffering=0)
