# SPDX-License-Identifier: GPL-3.0-or-later
"""Security: checks, signatures and explanations."""

from hostkit.diagnosis.check import API, CheckPlugin

PLUGIN = CheckPlugin(API, "security", "Security", __name__)
