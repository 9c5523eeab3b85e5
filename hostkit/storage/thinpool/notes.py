# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker's notes beside a thin pool, written: which device is which layer's, what is going on.

They are read by `hostkit.storage.thin.dockerpool`. Each is on the disk, with its name, when
the call returns: Docker's own do not fsync the folder, so a power cut could take a name back.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping

from hostkit import files
from hostkit.storage import untouched
from hostkit.storage.errors import Damaged
from hostkit.storage.thin.dockerpool import (
    BASE,
    BaseDevice,
    Note,
    Transaction,
    parse_base,
    parse_note,
    parse_transaction,
)

SET, TRANSACTION = "deviceset-metadata", "transaction-metadata"
_PLAIN = r"[0-9a-z][0-9a-z_-]{0,69}"  # 64 hexadecimal digits and "-init" are one
_TAKEN = (BASE, SET, TRANSACTION)
_OURS = "hostkit-"
_LIMIT = 1 << 16


def note_name(layer: str) -> str:
    """The name that a layer has in notes and devices: its own where that can be one.

    >>> note_name("8beb-init"), note_name("base")
    ('8beb-init', 'hostkit-cae662172fd450bb0cd710a769079c05')
    """
    if re.fullmatch(_PLAIN, layer) and layer not in _TAKEN and not layer.startswith(_OURS):
        return layer
    return _OURS + hashlib.sha256(layer.encode()).hexdigest()[:32]


class Notes:
    """The folder of notes of one pool."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._seen: dict[str, tuple[tuple[int, int], int]] = {}

    def names(self) -> list[str]:
        """Every device's, the base's too."""
        try:
            found = sorted(untouched.names(self.folder))
        except FileNotFoundError:
            return []
        return [name for name in found if re.fullmatch(_PLAIN, name) and name not in _TAKEN[1:]]

    def all(self) -> list[Note]:
        """Every note. Raises Damaged."""
        found = (self.get(name) for name in self.names())
        return [note for note in found if note is not None]

    def get(self, name: str) -> Note | None:
        """The note of a device, None when there is none. Raises Damaged."""
        data = self._read(name)
        try:
            return None if data is None else parse_note(name, data)
        except ValueError as problem:
            raise self._damaged(name, problem) from None

    def numbers(self) -> set[int]:
        """The numbers of all devices; only notes that were written since are read again."""
        seen = self._seen
        self._seen = {}
        for name in self.names():
            try:
                info = os.stat(f"{self.folder}/{name}")
            except FileNotFoundError:
                continue
            stamp = (info.st_ino, info.st_mtime_ns)
            known = seen.get(name)
            if known is None or known[0] != stamp:
                note = self.get(name)
                known = (stamp, note.device) if note is not None else None
            if known is not None:
                self._seen[name] = known
        return {device for _, device in self._seen.values()}

    def put(self, note: Note) -> None:
        """Write a note."""
        fields = {
            "device_id": note.device,
            "size": note.size,
            "transaction_id": note.transaction,
            "initialized": note.initialized,
            "deleted": note.deleted,
        }
        self._write(note.name, fields)

    def forget(self, name: str) -> None:
        """Remove a note; one that is not there is no error."""
        try:
            os.unlink(f"{self.folder}/{name}")
        except FileNotFoundError:
            return
        files.sync_folder(self.folder)

    def base(self) -> BaseDevice | None:
        """What is noted of the device that all descend from. Raises Damaged."""
        data = self._read(SET)
        try:
            return None if data is None else parse_base(data)
        except ValueError as problem:
            raise self._damaged(SET, problem) from None

    def put_base(self, base: BaseDevice) -> None:
        """Note what the base device is."""
        fields = {
            "next_device_id": base.next_device,
            "BaseDeviceUUID": base.uuid,
            "BaseDeviceFilesystem": base.filesystem,
        }
        self._write(SET, fields)

    def transaction(self) -> Transaction | None:
        """What was being done last. Raises Damaged."""
        data = self._read(TRANSACTION)
        try:
            return None if data is None else parse_transaction(data)
        except ValueError as problem:
            raise self._damaged(TRANSACTION, problem) from None

    def put_transaction(self, transaction: Transaction) -> None:
        """Note what is going to be done."""
        fields = {
            "open_transaction_id": transaction.number,
            "device_hash": transaction.name,
            "device_id": transaction.device,
        }
        self._write(TRANSACTION, fields)

    def sweep(self) -> None:
        """Remove what was left of notes that were being written."""
        for name in os.listdir(self.folder):
            if name.startswith(".") and name.endswith(".tmp"):
                os.unlink(f"{self.folder}/{name}")

    def _write(self, name: str, fields: Mapping[str, object]) -> None:
        files.write_atomic(f"{self.folder}/{name}", json.dumps(dict(fields)).encode(), 0o600)

    def _read(self, name: str) -> bytes | None:
        try:
            return untouched.read(f"{self.folder}/{name}", _LIMIT)
        except FileNotFoundError:
            return None

    def _damaged(self, name: str, problem: ValueError) -> Damaged:
        return Damaged(f"{self.folder}/{name}: {problem}", "see `hostkit storage check`")
