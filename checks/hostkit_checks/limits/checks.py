# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of this area (limits)."""

from hostkit.diagnosis.check import Check

CHECKS: tuple[Check, ...] = ()
