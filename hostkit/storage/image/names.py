# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a data root that name images: repositories.json, and Docker's containers."""

import json
import os
import re
from collections.abc import Iterator, Mapping

from hostkit import files
from hostkit.storage import digest
from hostkit.storage.errors import StorageError
from hostkit.storage.image import fields, reference
from hostkit.storage.image.reference import Reference

NAMES_LIMIT = 64 << 20  # bytes of repositories.json
_TEMPORARY = r"\..+\.[0-9a-f]{8}\.tmp"  # as `files.write_atomic` names them


def parse_names(data: bytes) -> dict[Reference, str]:
    """What repositories.json says. Raises ValueError.

    >>> parse_names(b'{"Repositories": {}}')
    {}
    """
    tree = fields.as_object(
        fields.load_object(data, "repositories.json").get("Repositories"), "Repositories"
    )
    known: dict[Reference, str] = {}
    for repository, value in tree.items():
        for name, image in fields.as_object(value, repository[:80]).items():
            try:
                found = reference.parse(name)
                known[found] = digest.valid_digest(str(image))
            except StorageError as problem:
                raise ValueError(problem.message) from None
    return known


def names_json(known: Mapping[Reference, str]) -> bytes:
    """repositories.json as Docker writes it."""
    tree: dict[str, dict[str, str]] = {}
    for name, image in sorted(known.items()):
        tree.setdefault(name.name, {})[str(name)] = image
    return json.dumps({"Repositories": tree}, separators=(",", ":")).encode()


def containers_of(root: str, driver: str, image: str) -> Iterator[str]:
    """Docker's containers of an image, by id. Raises OSError when that cannot be read."""
    folder = f"{root}/containers"
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return
    for name in names:
        try:
            data, _ = files.read_bounded(f"{folder}/{name}/config.v2.json")
            tree = fields.load_object(data, "config.v2.json")
            if fields.text(tree, "Image") == image and fields.text(tree, "Driver") in ("", driver):
                yield name
        except (FileNotFoundError, NotADirectoryError, ValueError):
            continue


def cut_short(image: str, content: str, metadata: str) -> list[str]:
    """What changes that were killed have left in the folders of images."""
    images = os.listdir(metadata)
    folders = [image, content, *(f"{metadata}/{name}" for name in images)]
    found = [
        f"{folder}/{name}"
        for folder in folders
        for name in os.listdir(folder)
        if re.fullmatch(_TEMPORARY, name)
    ]
    there = set(os.listdir(content))
    return [*found, *(f"{metadata}/{name}" for name in images if name not in there)]
