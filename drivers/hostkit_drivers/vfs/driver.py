# SPDX-License-Identifier: GPL-3.0-or-later
"""vfs as Docker lays it out: `vfs/dir/ID` is the whole tree of a layer."""

import os
from collections.abc import Iterator, Mapping

from hostkit.storage.driver import Capabilities, Usage
from hostkit.storage.home import Phase, Record
from hostkit.storage.lifecycle import LayerDriver
from hostkit.storage.options import refuse_unknown
from hostkit.system.copy import copy_tree
from hostkit.system.mounts import MountSpec
from hostkit.system.syscalls import MS_BIND, MS_RDONLY
from hostkit.system.tree import remove_tree, tree_usage


class Vfs(LayerDriver):
    """Works on every file system; a layer costs what all layers below it hold."""

    name = "vfs"

    def __init__(
        self, root: str, options: Mapping[str, str] | None = None, *, read_only: bool = False
    ) -> None:
        refuse_unknown(self.name, options or {}, ())
        super().__init__(root, read_only=read_only)
        self.capabilities = Capabilities()
        if not read_only:
            os.makedirs(f"{self.home}/dir", mode=0o700, exist_ok=True)

    def _make(self, record: Record) -> Record:
        path = self._tree(record.id)
        if record.parent is None:
            os.mkdir(path, 0o755)
            os.chmod(path, 0o755)  # noqa: S103 - what every layer root has, whatever the umask
        else:
            copy_tree(self._tree(record.parent), path)
        return record

    def _discard(self, record: Record) -> None:
        remove_tree(self._tree(record.id))

    def _spec(self, record: Record, *, read_only: bool) -> MountSpec:
        return MountSpec(self._tree(record.id), "", MS_BIND | (MS_RDONLY if read_only else 0))

    def _mount_point(self, layer: str) -> str:
        return f"{self.home}/.hostkit/mnt/{layer}"

    def _foreign(self) -> Iterator[Record]:
        own = {record.id for record in self._home.records()}
        try:
            names = sorted(os.listdir(f"{self.home}/dir"))
        except FileNotFoundError:
            return
        for name in names:
            if name not in own:
                # Docker's vfs keeps no parents; its layer store does.
                yield Record(name, None, Phase.FOREIGN, read_write=False, size=None)

    def usage(self, layer: str) -> Usage:
        """The whole tree: nothing is shared, unless the file system does it."""
        return tree_usage(self._tree(self.info(layer).id))

    def _tree(self, layer: str) -> str:
        return f"{self.home}/dir/{layer}"
