# SPDX-License-Identifier: GPL-3.0-or-later
"""Control groups: checks, signatures and explanations."""

from hostkit.diagnosis.check import API, CheckPlugin

PLUGIN = CheckPlugin(API, "cgroups", "Control groups", __name__)
