# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the storage drivers and of the space for images."""

from hostkit.diagnosis.check import Check
from hostkit_checks.storage.data import DATA_CHECKS
from hostkit_checks.storage.overlay import OVERLAY_CHECKS
from hostkit_checks.storage.propagation import PROPAGATION_CHECKS
from hostkit_checks.storage.space import SPACE_CHECKS
from hostkit_checks.storage.writable import WRITABLE_CHECKS

CHECKS: tuple[Check, ...] = (
    *OVERLAY_CHECKS,
    *DATA_CHECKS,
    *SPACE_CHECKS,
    *WRITABLE_CHECKS,
    *PROPAGATION_CHECKS,
)
