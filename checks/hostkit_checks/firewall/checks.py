# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of the packet filter, in the order in which one rests on the other."""

from hostkit.diagnosis.check import Check
from hostkit_checks.firewall.backends import (
    ip6tables_modules,
    iptables_backends,
    iptables_binary,
    iptables_modules,
)
from hostkit_checks.firewall.chains import iptables_chains
from hostkit_checks.firewall.policy import forward_policy, iptables_option
from hostkit_checks.firewall.zones import firewalld_forwarding, firewalld_zone

CHECKS: tuple[Check, ...] = (
    iptables_binary,
    iptables_modules,
    ip6tables_modules,
    iptables_option,
    iptables_backends,
    iptables_chains,
    forward_policy,
    firewalld_zone,
    firewalld_forwarding,
)
