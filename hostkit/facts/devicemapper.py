# SPDX-License-Identifier: GPL-3.0-or-later
"""Device-mapper in the running kernel, learnt without waking it.

Opening /dev/mapper/control loads dm_mod (the node's number is an alias of the module), and
libdevmapper creates the node when it is missing. So a tool is run only when the driver is
registered and the node is there.
"""

import re

from hostkit import text
from hostkit.facts.fact import Fact, Facts, parsed, refuse, run_text
from hostkit.facts.loop import parse_block_majors
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.host.commands import DMSETUP_TARGETS
from hostkit.value import NamedTuple

CONTROL = "/dev/mapper/control"
MISC = "/proc/misc"
_NAME = "device-mapper"
_TARGET = r"(\S+)\s+v(\d+)\.(\d+)\.(\d+)"
_NOT_REGISTERED = "the running kernel has no device-mapper driver registered"


class DeviceMapper(NamedTuple):
    """Whether the driver is there: loaded or built in.

    `minor` is that of the misc device, `block_major` that of its block devices (253 on most
    hosts); None when it is not there.
    """

    registered: bool
    minor: int | None
    block_major: int | None
    control: bool


class Target(NamedTuple):
    """A kind of mapping that is registered now, such as linear or thin-pool."""

    name: str
    version: tuple[int, ...]


def parse_misc(content: str) -> dict[str, int]:
    r"""The misc devices of /proc/misc with their minors.

    >>> parse_misc("236 device-mapper\n237 loop-control\n")
    {'device-mapper': 236, 'loop-control': 237}
    """
    words = (line.split(None, 1) for line in content.splitlines() if line.strip())
    return {name.strip(): int(minor) for minor, name in words}


def parse_targets(content: str) -> tuple[Target, ...]:
    r"""What `dmsetup targets` prints.

    >>> parse_targets("thin-pool        v1.22.0\nlinear           v1.4.0\n")[0]
    Target(name='thin-pool', version=(1, 22, 0))
    """
    found: list[Target] = []
    for line in content.splitlines():
        match = re.fullmatch(_TARGET, line.strip())
        if match:
            found.append(Target(match[1], tuple(int(number) for number in match.groups()[1:])))
        elif line.strip():
            refuse(f"not a target: {line.strip()[:40]!r}")
    return tuple(found)


def _gather(facts: Facts) -> Answer[DeviceMapper]:
    host = facts.host
    misc = host.read(MISC)
    devices = host.read("/proc/devices")
    if not isinstance(misc, Known):
        return misc
    if not isinstance(devices, Known):
        return devices
    control = isinstance(host.stat(CONTROL), Known)

    def build(said: tuple[bytes, bytes]) -> DeviceMapper:
        minor = parse_misc(text.decode(said[0])).get(_NAME)
        major = parse_block_majors(text.decode(said[1])).get(_NAME)
        return DeviceMapper(minor is not None, minor, major, control)

    return parsed((misc.value, devices.value), MISC, build)


def asleep(facts: Facts) -> Absent | Unreadable | None:
    """Why no tool of device-mapper may be asked; None when asking wakes and makes nothing."""
    mapper = facts.value(DEVICE_MAPPER)
    if not mapper.registered:
        return Absent(MISC, _NOT_REGISTERED)
    if not mapper.control:
        return Unreadable(CONTROL, "does not exist, and asking would create it")
    return None


def _gather_targets(facts: Facts) -> Answer[tuple[Target, ...]]:
    return asleep(facts) or run_text(facts.host, DMSETUP_TARGETS, parse_targets)


DEVICE_MAPPER: Fact[DeviceMapper] = Fact("device-mapper", _gather, waits=False)
DM_TARGETS: Fact[tuple[Target, ...]] = Fact("dm targets", _gather_targets, waits=True)
