# SPDX-License-Identifier: GPL-3.0-or-later
"""vfs: each layer is a full copy of the one below."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hostkit.storage.plugin import DRIVER_API, DriverPlugin
from hostkit_drivers.vfs.fitness import fitness

if TYPE_CHECKING:
    from hostkit.storage.driver import StorageDriver


def _open(root: str, options: Mapping[str, str], read_only: bool) -> "StorageDriver":
    from hostkit_drivers.vfs.driver import Vfs  # noqa: PLC0415 - a preflight only judges

    driver = Vfs(root, options, read_only=read_only)
    if not read_only:
        driver.recover()
    return driver


PLUGIN = DriverPlugin(DRIVER_API, "vfs", "Plain copies", fitness, "vfs", _open)
