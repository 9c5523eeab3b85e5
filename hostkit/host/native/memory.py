# SPDX-License-Identifier: GPL-3.0-or-later
# The library brings no types, so its one wrapper is checked less strictly.
# pyright: basic, reportMissingModuleSource=false
"""psutil: memory and swap, mounted disks, processes."""

from typing import Any

import psutil


def memory() -> dict[str, dict[str, int]]:
    """Bytes: `memory` and `swap`, each with total, and available or free."""
    ram, swap = psutil.virtual_memory(), psutil.swap_memory()
    return {
        "memory": {"total": ram.total, "available": ram.available},
        "swap": {"total": swap.total, "free": swap.free},
    }


def disks() -> list[dict[str, str]]:
    """What is mounted from a disk. Nothing is asked of the file systems, which could hang."""
    return [
        {"device": one.device, "mountpoint": one.mountpoint, "fstype": one.fstype}
        for one in psutil.disk_partitions(all=False)
    ]


def processes() -> list[dict[str, Any]]:
    """Every process: its number, its parent's, its name; no command lines, for their secrets."""
    found: list[dict[str, Any]] = []
    for one in psutil.process_iter(["pid", "ppid", "name"]):
        info: dict[str, Any] = one.info
        found.append({"pid": info["pid"], "ppid": info["ppid"], "name": info["name"]})
    return found
