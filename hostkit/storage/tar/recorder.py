# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is told of every byte of a tar stream while it is read."""

from typing import Protocol


class Recorder(Protocol):
    """Sees every byte of the stream in order, contents that were read apart from the rest."""

    def raw(self, data: bytes) -> None:
        """Headers, padding, and contents that nobody wanted."""
        ...

    def whole(self, raw: bytes, name: bytes, data: bytes | memoryview) -> None:
        """Raw bytes and then a member with all its content: `raw` to `end` in one."""
        ...

    def begin(self, name: bytes, size: int) -> None:
        """A member; so many bytes follow as `payload`, then `end`."""
        ...

    def payload(self, data: bytes | memoryview) -> None: ...

    def end(self) -> None:
        """The member's content is complete."""
        ...

    def replaced(self) -> None:
        """Something that this stream had brought is not in the tree any more."""
        ...
