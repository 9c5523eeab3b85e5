# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host can be, or stay, a node of a Kubernetes cluster."""

from hostkit.diagnosis.check import Check
from hostkit_checks.kubernetes.network import NETWORK_CHECKS
from hostkit_checks.kubernetes.node import NODE_CHECKS
from hostkit_checks.kubernetes.runtime import RUNTIME_CHECKS

CHECKS: tuple[Check, ...] = (*NODE_CHECKS, *RUNTIME_CHECKS, *NETWORK_CHECKS)
