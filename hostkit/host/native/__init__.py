# SPDX-License-Identifier: GPL-3.0-or-later
"""What the project's libraries know of a live machine, as plain JSON values.

One module a library (psutil, pyudev, blkinfo, pyroute2), imported when it is asked for:
pyroute2 alone takes longer to import than a whole preflight.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from hostkit import text
from hostkit.host.answer import Absent, Answer, Known, Unreadable

# Source -> the module that wraps the library, and its function.
SOURCES: Mapping[str, tuple[str, str]] = {
    "blkinfo.disks": ("disks", "disks"),
    "psutil.disks": ("memory", "disks"),
    "psutil.memory": ("memory", "memory"),
    "psutil.processes": ("memory", "processes"),
    "pyroute2.addresses": ("links", "addresses"),
    "pyroute2.links": ("links", "links"),
    "pyroute2.routes": ("links", "routes"),
    "pyudev.block": ("udev", "block_devices"),
}


def ask(source: str) -> Answer[Any]:
    """The answer of one native source, named `library.topic`."""
    if source not in SOURCES:
        return Absent(source, "no such native source")
    module, function = SOURCES[source]
    try:
        return Known(getattr(import_module(f"{__name__}.{module}"), function)(), source)
    except ImportError as error:  # pyudev raises it also when libudev is not installed
        return Absent(source, text.printable(f"cannot be loaded: {error}"))
    except Exception as error:  # noqa: BLE001 - a library may fail in any way; the host is not to blame
        reason = text.shorten(text.printable(f"{type(error).__name__}: {error}"), 200)
        return Unreadable(source, reason)
