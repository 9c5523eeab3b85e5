# SPDX-License-Identifier: GPL-3.0-or-later
"""direct-lvm on a blank disk, as Docker documents it.

A physical volume, a group, two volumes of 95 and 1 percent of it made one thin pool, and a
profile by which dmeventd extends the pool. What was made is taken away again when a step
fails. `devicemapper/setup-config.json` says what was done, as dockerd's own set-up does; a
later change of it is refused, as there.
"""

import json
import os
from collections.abc import Mapping
from typing import cast

from hostkit import files
from hostkit.data import load_json
from hostkit.errors import InputError
from hostkit.process import find_program
from hostkit.storage.errors import Damaged, StorageError
from hostkit.system import lvm
from hostkit_drivers.devicemapper.options import Options

POOL = "thinpool"
_CHUNK = "512K"
_PROFILES = "/etc/lvm/profile"
_LIMIT = 1 << 16


def config_path(home: str) -> str:
    """Where it is noted how the pool was made."""
    return f"{home}/devicemapper/setup-config.json"


def volume_of(home: str, options: Options) -> str:
    """The pool that was set up before, "" for none. Raises StorageError for other options."""
    try:
        data, more = files.read_bounded(config_path(home), _LIMIT)
    except FileNotFoundError:
        return ""
    try:
        noted: object = load_json(b"" if more else data)
    except ValueError as problem:
        raise Damaged(f"{config_path(home)}: {problem}") from None
    wanted = _config(options)
    if isinstance(noted, dict):
        noted = cast("Mapping[str, object]", noted)
        # Docker's has no name of the group: it is always the same one.
        differing = [name for name in wanted if noted.get(name, wanted[name]) != wanted[name]]
        if options.device and differing:
            raise StorageError(
                f"the pool was set up with another {', '.join(differing)}",
                f"leave dm.directlvm_device out, or move {home} away to begin anew",
            )
        group = noted.get("Group", options.group)
        if isinstance(group, str):
            return _node(group)
    raise Damaged(f"{config_path(home)} is no object")


def _config(options: Options) -> dict[str, object]:
    return {
        "Device": options.device,
        "ThinpPercent": options.data_percent,
        "ThinpMetaPercent": options.metadata_percent,
        "AutoExtendPercent": options.extend_percent,
        "AutoExtendThreshold": options.extend_threshold,
        "Group": options.group,
    }


def _node(group: str) -> str:
    return f"/dev/mapper/{group.replace('-', '--')}-{POOL}"


def set_up(home: str, options: Options) -> str:
    """Make the pool; its path. Raises Refused, InputError, LvmFailed and leaves nothing."""
    device, group = options.device, options.group
    if not device:
        raise InputError(
            "direct-lvm needs a thin pool or a blank disk",
            "give dm.thinpooldev=/dev/mapper/VG-POOL, or dm.directlvm_device=/dev/DISK",
        )
    if find_program("thin_check") is None:
        raise InputError(
            "thin_check is not installed, without which LVM activates no pool",
            "install device-mapper-persistent-data or thin-provisioning-tools",
        )
    if not options.force:
        lvm.refuse_used(device)
    if any(row["vg_name"] == group for row in lvm.report("vgs", ("vg_name",))):
        raise InputError(f"there is a volume group {group} already", "give dm.directlvm_vg")
    undo: list[tuple[str, ...]] = []
    try:
        lvm.run("pvcreate", "-y", *(["-ff"] if options.force else []), device)
        undo.append(("pvremove", "-y", device))
        lvm.run("vgcreate", group, device)
        undo.append(("vgremove", "-f", group))
        _make_pool(group, options)
        os.makedirs(f"{home}/devicemapper", mode=0o700, exist_ok=True)
        files.write_atomic(config_path(home), json.dumps(_config(options)).encode(), 0o600)
    except BaseException:
        for argv in reversed(undo):
            lvm.run(*argv)
        raise
    return _node(group)


def _make_pool(group: str, options: Options) -> None:
    pool, metadata = f"{group}/{POOL}", f"{POOL}meta"
    make = ("lvcreate", "-y", "--wipesignatures", "y", group)
    lvm.run(*make, "-n", POOL, "-l", f"{options.data_percent}%VG")
    lvm.run(*make, "-n", metadata, "-l", f"{options.metadata_percent}%VG")
    chunk = f"{options.block_size // 1024}K" if options.block_size else _CHUNK
    convert = ("lvconvert", "-y", "--zero", "n", "-c", chunk)
    lvm.run(*convert, "--thinpool", pool, "--poolmetadata", f"{group}/{metadata}")
    # A full pool must tell its writers instead of holding them back for a minute first.
    lvm.run("lvchange", "--errorwhenfull", "y", pool)
    os.makedirs(_PROFILES, exist_ok=True)
    profile = f"{group}-{POOL}"
    files.write_atomic(f"{_PROFILES}/{profile}.profile", profile_text(options).encode())
    lvm.run("lvchange", "--metadataprofile", profile, pool)
    if not monitored(group):
        try:
            lvm.run("lvchange", "--monitor", "y", pool)
        except lvm.LvmFailed:  # no dmeventd: the pool serves, and `check` says what it lacks
            pass


def profile_text(options: Options) -> str:
    """What makes dmeventd extend the pool."""
    return (
        "activation {\n"
        f"\tthin_pool_autoextend_threshold={options.extend_threshold}\n"
        f"\tthin_pool_autoextend_percent={options.extend_percent}\n"
        "}\n"
    )


def monitored(group: str) -> bool:
    """Whether dmeventd watches the pool; without it the profile does nothing."""
    rows = lvm.report("lvs", ("lv_name", "seg_monitor"), group)
    return any(row["lv_name"] == POOL and row["seg_monitor"] == "monitored" for row in rows)
