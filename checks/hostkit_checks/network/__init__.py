# SPDX-License-Identifier: GPL-3.0-or-later
"""Network: checks, signatures and explanations."""

from hostkit.diagnosis.check import API, CheckPlugin

PLUGIN = CheckPlugin(API, "network", "Network", __name__)
