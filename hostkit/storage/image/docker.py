# SPDX-License-Identifier: GPL-3.0-or-later
"""What `docker save` writes: manifest.json since 1.10, `repositories` before.

(moby, image/tarexport)
"""

import json
import posixpath
import re
from collections.abc import Iterator, Sequence

from hostkit.storage import digest
from hostkit.storage.image import archive as archives
from hostkit.storage.image import config, fields, reference
from hostkit.storage.image.archive import Archive
from hostkit.storage.image.offer import Offer, OfferedLayer
from hostkit.storage.image.reference import Reference

_OLD_ID = r"[0-9a-f]{64}"
_OLD_DEPTH = 500
# Of an old layer's JSON, what says nothing of the image. (moby, image/v1/imagev1.go)
_NOT_OF_THE_IMAGE = ("id", "parent", "Size", "parent_id", "layer_id", "throwaway")


def offers(archive: Archive) -> list[Offer]:
    """The images of a manifest.json. Raises ValueError, BadArchive."""
    data = archives.read(archive, "manifest.json", config.LIMIT)
    listed = fields.load_list(data, "manifest.json")
    if not listed:
        raise ValueError("manifest.json names no image")
    return [_offer(archive, fields.as_object(one, "manifest.json")) for one in listed]


def _offer(archive: Archive, item: fields.Object) -> Offer:
    name = fields.text(item, "Config")
    content = archives.read(archive, name, config.LIMIT)
    digits = posixpath.basename(name).removesuffix(".json")
    refuse_other(content, digits, name)
    names = tuple(map(reference.parse, fields.texts(item, "RepoTags")))
    layers = tuple(map(OfferedLayer, fields.texts(item, "Layers")))
    parent = fields.text(item, "Parent")
    return Offer(content, config.parse_config(content), layers, names, parent)


def refuse_other(content: bytes, digits: str, name: str) -> None:
    """Raises ValueError when a file that is named for its digest has another."""
    if re.fullmatch(_OLD_ID, digits) and digest.of(content) != f"sha256:{digits}":
        raise ValueError(f"{archives.shown(name)} is damaged: its digest is {digest.of(content)}")


def old_offers(archive: Archive) -> list[Offer]:
    """The images of an archive of Docker before 1.10. Raises ValueError, BadArchive."""
    data = archives.read(archive, "repositories", config.LIMIT)
    names: dict[str, list[Reference]] = {}
    for repository, value in fields.load_object(data, "repositories").items():
        tags = fields.as_object(value, "repositories")
        for tag in tags:
            names.setdefault(fields.text(tags, tag), []).append(
                reference.parse(f"{repository}:{tag}")
            )
    if not names:
        raise ValueError("repositories names no image")
    return [_old_offer(archive, top, tuple(given)) for top, given in names.items()]


def _old_offer(archive: Archive, top: str, names: tuple[Reference, ...]) -> Offer:
    steps = list(_old_steps(archive, top))[::-1]
    layers = tuple(OfferedLayer(f"{fields.text(step, 'id')}/layer.tar") for step in steps)
    return Offer(b"", None, layers, names, steps=tuple(steps))


def _old_steps(archive: Archive, top: str) -> Iterator[fields.Object]:
    at, seen = top, set[str]()
    while at:
        if not re.fullmatch(_OLD_ID, at):
            raise ValueError(f"{archives.shown(at)} is no layer's id")
        if at in seen or len(seen) >= _OLD_DEPTH:
            raise ValueError(f"the parents of layer {at[:12]} never end")
        seen.add(at)
        name = f"{at}/json"
        step = fields.load_object(archives.read(archive, name, config.LIMIT), name)
        step["id"] = at
        yield step
        at = fields.text(step, "parent")


def migrated(offer: Offer, diff_ids: Sequence[str]) -> bytes:
    """The configuration that Docker since 1.10 makes of an older image."""
    top = offer.steps[-1]
    tree = {key: value for key, value in top.items() if key not in _NOT_OF_THE_IMAGE}
    tree["rootfs"] = {"type": "layers", "diff_ids": list(diff_ids)}
    tree["history"] = [_history(step) for step in offer.steps]
    return as_go_writes(tree)


def _history(step: fields.Object) -> fields.Object:
    ran = fields.as_object(step.get("container_config"), "container_config")
    line: fields.Object = {"created": fields.text(step, "created")}
    for key, value in (
        ("author", fields.text(step, "author")),
        ("created_by", " ".join(fields.texts(ran, "Cmd"))),
        ("comment", fields.text(step, "comment")),
    ):
        if value:
            line[key] = value
    return line


def as_go_writes(tree: fields.Object) -> bytes:
    """JSON byte for byte as Go's encoder has it, so that ids come out the same."""
    said = json.dumps(tree, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    for character in "<>&\u2028\u2029":
        said = said.replace(character, f"\\u{ord(character):04x}")
    return said.encode("utf-8", "backslashreplace")
