# SPDX-License-Identifier: GPL-3.0-or-later
"""Registries: checks, signatures and explanations."""

from hostkit.diagnosis.check import API, CheckPlugin

PLUGIN = CheckPlugin(API, "registry", "Registries", __name__)
