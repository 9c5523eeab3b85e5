# SPDX-License-Identifier: GPL-3.0-or-later
"""Digests: `sha256:` and 64 hex digits, of streams while they are read."""

import hashlib
import queue
import re
import threading
from typing import Self

from hostkit.storage.errors import StorageError
from hostkit.storage.tar.reader import Source

_DIGEST = r"sha256:[0-9a-f]{64}"
_AHEAD = 4  # chunks that may wait to be hashed


def valid_digest(text: str) -> str:
    """The digest itself. Raises StorageError."""
    if not re.fullmatch(_DIGEST, text):
        raise StorageError(f"{text!r} is no digest", "a digest is sha256: and 64 hex digits")
    return text


def hex_of(digest: str) -> str:
    """The 64 digits, which name files. Raises StorageError."""
    return valid_digest(digest)[7:]


def of(data: bytes) -> str:
    """The digest of some bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def chain_id(diff_id: str, parent: str | None) -> str:
    """What names a layer together with all below it (OCI image spec, config.md, ChainID)."""
    return diff_id if parent is None else of(f"{parent} {diff_id}".encode())


class HashingSource:
    """A source that hashes what is read, in a thread of its own: hashlib lets others run."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._hash = hashlib.sha256()
        self._waiting: queue.Queue[bytes] = queue.Queue(_AHEAD)
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        self.size = 0

    def read(self, size: int, /) -> bytes:
        """As the source reads."""
        data = self._source.read(size)
        if data:
            self.size += len(data)
            self._waiting.put(data)
        return data

    def digest(self) -> str:
        """Of all that was read; nothing can be read after it."""
        self.close()
        return "sha256:" + self._hash.hexdigest()

    def close(self) -> None:
        """End the thread; a second call does nothing."""
        if self._thread.is_alive():
            self._waiting.put(b"")
            self._thread.join()

    def _work(self) -> None:
        while data := self._waiting.get():
            self._hash.update(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
