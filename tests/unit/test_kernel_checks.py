# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the kernel: each finds, passes, says unknown, and knows where it does not apply."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import pytest

from hostkit.diagnosis.check import Check
from hostkit.diagnosis.finding import (
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Severity,
    Unknown,
)
from hostkit.diagnosis.runner import run_checks
from hostkit.facts.cgroups import CGROUPS, Cgroups, CgroupVersion
from hostkit.facts.daemonconfig import DAEMON_CONFIG, DaemonConfig
from hostkit.facts.daemonjson import Setting
from hostkit.facts.fact import Fact
from hostkit.facts.kernel import KERNEL, parse_release
from hostkit.facts.kernelconfig import KERNEL_CONFIG, KernelConfig
from hostkit.facts.machine import MACHINE, Machine, Virtualization
from hostkit.facts.modules import MODULES, Modules
from hostkit.facts.namespaces import NAMESPACES, SUBIDS, Namespaces, SubIds, parse_subids
from hostkit.facts.target import TARGET, Target
from hostkit.host.answer import Absent, Unreadable
from hostkit_checks.kernel.checks import (
    CHECKS,
    architecture,
    guest_kernel,
    kernel_config,
    kernel_release,
    modules_of_running_kernel,
    namespaces,
)
from hostkit_checks.kernel.requirements import NEEDS
from hostkit_checks.kernel.users import sub_ids, user_namespaces
from tests.fakes import make_facts

METAL = Machine("x86_64", 64, 64, Virtualization.NONE)
EL7 = parse_release("3.10.0-693.el7.x86_64")
EL6 = parse_release("2.6.32-754.35.1.el6.x86_64")
V1 = Cgroups(CgroupVersion.V1, None, (), None)
V2 = Cgroups(CgroupVersion.V2, None, (), ("cpu", "memory"))
MAIN_FIVE = frozenset(("ipc", "mnt", "net", "pid", "uts"))


Given: TypeAlias = Mapping[Fact[Any], Any]


def outcomes(check: Check, given: Given) -> tuple[Outcome, ...]:
    return run_checks(make_facts(given=given), (check,))[0].outcomes


def outcome(check: Check, given: Given) -> Outcome:
    found = outcomes(check, given)
    assert len(found) == 1, found
    return found[0]


def finding(check: Check, given: Given) -> Finding:
    found = outcome(check, given)
    assert isinstance(found, Finding), found
    assert found.problem in check.problems
    assert len(found.summary) <= 100
    assert found.evidence
    return found


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_host_that_says_nothing_is_unknown_and_never_passes(check: Check) -> None:
    (result,) = run_checks(make_facts(), (check,))
    assert all(isinstance(o, Unknown | NotApplicable) for o in result.outcomes), result.outcomes
    assert not any(isinstance(o, Unknown) and o.crashed for o in result.outcomes)


@pytest.mark.parametrize("release", ["2.6.32-754.35.1.el6.x86_64", "3.8.13-68.el6uek", "3.2.0-4"])
def test_kernels_below_3_10(release: str) -> None:
    found = finding(kernel_release, {KERNEL: parse_release(release)})
    assert found.severity is Severity.ERROR
    assert release in found.summary


@pytest.mark.parametrize(
    "release", ["3.10.0-123.el7.x86_64", "4.18.0-80.el8.x86_64", "5.14.0-1.el9", "6.18.44-fc-v657"]
)
def test_supported_rhel_kernels_are_not_called_too_old(release: str) -> None:
    assert isinstance(outcome(kernel_release, {KERNEL: parse_release(release)}), Passed)


def test_32_bits() -> None:
    kernel = METAL._replace(arch="i686", kernel_bits=32, userland_bits=32, cpu_64bit=True)
    found = finding(architecture, {MACHINE: kernel})
    assert found.severity is Severity.ERROR
    assert "could run 64" in found.summary
    arm = METAL._replace(arch="armv7l", kernel_bits=32, userland_bits=32)
    assert finding(architecture, {MACHINE: arm}).severity is Severity.WARNING
    programs = METAL._replace(userland_bits=32)
    assert "installed system is 32-bit" in finding(architecture, {MACHINE: programs}).summary


def test_64_bits_and_bits_not_known() -> None:
    assert isinstance(outcome(architecture, {MACHINE: METAL}), Passed)
    for unknown in (METAL._replace(kernel_bits=None), METAL._replace(userland_bits=None)):
        assert isinstance(outcome(architecture, {MACHINE: unknown}), Unknown)


def test_guests_that_share_a_kernel() -> None:
    openvz = METAL._replace(virtualization=Virtualization.OPENVZ, detail="OpenVZ", sign="/proc/vz")
    old = parse_release("2.6.32-042stab120.16")
    assert finding(guest_kernel, {MACHINE: openvz, KERNEL: old}).severity is Severity.ERROR
    new = parse_release("3.10.0-1160.90.1.vz7.200.7")
    assert finding(guest_kernel, {MACHINE: openvz, KERNEL: new}).severity is Severity.WARNING
    lxc = METAL._replace(virtualization=Virtualization.LXC, detail="lxc", sign="/dev/.lxc")
    assert finding(guest_kernel, {MACHINE: lxc, KERNEL: EL7}).severity is Severity.INFO


def test_machines_and_containers() -> None:
    vm = METAL._replace(virtualization=Virtualization.VM, detail="QEMU")
    assert isinstance(outcome(guest_kernel, {MACHINE: METAL}), Passed)
    assert isinstance(outcome(guest_kernel, {MACHINE: vm}), Passed)
    docker = METAL._replace(virtualization=Virtualization.CONTAINER, detail="docker")
    assert isinstance(outcome(guest_kernel, {MACHINE: docker}), NotApplicable)
    nothing = METAL._replace(virtualization=None)
    assert isinstance(outcome(guest_kernel, {MACHINE: nothing}), Unknown)


ALL_LOADED = frozenset(("overlay", "veth", "bridge", "nf_nat", "xt_addrtype", "xt_conntrack"))
GONE = Modules(
    loaded=frozenset(("overlay",)),
    builtin=None,
    available=None,
    supported=True,
    directory_missing=True,
    folder="/lib/modules/3.10.0-1",
    installed=("3.10.0-2",),
)


def test_modules_gone_with_the_old_kernel() -> None:
    found = finding(modules_of_running_kernel, {MODULES: GONE, MACHINE: METAL})
    assert found.severity is Severity.ERROR
    assert dict(found.params)["release"] == "3.10.0-1"
    assert any("3.10.0-2" in evidence.excerpt for evidence in found.evidence)
    loaded = GONE._replace(loaded=ALL_LOADED)
    assert finding(modules_of_running_kernel, {MODULES: loaded}).severity is Severity.WARNING


def test_modules_there_built_in_or_not_ours() -> None:
    there = GONE._replace(available=b"", directory_missing=False)
    assert isinstance(outcome(modules_of_running_kernel, {MODULES: there}), Passed)
    none = GONE._replace(supported=False, directory_missing=False)
    assert isinstance(outcome(modules_of_running_kernel, {MODULES: none}), Passed)
    symbols = ("OVERLAY_FS", "VETH", "BRIDGE", "NF_NAT", "NETFILTER_XT_MATCH_ADDRTYPE")
    text = "".join(f"CONFIG_{s}=y\n" for s in (*symbols, "NETFILTER_XT_MATCH_CONNTRACK"))
    built_in = GONE._replace(installed=(), config=KernelConfig(text.encode()))
    assert isinstance(outcome(modules_of_running_kernel, {MODULES: built_in}), Passed)
    lxc = METAL._replace(virtualization=Virtualization.LXC)
    given: Given = {MODULES: GONE._replace(directory_missing=False), MACHINE: lxc}
    assert isinstance(outcome(modules_of_running_kernel, given), NotApplicable)


def test_an_unreadable_list_of_modules_is_unknown() -> None:
    given: Given = {MODULES: GONE._replace(directory_missing=False), MACHINE: METAL}
    assert isinstance(outcome(modules_of_running_kernel, given), Unknown)
    given = {MODULES: Unreadable("/proc/modules", "denied")}
    assert isinstance(outcome(modules_of_running_kernel, given), Unknown)


def config(*absent: str, extra: str = "") -> KernelConfig:
    symbols = {symbol for need in NEEDS for symbol in need.symbols} - set(absent)
    return KernelConfig(("".join(f"CONFIG_{s}=y\n" for s in sorted(symbols)) + extra).encode())


def judged(
    built: KernelConfig, release: str, cgroups: Cgroups, engine: str = "docker"
) -> tuple[Outcome, ...]:
    given: Given = {
        KERNEL: parse_release(release),
        KERNEL_CONFIG: built,
        CGROUPS: cgroups,
        TARGET: Target(engine),
    }
    return outcomes(kernel_config, given)


def test_what_is_vital_is_an_error_and_names_it() -> None:
    (found,) = judged(config("VETH", "NET_NS"), "6.1.0", V2)
    assert isinstance(found, Finding)
    assert found.severity is Severity.ERROR
    assert "VETH" in found.summary
    assert len(found.evidence) == 2


@pytest.mark.parametrize(
    ("engine", "severity"), [("docker", Severity.WARNING), ("kubernetes", Severity.ERROR)]
)
def test_a_kernel_without_cpusets_runs_docker_and_no_kubelet(
    engine: str, severity: Severity
) -> None:
    # dockerd 20.10: "Unable to find cpuset controller", and it starts.
    (found,) = judged(config("CPUSETS"), "6.1.0", V2, engine)
    assert isinstance(found, Finding)
    assert found.severity is severity


def test_what_is_optional_is_only_worth_knowing() -> None:
    (found,) = judged(config("USER_NS"), "6.1.0", V2)
    assert isinstance(found, Finding)
    assert found.severity is Severity.INFO


def test_symbols_of_cgroup_v1_are_not_asked_of_a_host_with_v2() -> None:
    v1_only = ("CGROUP_CPUACCT", "CGROUP_DEVICE", "CGROUP_FREEZER")
    assert isinstance(judged(config(*v1_only), "6.12.0", V2)[0], Passed)
    assert isinstance(judged(config(*v1_only), "6.12.0", V1)[0], Finding)


def test_the_bpf_guard_is_asked_only_of_v2_and_kernels_that_have_it() -> None:
    without = config("CGROUP_BPF")
    assert isinstance(judged(without, "6.1.0", V2)[0], Finding)
    assert isinstance(judged(without, "6.1.0", V1)[0], Passed)
    assert isinstance(judged(without, "3.10.0-693.el7", V1)[0], Passed)


def test_legacy_tables_are_not_asked_where_nf_tables_serves() -> None:
    legacy = ("IP_NF_FILTER", "IP_NF_NAT", "IP_NF_TARGET_MASQUERADE", "IP_NF_IPTABLES")
    assert isinstance(judged(config(*legacy, "NF_NAT_IPV4"), "6.12.0-55.el10_0", V2)[0], Passed)


def test_renamed_and_merged_symbols_are_not_missed() -> None:
    gone = ("NF_NAT_IPV4", "DEVPTS_MULTIPLE_INSTANCES", "IP_NF_TARGET_MASQUERADE")
    assert isinstance(judged(config(*gone), "5.1.21", V1)[0], Passed)
    (found,) = judged(config("DEVPTS_MULTIPLE_INSTANCES"), "3.10.0-1160.el7", V1)
    assert isinstance(found, Finding)


def test_dockers_matches_are_not_asked_for_other_engines() -> None:
    without = config("NETFILTER_XT_MATCH_ADDRTYPE")
    assert isinstance(judged(without, "6.1.0", V2)[0], Finding)
    assert isinstance(judged(without, "6.1.0", V2, "podman")[0], Passed)


def test_dockers_own_nftables_backend_needs_no_iptables_match() -> None:
    without = config("NETFILTER_XT_MATCH_ADDRTYPE", "IP_NF_IPTABLES", "NFT_COMPAT")
    chosen = Setting("firewall-backend", "nftables", "/etc/docker/daemon.json", 2)
    given: Given = {KERNEL: parse_release("6.12.0"), KERNEL_CONFIG: without, CGROUPS: V2}
    assert isinstance(outcome(kernel_config, given), Finding)
    given = {**given, DAEMON_CONFIG: DaemonConfig((), (chosen,))}
    assert isinstance(outcome(kernel_config, given), Passed)


def test_no_configuration_anywhere_is_unknown_and_not_a_fault() -> None:
    given: Given = {KERNEL: EL7, KERNEL_CONFIG: Absent("/boot/config")}
    assert isinstance(outcome(kernel_config, given), Unknown)
    given = {KERNEL: EL7, KERNEL_CONFIG: Unreadable("/proc/config.gz", "denied")}
    assert isinstance(outcome(kernel_config, given), Unknown)


def test_old_kernels_are_not_asked_for_their_configuration() -> None:
    given: Given = {KERNEL: EL6, KERNEL_CONFIG: KernelConfig(b"")}
    assert isinstance(outcome(kernel_config, given), NotApplicable)
    given = {KERNEL: EL6, NAMESPACES: Namespaces(frozenset(("net", "uts")))}
    assert isinstance(outcome(namespaces, given), NotApplicable)


def test_namespaces_missing_and_there() -> None:
    given: Given = {KERNEL: EL7, NAMESPACES: Namespaces(MAIN_FIVE - {"net", "pid"})}
    assert "net, pid" in finding(namespaces, given).summary
    assert isinstance(outcome(namespaces, {NAMESPACES: Namespaces(MAIN_FIVE)}), Passed)


WITH_USER = MAIN_FIVE | {"user"}


@pytest.mark.parametrize(
    "state",
    [
        Namespaces(MAIN_FIVE),
        Namespaces(WITH_USER, max_user=0),
        Namespaces(WITH_USER, el7_enabled=False),
        Namespaces(WITH_USER, max_user=100, unprivileged=False),
    ],
)
def test_user_namespaces_off_is_worth_knowing_until_something_needs_them(state: Namespaces) -> None:
    assert finding(user_namespaces, {NAMESPACES: state}).severity is Severity.INFO
    podman: Given = {NAMESPACES: state, TARGET: Target("podman")}
    assert finding(user_namespaces, podman).severity is Severity.WARNING
    remap = DaemonConfig((), (Setting("userns-remap", "default", "/etc/docker/daemon.json", 3),))
    docker: Given = {NAMESPACES: state, DAEMON_CONFIG: remap}
    assert finding(user_namespaces, docker).severity is Severity.ERROR


def test_user_namespaces_on() -> None:
    state = Namespaces(WITH_USER, max_user=28633, unprivileged=True)
    assert isinstance(outcome(user_namespaces, {NAMESPACES: state}), Passed)
    restricted = state._replace(apparmor_restricted=True)
    found = outcome(user_namespaces, {NAMESPACES: restricted})
    assert isinstance(found, NotApplicable)  # a refusal in a text may be AppArmor's
    assert "AppArmor" in found.reason


def ids(uid: str, gid: str = "") -> SubIds:
    return SubIds(parse_subids(uid, "/etc/subuid"), parse_subids(gid or uid, "/etc/subgid"))


def test_sub_ids_too_few_shared_and_well() -> None:
    found = outcomes(sub_ids, {SUBIDS: ids("a:100000:1000\n", "a:100000:65536\n")})
    assert [f.summary for f in found if isinstance(f, Finding)] == [
        "a has 1000 ids in /etc/subuid, images want 65536"
    ]
    shared = outcomes(sub_ids, {SUBIDS: ids("a:100000:65536\nb:165535:65536\n")})
    assert len(shared) == 2
    well = ids("a:100000:65536\nb:165536:65536\n")
    assert isinstance(outcome(sub_ids, {SUBIDS: well}), Passed)


def test_two_small_ranges_make_one_large_one() -> None:
    assert isinstance(outcome(sub_ids, {SUBIDS: ids("a:100000:32768\na:200000:32768\n")}), Passed)


def test_a_user_listed_by_name_and_by_number_is_no_overlap() -> None:
    given: Given = {SUBIDS: ids("a:100000:65536\n1000:100000:65536\n")}
    assert isinstance(outcome(sub_ids, given), Passed)


def test_nobody_has_sub_ids_or_they_cannot_be_read() -> None:
    assert isinstance(outcome(sub_ids, {SUBIDS: SubIds((), ())}), NotApplicable)
    assert isinstance(outcome(sub_ids, {SUBIDS: Unreadable("/etc/subuid", "denied")}), Unknown)


def test_userns_remap_to_a_user_without_a_range() -> None:
    remap = DaemonConfig((), (Setting("userns-remap", "web:web", "/etc/docker/daemon.json", 3),))
    given: Given = {SUBIDS: SubIds((), ()), DAEMON_CONFIG: remap}
    found = outcomes(sub_ids, given)
    assert all(isinstance(f, Finding) and f.severity is Severity.ERROR for f in found)
    assert len(found) == 2
