# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes nodes: checks, signatures and explanations."""

from hostkit.diagnosis.check import API, CheckPlugin

PLUGIN = CheckPlugin(API, "kubernetes", "Kubernetes nodes", __name__, profiles=("kubernetes",))
