# SPDX-License-Identifier: GPL-3.0-or-later
# The library brings no types, so its one wrapper is checked less strictly.
# pyright: basic, reportMissingModuleSource=false
"""pyudev: block devices with what the udev database knows of their contents."""

import os
from typing import Any

import pyudev

_SECTOR = 512


def block_devices() -> list[dict[str, Any]]:
    """Each block device; sizes in bytes. Raises ImportError without libudev."""
    context = pyudev.Context()
    return [_device(device) for device in context.list_devices(subsystem="block")]


def _device(device: Any) -> dict[str, Any]:
    properties, folder = device.properties, device.sys_path
    number = device.device_number
    parent = device.find_parent("block", "disk") if device.device_type == "partition" else None
    below = [parent.sys_name] if parent is not None else _names(f"{folder}/slaves")
    return {
        "name": device.sys_name,
        "number": [os.major(number), os.minor(number)],
        "type": device.device_type or "",
        "size": int(_attribute(device, "size") or "0") * _SECTOR,
        "read_only": _attribute(device, "ro") == "1",
        "removable": _attribute(device, "removable") == "1",
        "below": below,
        "dm_name": properties.get("DM_NAME") or _attribute(device, "dm/name"),
        "dm_uuid": properties.get("DM_UUID") or _attribute(device, "dm/uuid"),
        "fstype": properties.get("ID_FS_TYPE") or "",
    }


def _attribute(device: Any, name: str) -> str:
    value = device.attributes.get(name)
    return value.decode("utf-8", "replace").strip() if isinstance(value, bytes) else ""


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
