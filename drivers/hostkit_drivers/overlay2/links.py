# SPDX-License-Identifier: GPL-3.0-or-later
"""The short names of overlay2's layers, and which layers are below which.

`ID/link` has the short name, `l/SHORT` leads to `../ID/diff`, and `ID/lower` names all layers
below as `l/SHORT`, nearest first.
"""

import os
import re

from hostkit import files
from hostkit.storage import untouched
from hostkit.storage.errors import Damaged

_SHORT = r"[A-Z2-7]{26}"
_ANY_SHORT = r"[A-Za-z0-9]{1,64}"
_LOWER_LIMIT = 1 << 16
_HINT = "`hostkit storage check` says what can be done"
OWN_FOLDERS = ("l", ".hostkit")


class Links:
    """Those of one home."""

    def __init__(self, home: str, *, read_only: bool) -> None:
        self.home = home
        self._read_only = read_only
        self._owners: dict[str, str] = {}

    def folder(self, layer: str) -> str:
        """All that there is of a layer."""
        return f"{self.home}/{layer}"

    def diff(self, layer: str) -> str:
        """What a layer adds to those below."""
        return f"{self.home}/{layer}/diff"

    def folders(self) -> list[str]:
        """The names of all folders that may be layers."""
        try:
            found = untouched.names(self.home)
        except FileNotFoundError:
            return []
        return sorted(
            name for name in found if name not in OWN_FOLDERS and os.path.isdir(self.folder(name))
        )

    def is_layer(self, name: str) -> bool:
        """Whether there is a layer of that name, ours or another engine's."""
        return name not in OWN_FOLDERS and os.path.isdir(self.diff(name))

    def short(self, layer: str) -> str:
        """A layer's short name. Raises OSError, Damaged."""
        path = f"{self.folder(layer)}/link"
        short = untouched.read(path, 64).decode("ascii", "replace")
        if not re.fullmatch(_ANY_SHORT, short):
            raise Damaged(f"{path} is damaged: {short!r}", _HINT)
        return short

    def lower(self, layer: str) -> list[str]:
        """The layers below as `l/SHORT`, nearest first. Raises Damaged."""
        path = f"{self.folder(layer)}/lower"
        try:
            data = untouched.read(path, _LOWER_LIMIT)
        except FileNotFoundError:
            return []
        names = data.decode("ascii", "replace").strip("\n").split(":")
        if not all(name[:2] == "l/" and re.fullmatch(_ANY_SHORT, name[2:]) for name in names):
            raise Damaged(f"{path} is damaged", _HINT)
        return names

    def owner(self, name: str) -> str | None:
        """The layer that a name `l/SHORT` leads to; None when it leads nowhere."""
        short = name.removeprefix("l/")
        if not self._read_only:
            found = _target(f"{self.home}/l/{short}")
            if found is not None:
                return found
        # Reading a symbolic link changes its time of access; the layers know their names too.
        if short not in self._owners:
            self._owners = self.owners()
        return self._owners.get(short)

    def owners(self) -> dict[str, str]:
        """The layer of every short name, as the layers have it."""
        found: dict[str, str] = {}
        for layer in self.folders():
            try:
                found[self.short(layer)] = layer
            except (OSError, Damaged):
                continue
        return found

    def parent(self, layer: str) -> str | None:
        """The layer below, None for none or an unknown one."""
        try:
            below = self.lower(layer)
        except (OSError, Damaged):
            return None
        return self.owner(below[0]) if below else None

    def is_linked(self, layer: str, short: str) -> bool:
        """Whether `l/SHORT` leads to a layer."""
        path = f"{self.home}/l/{short}"
        wanted = f"../{layer}/diff"
        if self._read_only:
            try:
                return os.lstat(path).st_size == len(wanted)
            except OSError:
                return False
        return _target(path) == layer

    def strays(self) -> list[str]:
        """Short names that no layer has."""
        try:
            names = untouched.names(f"{self.home}/l")
        except FileNotFoundError:
            return []
        known = self.owners()
        return sorted(name for name in names if name not in known)

    # Changes.

    def make(self, layer: str, short: str, lower: list[str]) -> None:
        """Write the names of a layer whose folder is there."""
        os.symlink(f"../{layer}/diff", f"{self.home}/l/{short}")
        _write(f"{self.folder(layer)}/link", short)
        if lower:
            _write(f"{self.folder(layer)}/lower", ":".join(lower))

    def remake(self, layer: str, short: str) -> None:
        """A layer's short name anew, whatever is there."""
        path = f"{self.home}/l/{short}"
        os.makedirs(f"{self.home}/l", mode=0o700, exist_ok=True)
        self.unlink(short)
        os.symlink(f"../{layer}/diff", path)
        files.sync_folder(f"{self.home}/l")
        files.write_atomic(f"{self.folder(layer)}/link", short.encode())

    def put_lower(self, layer: str, lower: list[str]) -> None:
        """The layers below anew."""
        files.write_atomic(f"{self.folder(layer)}/lower", ":".join(lower).encode())

    def unlink(self, short: str) -> None:
        """Take a short name away; none is no error."""
        try:
            os.unlink(f"{self.home}/l/{short}")
        except FileNotFoundError:
            pass


def is_short(text: str) -> bool:
    """Whether a text is a short name as they are made."""
    return re.fullmatch(_SHORT, text) is not None


def _target(path: str) -> str | None:
    try:
        target = os.readlink(path)
    except OSError:
        return None
    found = re.fullmatch(r"\.\./([^/]+)/diff", target)
    return found[1] if found else None


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        files.write_all(descriptor, text.encode())
    finally:
        os.close(descriptor)
