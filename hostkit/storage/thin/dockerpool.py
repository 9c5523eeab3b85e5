# SPDX-License-Identifier: GPL-3.0-or-later
"""What Docker noted beside its thin pool: which device is which layer's, and how large.

The notes are JSON files in DATA-ROOT/devicemapper/metadata, one a device, named for the layer.
No parent is noted: image/devicemapper/layerdb knows whose layer it is (`inventory.owners`).
"""

import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar, cast

from hostkit.data import load_json
from hostkit.errors import InputError
from hostkit.files import read_bounded
from hostkit.storage.errors import Damaged
from hostkit.value import NamedTuple

BASE = "base"
_SET, _TRANSACTION = "deviceset-metadata", "transaction-metadata"
_NOTE = r"base|[0-9a-z][0-9a-zA-Z_-]*"  # neither .tmp123 nor abc.migrated
_LIMIT = 1 << 16
_T = TypeVar("_T")


class Note(NamedTuple):
    """One device as Docker noted it; `name` is its layer's, or "base"."""

    name: str
    device: int
    size: int
    transaction: int
    initialized: bool = False
    deleted: bool = False


class BaseDevice(NamedTuple):
    """The device that all layers descend from."""

    next_device: int
    uuid: str
    filesystem: str


class Transaction(NamedTuple):
    """What Docker was doing last; open when the pool has not come to that number."""

    number: int
    name: str
    device: int


class DockerPool(NamedTuple):
    """All that Docker noted. `data` and `metadata` are its loop files, "" when it has none."""

    notes: tuple[Note, ...]
    base: BaseDevice | None
    transaction: Transaction | None
    data: str
    metadata: str


def parse_note(name: str, content: str | bytes) -> Note:
    """The note of one device.

    >>> parse_note("base", '{"device_id":1,"size":1024,"transaction_id":2,"initialized":true}')
    Note(name='base', device=1, size=1024, transaction=2, initialized=True, deleted=False)
    """
    fields = _fields(content)
    return Note(
        name=name,
        device=_number(fields, "device_id"),
        size=_number(fields, "size"),
        transaction=_number(fields, "transaction_id"),
        initialized=fields.get("initialized") is True,
        deleted=fields.get("deleted") is True,
    )


def parse_base(content: str | bytes) -> BaseDevice:
    """The file deviceset-metadata.

    >>> parse_base('{"next_device_id":1,"BaseDeviceUUID":"e4-82","BaseDeviceFilesystem":"xfs"}')
    BaseDevice(next_device=1, uuid='e4-82', filesystem='xfs')
    """
    fields = _fields(content)
    words = _word(fields, "BaseDeviceUUID"), _word(fields, "BaseDeviceFilesystem")
    return BaseDevice(_number(fields, "next_device_id"), *words)


def parse_transaction(content: str | bytes) -> Transaction:
    """The file transaction-metadata.

    >>> parse_transaction('{"open_transaction_id":32,"device_hash":"8beb","device_id":22}')
    Transaction(number=32, name='8beb', device=22)
    """
    fields = _fields(content)
    number = _number(fields, "open_transaction_id")
    return Transaction(number, _word(fields, "device_hash"), _number(fields, "device_id"))


def _fields(content: str | bytes) -> dict[str, object]:
    fields = load_json(content)
    if not isinstance(fields, dict):
        raise ValueError("not a JSON object")
    return cast("dict[str, object]", fields)


def _number(fields: Mapping[str, object], name: str) -> int:
    """A number, 0 when it is not there, as Go reads it."""
    value = fields.get(name, 0)
    if type(value) is not int or value < 0:
        raise ValueError(f"{name} is {value!r:.40}, not a number")
    return value


def _word(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name, "")
    if not isinstance(value, str):
        raise ValueError(f"{name} is {value!r:.40}, not a word")
    return value


def read_pool(root: str) -> DockerPool:
    """The notes in a data root. Raises InputError when there are none, Damaged for a bad one."""
    folder = f"{root}/devicemapper/metadata"
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}") from error
    notes = [
        _parsed(f"{folder}/{name}", partial(parse_note, name))
        for name in names
        if re.fullmatch(_NOTE, name) and name not in (_SET, _TRANSACTION)
    ]
    files = f"{root}/devicemapper/devicemapper"
    data, metadata = (
        path if os.path.isfile(path) else "" for path in (f"{files}/data", f"{files}/metadata")
    )
    return DockerPool(
        notes=tuple(notes),
        base=_parsed(f"{folder}/{_SET}", parse_base) if _SET in names else None,
        transaction=(
            _parsed(f"{folder}/{_TRANSACTION}", parse_transaction)
            if _TRANSACTION in names
            else None
        ),
        data=data,
        metadata=metadata,
    )


def _parsed(path: str, parse: Callable[[bytes], _T]) -> _T:
    try:
        content, more = read_bounded(path, _LIMIT)
        if more:
            raise ValueError(f"larger than {_LIMIT} bytes")
        return parse(content)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise Damaged(f"{path}: {error}") from error
