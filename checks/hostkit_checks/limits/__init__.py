# SPDX-License-Identifier: GPL-3.0-or-later
"""Resources: checks, signatures and explanations."""

from hostkit.diagnosis.check import API, CheckPlugin

PLUGIN = CheckPlugin(API, "limits", "Resources", __name__)
