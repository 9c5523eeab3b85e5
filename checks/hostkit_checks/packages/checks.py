# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of this area (packages)."""

from hostkit.diagnosis.check import Check

CHECKS: tuple[Check, ...] = ()
