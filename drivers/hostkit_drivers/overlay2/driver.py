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

from hostkit import files
from hostkit.storage import treediff
from hostkit.storage.driver import Capabilities, Change, Issue, Usage
from hostkit.storage.errors import Damaged
from hostkit.storage.home import Phase, Record
from hostkit.storage.lifecycle import LayerDriver
from hostkit.storage.options import refuse_unknown
from hostkit.storage.tar.reader import TarReader
from hostkit.storage.unpack import Whiteouts, unpack
from hostkit.system.mounts import Mountable, MountSpec
from hostkit.system.overlay import MOST_LOWER, OverlaySpec
from hostkit.system.syscalls import MS_BIND, MS_RDONLY
from hostkit.system.tree import remove_tree, tree_usage

_LINK_BYTES = 16  # 26 letters, as Docker's
_LOWER_LIMIT = 1 << 16
_PARAMETERS = "/sys/module/overlay/parameters"
# Each would put into an upper folder what only this mount understands.
_OFF = ("index", "metacopy", "redirect_dir")


class Overlay2(LayerDriver):
    """Layers are folders: cheap to make, and containers of one image share its page cache."""

    name = "overlay2"

    def __init__(
        self, root: str, options: Mapping[str, str] | None = None, *, read_only: bool = False
    ) -> None:
        refuse_unknown(self.name, options or {}, ())
        super().__init__(root, read_only=read_only)
        self.capabilities = Capabilities(
            native_diff=True, shares_page_cache=True, max_depth=MOST_LOWER
        )
        if not read_only:
            os.makedirs(f"{self.home}/l", mode=0o700, exist_ok=True)

    def _make(self, record: Record) -> Record:
        folder = self._folder(record.id)
        short = base64.b32encode(os.urandom(_LINK_BYTES)).decode().rstrip("=")
        os.mkdir(folder, 0o710)
        os.mkdir(f"{folder}/diff", 0o755)
        os.chmod(f"{folder}/diff", 0o755)  # noqa: S103 - what a root has, whatever the umask
        os.symlink(f"../{record.id}/diff", f"{self.home}/l/{short}")
        files.write_atomic(f"{folder}/link", short.encode())
        if record.parent is not None:
            below = [f"l/{self._short(record.parent)}", *self._lower(record.parent)]
            os.mkdir(f"{folder}/work", 0o700)
            files.write_atomic(f"{folder}/lower", ":".join(below).encode())
            _touch(f"{self._folder(record.parent)}/committed")
        return record._replace(key=short)

    def _discard(self, record: Record) -> None:
        folder = self._folder(record.id)
        try:
            short = record.key or self._short(record.id)
        except (OSError, Damaged):  # it never got that far
            short = ""
        if short:
            _unlink(f"{self.home}/l/{short}")
        remove_tree(folder)

    def _spec(self, record: Record, *, read_only: bool) -> Mountable:
        lower = tuple(self._lower(record.id))
        diff = f"{record.id}/diff"
        if not lower:
            return MountSpec(f"{self.home}/{diff}", "", MS_BIND | (MS_RDONLY if read_only else 0))
        options = tuple(f"{name}=off" for name in _OFF if os.path.exists(f"{_PARAMETERS}/{name}"))
        if read_only:
            return OverlaySpec(self.home, (diff, *lower), options=options)
        return OverlaySpec(self.home, lower, diff, f"{record.id}/work", options)

    def _mount_point(self, layer: str) -> str:
        return f"{self._folder(layer)}/merged"

    def _foreign(self) -> Iterator[Record]:
        own = {record.id for record in self._home.records()}
        try:
            names = sorted(os.listdir(self.home))
        except FileNotFoundError:
            return
        shorts = {self._short_or_none(name): name for name in names}
        for name in names:
            if name in own or name in ("l", ".hostkit") or not os.path.isdir(self._folder(name)):
                continue
            lower = self._lower(name)
            parent = shorts.get(lower[0].removeprefix("l/")) if lower else None
            yield Record(name, parent, Phase.FOREIGN, read_write=False, size=None)

    # Differences: the upper folder is one already.

    def changes(self, layer: str) -> Iterator[Change]:
        """What differs from the parent, sorted by path."""
        return super().changes(layer)

    def diff(self, layer: str, sink: BinaryIO) -> None:
        """Write what differs from the parent as a layer tar."""
        with self.hold(layer):
            treediff.write_upper(f"{self._folder(layer)}/diff", sink)

    def apply_diff(self, layer: str, tar: TarReader) -> int:
        """Unpack a layer tar into the upper folder of an active layer."""
        record = self._own(layer, Phase.ACTIVE)
        with self.hold(layer):
            kind = Whiteouts.OVERLAY if record.parent is not None else Whiteouts.REMOVE
            return unpack(tar, f"{self._folder(layer)}/diff", kind)

    # The store as a whole.

    def usage(self, layer: str) -> Usage:
        """The upper folder."""
        return tree_usage(f"{self._folder(self.info(layer).id)}/diff")

    def metadata(self, layer: str) -> Mapping[str, str]:
        """The folders, as `docker inspect` names them."""
        folder = self._folder(self.info(layer).id)
        found = {"UpperDir": f"{folder}/diff", "MergedDir": f"{folder}/merged"}
        lower = self._lower(layer)
        if lower:
            found["WorkDir"] = f"{folder}/work"
            found["LowerDir"] = ":".join(os.path.realpath(f"{self.home}/{one}") for one in lower)
        return found

    def check(self) -> Iterator[Issue]:
        """Short names that lead nowhere, as a power cut leaves them (moby issue 35747)."""
        yield from super().check()
        for layer in self.layers():
            folder = self._folder(layer.id)
            try:
                target = os.readlink(f"{self.home}/l/{self._short(layer.id)}")
            except (OSError, Damaged) as problem:
                yield Issue(
                    "overlay2-link-broken", layer.id, str(problem), "make its short name anew"
                )
                continue
            if target != f"../{layer.id}/diff":
                yield Issue("overlay2-link-broken", layer.id, f"its short name leads to {target}")
            if not os.path.isdir(f"{folder}/diff"):
                yield Issue("overlay2-diff-missing", layer.id, f"{folder}/diff is not there")

    # Small words.

    def _folder(self, layer: str) -> str:
        return f"{self.home}/{layer}"

    def _short(self, layer: str) -> str:
        path = f"{self._folder(layer)}/link"
        short = files.read_bounded(path, 64)[0].decode("ascii", "replace")
        if not short.isalnum():
            raise Damaged(f"{path} is damaged: {short!r}", "see `hostkit storage check`")
        return short

    def _short_or_none(self, layer: str) -> str | None:
        try:
            return self._short(layer)
        except (OSError, Damaged):
            return None

    def _lower(self, layer: str) -> list[str]:
        """The layers below as `l/SHORT`, nearest first."""
        path = f"{self._folder(layer)}/lower"
        try:
            data, more = files.read_bounded(path, _LOWER_LIMIT)
        except FileNotFoundError:
            return []
        names = data.decode("ascii", "replace").split(":")
        if more or not all(name[:2] == "l/" and name[2:].isalnum() for name in names):
            raise Damaged(f"{path} is damaged", "see `hostkit storage check`")
        return names


def _touch(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
