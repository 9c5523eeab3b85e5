# SPDX-License-Identifier: GPL-3.0-or-later
"""What a kernel must have been built with, as data: which kernels, cgroups, engines need it.

Several symbols in one row are alternatives: a feature that was renamed, or that the old
packet filter (xtables) and the new one (nf_tables) both give.
"""

from collections.abc import Iterator

from hostkit.diagnosis.finding import Severity
from hostkit.facts.cgroups import CgroupVersion
from hostkit.facts.kernel import KernelRelease
from hostkit.facts.kernelconfig import KernelConfig
from hostkit.value import NamedTuple


class Need(NamedTuple):
    """A feature: any one of `symbols` will do. `gives`: what is lost without it.

    `since` and `before` bound the upstream versions that have such a symbol. `cgroups`:
    asked only where these versions are in use. `without`: how bad its absence is; ERROR where
    containers do not start.
    """

    symbols: tuple[str, ...]
    gives: str
    without: Severity = Severity.ERROR
    since: str = ""
    before: str = ""
    cgroups: tuple[CgroupVersion, ...] = ()
    engines: tuple[str, ...] = ()


_V1 = (CgroupVersion.V1, CgroupVersion.HYBRID)
_V2 = (CgroupVersion.V2,)
# Docker 29 and later can write nftables rules itself (firewall-backend in daemon.json) and
# asks for no iptables match then.
DOCKER_ON_NFTABLES = "docker on nftables"
_FIREWALL = ("docker", DOCKER_ON_NFTABLES, "podman")  # hostkit run can do without a bridge
_NODE = ("kubernetes",)
_ENGINES = (*_FIREWALL, "hostkit")
_WORSE, _LESS = Severity.WARNING, Severity.INFO

NEEDS: tuple[Need, ...] = (
    Need(("NAMESPACES",), "namespaces"),
    Need(("NET_NS",), "a network of the container's own"),
    Need(("PID_NS",), "processes of the container's own"),
    Need(("IPC_NS",), "shared memory of the container's own"),
    Need(("UTS_NS",), "a host name of the container's own"),
    Need(("CGROUPS",), "control groups"),
    # dockerd warns of each and starts containers; the kubelet does not start.
    Need(("MEMCG",), "memory limits", engines=_NODE),
    Need(("MEMCG",), "memory limits", _WORSE, engines=_ENGINES),
    Need(("CGROUP_SCHED",), "CPU shares", engines=_NODE),
    Need(("CGROUP_SCHED",), "CPU shares", _WORSE, engines=_ENGINES),
    Need(("CPUSETS",), "pinning to CPUs", engines=_NODE),
    Need(("CPUSETS",), "pinning to CPUs", _WORSE, engines=_ENGINES),
    # v2 has no such controllers: it accounts CPU time always, freezes with cgroup.freeze,
    # and guards devices with BPF programs.
    Need(("CGROUP_CPUACCT",), "CPU accounting of cgroup v1", cgroups=_V1),
    Need(("CGROUP_DEVICE",), "the device guard of cgroup v1", cgroups=_V1),
    Need(("CGROUP_FREEZER",), "pausing in cgroup v1", cgroups=_V1),
    Need(("CGROUP_BPF",), "the device guard of cgroup v2", since="4.15", cgroups=_V2),
    Need(("DEVPTS_MULTIPLE_INSTANCES",), "terminals of the container's own", before="4.7"),
    Need(("VETH",), "the cable between container and bridge", engines=(*_FIREWALL, *_NODE)),
    Need(("BRIDGE",), "the bridge (docker0)", engines=_FIREWALL),
    Need(("NF_NAT",), "address translation", engines=_FIREWALL),
    Need(("IP_NF_FILTER", "NF_TABLES"), "a filter table", engines=_FIREWALL),
    Need(("IP_NF_NAT", "NF_NAT_IPV4", "NFT_NAT"), "a nat table", engines=_FIREWALL),
    # One target for IPv4 and IPv6 since 5.2, and nf_tables' own.
    Need(
        ("IP_NF_TARGET_MASQUERADE", "NETFILTER_XT_TARGET_MASQUERADE", "NFT_MASQ"),
        "masquerading",
        engines=_FIREWALL,
    ),
    # Docker's rules use both matches, through iptables-nft too (which has NFT_COMPAT for it).
    Need(("NETFILTER_XT_MATCH_ADDRTYPE",), "the addrtype match", engines=("docker",)),
    Need(("NETFILTER_XT_MATCH_CONNTRACK",), "the conntrack match", engines=("docker",)),
    Need(("IP_NF_IPTABLES", "NFT_COMPAT"), "iptables rules", engines=("docker",)),
    Need(("POSIX_MQUEUE",), "message queues (/dev/mqueue)"),
    # A network plug-in of eBPF needs none of the packet filter, kube-proxy all of it.
    Need(("NET",), "networks", engines=_NODE),
    Need(("INET",), "IPv4", engines=_NODE),
    Need(("PROC_FS",), "/proc", engines=_NODE),
    Need(("FAIR_GROUP_SCHED",), "CPU shares of pods", engines=_NODE),
    Need(("NETFILTER",), "a packet filter", engines=_NODE),
    Need(("NETFILTER_XTABLES", "NF_TABLES"), "rules of kube-proxy", _LESS, engines=_NODE),
    Need(("NETFILTER_XT_MATCH_COMMENT", "NF_TABLES"), "rules with names", _LESS, engines=_NODE),
    Need(
        ("NETFILTER_XT_TARGET_REDIRECT", "IP_NF_TARGET_REDIRECT", "NFT_REDIR"),
        "redirected ports",
        _LESS,
        engines=_NODE,
    ),
    Need(("KEYS",), "key rings of the container's own", without=_LESS),
    Need(("BRIDGE_NETFILTER",), "icc=false between containers", without=_LESS, engines=_FIREWALL),
    Need(("CGROUP_PIDS",), "limits on processes (--pids-limit)", without=_LESS, since="4.3"),
    Need(("CFS_BANDWIDTH",), "limits on CPU time (--cpus)", without=_LESS),
    Need(("BLK_CGROUP",), "limits on disk traffic", without=_LESS),
    Need(("SECCOMP_FILTER",), "the filter of system calls", without=_LESS),
    Need(("USER_NS",), "user namespaces (rootless, userns-remap)", without=_LESS),
)


def lacking(
    config: KernelConfig, kernel: KernelRelease, version: CgroupVersion, engine: str
) -> Iterator[Need]:
    """The needs of an engine on this kernel that its configuration does not meet."""
    for need in NEEDS:
        if need.since and not kernel.at_least(need.since):
            continue
        if need.before and kernel.at_least(need.before):
            continue
        if need.cgroups and version not in need.cgroups:
            continue
        if need.engines and engine not in need.engines:
            continue
        if not any(config.has(symbol) for symbol in need.symbols):
            yield need
