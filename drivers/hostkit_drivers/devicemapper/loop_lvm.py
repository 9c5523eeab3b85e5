# SPDX-License-Identifier: GPL-3.0-or-later
"""devicemapper on two sparse files: needs no set-up, and is not for production."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hostkit.facts.fact import Facts
from hostkit.facts.fitness import Fitness, Reason, Weight
from hostkit.facts.loop import LOOP_SUPPORT
from hostkit.host.answer import Known
from hostkit.storage import reasons
from hostkit.storage.plugin import DRIVER_API, DriverPlugin
from hostkit_drivers.devicemapper.common import common

if TYPE_CHECKING:
    from hostkit.storage.driver import StorageDriver


def fitness(facts: Facts) -> Fitness:
    """What it needs; and never in production, whatever the host."""
    return Fitness(
        "loop-lvm",
        (
            Reason(
                Weight.ADVISES_AGAINST,
                "never in production: sparse files on loop devices are slow, fill the disk"
                " below unseen and do not give space back",
                problem="loop-lvm-in-use",
            ),
            *common(facts),
            _loops(facts),
        ),
    )


def _loops(facts: Facts) -> Reason:
    answer = facts.get(LOOP_SUPPORT)
    if isinstance(answer, Known) and answer.value.registered:
        return Reason(Weight.FAVOURS, "the kernel has loop devices", answer.source)
    return reasons.module(facts, "loop", "no-loop-devices")


def _open(root: str, options: Mapping[str, str], read_only: bool) -> "StorageDriver":
    from hostkit_drivers.devicemapper.driver import DeviceMapperDriver  # noqa: PLC0415 - a preflight only judges

    return DeviceMapperDriver(root, options, read_only=read_only, direct=False)


PLUGIN = DriverPlugin(
    DRIVER_API, "loop-lvm", "Device-mapper on loop files", fitness, "devicemapper", _open
)
