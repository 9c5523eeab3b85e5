# SPDX-License-Identifier: GPL-3.0-or-later
"""The layers of images by what is in them, in the layout of Docker's data root.

So a data root of Docker is read as our own is. A layer is there when its folder is: that is
renamed into place after the driver's layer is on the disk. What a crash leaves is a layer of
the driver that nothing names; `sweep` takes those away.
"""

import errno
import fcntl
import os
import re
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import contextmanager
from io import BytesIO

from hostkit import files
from hostkit.storage.compression import gunzipped, gzip_writer
from hostkit.storage.digest import HashingSource, chain_id, hex_of
from hostkit.storage.driver import State, StorageDriver
from hostkit.storage.errors import (
    BadArchive,
    Damaged,
    LayerInUse,
    NoSuchLayer,
    ReadOnlyStore,
    StorageError,
    Unsupported,
)
from hostkit.storage.layerdb import SPLIT, LayerNames, StoredLayer
from hostkit.storage.rooted import Tree
from hostkit.storage.tar.reader import CHUNK, Source, TarReader
from hostkit.storage.tar.split import Segment, SplitWriter, entries, reassemble
from hostkit.system.aside import mounted_aside
from hostkit.system.tree import remove_tree

_HEX = r"[0-9a-f]{64}"
# A line of a tar-split that need not be parsed to know how long its segment is.
_SEGMENT_LINE = rb'\{"type":2,"payload":"([A-Za-z0-9+/]*(=*))","position":\d+\}\n'
_LINE_LIMIT = 4 << 20
_PIECE = 256 << 10  # bytes that are handed on at once


def untold(_: int) -> None:
    """Tells nobody how far something is."""


class LayerStore(LayerNames):
    """The layers of one driver below one root."""

    def __init__(self, root: str, driver: StorageDriver, *, read_only: bool = False) -> None:
        super().__init__(root, driver.name, read_only=read_only)
        self.driver = driver

    @contextmanager
    def adding(self) -> Generator[None]:
        """While this lasts nothing that is not named yet is swept away."""
        with self.locked(fcntl.LOCK_SH):
            yield

    def has(self, chain: str) -> bool:
        """Whether the layer is there and whole, as far as can be told without reading it."""
        try:
            return self.driver.exists(self.get(chain).cache_id)
        except (NoSuchLayer, Damaged):
            return False

    def register(
        self, source: Source, parent: str | None = None, *, diff_id: str | None = None
    ) -> StoredLayer:
        """Unpack an uncompressed layer tar on top of a layer; gives the layer that is there.

        Raises BadArchive when the tar is damaged or is not the one that `diff_id` names.
        """
        below = self._below(parent)
        cache_id = os.urandom(32).hex()
        stage = f"{self.staging}/{cache_id}"
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
        """The layer's tar as it was registered, byte for byte.

        Raises Damaged, also after the last byte when what was given is not what was kept.
        """
        layer = self.get(chain)
        with self.unchecked(chain) as source, HashingSource(source) as hashing:
            while data := hashing.read(CHUNK):
                yield data
            found = hashing.digest()
        if found != layer.diff_id:
            raise Damaged(
                f"layer {chain} is not what it was: its content is {found}", "hostkit storage check"
            )

    @contextmanager
    def unchecked(self, chain: str, tell: Callable[[int], object] = untold) -> Generator[Source]:
        """The layer's tar as the tree gives it now; whoever reads it compares its digest."""
        with (
            self.split(chain) as split,
            self.mounted(self.get(chain)) as path,
            Tree(path) as tree,
        ):
            yield _Pieces(reassemble(split, tree.open), tell)

    def tar_size(self, chain: str) -> int:
        """How many bytes `read` gives. Raises NoSuchLayer, Damaged."""
        total = 0
        with self.split(chain) as split:
            while line := split.readline(_LINE_LIMIT):
                segment = re.fullmatch(_SEGMENT_LINE, line)
                if segment is not None:
                    total += 3 * (segment.end(1) - segment.start(1)) // 4 - len(segment[2])
                else:
                    for one in entries(BytesIO(line)):
                        total += len(one.data) if isinstance(one, Segment) else one.size
        return total

    def damaged_file(self, chain: str) -> str:
        """The first file whose content is not what it was, "" for none. Raises OSError."""
        with (
            self.split(chain) as split,
            self.mounted(self.get(chain)) as path,
            Tree(path) as tree,
        ):
            try:
                for _ in reassemble(split, tree.open, check=True):
                    pass
            except Damaged as problem:
                return problem.message
        return ""

    @contextmanager
    def mounted(self, layer: StoredLayer) -> Generator[str]:
        """The folder of a layer with all below it, to be read.

        A store that is open to be read is not touched: the mount point lies elsewhere.
        """
        if not self.read_only:
            with self.driver.mount(layer.cache_id, read_only=True) as mount:
                yield mount.path
            return
        self.driver.info(layer.cache_id)
        try:
            spec = self.driver.mount_spec(layer.cache_id, read_only=True)
        except ReadOnlyStore as problem:
            raise Unsupported(f"{self.driver.name} shows no content without changes") from problem
        with mounted_aside(spec) as path:
            yield path

    def remove(self, chain: str) -> None:
        """Remove a layer that no image and no other layer needs. Raises LayerInUse."""
        with self.locked(fcntl.LOCK_EX):
            self._remove(chain)

    def discard(self, chain: str) -> None:
        """Take a damaged layer's name away, so that the layer can be added again."""
        with self.locked(fcntl.LOCK_EX):
            aside = f"{self.staging}/{hex_of(chain)}-removing"
            os.rename(self.place(chain), aside)
            files.sync_folder(f"{self.folder}/sha256")
            remove_tree(aside)

    def sweep(
        self, needed: Callable[[], Collection[str]], *, wait: bool = True
    ) -> tuple[list[str], str]:
        """Remove every layer that neither `needed` (chain ids) nor a container stands on.

        Gives their names, and why nothing was removed, "" if all went well: without `wait`
        the layers stay when somebody is adding some. `needed` is called when nobody is.
        Layers that another engine made are its own.
        """
        try:
            with self.locked(fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB):
                keep = self._closure({*needed(), *self.stood_on()})
                gone = [layer for layer in self._children_first() if layer.chain_id not in keep]
                gone = [layer for layer in gone if not self._is_foreign(layer.cache_id)]
                for name in self.unfinished():
                    remove_tree(f"{self.staging}/{name}")
                for orphan in self.orphans():  # which may stand on layers that go now
                    self._remove_tree(orphan)
                for layer in gone:
                    self._remove(layer.chain_id)
        except BlockingIOError:
            return [], "somebody is adding layers"
        return [layer.chain_id for layer in gone], ""

    def orphans(self) -> list[str]:
        """Our driver's layers that nothing names, children before parents.

        None as long as an entry is damaged: it may name any of them.
        """
        named = {layer.cache_id for layer in self.layers()}
        if len(named) < len(self.chains()):
            return []
        for mount in self.containers().values():
            named.update(mount)
        found = [
            layer.id
            for layer in self.driver.layers()
            if layer.id not in named
            and re.fullmatch(_HEX, layer.id)
            and layer.state is not State.FOREIGN
            and not layer.read_write
        ]
        return found[::-1]

    def _filled(self, source: Source, stage: str, cache_id: str, parent: str | None) -> StoredLayer:
        with (
            HashingSource(source) as hashing,
            open(f"{stage}/{SPLIT}", "wb") as packed,
            gzip_writer(packed) as write,
        ):
            recorder = SplitWriter(write.write)
            size = self.driver.apply_diff(cache_id, TarReader(hashing, recorder=recorder))
            recorder.close()
            found = hashing.digest()
        if not recorder.is_exact:
            self._prove(f"{stage}/{SPLIT}", cache_id, found)
        return StoredLayer(chain_id(found, parent), found, parent, cache_id, size)

    def _prove(self, split: str, cache_id: str, diff_id: str) -> None:
        """Put a tar together again that replaces files of its own. Raises BadArchive."""
        twice = BadArchive("the layer holds a file twice, so its tar could not be given again")
        with (
            open(split, "rb") as packed,
            gunzipped(packed) as lines,
            self.driver.mount(cache_id, read_only=True) as mounted,
            Tree(mounted.path) as tree,
            HashingSource(_Pieces(reassemble(lines, tree.open), untold)) as again,
        ):
            try:
                while again.read(CHUNK):
                    pass
            except (Damaged, OSError) as problem:
                raise twice from problem
            if again.digest() != diff_id:
                raise twice

    def _below(self, parent: str | None) -> str | None:
        """The driver's layer to stand on. Raises StorageError where no more fit on it."""
        if parent is None:
            return None
        depth = len(self.chain(parent)) + 1
        most = self.driver.capabilities.max_depth
        if depth > most:
            raise StorageError(
                f"{depth} layers are more than {self.driver.name} has room for: {most}"
            )
        return self.get(parent).cache_id

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
            os.rename(stage, self.place(layer.chain_id))
        except OSError as problem:
            if problem.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            if self.has(layer.chain_id):
                return False
            self._replace(layer, stage)
        files.sync_folder(f"{self.folder}/sha256")
        return True

    def _replace(self, layer: StoredLayer, stage: str) -> None:
        """Put a whole layer where a damaged one lies."""
        aside = f"{self.staging}/{layer.cache_id}-removing"
        os.rename(self.place(layer.chain_id), aside)
        os.rename(stage, self.place(layer.chain_id))
        remove_tree(aside)

    def _remove(self, chain: str) -> None:
        layer = self.get(chain)
        child = next((one.chain_id for one in self.layers() if one.parent == chain), None)
        if child is not None:
            raise LayerInUse(f"layer {child} stands on {chain}")
        aside = f"{self.staging}/{layer.cache_id}-removing"
        os.rename(self.place(chain), aside)
        files.sync_folder(f"{self.folder}/sha256")
        self._remove_tree(layer.cache_id)
        remove_tree(aside)

    def _remove_tree(self, layer: str) -> None:
        """One that somebody reads at this moment is left for the next sweep."""
        try:
            self.driver.remove(layer)
        except (LayerInUse, NoSuchLayer):
            return

    def _is_foreign(self, layer: str) -> bool:
        try:
            return self.driver.info(layer).state is State.FOREIGN
        except NoSuchLayer:
            return False

    def _closure(self, chains: Collection[str]) -> set[str]:
        """Layers with all below them. Raises Damaged: what such a one needs is not known."""
        keep: set[str] = set()
        pending = list(chains)
        while pending:
            chain = pending.pop()
            if chain in keep:
                continue
            keep.add(chain)
            try:
                parent = self.get(chain).parent
            except NoSuchLayer:
                continue
            if parent is not None:
                pending.append(parent)
        return keep

    def _children_first(self) -> list[StoredLayer]:
        found = {layer.chain_id: layer for layer in self.layers()}
        depth: dict[str, int] = {}
        for chain, layer in found.items():
            steps, at = 0, layer.parent
            while at is not None and at in found:
                steps, at = steps + 1, found[at].parent
            depth[chain] = steps
        return [found[chain] for chain in sorted(found, key=lambda chain: -depth[chain])]


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _Pieces:
    """Joins the many small pieces of a tar that is put together again."""

    def __init__(self, pieces: Iterator[bytes], tell: Callable[[int], object]) -> None:
        self._pieces = pieces
        self._tell = tell

    def read(self, _: int, /) -> bytes:
        """The next piece of some size; b"" at the end."""
        joined: list[bytes] = []
        size = 0
        for piece in self._pieces:
            joined.append(piece)
            size += len(piece)
            if size >= _PIECE:
                break
        self._tell(size)
        return b"".join(joined)
