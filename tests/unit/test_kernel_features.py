# SPDX-License-Identifier: GPL-3.0-or-later
"""Optional kernel features: what other checkers get wrong, and one remark for all of it."""

from collections.abc import Mapping
from typing import Any

import pytest

from hostkit.diagnosis.finding import Finding, NotApplicable, Outcome, Passed, Severity, Unknown
from hostkit.diagnosis.runner import run_checks
from hostkit.facts.cgroups import CGROUPS, Cgroups, CgroupVersion
from hostkit.facts.graphdrivers import DOCKER_VERSION
from hostkit.facts.idmap import ID_MAP_TOOLS, IdMapTool
from hostkit.facts.kernel import CMDLINE, KERNEL, parse_cmdline, parse_release
from hostkit.facts.kernelconfig import KERNEL_CONFIG, KernelConfig
from hostkit.facts.modules import MODULES, Modules
from hostkit.facts.rootless import ROOTLESS, RootlessUser
from hostkit.facts.target import TARGET, Target
from hostkit.host.answer import Absent
from hostkit_checks.kernel.features import FEATURES
from hostkit_checks.kernel.idmap import id_map_programs
from hostkit_checks.kernel.options import kernel_features
from hostkit_checks.kernel.requirements import lacking
from tests.fakes import make_facts

V1 = Cgroups(CgroupVersion.V1, None, (), None)
V2 = Cgroups(CgroupVersion.V2, None, (), ("cpu", "io", "memory", "pids"))
NEW, EL7 = parse_release("6.12.0-55.el10.x86_64"), parse_release("3.10.0-1160.el7.x86_64")
SYMBOLS = sorted({s for one in FEATURES for option in one.options for s in option.symbols})
LEGACY = tuple(s for s in SYMBOLS if s.startswith(("IP_NF_", "IP6_NF_")))
V1_ONLY = ("CGROUP_NET_CLASSID", "NET_CLS_CGROUP", "CGROUP_NET_PRIO", "NETPRIO_CGROUP",
           "MEMCG_KMEM", "IOSCHED_CFQ", "CFQ_GROUP_IOSCHED")  # fmt: skip
GONE_BEFORE_6 = ("INET_XFRM_MODE_TRANSPORT", "MEMCG_SWAP", "RESOURCE_COUNTERS", "NF_NAT_IPV6")
NO_CONFIG = Absent("/boot/config", "no configuration of this kernel anywhere")


def config(*without: str, as_module: bool = False) -> KernelConfig:
    letter = "m" if as_module else "y"
    lines = [f"CONFIG_{symbol}={letter}\n" for symbol in SYMBOLS if symbol not in without]
    return KernelConfig("".join(lines).encode())


def modules(*loadable: str, builtin: tuple[str, ...] = ()) -> Modules:
    paths = "".join(f"kernel/{name}.ko.xz:\n" for name in loadable)
    there = "".join(f"kernel/{name}.ko\n" for name in builtin)
    return Modules(frozenset(), there.encode(), paths.encode(), True, False, "/lib/modules/x")


def outcomes(given: Mapping[Any, Any]) -> tuple[Outcome, ...]:
    base: dict[Any, Any] = {
        KERNEL: NEW,
        CGROUPS: V2,
        TARGET: Target("docker", (29,)),
        DOCKER_VERSION: (29,),
    }
    return run_checks(make_facts(given={**base, **given}), (kernel_features,))[0].outcomes


def lost(given: Mapping[Any, Any]) -> set[str]:
    """The names of the features that the one finding lists; none when it passed."""
    (outcome,) = outcomes(given)
    if isinstance(outcome, Passed):
        return set()
    assert isinstance(outcome, Finding), outcome
    assert outcome.severity is Severity.INFO
    assert len(outcome.summary) <= 100
    return {evidence.excerpt.partition(":")[0] for evidence in outcome.evidence}


def test_a_kernel_with_everything_is_worth_no_remark() -> None:
    assert lost({KERNEL_CONFIG: config()}) == set()


def test_symbols_of_cgroup_v1_are_not_missed_on_v2() -> None:
    assert lost({KERNEL_CONFIG: config(*V1_ONLY)}) == set()


def test_symbols_that_newer_kernels_no_longer_have_are_not_missed() -> None:
    assert lost({KERNEL_CONFIG: config(*GONE_BEFORE_6)}) == set()
    old = config(*GONE_BEFORE_6[:2])
    missed = lost({KERNEL_CONFIG: old, KERNEL: EL7, CGROUPS: V1})
    assert missed == {"encrypted overlay networks", "limits of swap"}


def test_a_kernel_without_the_old_packet_filter_lacks_nothing() -> None:
    """RHEL 10 builds no iptable_* modules at all; nf_tables gives the same."""
    assert lost({KERNEL_CONFIG: config(*LEGACY)}) == set()
    assert lost({KERNEL_CONFIG: config(*LEGACY), TARGET: Target("kubernetes")}) == set()


def test_the_old_packet_filter_alone_is_enough_before_docker_29() -> None:
    without = config(*(s for s in SYMBOLS if s.startswith(("NFT_", "NF_TABLES"))))
    assert lost({KERNEL_CONFIG: without, DOCKER_VERSION: (28, 5)}) == set()
    assert lost({KERNEL_CONFIG: without}) == {"rules of Docker's nftables backend"}


def test_one_of_two_names_is_enough() -> None:
    for one, other in (
        ("NETFILTER_XT_TARGET_REDIRECT", "IP_NF_TARGET_REDIRECT"),
        ("SECURITY_SELINUX", "SECURITY_APPARMOR"),
    ):
        assert lost({KERNEL_CONFIG: config(one)}) == set()
        assert lost({KERNEL_CONFIG: config(one, other, "NFT_REDIR")}) != set()


def test_a_module_whose_file_is_in_another_package_is_missing() -> None:
    """RHEL 8 and later keep some in kernel-modules-extra."""
    files = {name for one in FEATURES for option in one.options for name in option.modules}
    every = modules(*files)
    assert lost({KERNEL_CONFIG: config(as_module=True), MODULES: every}) == set()
    without = modules(*(files - {"vxlan"}))
    assert lost({KERNEL_CONFIG: config(as_module=True), MODULES: without}) == {"overlay networks"}


def test_what_is_built_in_needs_no_file() -> None:
    assert lost({KERNEL_CONFIG: config(), MODULES: modules()}) == set()


def test_without_a_configuration_the_modules_answer_and_the_rest_is_unknown() -> None:
    files = {name for one in FEATURES for option in one.options for name in option.modules}
    given = {KERNEL_CONFIG: NO_CONFIG, MODULES: modules(*files)}
    assert isinstance(outcomes(given)[0], Unknown)
    given = {KERNEL_CONFIG: NO_CONFIG, MODULES: modules(*(files - {"ipvlan"}))}
    assert lost(given) == {"ipvlan networks"}
    builtin = modules(*(files - {"ipvlan"}), builtin=("ipvlan",))
    assert isinstance(outcomes({KERNEL_CONFIG: NO_CONFIG, MODULES: builtin})[0], Unknown)
    nothing = {KERNEL_CONFIG: NO_CONFIG, MODULES: Absent("/proc/modules")}
    assert isinstance(outcomes(nothing)[0], Unknown)


def test_what_hardly_anybody_uses_is_only_mentioned() -> None:
    (outcome,) = outcomes({KERNEL_CONFIG: config("IP_SCTP", "CGROUP_PERF")})
    assert isinstance(outcome, Passed)
    assert "SCTP" in outcome.note


@pytest.mark.parametrize(("words", "told"), [("vsyscall=emulate", False), ("quiet", True)])
def test_images_of_centos_6_need_the_vsyscall_page(words: str, told: bool) -> None:
    built = KernelConfig(config().content + b"CONFIG_LEGACY_VSYSCALL_NONE=y\n")
    (outcome,) = outcomes({KERNEL_CONFIG: built, CMDLINE: parse_cmdline(words)})
    assert isinstance(outcome, Passed)
    assert ("CentOS 6" in outcome.note) is told


def test_a_kubelet_needs_no_ext4_and_no_legacy_packet_filter() -> None:
    """Both are demanded by its own validators (a node on xfs, a node on RHEL 10)."""
    words = (
        "NAMESPACES NET_NS PID_NS IPC_NS UTS_NS CGROUPS MEMCG CGROUP_SCHED CPUSETS CGROUP_BPF VETH "
        "POSIX_MQUEUE NET INET PROC_FS FAIR_GROUP_SCHED NETFILTER NF_TABLES NFT_REDIR KEYS "
        "CGROUP_PIDS CFS_BANDWIDTH BLK_CGROUP SECCOMP_FILTER USER_NS XFS_FS"
    )
    lines = "".join(f"CONFIG_{symbol}=y\n" for symbol in words.split())
    found = KernelConfig(lines.encode())
    assert list(lacking(found, NEW, CgroupVersion.V2, "kubernetes")) == []


def test_programs_for_sub_ids_matter_where_somebody_is_rootless() -> None:
    def judged(tools: tuple[IdMapTool, ...], **given: Any) -> Outcome:
        known: dict[Any, Any] = {ID_MAP_TOOLS: tools, TARGET: Target(given.get("engine", "docker"))}
        known[ROOTLESS] = given.get("rootless", Absent("/run/user"))
        return run_checks(make_facts(given=known), (id_map_programs,))[0].outcomes[0]

    none = (IdMapTool("newuidmap", ""), IdMapTool("newgidmap", ""))
    capable = (IdMapTool("newuidmap", "/usr/bin/newuidmap"),
               IdMapTool("newgidmap", "/usr/bin/newgidmap"))  # fmt: skip
    user = (RootlessUser(1000, "/run/user/1000/docker.sock", (), "f"),)
    assert isinstance(judged(none), NotApplicable)
    assert isinstance(judged(capable), Passed)  # by file capabilities, as on Fedora
    podman, docker = judged(none, engine="podman"), judged(none, rootless=user)
    assert isinstance(podman, Finding)
    assert podman.severity is Severity.INFO
    assert isinstance(docker, Finding)
    assert docker.severity is Severity.WARNING
