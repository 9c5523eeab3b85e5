# SPDX-License-Identifier: GPL-3.0-or-later
"""Device-mapper: what Docker's driver of that name needs, and how it goes wrong."""

from hostkit.diagnosis.check import Check
from hostkit_checks.devicemapper import kernel_side, loops, pools

CHECKS: tuple[Check, ...] = (
    kernel_side.device_mapper,
    kernel_side.libdevmapper,
    kernel_side.loop_devices,
    loops.loop_lvm,
    loops.loop_lvm_space,
    loops.loop_lvm_backing,
    pools.thin_pool_space,
    pools.thin_pool_min_free,
    pools.thin_pool_health,
    pools.thin_pool_active,
    pools.thin_pool_monitored,
)
