# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver that is being proven, with a root of its own and words for what every case does."""

import io
import os
from collections.abc import Callable, Mapping

import pytest

from hostkit.storage.driver import Layer, StorageDriver
from hostkit.storage.errors import StorageError
from hostkit.storage.plugin import DriverPlugin
from hostkit.storage.tar.reader import TarReader
from hostkit.testing import trees

Fill = Callable[[str], object]
# Slow cases go all the way; `make soak` sets it.
THOROUGH = bool(os.environ.get("HOSTKIT_SOAK"))
REFUSALS = (StorageError, OSError)


class Subject:
    """One driver, one root. `driver` is open; `open` opens another at the same root."""

    def __init__(self, plugin: DriverPlugin, root: str, options: Mapping[str, str]) -> None:
        self.plugin = plugin
        self.root = root
        self.options = options
        self._opened: list[StorageDriver] = []
        self.driver = self.open()

    def open(self, *, read_only: bool = False, root: str = "") -> StorageDriver:
        """Another opening, as another program would make it; closed at the end of the case."""
        assert self.plugin.open is not None, f"{self.plugin.name} has no `open`"
        driver = self.plugin.open(root or self.root, self.options, read_only)
        self._opened.append(driver)
        return driver

    def reopen(self) -> StorageDriver:
        """Close the driver and open it anew."""
        self.driver.close()
        self.driver = self.open()
        return self.driver

    def close(self) -> None:
        """Close every driver that was opened."""
        while self._opened:
            self._opened.pop().close()

    def needs(self, capability: str) -> None:
        """Skip the case where the driver does not say that it can."""
        if not getattr(self.driver.capabilities, capability):
            pytest.skip(f"{self.plugin.name} has not the capability {capability}")

    def active(self, layer: str, parent: str | None = None, fill: Fill | None = None) -> None:
        """Make a layer and write into it through a mount."""
        self.driver.create(layer, parent)
        if fill is not None:
            self.write(layer, fill)

    def layer(self, layer: str, parent: str | None = None, fill: Fill | None = None) -> None:
        """The same, committed."""
        self.active(layer, parent, fill)
        self.driver.commit(layer)

    def write(self, layer: str, fill: Fill) -> None:
        """Change a layer through a mount."""
        with self.driver.mount(layer) as mount:
            fill(mount.path)

    def look(self, layer: str, *, top: bool = True) -> trees.Tree:
        """What a mount shows."""
        with self.driver.mount(layer, read_only=True) as mount:
            return trees.look(mount.path, top=top)

    def diff(self, layer: str) -> bytes:
        """The layer tar."""
        sink = io.BytesIO()
        self.driver.diff(layer, sink)
        return sink.getvalue()

    def apply(self, layer: str, tar: bytes) -> int:
        """Unpack a layer tar."""
        return self.driver.apply_diff(layer, TarReader(io.BytesIO(tar)))

    def copy(self, layer: str, name: str) -> None:
        """A second layer on the same parent, made of the first one's diff."""
        self.driver.create(name, self.driver.info(layer).parent)
        self.apply(name, self.diff(layer))

    def layers(self) -> dict[str, Layer]:
        """What there is, by id."""
        return {layer.id: layer for layer in self.driver.layers()}

    def remove_all(self) -> None:
        """Children first."""
        for layer in reversed(list(self.driver.layers())):
            self.driver.remove(layer.id)

    def issues(self) -> list[str]:
        """What `check` finds."""
        return [f"{one.code} {one.subject}: {one.text}" for one in self.driver.check()]


def refuses(what: str, action: Callable[[], object], kind: type[StorageError]) -> None:
    """The action must fail, and in that way."""
    try:
        action()
    except kind:
        return
    except REFUSALS as problem:
        pytest.fail(f"{what}: {kind.__name__} expected, got {problem!r}")
    pytest.fail(f"{what}: it was not refused")


def touching(*names: str, content: str = "") -> Fill:
    """Writes files of those names below a folder, and the folders they lie in."""

    def fill(path: str) -> None:
        for name in names:
            os.makedirs(os.path.dirname(f"{path}/{name}"), exist_ok=True)
            with open(f"{path}/{name}", "w") as file:
                file.write(content or name)

    return fill
