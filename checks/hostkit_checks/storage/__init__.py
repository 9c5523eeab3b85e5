# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage: checks, signatures and explanations."""

from hostkit.diagnosis.check import API, CheckPlugin

PLUGIN = CheckPlugin(API, "storage", "Storage", __name__)
