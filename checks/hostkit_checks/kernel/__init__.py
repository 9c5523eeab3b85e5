# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel: checks, signatures and explanations."""

from hostkit.diagnosis.check import API, CheckPlugin

PLUGIN = CheckPlugin(API, "kernel", "Kernel", __name__)
