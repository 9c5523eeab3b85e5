# SPDX-License-Identifier: GPL-3.0-or-later
"""overlay2: layers as folders, joined by the kernel's overlay file system."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hostkit.storage.plugin import DRIVER_API, DriverPlugin
from hostkit_drivers.overlay2.fitness import fitness

if TYPE_CHECKING:
    from hostkit.storage.driver import StorageDriver


def _open(root: str, options: Mapping[str, str], read_only: bool) -> "StorageDriver":
    from hostkit_drivers.overlay2.driver import Overlay2  # noqa: PLC0415 - a preflight only judges

    driver = Overlay2(root, options, read_only=read_only)
    if not read_only:
        driver.recover()
    return driver


PLUGIN = DriverPlugin(DRIVER_API, "overlay2", "Overlay file system", fitness, "overlay2", _open)
