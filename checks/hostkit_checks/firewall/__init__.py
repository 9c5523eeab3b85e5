# SPDX-License-Identifier: GPL-3.0-or-later
"""Packet filter: checks, signatures and explanations."""

from hostkit.diagnosis.check import API, CheckPlugin

PLUGIN = CheckPlugin(API, "firewall", "Packet filter", __name__)
