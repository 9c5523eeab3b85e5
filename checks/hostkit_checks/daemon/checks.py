# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the engine runs, and whether it would start again."""

from hostkit.diagnosis.check import Check
from hostkit_checks.daemon.configuration import CONFIGURATION_CHECKS
from hostkit_checks.daemon.engine_files import FILE_CHECKS
from hostkit_checks.daemon.running import RUNNING_CHECKS
from hostkit_checks.daemon.startup import STARTUP_CHECKS

CHECKS: tuple[Check, ...] = (
    *RUNNING_CHECKS,
    *CONFIGURATION_CHECKS,
    *STARTUP_CHECKS,
    *FILE_CHECKS,
)
