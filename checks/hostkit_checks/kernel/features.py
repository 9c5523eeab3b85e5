# SPDX-License-Identifier: GPL-3.0-or-later
"""Features that some containers use and most do not, and what a kernel needs for each.

What no container can do without is in requirements.py. Of the symbols or modules in one
row any one will do: features are renamed, and the old packet filter (xtables) and the new
one (nf_tables) give many of them both.
"""

from hostkit.facts.cgroups import CgroupVersion
from hostkit.value import NamedTuple


class Option(NamedTuple):
    """Any of `symbols`. `since` and `before` bound the upstream versions that have one.

    `modules`: the files that a symbol set to m comes in, which a distribution may keep in
    a package of its own; in a kernel without a readable configuration they answer alone.
    """

    symbols: tuple[str, ...]
    modules: tuple[str, ...] = ()
    since: str = ""
    before: str = ""


class Feature(NamedTuple):
    """`name`: what one cannot do without it; `profiles`, `cgroups`: whom it is of use to.

    `quiet`: so few use it that it is only mentioned, no finding. `engine_since`: the first
    version of Docker that uses it. `filesystem`: asked only when the images lie on that.
    """

    name: str
    options: tuple[Option, ...]
    quiet: bool = False
    profiles: tuple[str, ...] = ("docker", "podman", "hostkit", "kubernetes")
    cgroups: tuple[CgroupVersion, ...] = ()
    engine_since: tuple[int, ...] = ()
    filesystem: str = ""


_V1 = (CgroupVersion.V1, CgroupVersion.HYBRID)


def _options(*rows: str) -> tuple[Option, ...]:
    """A row is `SYMBOL|SYMBOL module module`.

    >>> _options("VXLAN vxlan", "A|B")[1]
    Option(symbols=('A', 'B'), modules=(), since='', before='')
    """
    words = [row.split() for row in rows]
    return tuple(Option(tuple(first.split("|")), tuple(rest)) for first, *rest in words)


FEATURES: tuple[Feature, ...] = (
    Feature(
        "overlay networks",
        _options("VXLAN vxlan", "BRIDGE_VLAN_FILTERING"),
        profiles=("docker", "kubernetes"),
    ),
    Feature(
        "encrypted overlay networks",
        (
            *_options(
                "CRYPTO", "CRYPTO_AEAD", "CRYPTO_GCM gcm", "CRYPTO_SEQIV seqiv",
                # GCM cannot be built without its hash, under whatever name that goes.
                "CRYPTO_GHASH|CRYPTO_GCM", "XFRM", "XFRM_USER xfrm_user", "XFRM_ALGO xfrm_algo",
                "INET_ESP esp4",
                "NETFILTER_XT_MATCH_BPF xt_bpf",  # xt_u32 before Docker 23
            ),
            # Built in since 5.2, under no name.
            Option(("INET_XFRM_MODE_TRANSPORT",), ("xfrm4_mode_transport",), before="5.2"),
        ),
        profiles=("docker",),
    ),
    Feature("ipvlan networks", _options("IPVLAN ipvlan"), profiles=("docker", "podman")),
    Feature(
        "macvlan networks",
        _options("MACVLAN macvlan", "DUMMY dummy"),
        profiles=("docker", "podman"),
    ),
    Feature(
        "load balancing by IPVS",
        _options(
            "IP_VS ip_vs", "IP_VS_NFCT", "IP_VS_PROTO_TCP", "IP_VS_PROTO_UDP",
            "IP_VS_RR ip_vs_rr", "NETFILTER_XT_MATCH_IPVS xt_ipvs", "NETFILTER_XT_MARK xt_mark",
        ),
        profiles=("docker",),
    ),
    Feature(
        "kube-proxy in the mode ipvs",
        _options(
            "IP_VS ip_vs", "IP_VS_NFCT", "IP_VS_RR ip_vs_rr", "IP_VS_WRR ip_vs_wrr",
            "IP_VS_SH ip_vs_sh", "IP_SET ip_set", "IP_SET_HASH_IP ip_set_hash_ip",
            "IP_SET_HASH_NET ip_set_hash_net", "NETFILTER_XT_SET xt_set",
        ),
        quiet=True,
        profiles=("kubernetes",),
    ),
    Feature(
        "services by iptables or nftables (kube-proxy)",
        _options(
            "NF_CONNTRACK nf_conntrack", "NETFILTER_NETLINK nfnetlink", "NF_NAT nf_nat",
            "IP_NF_IPTABLES|NFT_COMPAT ip_tables nft_compat",
            "IP_NF_FILTER|NF_TABLES iptable_filter nf_tables",
            "IP_NF_NAT|NFT_NAT iptable_nat nft_nat",
            "IP_NF_TARGET_REJECT|NFT_REJECT ipt_REJECT nft_reject",
            "NETFILTER_XT_NAT|NFT_NAT xt_nat nft_nat",
            "NETFILTER_XT_TARGET_MASQUERADE|IP_NF_TARGET_MASQUERADE|NFT_MASQ "
            "xt_MASQUERADE ipt_MASQUERADE nft_masq",
            "NETFILTER_XT_MARK xt_mark",
            "NETFILTER_XT_MATCH_ADDRTYPE xt_addrtype", "NETFILTER_XT_MATCH_CONNTRACK xt_conntrack",
            "NETFILTER_XT_MATCH_MULTIPORT xt_multiport", "NETFILTER_XT_MATCH_RECENT xt_recent",
            "NETFILTER_XT_MATCH_STATISTIC xt_statistic",
        ),
        profiles=("kubernetes",),
    ),
    Feature(
        "the packet filter's mangle and raw tables",
        _options("IP_NF_MANGLE|NF_TABLES", "IP_NF_RAW|NF_TABLES"),
        profiles=("docker", "podman"),
    ),
    Feature(
        "IPv6 networks",
        _options(
            "IPV6", "IP6_NF_FILTER|NF_TABLES", "IP6_NF_MANGLE|NF_TABLES", "IP6_NF_RAW|NF_TABLES",
            "IP6_NF_NAT|NF_NAT_IPV6|NFT_NAT",
            "IP6_NF_TARGET_MASQUERADE|NETFILTER_XT_TARGET_MASQUERADE|NFT_MASQ",
        ),
    ),
    Feature(
        "rules of Docker's nftables backend",
        _options(
            "NF_TABLES nf_tables", "NFT_CT nft_ct", "NFT_FIB nft_fib", "NFT_FIB_IPV4 nft_fib_ipv4",
            "NFT_FIB_IPV6 nft_fib_ipv6", "NFT_MASQ nft_masq", "NFT_NAT nft_nat",
        ),
        profiles=("docker",),
        engine_since=(29,),
    ),
    Feature(
        "redirected ports",
        _options(
            "NETFILTER_XT_TARGET_REDIRECT|IP_NF_TARGET_REDIRECT|NFT_REDIR "
            "xt_REDIRECT ipt_REDIRECT nft_redir"
        ),
        profiles=("docker", "podman"),
    ),
    Feature("limits of disk traffic", _options("BLK_CGROUP", "BLK_DEV_THROTTLING")),
    Feature("limits of huge pages", _options("CGROUP_HUGETLB")),
    Feature(
        "CPU shares of containers",
        _options("FAIR_GROUP_SCHED"),
        profiles=("docker", "podman", "hostkit"),
    ),
    Feature(
        "limits of swap",
        (
            Option(("MEMCG_SWAP",), since="3.6", before="5.8"),
            Option(("RESOURCE_COUNTERS",), before="3.19"),
        ),
    ),
    Feature(
        "limits of kernel memory",
        (Option(("MEMCG_KMEM",), since="3.8", before="4.5"),),
        quiet=True,
        cgroups=_V1,
    ),
    Feature("a security module for containers", _options("SECURITY_SELINUX|SECURITY_APPARMOR")),
    Feature(
        "attributes of files on ext4",
        _options("EXT4_FS_POSIX_ACL", "EXT4_FS_SECURITY"),
        filesystem="ext4",
    ),
    Feature(
        "attributes of files on ext3",
        _options("EXT4_FS_POSIX_ACL|EXT3_FS_POSIX_ACL", "EXT4_FS_SECURITY|EXT3_FS_SECURITY"),
        filesystem="ext3",
    ),
    Feature("access lists on btrfs", _options("BTRFS_FS_POSIX_ACL"), filesystem="btrfs"),
    Feature(
        "systemd in a container",
        _options("FHANDLE", "EVENTFD", "EPOLL", "SIGNALFD", "TIMERFD", "INOTIFY_USER"),
    ),
    Feature("FUSE in containers", _options("FUSE_FS fuse")),
    Feature("ports of SCTP", _options("IP_SCTP sctp"), quiet=True),
    Feature("VLANs below macvlan and ipvlan", _options("VLAN_8021Q 8021q"), quiet=True),
    Feature(
        "DHCP across a bridge",  # clients that see a checksum not yet filled in drop the packet
        _options("NETFILTER_XT_TARGET_CHECKSUM xt_CHECKSUM"),
        quiet=True,
    ),
    Feature(
        "FTP and TFTP through published ports",
        _options(
            "NF_CONNTRACK_FTP nf_conntrack_ftp", "NF_NAT_FTP nf_nat_ftp",
            "NF_CONNTRACK_TFTP nf_conntrack_tftp", "NF_NAT_TFTP nf_nat_tftp",
        ),
        quiet=True,
    ),
    Feature("perf counters of one container", _options("CGROUP_PERF"), quiet=True),
    Feature(
        "classes of network traffic",
        (
            Option(("CGROUP_NET_CLASSID",), since="3.14"),
            Option(("NET_CLS_CGROUP",), ("cls_cgroup",)),
            Option(("CGROUP_NET_PRIO", "NETPRIO_CGROUP"), ("netprio_cgroup",)),
        ),
        quiet=True,
        cgroups=_V1,
    ),
    Feature(
        "weights of disk traffic",
        (
            Option(("IOSCHED_CFQ",), before="5.0"),
            Option(("CFQ_GROUP_IOSCHED",), before="5.0"),
        ),
        quiet=True,
        cgroups=_V1,
    ),
    Feature(
        "checkpoints (criu)",
        _options(
            "CHECKPOINT_RESTORE", "UNIX_DIAG unix_diag", "INET_DIAG inet_diag",
            "PACKET_DIAG af_packet_diag", "NETLINK_DIAG netlink_diag",
        ),
        quiet=True,
    ),
)  # fmt: skip
