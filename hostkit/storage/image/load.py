# SPDX-License-Identifier: GPL-3.0-or-later
"""Images taken in: archives of Docker, old and new, of OCI, and plain tars of files.

All that an archive says is held against digests before an image gets a name. What was
unpacked for an archive that is refused is taken away again.
"""

import os
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager, closing, contextmanager

from hostkit.storage import digest
from hostkit.storage.digest import HashingSource
from hostkit.storage.errors import BadArchive, NoSuchLayer, StorageError
from hostkit.storage.image import archive as archives
from hostkit.storage.image import change, config, docker, oci
from hostkit.storage.image.archive import Archive, FolderArchive, TarArchive
from hostkit.storage.image.offer import Offer
from hostkit.storage.image.reference import Reference
from hostkit.storage.image.store import ImageStore, NoSuchImage
from hostkit.storage.image.streams import Counted, Sparing, spooled, unpacked
from hostkit.storage.layerstore import untold
from hostkit.storage.tar.reader import CHUNK, Source
from hostkit.value import NamedTuple

Tell = Callable[[int], object]


class Loaded(NamedTuple):
    """One image that was taken in; `moved` are names that another image had before."""

    id: str
    names: tuple[Reference, ...]
    moved: tuple[Reference, ...] = ()
    note: str = ""


@contextmanager
def opened_folder(path: str) -> Generator[Archive]:
    """A folder that holds what an archive does. Raises OSError."""
    archive = FolderArchive(path)
    try:
        yield archive
    finally:
        archive.close()


def opened_tar(
    descriptor: int, folder: str, tell: Tell = untold
) -> AbstractContextManager[Archive]:
    """A tar, compressed or not, from a file or a pipe; the descriptor stays open.

    What cannot be read from any place in it is first written to `folder`, which keeps nothing
    of it. Raises BadArchive, OSError.
    """
    if _is_plain_tar(descriptor):
        own = os.dup(descriptor)
    else:
        with open(descriptor, "rb", buffering=0, closefd=False) as file:
            own = spooled(unpacked(Counted(file, tell)), folder)
    try:
        archive = TarArchive(own)
    except BaseException:
        os.close(own)
        raise
    return closing(archive)


def _is_plain_tar(descriptor: int) -> bool:
    """Whether any place in it can be read at once."""
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        return os.pread(descriptor, 5, 257) == b"ustar"
    except OSError:
        return False


def load(store: ImageStore, archive: Archive, tell: Tell = untold) -> list[Loaded]:
    """Take in every image of an archive; all or none of them get their names.

    Raises BadArchive and StorageError, which name the first thing that is wrong.
    """
    try:
        with store.layers.adding():
            offers = _offers(archive)
            most = store.layers.driver.capabilities.max_depth
            for offer in offers:
                _refuse_unfit(offer, most)
            finished = [_layers_of(store, archive, offer, tell) for offer in offers]
            ids = [store.put(content) for content in finished]
            return [_named(store, *each) for each in zip(ids, offers, strict=True)]
    except BaseException:
        store.discard_unneeded()
        raise


def import_tar(
    store: ImageStore,
    source: Source,
    names: Iterable[Reference] = (),
    *,
    changes: Iterable[str] = (),
    comment: str = "",
    architecture: str = "",
) -> Loaded:
    """Make an image of one layer from a tar of files, compressed or not.

    Raises BadArchive, InvalidChange, StorageError.
    """
    settings = change.apply_changes({}, changes)
    wanted = tuple(names)
    try:
        with store.layers.adding():
            layer = store.layers.register(Sparing(unpacked(source), store.root))
            content = config.new_config(
                [layer.diff_id], settings, comment=comment, architecture=architecture
            )
            image = store.put(content)
            return Loaded(image, wanted, tuple(store.tag(image, wanted)) if wanted else ())
    except BaseException:
        store.discard_unneeded()
        raise


def _offers(archive: Archive) -> list[Offer]:
    try:
        if archive.has("manifest.json"):
            return docker.offers(archive)
        if archive.has("index.json"):
            return oci.offers(archive)
        if archive.has("repositories"):
            return docker.old_offers(archive)
    except ValueError as problem:
        raise BadArchive(str(problem)) from None
    raise BadArchive(
        "there are no images in it: no manifest.json, index.json or repositories",
        "`hostkit image import` makes an image of a tar of files",
    )


def _refuse_unfit(offer: Offer, most: int) -> None:
    if len(offer.layers) > most:
        raise BadArchive(f"an image of {len(offer.layers)} layers: {most} are the most")
    if offer.config is None:
        return
    if len(offer.config.diff_ids) != len(offer.layers):
        raise BadArchive(
            f"its configuration names {len(offer.config.diff_ids)} layers,"
            f" its manifest {len(offer.layers)}"
        )
    if offer.config.os != "linux":
        raise BadArchive(f"an image for {archives.shown(offer.config.os)}, not for linux")


def _layers_of(store: ImageStore, archive: Archive, offer: Offer, tell: Tell) -> bytes:
    """Have every layer of an image; its configuration."""
    if offer.config is None:
        return _old_layers(store, archive, offer, tell)
    parent: str | None = None
    for layer, diff_id in zip(offer.layers, offer.config.diff_ids, strict=True):
        chain = digest.chain_id(diff_id, parent)
        if not store.layers.has(chain):
            section = archive.open(layer.name)
            if layer.size is not None and section.left != layer.size:
                raise BadArchive(
                    f"{archives.shown(layer.name)} has {section.left} bytes, not {layer.size}"
                )
            source = Counted(section, tell)
            known = layer.digest if layer.digest != diff_id else ""
            _register(store, source, parent, diff_id=diff_id, packed=known)
        parent = chain
    return offer.content


def _register(
    store: ImageStore, source: Source, parent: str | None, *, diff_id: str, packed: str
) -> None:
    """Unpack a layer; `packed` is the digest of what comes, "" when only `diff_id` is known."""
    if not packed:
        store.layers.register(Sparing(unpacked(source), store.root), parent, diff_id=diff_id)
        return
    with HashingSource(source) as hashing:
        store.layers.register(Sparing(unpacked(hashing), store.root), parent, diff_id=diff_id)
        while hashing.read(CHUNK):
            pass
        found = hashing.digest()
    if found != packed:
        raise BadArchive(f"a layer's digest is {found}, not {packed}")


def _old_layers(store: ImageStore, archive: Archive, offer: Offer, tell: Tell) -> bytes:
    """Docker before 1.10 named layers at random, so what they are is known when they are read."""
    parent: str | None = None
    diff_ids: list[str] = []
    for layer in offer.layers:
        source = Counted(archive.open(layer.name), tell)
        stored = store.layers.register(Sparing(unpacked(source), store.root), parent)
        diff_ids.append(stored.diff_id)
        parent = stored.chain_id
    return docker.migrated(offer, diff_ids)


def _named(store: ImageStore, image: str, offer: Offer) -> Loaded:
    moved = store.tag(image, offer.names) if offer.names else []
    if offer.parent and _stands_on(store, image, offer.parent):
        store.set_parent(image, offer.parent)
    here = config.this_architecture()
    machine = store.get(image).config.architecture
    note = f"it is for {machine}, this machine is {here}" if machine not in ("", here) else ""
    return Loaded(image, offer.names, tuple(moved), note)


def _stands_on(store: ImageStore, image: str, parent: str) -> bool:
    try:
        below = store.get(parent).config.diff_ids
    except (NoSuchImage, NoSuchLayer, StorageError):
        return False
    return image != parent and store.get(image).config.diff_ids[: len(below)] == below
