# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether this host is a Kubernetes node: its pods need what plain containers do not."""

from hostkit.facts.fact import Fact, Facts
from hostkit.host.answer import Absent, Answer, Known

# The kubelet's own state, and what kubeadm, k3s and RKE2 leave behind.
_SIGNS = (
    "/var/lib/kubelet/config.yaml",
    "/etc/kubernetes/kubelet.conf",
    "/etc/rancher/k3s",
    "/etc/rancher/rke2",
)


def _gather(facts: Facts) -> Answer[str]:
    for path in _SIGNS:
        if isinstance(facts.host.stat(path), Known):
            return Known(path, path)
    return Absent(_SIGNS[0], "no kubelet is set up here")


KUBELET: Fact[str] = Fact("kubelet", _gather, waits=False)
