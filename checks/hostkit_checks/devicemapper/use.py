# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether Docker's devicemapper driver matters on this host: chosen, or used before."""

import re

from hostkit.diagnosis.finding import Evidence
from hostkit.facts.block import BLOCK_DEVICES
from hostkit.facts.daemonconfig import DAEMON_CONFIG
from hostkit.facts.dataroot import DATA_ROOTS, DataRoot
from hostkit.facts.fact import Facts
from hostkit.facts.graphdrivers import (
    DOCKER_VERSION,
    Version,
    automatic_order,
    has_driver,
    written,
)
from hostkit.host.answer import Unreadable
from hostkit.value import NamedTuple

DRIVER = "devicemapper"
# What a check must declare to call `driver_use`.
NEEDED = (BLOCK_DEVICES, DAEMON_CONFIG, DATA_ROOTS, DOCKER_VERSION)
POOL_OPTIONS = ("dm.thinpooldev", "dm.directlvm_device", "dm.datadev")
# docker-MAJOR:MINOR-INODE-pool, and the devices of layers; the numbers are the data root's.
_LAYER = r"docker-\d+:\d+-\d+-[0-9a-f]{64}(-init)?|docker-\d+:\d+-\d+-(pool|base)"


_LOOP_POOL = r"docker-\d+:\d+-\d+-pool"


class Use(NamedTuple):
    """`used` is None when it is not known; `evidence` says why it is or is not."""

    used: bool | None
    reason: str
    evidence: tuple[Evidence, ...] = ()


def driver_use(facts: Facts) -> Use:
    """A driver that is chosen decides; without one dockerd goes on with what it finds."""
    devices = facts.known(BLOCK_DEVICES)
    for device in devices.devices if devices else ():
        if re.fullmatch(_LAYER, device.dm_name):
            seen = Evidence(f"/sys/class/block/{device.name}/dm/name", device.dm_name)
            return Use(True, "a device of the driver is active", (seen,))
    version = facts.known(DOCKER_VERSION)
    if version is not None and not has_driver(version, DRIVER):
        return Use(False, f"Docker {written(version)} has no driver devicemapper")
    config = facts.known(DAEMON_CONFIG)
    chosen = config.get("storage-driver") if config else None
    if config and chosen:
        seen = Evidence(chosen.source, f"storage-driver {config.storage_driver}", chosen.line)
        return Use(config.storage_driver == DRIVER, f"{config.storage_driver} is chosen", (seen,))
    roots = facts.get(DATA_ROOTS)
    if isinstance(roots, Unreadable):
        return Use(None, f"{roots.source}: {roots.reason}")
    made = _made(facts.known(DATA_ROOTS) or ())
    if made is not None:
        return made
    if isinstance(facts.get(DAEMON_CONFIG), Unreadable):
        return Use(None, "which driver dockerd is told to use cannot be read")
    return _untold(version)


def _made(roots: tuple[DataRoot, ...]) -> Use | None:
    """What the data root was made by; None when nobody has used it."""
    for root in roots:
        occupied = [store.driver for store in root.occupied()]
        if occupied == [DRIVER]:
            seen = Evidence(
                f"{root.path}/{DRIVER}", "the only driver's folder that holds something"
            )
            return Use(True, "the data root was made by devicemapper", (seen,))
        if occupied and DRIVER not in occupied:
            return Use(False, f"the data root was made by {', '.join(occupied)}")
        if root.unreadable and not occupied:
            return Use(None, f"{root.unreadable[0].source}: {root.unreadable[0].reason}")
    return None


def _untold(version: Version | None) -> Use:
    """Nothing was chosen or used before."""
    if version is not None and _may_come_first(version):
        told = f"Docker {written(version)} is not told a driver: without aufs it takes devicemapper"
        return Use(None, told)
    return Use(False, "nothing here uses the driver devicemapper")


def _may_come_first(version: Version) -> bool:
    """Whether dockerd tries the driver before any overlay, as CentOS and RHEL met it."""
    order = automatic_order(version)
    tried = [name for name in order if name == DRIVER or name.startswith("overlay")]
    return not order or tried[0] == DRIVER


def pool_option(facts: Facts) -> tuple[str, str] | None:
    """The storage option that names a block device for the pool, and the device."""
    config = facts.known(DAEMON_CONFIG)
    for word in config.words("storage-opts") if config else ():
        name, _, value = word.partition("=")
        if name in POOL_OPTIONS:
            return name, value
    return None


def is_dockers_pool(facts: Facts, name: str) -> bool:
    """Whether a device-mapper name is that of a pool that Docker makes or is told to use."""
    option = pool_option(facts)
    named = dm_name(option[1]) if option else ""
    return bool(name) and (
        name in (named, "docker-thinpool") or bool(re.fullmatch(_LOOP_POOL, name))
    )


def dm_name(device: str) -> str:
    """The device-mapper name of a device: of /dev/mapper, of LVM's /dev/GROUP/VOLUME, or itself.

    >>> dm_name("/dev/mapper/docker-thinpool"), dm_name("/dev/root-vg/docker-pool")
    ('docker-thinpool', 'root--vg-docker--pool')
    """
    parts = device.strip("/").split("/")
    if parts[0] == "dev" and len(parts) == 3 and parts[1] != "mapper":  # noqa: PLR2004 - dev, group, volume
        return "-".join(part.replace("-", "--") for part in parts[1:])
    return parts[-1]


def storage_option(facts: Facts, name: str) -> str:
    """The value of one storage option, or nothing."""
    config = facts.known(DAEMON_CONFIG)
    words = config.words("storage-opts") if config else ()
    values = [word.partition("=")[2] for word in words if word.partition("=")[0] == name]
    return values[-1] if values else ""


def human(size: float) -> str:
    """Bytes as people say them, in the decimal units of docker info.

    >>> human(107374182400), human(40910000)
    ('107.4 GB', '40.9 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:  # noqa: PLR2004 - the step of decimal units
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
