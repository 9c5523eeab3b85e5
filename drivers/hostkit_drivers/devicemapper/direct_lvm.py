# SPDX-License-Identifier: GPL-3.0-or-later
"""devicemapper on a thin pool of LVM: the way out where overlay2 cannot serve."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from hostkit.facts.block import BLOCK_DEVICES, CONTENTS, BlockDevice, BlockDevices, Kind
from hostkit.facts.fact import Facts
from hostkit.facts.fitness import Fitness, Reason, Weight
from hostkit.facts.lvm import LVM, PHYSICAL_VOLUMES, VOLUME_GROUPS
from hostkit.facts.mounts import MOUNTS
from hostkit.host.answer import Absent, Known, Unreadable
from hostkit.storage import reasons
from hostkit.storage.plugin import DRIVER_API, DriverPlugin
from hostkit_drivers.devicemapper.common import common

if TYPE_CHECKING:
    from hostkit.storage.driver import StorageDriver

# What Red Hat's docker-storage-setup asks for at least; less holds no image of weight.
LEAST = 2 << 30
_GIB = 1 << 30


def fitness(facts: Facts) -> Fitness:
    """What it needs: the target, LVM and thin tools, and space that nobody uses."""
    return Fitness(
        "direct-lvm",
        (
            *common(facts),
            reasons.installed(facts, "lvm", "lvm2"),
            reasons.installed(
                facts, "thin_check", "device-mapper-persistent-data or thin-provisioning-tools"
            ),
            *_room(facts),
        ),
    )


def _room(facts: Facts) -> Iterator[Reason]:
    """A thin pool that is there, else a group with free space, else a disk nobody uses."""
    lvm = facts.get(LVM)
    pools = lvm.value.thin_pools() if isinstance(lvm, Known) else ()
    if pools:
        names = ", ".join(pool.full_name for pool in pools)
        yield Reason(Weight.FAVOURS, f"there is a thin pool: {names}", lvm.source)
        return
    groups = facts.get(VOLUME_GROUPS)
    if isinstance(groups, Known):
        for group in groups.value:
            if group.free >= LEAST:
                text = f"volume group {group.name} has {group.free / _GIB:.0f} GiB free"
                yield Reason(Weight.FAVOURS, text, groups.source)
                return
    devices = facts.get(BLOCK_DEVICES)
    if not isinstance(devices, Known):
        yield reasons.unknown("whether a disk is free", devices)
        return
    free, unsure = _unused(facts, devices.value)
    if free:
        names = ", ".join(f"{one.path} ({one.size / _GIB:.0f} GiB)" for one in free)
        text = f"no use is seen of {names}: check with wipefs before giving it to a pool"
        yield Reason(Weight.FAVOURS, text, devices.source)
    elif unsure is not None:
        yield unsure
    elif isinstance(groups, Unreadable):
        yield reasons.unknown("whether a volume group has free space", groups)
    else:
        text = "no free disk and no volume group with 2 GiB free for a pool"
        yield Reason(Weight.BLOCKS, text, devices.source)


def _unused(facts: Facts, devices: BlockDevices) -> tuple[list[BlockDevice], Reason | None]:
    """Whole disks with nothing on them; or what would have to be known to say so."""
    candidates = [
        one
        for one in devices.devices
        if one.kind is Kind.DISK
        and one.size >= LEAST
        and not (one.read_only or one.removable or devices.above(one.name))
        and not one.name.startswith(("ram", "zram", "nbd", "fd", "sr"))
    ]
    mounts = facts.get(MOUNTS)
    if not isinstance(mounts, Known):
        return [], reasons.unknown("which disks are mounted", mounts)
    mounted = {mount.device for mount in mounts.value.table}
    candidates = [one for one in candidates if one.number not in mounted]
    if not candidates:
        return [], None
    contents = facts.get(CONTENTS)
    physical = facts.get(PHYSICAL_VOLUMES)
    if not isinstance(contents, Known):
        return [], reasons.unknown("what lies on the disks", contents)
    if isinstance(physical, Unreadable):
        return [], reasons.unknown("which disks LVM uses", physical)
    taken = {one.name for one in contents.value if one.fstype or one.label or one.uuid}
    used = () if isinstance(physical, Absent) else tuple(pv.path for pv in physical.value)
    return [one for one in candidates if one.name not in taken and one.path not in used], None


def _open(root: str, options: Mapping[str, str], read_only: bool) -> "StorageDriver":
    from hostkit_drivers.devicemapper.driver import DeviceMapperDriver  # noqa: PLC0415 - a preflight only judges

    return DeviceMapperDriver(root, options, read_only=read_only, direct=True)


PLUGIN = DriverPlugin(
    DRIVER_API, "direct-lvm", "Device-mapper on an LVM thin pool", fitness, "devicemapper", _open
)
