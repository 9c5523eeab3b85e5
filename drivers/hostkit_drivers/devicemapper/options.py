# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of devicemapper in Docker's words, and one of our own."""

from collections.abc import Mapping

from hostkit.storage.errors import StorageError
from hostkit.storage.options import refuse_unknown, size
from hostkit.system.mkfs import KINDS
from hostkit.value import NamedTuple

_GIB = 1 << 30
_WHOLE = 100  # percent
SMALLEST_BLOCK, LARGEST_BLOCK = 64 << 10, 1 << 30
_YES, _NO = ("1", "t", "true"), ("0", "f", "false")

KNOWN = (
    "dm.basesize",
    "dm.loopdatasize",
    "dm.loopmetadatasize",
    "dm.fs",
    "dm.mkfsarg",
    "dm.mountopt",
    "dm.metadatadev",
    "dm.datadev",
    "dm.thinpooldev",
    "dm.blkdiscard",
    "dm.blocksize",
    "dm.override_udev_sync_check",  # nothing here waits for udev
    "dm.use_deferred_removal",
    "dm.use_deferred_deletion",
    "dm.min_free_space",
    "dm.xfs_nospace_max_retries",
    "dm.directlvm_device",
    "dm.directlvm_device_force",
    "dm.directlvm_vg",  # ours: Docker's group is always "docker"
    "dm.thinp_percent",
    "dm.thinp_metapercent",
    "dm.thinp_autoextend_percent",
    "dm.thinp_autoextend_threshold",
    "dm.libdm_log_level",  # there is no libdm
)


class Options(NamedTuple):
    """What was asked for; the defaults are Docker's."""

    base_size: int = 10 * _GIB
    data_size: int = 100 * _GIB
    metadata_size: int = 2 * _GIB
    filesystem: str = ""  # xfs where there is one
    mkfs_arguments: tuple[str, ...] = ()
    mount_options: str = ""
    thin_pool: str = ""
    discard: bool | None = None  # yes on loop files
    block_size: int | None = None
    min_free: int = 10
    nospace_retries: int | None = None
    device: str = ""
    force: bool = False
    group: str = "docker"
    data_percent: int = 95
    metadata_percent: int = 1
    extend_percent: int = 20
    extend_threshold: int = 80


def read_options(given: Mapping[str, str]) -> Options:
    """Raises StorageError for what is unknown or out of bounds.

    >>> read_options({"dm.basesize": "20G"}).base_size
    21474836480
    """
    refuse_unknown("devicemapper", given, KNOWN)
    for name in ("dm.datadev", "dm.metadatadev"):
        if name in given:
            raise StorageError(f"{name} is not served", "use dm.thinpooldev, as Docker advises")
    block = size(given["dm.blocksize"]) if "dm.blocksize" in given else None
    if block is not None and (block % SMALLEST_BLOCK or not 0 < block <= LARGEST_BLOCK):
        raise StorageError(f"dm.blocksize={given['dm.blocksize']} is no multiple of 64K up to 1G")
    filesystem = given.get("dm.fs", "")
    if filesystem and filesystem not in KINDS:
        raise StorageError(f"dm.fs={filesystem} is not served", f"use one of {', '.join(KINDS)}")
    asked = Options(
        base_size=_size(given, "dm.basesize", 10 * _GIB),
        data_size=_size(given, "dm.loopdatasize", 100 * _GIB),
        metadata_size=_size(given, "dm.loopmetadatasize", 2 * _GIB),
        filesystem=filesystem,
        mkfs_arguments=tuple(given.get("dm.mkfsarg", "").split()),
        mount_options=given.get("dm.mountopt", ""),
        thin_pool=given.get("dm.thinpooldev", ""),
        discard=_flag(given, "dm.blkdiscard"),
        block_size=block,
        min_free=_number(given, "dm.min_free_space", 10, 0, 99),
        nospace_retries=(
            _number(given, "dm.xfs_nospace_max_retries", 0, 0, 1 << 31)
            if "dm.xfs_nospace_max_retries" in given
            else None
        ),
        device=given.get("dm.directlvm_device", ""),
        force=_flag(given, "dm.directlvm_device_force") or False,
        group=given.get("dm.directlvm_vg", "docker"),
        data_percent=_number(given, "dm.thinp_percent", 95, 1, 99),
        metadata_percent=_number(given, "dm.thinp_metapercent", 1, 1, 99),
        extend_percent=_number(given, "dm.thinp_autoextend_percent", 20, 1, 100),
        extend_threshold=_number(given, "dm.thinp_autoextend_threshold", 80, 1, 100),
    )
    if asked.data_percent + asked.metadata_percent > _WHOLE:
        raise StorageError("dm.thinp_percent and dm.thinp_metapercent are more than 100 together")
    for name in ("dm.use_deferred_removal", "dm.use_deferred_deletion"):
        _flag(given, name)  # done where the kernel can, and only for what is busy
    return asked


def _size(given: Mapping[str, str], name: str, default: int) -> int:
    found = size(given[name]) if name in given else default
    if found < 1 << 20:
        raise StorageError(f"{name}={given[name]} is too small")
    return found - found % 512


def _number(given: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    if name not in given:
        return default
    text = given[name].strip().removesuffix("%")
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise StorageError(f"{name}={given[name]} is not a number from {least} to {most}")
    return int(text)


def _flag(given: Mapping[str, str], name: str) -> bool | None:
    if name not in given:
        return None
    word = given[name].lower()
    if word not in _YES + _NO:
        raise StorageError(f"{name}={given[name]} is neither true nor false")
    return word in _YES
