# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages: checks, signatures and explanations."""

from hostkit.diagnosis.check import API, CheckPlugin

PLUGIN = CheckPlugin(API, "packages", "Packages", __name__)
