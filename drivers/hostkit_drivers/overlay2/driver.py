# SPDX-License-Identifier: GPL-3.0-or-later
"""overlay2 as Docker lays it out.

`overlay2/ID/diff` is what a layer adds; `ID/link` a short name, so that many layers fit into
one page of mount options; `l/SHORT` a symbolic link to it; `ID/lower` the short names of all
layers below, nearest first; `ID/work` and `ID/merged` serve the mount. (moby,
daemon/graphdriver/overlay2)
"""

import base64
import os
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from hostkit.storage import options as sizes
from hostkit.storage import treediff
from hostkit.storage.driver import Capabilities, Change, Issue, Usage
from hostkit.storage.errors import Damaged, StorageError, Unsupported
from hostkit.storage.home import Phase, Record
from hostkit.storage.lifecycle import LayerDriver
from hostkit.storage.options import refuse_unknown
from hostkit.storage.tar.reader import TarReader
from hostkit.storage.unpack import Whiteouts, unpack
from hostkit.system import mounts, quota
from hostkit.system.copy import copy_look
from hostkit.system.mounts import Mountable, MountSpec
from hostkit.system.overlay import MOST_LOWER, OverlaySpec, most_lower
from hostkit.system.syscalls import MS_BIND, MS_RDONLY
from hostkit.system.tree import remove_tree, tree_usage
from hostkit_drivers.overlay2 import checkup, trial
from hostkit_drivers.overlay2.links import OWN_FOLDERS, Links

_LINK_BYTES = 16  # 26 letters, as Docker's
_SIZE = "overlay2.size"
_NAMES = {"ext2": "extfs", "ext3": "extfs", "ext4": "extfs"}  # as `docker info` says it
_OWN_ATTRIBUTES = "trusted.overlay."  # what the kernel notes on an upper folder
_FIRST_PROJECT = 1 << 20  # away from the numbers of administrators and of Docker


class Overlay2(LayerDriver):
    """Layers are folders: cheap to make, and containers of one image share its page cache."""

    name = "overlay2"
    side_by_side = True

    def __init__(
        self, root: str, options: Mapping[str, str] | None = None, *, read_only: bool = False
    ) -> None:
        """Raises Unsupported where overlayfs does not work, having tried."""
        given = options or {}
        refuse_unknown(self.name, given, (_SIZE,))
        self._default_size = sizes.size(given[_SIZE]) if _SIZE in given else None
        super().__init__(root, read_only=read_only)
        self._links = Links(self.home, read_only=read_only)
        self._tried: trial.Trial | None = None
        self._quota = False
        if not read_only:
            os.makedirs(f"{self.home}/l", mode=0o700, exist_ok=True)
            with self._home.changing():
                self._tried = trial.attempt(f"{self.home}/.hostkit/trial")
            self._quota = quota.available(self.home)
        if self._default_size is not None and not self._quota and not read_only:
            held = mounts.holding(self.home)
            raise Unsupported(
                f"{_SIZE} needs project quotas, which {held.fstype} at {held.point} does not keep",
                "mount it with pquota (xfs) or prjquota (ext4)",
            )
        self._options = self._tried.options if self._tried else trial.options()
        self._user = self._tried.user if self._tried else trial.in_user_namespace()
        self.capabilities = Capabilities(
            native_diff=self._tried is None or self._tried.native_diff,
            shares_page_cache=True,
            size_limit=self._quota,
            max_depth=MOST_LOWER if read_only else most_lower(),
        )

    def _plan(self, record: Record) -> Record:
        if record.id in OWN_FOLDERS:
            raise StorageError(f"{record.id} is a folder of overlay2's own", "name it differently")
        short = base64.b32encode(os.urandom(_LINK_BYTES)).decode().rstrip("=")
        size = record.size
        if size is None and record.read_write:
            size = self._default_size
        project = f" {self._free_project()}" if size is not None else ""
        return record._replace(key=short + project, size=size)

    def _make(self, record: Record) -> Record:
        folder = self._links.folder(record.id)
        os.mkdir(folder, 0o710)
        if record.size is not None:
            quota.limit(folder, _project(record), record.size)
        os.mkdir(f"{folder}/diff", 0o755)
        os.chmod(f"{folder}/diff", 0o755)  # noqa: S103 - what a root has, whatever the umask
        lower: list[str] = []
        if record.parent is not None:
            lower = self._with_below(record.parent)
            most = self.capabilities.max_depth
            if len(lower) >= most:  # what stands on this one will need it as a lower one too
                raise StorageError(f"{len(lower)} layers lie below, the kernel joins {most}")
            os.mkdir(f"{folder}/work", 0o700)
            _touch(f"{self._links.folder(record.parent)}/committed")
            # Of all layers' root folders a mount shows the topmost.
            copy_look(self._links.diff(record.parent), f"{folder}/diff", but=_OWN_ATTRIBUTES)
        self._links.make(record.id, _short(record), lower)
        if not self._home.in_order:  # else they are on the disk with the record
            self._flush(record)
        return record

    def _discard(self, record: Record) -> None:
        try:
            short = _short(record) or self._links.short(record.id)
        except (OSError, Damaged):  # it never got that far; `check` names what it left in l/
            short = ""
        if short:
            self._links.unlink(short)
        remove_tree(self._links.folder(record.id))

    def _spec(self, record: Record, *, read_only: bool) -> Mountable:
        lower = tuple(self._lower(record))
        diff = f"{record.id}/diff"
        if not lower:
            flags = MS_BIND | (MS_RDONLY if read_only else 0)
            return MountSpec(self._links.diff(record.id), "", flags)
        if read_only:
            own = record.phase is not Phase.FOREIGN
            options = self._options if own else checkup.following(self._options)
            return OverlaySpec(self.home, (diff, *lower), options=options)
        return OverlaySpec(self.home, lower, diff, f"{record.id}/work", self._options)

    def _mount_point(self, layer: str) -> str:
        return f"{self._links.folder(layer)}/merged"

    def _foreign(self) -> Iterator[Record]:
        own = set(self._home.ids())
        for name in self._links.folders():
            if name not in own:
                found = self._foreign_layer(name)
                if found is not None:
                    yield found

    def _foreign_layer(self, layer: str) -> Record | None:
        if not self._links.is_layer(layer):
            return None
        parent = self.told_parents.get(layer) or self._links.parent(layer)
        return Record(layer, parent, Phase.FOREIGN, read_write=False, size=None)

    # Differences: the upper folder is one already.

    def changes(self, layer: str) -> Iterator[Change]:
        """What differs from the parent, sorted by path."""
        with self.hold(layer):
            record = self._lookup(layer)
            if self._is_native(record):
                yield from treediff.upper_changes(self._links.diff(layer), self._below(record))
                return
        yield from super().changes(layer)

    def diff(self, layer: str, sink: BinaryIO) -> None:
        """Write what differs from the parent as a layer tar."""
        with self.hold(layer):
            record = self._lookup(layer)
            if self._is_native(record):
                treediff.write_upper(self._links.diff(layer), sink, self._below(record))
                return
        super().diff(layer, sink)

    def _is_native(self, record: Record) -> bool:
        """Whether a layer's upper folder says all that differs.

        Not where another engine's mount has put pointers into it, or this kernel would.
        """
        if not self.capabilities.native_diff:
            return False
        if record.phase is not Phase.FOREIGN:
            return True
        pointer = checkup.pointer_in(self._links.diff(record.id))
        if pointer and self.read_only:
            raise Unsupported(
                f"layer {record.id} has {pointer}: parts of it lie in the layers below",
                "it can only be read through a mount: open the store to be written",
            )
        return not pointer

    def apply_diff(self, layer: str, tar: TarReader) -> int:
        """Unpack a layer tar into the upper folder of an active layer."""
        record = self._own(layer, Phase.ACTIVE)
        kind = Whiteouts.REMOVE
        if record.parent is not None:
            kind = Whiteouts.OVERLAY_USER if self._user else Whiteouts.OVERLAY
        with self.hold(layer):
            return unpack(tar, self._links.diff(layer), kind, self._below(record))

    # The store as a whole.

    def usage(self, layer: str) -> Usage:
        """The upper folder."""
        return tree_usage(self._links.diff(self.info(layer).id))

    def metadata(self, layer: str) -> Mapping[str, str]:
        """The folders, as `docker inspect` names them."""
        record = self._lookup(layer)
        folder = self._links.folder(layer)
        found = {"UpperDir": f"{folder}/diff", "MergedDir": f"{folder}/merged"}
        below = self._below(record)
        if below:
            found["WorkDir"] = f"{folder}/work"
            found["LowerDir"] = ":".join(below)
        return found

    def status(self) -> list[tuple[str, str]]:
        """What `docker info` shows of it."""
        fstype = mounts.holding(self.home).fstype
        types = self._tried is not None or trial.gives_types(self.home)
        native = _word(self._tried.native_diff) if self._tried else "not tried"
        return [
            ("Backing Filesystem", _NAMES.get(fstype, fstype)),
            ("Supports d_type", _word(types)),
            ("Native Overlay Diff", native),
            ("userxattr", _word(self._user)),
        ]

    def check(self) -> Iterator[Issue]:
        """Short names that lead nowhere, as a power cut leaves them (moby issue 35747)."""
        yield from super().check()
        yield from checkup.check(self._links, self._everything())

    def repair(self, issue: Issue) -> None:
        """Do what the issue's `repair` says."""
        if not issue.code.startswith(checkup.PREFIX):
            super().repair(issue)
            return
        with self._home.changing():
            checkup.repair(self._links, issue, {one.id: one for one in self._everything()})

    def _everything(self) -> list[Record]:
        return [*self._readable(), *self._foreign()]

    # Small words.

    def _lower(self, record: Record) -> list[str]:
        """The layers below as `l/SHORT`; from the records where a power cut took the file."""
        try:
            found = self._links.lower(record.id)
        except Damaged:
            if record.parent is None:
                raise
            return self._with_below(record.parent)
        if not found and record.parent is not None:
            return self._with_below(record.parent)
        return found

    def _with_below(self, layer: str) -> list[str]:
        """A layer and those below it as `l/SHORT`."""
        record = self._lookup(layer)
        return [f"l/{_short(record) or self._links.short(layer)}", *self._lower(record)]

    def _below(self, record: Record) -> list[str]:
        """The folders of the layers below. Raises Damaged."""
        found: list[str] = []
        for name in self._lower(record):
            owner = self._links.owner(name)
            if owner is None:
                raise Damaged(
                    f"layer {record.id}: {name} leads nowhere",
                    "`hostkit storage check` says what can be done",
                )
            found.append(self._links.diff(owner))
        return found

    def _free_project(self) -> int:
        """A number for a quota that no layer has; called while `changing`."""
        used = {_project(record) for record in self._home.records()}
        for name in self._links.folders():
            try:
                used.add(quota.project(self._links.folder(name)))
            except OSError:  # removed meanwhile
                continue
        free = max(used, default=0) + 1
        if free >= 1 << 32:
            raise StorageError("no number is left for another quota")
        return max(free, _FIRST_PROJECT)


def _short(record: Record) -> str:
    return record.key.partition(" ")[0]


def _project(record: Record) -> int:
    number = record.key.partition(" ")[2]
    return int(number) if number.isdecimal() else 0


def _word(value: bool) -> str:
    return "true" if value else "false"


def _touch(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
