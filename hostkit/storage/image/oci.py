# SPDX-License-Identifier: GPL-3.0-or-later
"""Images in an OCI layout: index.json names manifests, these name blobs, all by digest.

(OCI image spec, image-layout.md, image-index.md, manifest.md; Docker's media types alike)
"""

import posixpath
from collections.abc import Iterator

from hostkit.storage import digest
from hostkit.storage.errors import StorageError
from hostkit.storage.image import archive as archives
from hostkit.storage.image import config, fields, reference
from hostkit.storage.image.archive import Archive
from hostkit.storage.image.offer import Offer, OfferedLayer
from hostkit.storage.image.reference import InvalidReference, Reference
from hostkit.value import NamedTuple

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
NAME = "org.opencontainers.image.ref.name"
FULL_NAME = "io.containerd.image.name"
_INDEXES = (INDEX, "application/vnd.docker.distribution.manifest.list.v2+json")
_CONFIGS = (CONFIG, "application/vnd.docker.container.image.v1+json")
_ATTESTS = "vnd.docker.reference.type"
_DEPTH = 4  # indexes in indexes
_MANIFESTS = 1000


class _Blob(NamedTuple):
    """What points to a blob."""

    media: str
    digest: str
    size: int
    annotations: fields.Object
    platform: fields.Object

    @property
    def path(self) -> str:
        """Where it lies in the layout."""
        return f"blobs/sha256/{digest.hex_of(self.digest)}"


def offers(archive: Archive) -> list[Offer]:
    """The images of a layout, of several platforms the one for this machine.

    Raises ValueError, BadArchive.
    """
    tree = fields.load_object(archives.read(archive, "index.json", config.LIMIT), "index.json")
    found: dict[str, tuple[_Blob, list[Reference]]] = {}
    for blob in _manifests(archive, _blobs(tree, "manifests"), _DEPTH):
        _, names = found.setdefault(blob.digest, (blob, []))
        names.extend(name for name in _names(blob) if name not in names)
        if len(found) > _MANIFESTS:
            raise ValueError(f"more than {_MANIFESTS} images")
    if not found:
        raise ValueError("index.json names no image")
    return [_offer(archive, blob, tuple(names)) for blob, names in found.values()]


def _manifests(archive: Archive, blobs: list[_Blob], depth: int) -> Iterator[_Blob]:
    """Manifests of images, those of a nested index with the name of the index."""
    for blob in blobs:
        if blob.media not in _INDEXES:
            if _ATTESTS not in blob.annotations:
                yield blob
            continue
        if not depth:
            raise ValueError("indexes within indexes")
        tree = fields.load_object(_read(archive, blob), "an index")
        inner = [one for one in _blobs(tree, "manifests") if _ATTESTS not in one.annotations]
        for one in _manifests(archive, [_fitting(inner)], depth - 1):
            yield one._replace(annotations={**one.annotations, **blob.annotations})


def _fitting(blobs: list[_Blob]) -> _Blob:
    """The one for this machine among images for several."""
    here = config.this_architecture()
    for blob in blobs:
        platform = blob.platform
        if platform.get("os") == "linux" and platform.get("architecture") == here:
            return blob
    if len(blobs) == 1:
        return blobs[0]
    known = sorted(
        {f"{one.platform.get('os')}/{one.platform.get('architecture')}" for one in blobs}
    )
    raise ValueError(f"no image for linux/{here}, but for {', '.join(known[:8]) or 'nothing'}")


def _offer(archive: Archive, blob: _Blob, names: tuple[Reference, ...]) -> Offer:
    manifest = fields.load_object(_read(archive, blob), "a manifest")
    described = _blob(fields.as_object(manifest.get("config"), "config"))
    if described.media not in _CONFIGS:
        raise ValueError(f"no image of containers: its configuration is {described.media[:80]!r}")
    content = _read(archive, described)
    layers = tuple(
        OfferedLayer(one.path, one.digest, one.size) for one in _blobs(manifest, "layers")
    )
    return Offer(content, config.parse_config(content), layers, names)


def _read(archive: Archive, blob: _Blob) -> bytes:
    data = archives.read(archive, blob.path, config.LIMIT)
    if len(data) != blob.size or digest.of(data) != blob.digest:
        raise ValueError(
            f"{archives.shown(posixpath.basename(blob.path))} is not what its digest says"
        )
    return data


def _blobs(tree: fields.Object, key: str) -> list[_Blob]:
    return [_blob(one) for one in fields.objects(tree, key)]


def _blob(tree: fields.Object) -> _Blob:
    try:
        found = digest.valid_digest(fields.text(tree, "digest"))
    except StorageError as problem:
        raise ValueError(problem.message) from None
    return _Blob(
        fields.text(tree, "mediaType"),
        found,
        fields.number(tree, "size"),
        fields.as_object(tree.get("annotations"), "annotations"),
        fields.as_object(tree.get("platform"), "platform"),
    )


def _names(blob: _Blob) -> Iterator[Reference]:
    """A bare tag, which the specification allows, names no image."""
    full = fields.text(blob.annotations, FULL_NAME)
    name = fields.text(blob.annotations, NAME)
    for word in (full, name):
        if ":" in word or "/" in word:
            try:
                yield reference.parse(word)
            except InvalidReference:
                continue
            return
