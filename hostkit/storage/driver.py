# SPDX-License-Identifier: GPL-3.0-or-later
"""What a storage driver does.

A driver keeps *layers*: file trees, each on top of at most one parent. A layer is made
`active`, is filled by `apply_diff` or through a mount, and is then committed: from there on
it never changes and others may stand on it. A container's layer (`read_write`) stays active.

`hostkit.storage.lifecycle.LayerDriver` does for every driver what must be the same
everywhere (names, states, locks, what a crash leaves); a driver in this project derives from
it. One from elsewhere need only fit `StorageDriver`; `hostkit.testing` proves that it does.
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from hostkit.storage.tar.reader import TarReader
from hostkit.system.mounts import Mountable
from hostkit.system.tree import Usage as Usage  # noqa: PLC0414 - part of the contract
from hostkit.value import NamedTuple


class State(Enum):
    """How far a layer is."""

    ACTIVE = "active"  # may be written
    COMMITTED = "committed"  # never changes again
    FOREIGN = "foreign"  # another engine's: read, never written or removed


class Layer(NamedTuple):
    """One layer as the driver knows it."""

    id: str
    parent: str | None
    state: State
    read_write: bool = False
    size_limit: int | None = None  # bytes


class ChangeKind(Enum):
    """As `docker diff` writes it."""

    ADDED = "A"
    MODIFIED = "C"
    DELETED = "D"


class Change(NamedTuple):
    """One difference between a layer and its parent; the path begins with a slash."""

    kind: ChangeKind
    path: bytes


class Issue(NamedTuple):
    """Something wrong with a store: `repair` is what `repair()` would do, "" for nothing."""

    code: str  # a problem of the catalogue where there is one
    subject: str  # the layer, file or device it is about
    text: str
    repair: str = ""


class Capabilities(NamedTuple):
    """What a driver can do here; a caller asks instead of knowing drivers by name."""

    native_diff: bool = False  # a diff costs what changed, not what there is
    size_limit: bool = False  # `create(size=...)` is enforced
    block_backed: bool = False  # a layer is a file system of its own
    shares_page_cache: bool = False  # two containers of one image share its memory
    reflink: bool = False  # a copy shares blocks until it is written
    max_depth: int = 125  # layers in one chain, as Docker has it


class Mount(Protocol):
    """A mounted layer: `path` is its root folder until `close()` or the end of `with`."""

    path: str

    def close(self) -> None:
        """Give it back; the last user unmounts. A second call does nothing."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...


class StorageDriver(Protocol):
    """One open store. Every method may raise StorageError or OSError and then changed nothing.

    Ids are 1 to 128 of `a-z 0-9 _ . -`, beginning with a letter or digit.
    """

    name: str  # as in Docker's data root: overlay2, devicemapper
    home: str  # ROOT/NAME
    capabilities: Capabilities

    def create(
        self,
        layer: str,
        parent: str | None = None,
        *,
        read_write: bool = False,
        size: int | None = None,
    ) -> None:
        """Make an empty active layer on a committed parent."""
        ...

    def commit(self, layer: str) -> None:
        """Make a layer immutable; when this returns it outlives a power cut."""
        ...

    def remove(self, layer: str) -> None:
        """Remove a layer that nobody uses and nothing stands on."""
        ...

    def exists(self, layer: str) -> bool: ...

    def layers(self) -> Iterator[Layer]:
        """Every layer, parents before children."""
        ...

    def info(self, layer: str) -> Layer: ...

    def mount(self, layer: str, *, read_only: bool = False) -> Mount:
        """Mount a layer in this mount namespace; a committed one is always read-only."""
        ...

    def mount_spec(self, layer: str, *, read_only: bool = False) -> Mountable:
        """How somebody who holds the layer mounts it elsewhere."""
        ...

    def hold(self, layer: str) -> Mount:
        """Keep a layer from being removed, without mounting it; `path` is empty."""
        ...

    def changes(self, layer: str) -> Iterator[Change]:
        """What differs from the parent, sorted by path."""
        ...

    def diff(self, layer: str, sink: BinaryIO) -> None:
        """Write what differs from the parent as an uncompressed tar with `.wh.` whiteouts."""
        ...

    def apply_diff(self, layer: str, tar: TarReader) -> int:
        """Unpack a layer tar into an active layer; the bytes of file content."""
        ...

    def usage(self, layer: str) -> Usage: ...

    def metadata(self, layer: str) -> Mapping[str, str]:
        """What `docker inspect` shows as GraphDriver.Data."""
        ...

    def status(self) -> list[tuple[str, str]]:
        """What `docker info` shows of a driver."""
        ...

    def check(self) -> Iterator[Issue]:
        """What is wrong with the store; changes nothing."""
        ...

    def repair(self, issue: Issue) -> None:
        """Do what the issue's `repair` says."""
        ...

    def cleanup(self) -> None:
        """Unmount what nobody uses any more and finish removals that were cut short."""
        ...

    def close(self) -> None: ...
