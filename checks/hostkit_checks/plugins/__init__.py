# SPDX-License-Identifier: GPL-3.0-or-later
"""Plug-ins: checks, signatures and explanations."""

from hostkit.diagnosis.check import API, CheckPlugin

PLUGIN = CheckPlugin(API, "plugins", "Plug-ins", __name__)
