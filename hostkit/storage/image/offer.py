# SPDX-License-Identifier: GPL-3.0-or-later
"""An image as an archive offers it, whatever the kind of archive."""

from hostkit.storage.image import fields
from hostkit.storage.image.config import ImageConfig
from hostkit.storage.image.reference import Reference
from hostkit.value import NamedTuple


class OfferedLayer(NamedTuple):
    """A file of the archive that holds a layer, as far as the archive says what it must be."""

    name: str
    digest: str = ""
    size: int | None = None


class Offer(NamedTuple):
    """One image. `config` is None for Docker before 1.10; then `steps` are its layers' JSONs."""

    content: bytes
    config: ImageConfig | None
    layers: tuple[OfferedLayer, ...]
    names: tuple[Reference, ...] = ()
    parent: str = ""
    steps: tuple[fields.Object, ...] = ()
