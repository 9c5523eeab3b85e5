# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker's thin pool, device by device: whose it is, how large, what it alone holds.

root = "/var/lib/docker"
noted = read_pool(root)
with open_metadata(noted.metadata) as metadata:
    found = inventory(noted, owners(root), metadata)
"""

import os
import re
from collections.abc import Iterator, Mapping

from hostkit.errors import InputError
from hostkit.files import read_bounded
from hostkit.storage.thin.dockerpool import DockerPool, Note, Transaction
from hostkit.storage.thin.metadata import Metadata
from hostkit.storage.thin.usage import usage
from hostkit.text import decode
from hostkit.value import NamedTuple

_HEX = r"[0-9a-f]{64}"
_ID_LIMIT = 256


class Owner(NamedTuple):
    """Whose a device is: a `layer` by its chain id, a `container`, or the `init` of one."""

    kind: str
    id: str


class Entry(NamedTuple):
    """A device in the pool; bytes that it has, and that go when it alone goes.

    Without a note Docker does not know it any more, and its size is not known.
    """

    device: int
    mapped: int
    exclusive: int
    note: Note | None
    owner: Owner | None


class Inventory(NamedTuple):
    """The pool held against Docker's notes; `used` and `shared` are bytes of the pool.

    `missing` are noted and not in the pool: Docker says "Unknown device" of them.
    `doubled` are noted with a device that another note has. `unfinished` is what Docker will
    take back when it starts.
    """

    entries: tuple[Entry, ...]
    missing: tuple[Note, ...]
    doubled: tuple[Note, ...]
    unfinished: Transaction | None
    used: int
    shared: int


def inventory(noted: DockerPool, owned: Mapping[str, Owner], metadata: Metadata) -> Inventory:
    """What the pool holds for whom. Raises Damaged, as reading the metadata does."""
    used = usage(metadata)
    block = metadata.block_size
    notes: dict[int, Note] = {}
    doubled = [note for note in noted.notes if notes.setdefault(note.device, note) is not note]
    entries: list[Entry] = []
    for device in metadata.devices():
        note = notes.pop(device.id, None)
        entries.append(
            Entry(
                device=device.id,
                mapped=device.mapped * block,
                exclusive=used.exclusive.get(device.id, 0) * block,
                note=note,
                owner=owned.get(note.name) if note else None,
            )
        )
    last = noted.transaction
    unfinished = last if last and last.number > metadata.state.transaction else None
    return Inventory(
        entries=tuple(entries),
        missing=tuple(notes.values()),
        doubled=tuple(doubled),
        unfinished=unfinished,
        used=used.used * block,
        shared=used.shared * block,
    )


def owners(root: str, driver: str = "devicemapper") -> Mapping[str, Owner]:
    """Whose each of a driver's layers is, by the layer's own name, from a data root.

    What was cut off while it was written is left out. Raises InputError.
    """
    layers = f"{root}/image/{driver}/layerdb"
    found: dict[str, Owner] = {}
    for chain in _ids(f"{layers}/sha256"):
        for name in _named(f"{layers}/sha256/{chain}/cache-id"):
            found[name] = Owner("layer", f"sha256:{chain}")
    for container in _ids(f"{layers}/mounts"):
        for file, kind in (("mount-id", "container"), ("init-id", "init")):
            for name in _named(f"{layers}/mounts/{container}/{file}"):
                found[name] = Owner(kind, container)
    return found


def _ids(folder: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if re.fullmatch(_HEX, name))
    except FileNotFoundError:  # no image was ever there
        return []
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}") from error


def _named(path: str) -> Iterator[str]:
    try:
        content, _ = read_bounded(path, _ID_LIMIT)
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    yield decode(content).strip()
