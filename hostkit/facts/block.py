# SPDX-License-Identifier: GPL-3.0-or-later
"""The tree of block devices, from /sys alone; what lies on them, when lsblk can say it.

/sys is always there and never waits for a disk. lsblk adds file-system types, which it has
from udev or, as root, from the disks.
"""

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, TypeAlias, cast

from hostkit import text
from hostkit.data import load_json
from hostkit.facts.fact import Fact, Facts, parsed, refuse, run_text
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.host.base import Host
from hostkit.host.commands import LSBLK_JSON, LSBLK_PAIRS
from hostkit.value import NamedTuple

UDEV_DATA = "/run/udev/data"
FOLDER = "/sys/class/block"
SECTOR = 512  # the unit of /sys/class/block/*/size, whatever the disk's own sectors
_DEPTH_LIMIT = 64
_PAIR = r'(?<!\S)([^\s="]+)="([^"]*)"'  # what could be mistaken is written as \xHH

Number: TypeAlias = tuple[int, int]


class Kind(StrEnum):
    """What a block device is; everything without a sign of another kind is a disk."""

    DISK = "disk"
    PARTITION = "partition"
    LOOP = "loop"
    DEVICE_MAPPER = "dm"
    RAID = "md"


class BlockDevice(NamedTuple):
    """One device. `below` are the kernel names of what it is made of (a partition's disk)."""

    name: str
    number: Number
    size: int
    kind: Kind
    read_only: bool = False
    removable: bool = False
    below: tuple[str, ...] = ()
    dm_name: str = ""
    dm_uuid: str = ""

    @property
    def path(self) -> str:
        """Where the device is found: /dev/sda1, /dev/mapper/docker-thinpool."""
        if self.dm_name:
            return f"/dev/mapper/{self.dm_name}"
        return "/dev/" + self.name.replace("!", "/")  # cciss!c0d0


class BlockDevices(NamedTuple):
    """Every device of the machine that has a size."""

    devices: tuple[BlockDevice, ...]

    def named(self, name: str) -> BlockDevice | None:
        """The device with this kernel name or device-mapper name."""
        return next((d for d in self.devices if name in (d.name, d.dm_name)), None)

    def numbered(self, number: Number) -> BlockDevice | None:
        """The device with this major and minor number."""
        return next((d for d in self.devices if d.number == number), None)

    def above(self, name: str) -> tuple[BlockDevice, ...]:
        """The devices made directly of this one: a disk's partitions, a pool on a loop."""
        return tuple(device for device in self.devices if name in device.below)

    def made_of(self, device: BlockDevice) -> tuple[BlockDevice, ...]:
        """Everything that a device rests on, the device itself excluded, nearest first."""
        found: dict[str, BlockDevice] = {}
        level = [device]
        for _ in range(_DEPTH_LIMIT):
            names = [name for one in level for name in one.below if name not in found]
            level = [one for one in map(self.named, dict.fromkeys(names)) if one]
            if not level:
                break
            found.update((one.name, one) for one in level)
        return tuple(found.values())


class Content(NamedTuple):
    """What lsblk says lies on a device. An empty `fstype` is not known to be empty space."""

    name: str
    fstype: str
    label: str
    uuid: str


def parse_uevent(content: str) -> dict[str, str]:
    r"""The variables in a device's uevent file.

    >>> parse_uevent("MAJOR=254\nMINOR=0\nDEVNAME=vda\nDEVTYPE=disk\n")["MAJOR"]
    '254'
    """
    pairs = (line.partition("=") for line in content.splitlines() if "=" in line)
    return {name: value for name, _, value in pairs}


def parse_number(written: str) -> Number:
    r"""A device number.

    >>> parse_number("253:2\n")
    (253, 2)
    """
    major, _, minor = written.strip().partition(":")
    return int(major), int(minor)


def parse_lsblk_json(content: str) -> tuple[Content, ...]:
    """`lsblk -J`: devices with their children, each told once.

    >>> parse_lsblk_json('{"blockdevices": [{"name": "sda", "kname": "sda", "fstype": null,'
    ...                  ' "children": [{"name": "v-r", "kname": "dm-0", "fstype": "xfs"}]}]}')[1]
    Content(name='dm-0', fstype='xfs', label='', uuid='')
    """
    found: dict[str, Content] = {}
    pending = _nodes(_object(load_json(content)).get("blockdevices"))
    while pending:
        node = _object(pending.pop())
        one = _content({key: value for key, value in node.items() if isinstance(value, str)})
        found.setdefault(one.name, one)
        if "children" in node:
            pending += _nodes(node["children"])
    return tuple(found.values())


def _object(value: object) -> dict[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else refuse("not an object")


def _nodes(value: object) -> list[object]:
    """A list of devices, the first one last, as a stack wants it."""
    if not isinstance(value, list):
        refuse("not a list of block devices")
    return cast("list[object]", value)[::-1]


def parse_lsblk_pairs(content: str) -> tuple[Content, ...]:
    r"""`lsblk -P`: a line of NAME="value" pairs a device.

    >>> parse_lsblk_pairs('NAME="sda1" KNAME="sda1" FSTYPE="ext4" LABEL="my\\x20disk" UUID=""\n')
    (Content(name='sda1', fstype='ext4', label='my disk', uuid=''),)
    """
    found: dict[str, Content] = {}
    for line in content.splitlines():
        pairs = re.findall(_PAIR, line)
        one = _content({name.lower(): _unhex(value) for name, value in pairs})
        found.setdefault(one.name, one)
    return tuple(found.values())


def _content(words: dict[str, str]) -> Content:
    name = words.get("kname") or refuse("a block device without a name")
    return Content(name, words.get("fstype", ""), words.get("label", ""), words.get("uuid", ""))


def _unhex(value: str) -> str:
    r"""Undo the \xHH by which lsblk writes what could be mistaken."""
    head, *rest = value.split("\\x")
    return head + "".join(chr(int(part[:2], 16)) + part[2:] for part in rest)


def _gather(facts: Facts) -> Answer[BlockDevices]:
    names = facts.host.listdir(FOLDER)
    if not isinstance(names, Known):
        return names
    devices: list[BlockDevice] = []
    for name in names.value:
        device = _device(facts.host, name)
        if isinstance(device, Unreadable):
            return device
        if isinstance(device, Known):  # else it went away meanwhile, or nothing is in it
            devices.append(device.value)
    return Known(BlockDevices(tuple(devices)), FOLDER)


def _device(host: Host, name: str) -> Answer[BlockDevice]:
    folder = f"{FOLDER}/{name}"
    size = host.read(f"{folder}/size")
    if not isinstance(size, Known):
        return size
    if size.value.strip() == b"0":
        return Absent(folder, "a loop device or drive with nothing in it")
    uevent = host.read(f"{folder}/uevent")
    if not isinstance(uevent, Known):
        return uevent

    def build(said: bytes) -> BlockDevice:
        variables = parse_uevent(text.decode(said))
        kind = _kind(name, variables.get("DEVTYPE", ""))
        if not {"MAJOR", "MINOR"} <= variables.keys():
            refuse("its uevent names no device number")
        return BlockDevice(
            name=name,
            number=(int(variables["MAJOR"]), int(variables["MINOR"])),
            size=int(size.value) * SECTOR,
            kind=kind,
            read_only=_word(host, f"{folder}/ro") == "1",
            removable=kind is Kind.DISK and _word(host, f"{folder}/removable") == "1",
            below=tuple(_below(host, folder, kind)),
            dm_name=_word(host, f"{folder}/dm/name") if kind is Kind.DEVICE_MAPPER else "",
            dm_uuid=_word(host, f"{folder}/dm/uuid") if kind is Kind.DEVICE_MAPPER else "",
        )

    return parsed(uevent.value, folder, build)


def _kind(name: str, devtype: str) -> Kind:
    if devtype == "partition":
        return Kind.PARTITION
    for prefix, kind in (("dm-", Kind.DEVICE_MAPPER), ("loop", Kind.LOOP), ("md", Kind.RAID)):
        if name.startswith(prefix):
            return kind
    return Kind.DISK


def _below(host: Host, folder: str, kind: Kind) -> Iterator[str]:
    if kind is Kind.PARTITION:  # .../block/sda/sda1: the folder above is the disk's
        link = host.stat(folder, follow=False)
        if isinstance(link, Known) and link.value.target.count("/") > 1:
            yield link.value.target.split("/")[-2]
    elif kind is not Kind.LOOP:
        slaves = host.listdir(f"{folder}/slaves")
        if isinstance(slaves, Known):
            yield from slaves.value


def _word(host: Host, path: str) -> str:
    answer = host.read(path)
    return text.decode(answer.value).strip() if isinstance(answer, Known) else ""


def parse_native(value: Any) -> BlockDevices:
    """The devices as `pyudev.block` gives them."""
    return BlockDevices(
        tuple(
            BlockDevice(
                name=one["name"],
                number=(int(one["number"][0]), int(one["number"][1])),
                size=int(one["size"]),
                kind=_kind(one["name"], one["type"]),
                read_only=one["read_only"],
                removable=one["removable"],
                below=tuple(one["below"]),
                dm_name=one["dm_name"],
                dm_uuid=one["dm_uuid"],
            )
            for one in sorted(value, key=lambda one: one["name"])
            if one["size"]
        )
    )


def _gather_native(facts: Facts) -> Answer[BlockDevices]:
    answer = facts.host.native("pyudev.block")
    return (
        parsed(answer.value, answer.source, parse_native) if isinstance(answer, Known) else answer
    )


def _blind(facts: Facts) -> Unreadable | None:
    """Why lsblk would show every disk as empty; None when it sees what lies on them."""
    if facts.host.privileged or isinstance(facts.host.stat(UDEV_DATA), Known):
        return None
    return Unreadable(UDEV_DATA, "without it only root sees what lies on a disk", needs_root=True)


def _gather_contents(facts: Facts) -> Answer[tuple[Content, ...]]:
    blind = _blind(facts)
    if blind:
        return blind
    answer = run_text(facts.host, LSBLK_JSON, parse_lsblk_json)
    if isinstance(answer, Unreadable):
        return run_text(facts.host, LSBLK_PAIRS, parse_lsblk_pairs)
    return answer


def parse_native_contents(value: Any) -> tuple[Content, ...]:
    """What blkinfo knows: whole disks only, which is all that a plan for a new pool asks.

    >>> parse_native_contents([{"kname": "vda", "fstype": "ext4", "label": "root"}])
    (Content(name='vda', fstype='ext4', label='root', uuid=''),)
    """
    return tuple(
        _content({key: str(given or "") for key, given in dict(one).items()}) for one in value
    )


def _gather_native_contents(facts: Facts) -> Answer[tuple[Content, ...]]:
    answer = _blind(facts) or facts.host.native("blkinfo.disks")
    if not isinstance(answer, Known):
        return answer
    return parsed(answer.value, answer.source, parse_native_contents)


BLOCK_DEVICES: Fact[BlockDevices] = Fact(
    "block devices", _gather, waits=False, native=_gather_native
)
CONTENTS: Fact[tuple[Content, ...]] = Fact(
    "lsblk", _gather_contents, waits=True, native=_gather_native_contents
)
