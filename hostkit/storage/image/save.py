# SPDX-License-Identifier: GPL-3.0-or-later
"""Images written as archives: Docker's (1.10 and later) and OCI's.

The same images give the same bytes. Layers are not compressed, so their digests are known
before they are written, and a layer that several images share is written once.
"""

import json
from collections.abc import Callable, Sequence
from typing import BinaryIO, cast

from hostkit.storage import digest
from hostkit.storage.image import oci
from hostkit.storage.image.reference import Reference
from hostkit.storage.image.store import Image, ImageStore
from hostkit.storage.tar.member import FILE, FOLDER, Member
from hostkit.storage.tar.writer import Sink, TarWriter
from hostkit.storage.treediff import write_diff
from hostkit.value import NamedTuple

Tell = Callable[[int], object]
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


class Wanted(NamedTuple):
    """An image to be written, and the names it shall have in the archive."""

    image: Image
    names: tuple[Reference, ...]


class _Writing:
    """One archive on its way."""

    def __init__(self, store: ImageStore, sink: Sink, tell: Tell) -> None:
        self._store = store
        self._tar = TarWriter(sink)
        self._tell = tell
        self._done: dict[str, int] = {}  # files that are there, and their sizes

    def folder(self, name: str) -> None:
        member = Member(f"{name}/".encode(), FOLDER)
        member.mode = 0o755
        self._tar.add(member)

    def file(self, name: str, data: bytes) -> None:
        if name not in self._done:
            self._header(name, len(data))
            self._tar.content(data)
            self._tar.end_content(len(data))

    def layer(self, name: str, chain: str) -> int:
        """Write a layer unless it is there; its size. Raises Damaged when it has changed."""
        if name in self._done:
            return self._done[name]
        size = self._store.layers.tar_size(chain)
        self._header(name, size)
        for piece in self._store.layers.read(chain):
            self._tar.content(piece)
            self._tell(len(piece))
        self._tar.end_content(size)
        return size

    def close(self) -> None:
        self._tar.close()

    def _header(self, name: str, size: int) -> None:
        member = Member(name.encode(), FILE)
        member.mode, member.size = 0o644, size
        self._tar.add(member)
        self._done[name] = size


def save_docker(store: ImageStore, wanted: Sequence[Wanted], sink: Sink, tell: Tell) -> None:
    """An archive that `docker load`, podman and skopeo read. Raises Damaged, OSError."""
    writing = _Writing(store, sink, tell)
    listed: list[dict[str, object]] = []
    for one in wanted:
        config = one.image.config
        layers: list[str] = []
        for diff_id, chain in zip(config.diff_ids, config.chain(), strict=True):
            name = f"{digest.hex_of(diff_id)}/layer.tar"
            if name not in layers:
                writing.layer(name, chain)
            layers.append(name)
        name = f"{digest.hex_of(one.image.id)}.json"
        writing.file(name, store.content(one.image.id))
        tags = [str(name) for name in one.names if name.tag] or None
        listed.append({"Config": name, "RepoTags": tags, "Layers": layers})
    writing.file("manifest.json", _json(listed))
    writing.close()


def save_oci(store: ImageStore, wanted: Sequence[Wanted], sink: Sink, tell: Tell) -> None:
    """An OCI layout in a tar, with Docker's manifest.json beside it. Raises Damaged, OSError.

    Docker since 25 writes the same two, and its load knows only the second.
    """
    writing = _Writing(store, sink, tell)
    listed: list[dict[str, object]] = []
    writing.file("oci-layout", _LAYOUT)
    for folder in ("blobs", "blobs/sha256"):
        writing.folder(folder)
    manifests: list[dict[str, object]] = []
    for one in wanted:
        config = one.image.config
        layers = [
            _blob(oci.LAYER, diff_id, writing.layer(_blob_path(diff_id), chain))
            for diff_id, chain in zip(config.diff_ids, config.chain(), strict=True)
        ]
        content = store.content(one.image.id)
        writing.file(_blob_path(one.image.id), content)
        manifest = _json(
            {
                "schemaVersion": 2,
                "mediaType": oci.MANIFEST,
                "config": _blob(oci.CONFIG, one.image.id, len(content)),
                "layers": layers,
            }
        )
        found = digest.of(manifest)
        writing.file(_blob_path(found), manifest)
        platform = {"architecture": config.architecture, "os": config.os}
        blob = {**_blob(oci.MANIFEST, found, len(manifest)), "platform": platform}
        tags = [name for name in one.names if name.tag]
        listed.append(
            {
                "Config": _blob_path(one.image.id),
                "RepoTags": list(map(str, tags)) or None,
                "Layers": list(map(_blob_path, config.diff_ids)),
            }
        )
        manifests += [{**blob, "annotations": {oci.NAME: str(name)}} for name in tags] or [blob]
    index = {"schemaVersion": 2, "mediaType": oci.INDEX, "manifests": manifests}
    writing.file("index.json", _json(index))
    writing.file("manifest.json", _json(listed))
    writing.close()


def export(store: ImageStore, image: Image, sink: Sink) -> None:
    """The files of an image, all layers laid over each other, as one tar."""
    chain = image.config.chain()
    if not chain:
        TarWriter(sink).close()
        return
    with store.layers.mounted(store.layers.get(chain[-1])) as path:
        write_diff(None, path, cast("BinaryIO", sink))


def _blob(media: str, found: str, size: int) -> dict[str, object]:
    return {"mediaType": media, "digest": found, "size": size}


def _blob_path(found: str) -> str:
    return f"blobs/sha256/{digest.hex_of(found)}"


def _json(tree: object) -> bytes:
    return json.dumps(tree, separators=(",", ":")).encode()
