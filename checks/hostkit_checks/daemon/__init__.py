# SPDX-License-Identifier: GPL-3.0-or-later
"""Engine: checks, signatures and explanations."""

from hostkit.diagnosis.check import API, CheckPlugin

PLUGIN = CheckPlugin(API, "daemon", "Engine", __name__)
