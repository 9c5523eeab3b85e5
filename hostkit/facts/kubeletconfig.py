# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kubelet's configuration says of swap and control groups."""

from hostkit.facts.fact import Fact, file_fact
from hostkit.value import NamedTuple

KUBELET_CONFIG_FILE = "/var/lib/kubelet/config.yaml"


class KubeletConfig(NamedTuple):
    """None where the file does not say; the kubelet then has its defaults."""

    cgroup_driver: str | None = None
    fail_swap_on: bool | None = None
    fail_cgroup_v1: bool | None = None
    cluster_dns: tuple[str, ...] = ()


def parse_kubelet_config(content: str) -> KubeletConfig:
    r"""The plain keys at the left margin of the YAML file that kubeadm writes.

    >>> parse_kubelet_config("cgroupDriver: systemd\nfailSwapOn: false\nx:\n  failSwapOn: true\n")
    KubeletConfig(cgroup_driver='systemd', fail_swap_on=False, fail_cgroup_v1=None, cluster_dns=())
    """
    values: dict[str, str] = {}
    servers: list[str] = []
    key = ""
    for line in content.splitlines():
        if line[:1].isalpha():
            key, _, rest = line.partition(":")
            values[key] = rest.partition(" #")[0].strip().strip("\"'")
        elif key == "clusterDNS" and line.strip().startswith("- "):
            servers.append(line.strip()[2:].strip("\"' "))
    return KubeletConfig(
        cgroup_driver=values.get("cgroupDriver") or None,
        fail_swap_on=_switch(values.get("failSwapOn", "")),
        fail_cgroup_v1=_switch(values.get("failCgroupV1", "")),
        cluster_dns=tuple(servers),
    )


def _switch(word: str) -> bool | None:
    return {"true": True, "false": False}.get(word.lower())


KUBELET_CONFIG: Fact[KubeletConfig] = file_fact(
    "kubelet configuration", KUBELET_CONFIG_FILE, parse_kubelet_config
)
