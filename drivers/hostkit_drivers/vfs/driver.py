# SPDX-License-Identifier: GPL-3.0-or-later
"""vfs as Docker lays it out: `vfs/dir/ID` is the whole tree of a layer."""

import os
import time
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from hostkit.storage import treediff, untouched
from hostkit.storage.driver import Capabilities, Change, Issue, Usage
from hostkit.storage.home import Phase, Record
from hostkit.storage.lifecycle import LayerDriver
from hostkit.storage.options import refuse_unknown
from hostkit.storage.tar.reader import TarReader
from hostkit.storage.treewalk import Copied
from hostkit.storage.unpack import Whiteouts, unpack
from hostkit.system import copy, mounts
from hostkit.system.mounts import MountSpec
from hostkit.system.syscalls import MS_BIND, MS_RDONLY
from hostkit.system.tree import remove_tree, tree_usage

_NAMES = {"ext2": "extfs", "ext3": "extfs", "ext4": "extfs"}  # as `docker info` says it


class Vfs(LayerDriver):
    """Works on every file system; a layer costs what all layers below it hold."""

    name = "vfs"
    side_by_side = True

    def __init__(
        self, root: str, options: Mapping[str, str] | None = None, *, read_only: bool = False
    ) -> None:
        refuse_unknown(self.name, options or {}, ())
        super().__init__(root, read_only=read_only)
        if not read_only:
            os.makedirs(f"{self.home}/dir", mode=0o700, exist_ok=True)
            with self._home.changing():
                self.capabilities = Capabilities(reflink=copy.can_share(f"{self.home}/.hostkit"))

    def _make(self, record: Record) -> Record:
        path = self._tree(record.id)
        if record.parent is None:
            os.mkdir(path, 0o755)
            os.chmod(path, 0o755)  # noqa: S103 - what every layer root has, whatever the umask
            return record
        begin = time.time_ns()
        copy.copy_tree(self._tree(record.parent), path)
        if record.read_write:  # it is never committed, and so never flushed
            self._flush(record)
        return record._replace(key=f"{begin} {time.time_ns()}")

    def _discard(self, record: Record) -> None:
        remove_tree(self._tree(record.id))

    def _spec(self, record: Record, *, read_only: bool) -> MountSpec:
        return MountSpec(self._tree(record.id), "", MS_BIND | (MS_RDONLY if read_only else 0))

    def _mount_point(self, layer: str) -> str:
        return f"{self.home}/.hostkit/mnt/{layer}"

    def _foreign(self) -> Iterator[Record]:
        own = set(self._home.ids())
        try:
            names = sorted(untouched.names(f"{self.home}/dir"))
        except FileNotFoundError:
            return
        for name in names:
            found = None if name in own else self._foreign_layer(name)
            if found is not None:
                yield found

    def _foreign_layer(self, layer: str) -> Record | None:
        if not os.path.isdir(self._tree(layer)):
            return None
        # Docker's vfs keeps no parents; its layer store does.
        parent = self.told_parents.get(layer)
        return Record(layer, parent, Phase.FOREIGN, read_write=False, size=None)

    # Differences: by comparing two trees, of which one was copied from the other.

    def changes(self, layer: str) -> Iterator[Change]:
        """What differs from the parent, sorted by path."""
        with self.hold(layer):
            record = self._lookup(layer)
            yield from treediff.changes(self._below(record), self._tree(layer), _copied(record))

    def diff(self, layer: str, sink: BinaryIO) -> None:
        """Write what differs from the parent as a layer tar."""
        with self.hold(layer):
            record = self._lookup(layer)
            treediff.write_diff(self._below(record), self._tree(layer), sink, _copied(record))

    def apply_diff(self, layer: str, tar: TarReader) -> int:
        """Unpack a layer tar into an active layer; the bytes of file content."""
        with self.hold(layer):
            self._own(layer, Phase.ACTIVE)
            return unpack(tar, self._tree(layer), Whiteouts.REMOVE)

    def _below(self, record: Record) -> str | None:
        return None if record.parent is None else self._tree(self._lookup(record.parent).id)

    # The store as a whole.

    def usage(self, layer: str) -> Usage:
        """The whole tree: nothing is shared, unless the file system does it."""
        return tree_usage(self._tree(self.info(layer).id))

    def status(self) -> list[tuple[str, str]]:
        """What lies below."""
        fstype = mounts.holding(self.home).fstype
        return [("Backing Filesystem", _NAMES.get(fstype, fstype))]

    def check(self) -> Iterator[Issue]:
        """Layers whose files are gone."""
        yield from super().check()
        for record in self._readable():
            if not os.path.isdir(self._tree(record.id)):
                yield Issue("vfs-tree-missing", record.id, f"{self._tree(record.id)} is not there")

    def _tree(self, layer: str) -> str:
        return f"{self.home}/dir/{layer}"


def _copied(record: Record) -> Copied | None:
    """When a layer was copied from its parent."""
    begin, _, end = record.key.partition(" ")
    return Copied(int(begin), int(end)) if begin.isdecimal() and end.isdecimal() else None
