# SPDX-License-Identifier: GPL-3.0-or-later
"""The images of one driver below one root, in the layout of Docker's data root.

`ROOT/image/DRIVER/imagedb/content/sha256/ID` is the configuration, its name the digest of
its bytes; `imagedb/metadata/sha256/ID/` holds what may change (`parent`, `lastUpdated`);
`repositories.json` gives names to ids. Each file is written whole, and whoever changes
several at once has the lock `.hostkit-images.lock`. (moby, image/fs.go, reference/store.go)

An image is put after its layers and taken away before them, so a crash between leaves
layers that `collect` takes away, never an image without its layers.
"""

import os
import re
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager

from hostkit import files
from hostkit.storage import digest
from hostkit.storage.errors import Damaged, NoSuchLayer, ReadOnlyStore, StorageError
from hostkit.storage.image import config as configs
from hostkit.storage.image import reference
from hostkit.storage.image.config import ImageConfig, parse_config
from hostkit.storage.image.names import (
    NAMES_LIMIT,
    containers_of,
    cut_short,
    names_json,
    parse_names,
)
from hostkit.storage.image.reference import Reference
from hostkit.storage.layerstore import LayerStore
from hostkit.storage.locking import locked
from hostkit.system.tree import remove_tree
from hostkit.value import NamedTuple

_HEX = r"[0-9a-f]{64}"
_SMALL = 4096
_SHORT = 12
_DIGITS = 64


class NoSuchImage(StorageError):
    """There is no image of that name or id."""


class ImageInUse(StorageError):
    """The image is used, so it was not removed; nothing was changed."""

    exit_code = 5


class Image(NamedTuple):
    """One image; `names` are the references that point to it."""

    id: str
    config: ImageConfig
    names: tuple[Reference, ...] = ()
    parent: str | None = None

    @property
    def short(self) -> str:
        """The first 12 digits, as Docker shows an id."""
        return self.id.removeprefix("sha256:")[:_SHORT]


class Removed(NamedTuple):
    """What a removal did; `kept` says why layers are still there, "" if they are not."""

    untagged: tuple[str, ...]
    images: tuple[str, ...]
    layers: tuple[str, ...]
    kept: str = ""


class ImageStore:
    """The images that stand on one layer store."""

    def __init__(self, root: str, layers: LayerStore) -> None:
        self.root = root
        self.layers = layers
        self.read_only = layers.read_only
        self.folder = f"{root}/image/{layers.driver.name}"
        self._content = f"{self.folder}/imagedb/content/sha256"
        self._metadata = f"{self.folder}/imagedb/metadata/sha256"
        self._names = f"{self.folder}/repositories.json"
        if not self.read_only:
            for folder in (self._content, self._metadata):
                os.makedirs(folder, mode=0o700, exist_ok=True)

    # What there is.

    def ids(self) -> list[str]:
        """The ids of all images, also of damaged ones."""
        try:
            names = sorted(os.listdir(self._content))
        except FileNotFoundError:
            return []
        return [f"sha256:{name}" for name in names if re.fullmatch(_HEX, name)]

    def images(self) -> Iterator[Image]:
        """Every image that is whole; `storage check` names the others."""
        names = self._names_by_id()
        for image in self.ids():
            try:
                yield self._image(image, names.get(image, ()))
            except Damaged:
                continue

    def get(self, image: str) -> Image:
        """The image of an id. Raises NoSuchImage, Damaged."""
        return self._image(image, self._names_by_id().get(image, ()))

    def content(self, image: str) -> bytes:
        """The bytes of the configuration. Raises NoSuchImage, Damaged."""
        path = f"{self._content}/{digest.hex_of(image)}"
        try:
            data, more = files.read_bounded(path, configs.LIMIT)
        except FileNotFoundError:
            raise NoSuchImage(f"there is no image {image} in {self.folder}") from None
        if more or digest.of(data) != image:
            raise Damaged(f"{path} is damaged: its digest is another", "hostkit storage check")
        return data

    def find(self, word: str) -> Image:
        """The image that a person means: a name, an id, or the beginning of one.

        Raises NoSuchImage, InvalidReference, Damaged.
        """
        return self.get(self._id(word))

    def names(self) -> dict[Reference, str]:
        """Every reference and the id that it points to. Raises Damaged."""
        try:
            data, more = files.read_bounded(self._names, NAMES_LIMIT)
        except FileNotFoundError:
            return {}
        try:
            if more:
                raise ValueError(f"larger than {NAMES_LIMIT >> 20} MiB")
            return parse_names(data)
        except ValueError as problem:
            raise Damaged(f"{self._names}: {problem}", "hostkit storage check") from None

    def children(self, image: str) -> list[str]:
        """The images that say that they were built on this one."""
        return [one for one in self.ids() if self.parent(one) == image]

    def parent(self, image: str) -> str | None:
        """The image that one was built on here, if it was."""
        return self._line(image, "parent") or None

    def last_tagged(self, image: str) -> str:
        """When the image last got a name, "" if that is not known."""
        return self._line(image, "lastUpdated")

    def users(self, image: Image) -> list[str]:
        """The containers of the image, by id. Raises OSError when that cannot be read."""
        users = self.layers.containers_on(image.config.chain()[-1:])
        mine = containers_of(self.root, self.layers.driver.name, image.id)
        return sorted({*users, *mine})

    def size(self, image: Image) -> int:
        """The bytes of file content of its layers; 0 for one that is gone."""
        total = 0
        for chain in image.config.chain():
            try:
                total += self.layers.get(chain).size
            except (NoSuchLayer, Damaged):
                continue
        return total

    # Changes.

    def put(self, content: bytes) -> str:
        """Add an image whose layers are there; its id. Call it within `layers.adding()`.

        Raises StorageError when the configuration is none, or a layer is missing.
        """
        try:
            config = parse_config(content)
        except ValueError as problem:
            raise StorageError(f"this is no image: {problem}") from None
        for chain in config.chain():
            self.layers.get(chain)
        image = digest.of(content)
        with self._changing():
            files.write_atomic(f"{self._content}/{digest.hex_of(image)}", content, 0o600)
        return image

    def tag(self, image: str, names: Iterable[Reference]) -> list[Reference]:
        """Give names to an image; those that pointed elsewhere. Raises NoSuchImage."""
        self.content(image)
        wanted = list(names)
        for name in wanted:
            if not name.tag:
                raise StorageError(f"{name} is a digest, not a name to give")
        with self._changing():
            known = self.names()
            moved = [name for name in wanted if known.get(name, image) != image]
            changed = {**known, **dict.fromkeys(wanted, image)}
            if changed != known:
                self._write_names(changed)
            self._write(image, "lastUpdated", configs.now())
        return moved

    def remove(self, word: str, *, force: bool = False) -> Removed:
        """Take away a name; with the last one the image, and what only it needed.

        Raises NoSuchImage, ImageInUse. `force`: also all names of an id, and an image that
        others were built on or containers are of; these keep the layers that they need.
        """
        with self._changing():
            image = self.get(self._id(word))
            going = self._going(word, image, force=force)
            left = [name for name in image.names if name not in going]
            if not left and not force:
                self._refuse_used(image)
            if going:
                known = self.names()
                self._write_names({one: to for one, to in known.items() if one not in going})
            gone = [] if left else self._remove_images(image)
        untagged = tuple(map(str, going))
        if not gone:
            return Removed(untagged, (), ())
        swept, kept = self._swept(wait=False)
        return Removed(untagged, tuple(gone), tuple(swept), kept)

    def collect(self) -> tuple[list[str], list[str]]:
        """Take away what no image and no container needs: (layers, leftovers of crashes)."""
        leftovers = [*self.layers.unfinished(), *self.layers.orphans(), *self._temporary()]
        with self._changing():
            for path in self._temporary():
                remove_tree(path)
        swept, _ = self._swept(wait=True)
        return swept, leftovers

    def discard_unneeded(self) -> None:
        """After an addition that failed; what cannot be taken away now `collect` finds."""
        try:
            self._swept(wait=False)
        except (StorageError, OSError):
            return

    def set_parent(self, image: str, parent: str) -> None:
        """Note which image one was built on."""
        with self._changing():
            self._write(image, "parent", parent)

    def discard(self, image: str) -> None:
        """Take a damaged image away, with its names; its layers stay for `collect`."""
        with self._changing():
            known = self.names()
            self._write_names({name: to for name, to in known.items() if to != image})
            self._unlink(image)

    def rewrite_names(self, keep: Iterable[str]) -> None:
        """Forget the names of images other than `keep`; for a repair."""
        wanted = set(keep)
        with self._changing():
            known = self.names()
            self._write_names({name: to for name, to in known.items() if to in wanted})

    # Small words.

    def _id(self, word: str) -> str:
        known: dict[Reference, str] = {}
        prefix = reference.id_prefix(word)
        if len(prefix) < _DIGITS:
            try:
                known = self.names()
                found = known.get(reference.parse(word))
                if found is not None:
                    return found
            except reference.InvalidReference:
                if not prefix:
                    raise
        ids = [one for one in self.ids() if prefix and one[7:].startswith(prefix)]
        if len(ids) > 1:
            raise NoSuchImage(f"{word} is the beginning of {len(ids)} ids", "type more digits")
        if not ids:
            raise NoSuchImage(f"there is no image {word} in {self.root}", _near(word, known))
        return ids[0]

    def _image(self, image: str, names: Iterable[Reference]) -> Image:
        try:
            config = parse_config(self.content(image))
        except ValueError as problem:
            raise Damaged(f"image {image}: {problem}") from None
        return Image(image, config, tuple(names), self.parent(image))

    def _names_by_id(self) -> dict[str, tuple[Reference, ...]]:
        found: dict[str, list[Reference]] = {}
        for name, image in self.names().items():
            found.setdefault(image, []).append(name)
        return {image: tuple(sorted(names)) for image, names in found.items()}

    def _going(self, word: str, image: Image, *, force: bool) -> list[Reference]:
        """The names that a removal takes away; digests go with the last tag beside them."""
        named = _named(word, image)
        if named is not None:
            beside = [one for one in image.names if one.name == named.name and one != named]
            last = named.tag and not any(one.tag for one in beside)
            return [named, *beside] if last else [named]
        if len({name.name for name in image.names}) > 1 and not force:
            names = ", ".join(map(str, image.names[:3]))
            raise ImageInUse(
                f"{image.short} has names in several repositories: {names}", "add --force"
            )
        return list(image.names)

    def _refuse_used(self, image: Image) -> None:
        users = self.users(image)
        if users:
            raise ImageInUse(
                f"container {users[0][:_SHORT]} is of {image.short}"
                + (f", and {len(users) - 1} others" if len(users) > 1 else ""),
                "remove it first, or add --force: containers keep the layers they need",
            )
        children = self.children(image.id)
        if children:
            raise ImageInUse(
                f"image {children[0][7 : 7 + _SHORT]} was built on {image.short}", "add --force"
            )

    def _remove_images(self, image: Image) -> list[str]:
        """An image, and those below it that only it kept: built here, without a name."""
        gone: list[str] = []
        at: Image | None = image
        while at is not None:
            parent = at.parent
            self._unlink(at.id)
            gone.append(at.id)
            at = self._needless(parent)
        return gone

    def _unlink(self, image: str) -> None:
        os.unlink(f"{self._content}/{digest.hex_of(image)}")
        files.sync_folder(self._content)
        remove_tree(f"{self._metadata}/{digest.hex_of(image)}")

    def _needless(self, image: str | None) -> Image | None:
        if image is None:
            return None
        try:
            found = self.get(image)
        except (NoSuchImage, Damaged):
            return None
        needed = found.names or self.children(found.id) or self.users(found)
        return None if needed else found

    def _temporary(self) -> list[str]:
        """What a change that was killed has left; nobody changes while we have the lock."""
        return cut_short(self.folder, self._content, self._metadata)

    def _swept(self, *, wait: bool) -> tuple[list[str], str]:
        return self.layers.sweep(self._needed, wait=wait)

    def _needed(self) -> set[str]:
        """The chain ids that images stand on. Raises Damaged: what it needs is not known."""
        needed: set[str] = set()
        for image in self.ids():
            needed.update(self.get(image).config.chain())
        return needed

    def _line(self, image: str, name: str) -> str:
        path = f"{self._metadata}/{digest.hex_of(image)}/{name}"
        try:
            return files.read_bounded(path, _SMALL)[0].decode("ascii", "replace").strip()
        except FileNotFoundError:
            return ""

    def _write(self, image: str, name: str, line: str) -> None:
        folder = f"{self._metadata}/{digest.hex_of(image)}"
        os.makedirs(folder, mode=0o700, exist_ok=True)
        files.write_atomic(f"{folder}/{name}", line.encode(), 0o600)

    def _write_names(self, known: dict[Reference, str]) -> None:
        files.write_atomic(self._names, names_json(known), 0o600)

    @contextmanager
    def _changing(self) -> Generator[None]:
        if self.read_only:
            raise ReadOnlyStore(f"{self.root} was opened to be read")
        with locked(f"{self.folder}/.hostkit-images.lock"):
            yield


def _named(word: str, image: Image) -> Reference | None:
    """The name of the image that a person wrote, None when it was an id."""
    try:
        found = reference.parse(word)
    except reference.InvalidReference:
        return None
    return found if found in image.names else None


def _near(word: str, known: Iterable[Reference]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only a mistyped name needs it

    close = get_close_matches(word, map(str, known), n=1)
    return f"did you mean {close[0]}?" if close else "`hostkit image ls` names them"
