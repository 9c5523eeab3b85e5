# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of a Kubernetes node: what kubeadm, k0s and k3s ask, without their false alarms."""

from collections.abc import Mapping
from typing import Any

import pytest

from hostkit.diagnosis.check import Check
from hostkit.diagnosis.finding import (
    Evidence,
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Severity,
    Unknown,
)
from hostkit.diagnosis.runner import run_checks
from hostkit.diagnosis.scan import scan
from hostkit.facts.engine import CONTAINERD, Engine
from hostkit.facts.kernel import KERNEL, parse_release
from hostkit.facts.target import TARGET, Target
from hostkit.facts.units import UNITS, Unit, Units
from hostkit.host.answer import Absent
from hostkit_checks.kubernetes.checks import CHECKS
from hostkit_checks.kubernetes.network import firewall, name, networks, ports
from hostkit_checks.kubernetes.node import TOOLS, cgroups, machine, programs, swap
from hostkit_checks.kubernetes.runtime import cgroup_driver, runtime
from hostkit_checks.kubernetes.signatures import SIGNATURES
from hostkit_checks.network.checks import bridge_netfilter
from hostkit_checks.network.ipv6 import ipv6_forwarding
from tests.fakes import make_facts

V2 = {
    "/proc/self/mounts": "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n",
    "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory hugetlb pids\n",
}
TCP = (
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout\n"
    "   0: 00000000:{:04X} 00000000:0000 {} 00000000:00000000 00:00000000 00000000   112   0 1 1\n"
)
MEMORY = "MemTotal: {} kB\nMemAvailable: 1000 kB\nSwapTotal: {} kB\nSwapFree: 0 kB\n"
ROUTE = (
    "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
    "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
)
NODE = {"/var/lib/kubelet/config.yaml": "kind: KubeletConfiguration\ncgroupDriver: systemd\n"}


def outcome(
    check: Check, files: Mapping[str, str], given: Mapping[Any, Any] | None = None
) -> Outcome:
    known = {TARGET: Target("kubernetes"), **(given or {})}
    (one,) = run_checks(make_facts(files, given=known), (check,))[0].outcomes
    return one


def finding(
    check: Check, files: Mapping[str, str], given: Mapping[Any, Any] | None = None
) -> Finding:
    found = outcome(check, files, given)
    assert isinstance(found, Finding), found
    assert found.problem in check.problems
    assert len(found.summary) <= 100
    return found


def test_they_matter_to_kubernetes_alone() -> None:
    assert {check.profiles for check in CHECKS} == {("kubernetes",)}


@pytest.mark.parametrize(
    ("kib", "online", "words"),
    [(4 << 20, "0-3", ""), (1 << 20, "0-1", "1024 MiB"), (4 << 20, "0", "1 processor")],
)
def test_the_size_of_the_machine(kib: int, online: str, words: str) -> None:
    files = {
        "/proc/meminfo": MEMORY.format(kib, 0),
        "/sys/devices/system/cpu/online": online + "\n",
    }
    found = outcome(machine, files)
    assert (found.summary if isinstance(found, Finding) else "").startswith(words)
    assert isinstance(found, Finding) is bool(words)


def test_swap_that_the_kubelet_is_told_to_bear_is_no_problem() -> None:
    on = {"/proc/meminfo": MEMORY.format(4 << 20, 1 << 20)}
    off = {"/proc/meminfo": MEMORY.format(4 << 20, 0)}
    assert finding(swap, on).severity is Severity.WARNING
    assert finding(swap, {**on, **NODE}).severity is Severity.WARNING
    assert isinstance(outcome(swap, off), Passed)
    borne = {"/var/lib/kubelet/config.yaml": "failSwapOn: false\n"}
    assert isinstance(outcome(swap, {**on, **borne}), Passed)
    assert isinstance(outcome(swap, {**on, "/etc/rancher/k3s/config.yaml": ""}), Passed)


def test_programs_by_the_version_of_the_kubelet() -> None:
    every = {f"/usr/bin/{tool.name}": "" for tool in TOOLS}
    assert isinstance(outcome(programs, every), Passed)
    without = {path: "" for path in every if not path.endswith("/conntrack")}
    found = finding(programs, without, {TARGET: Target("kubernetes", (1, 31))})
    assert found.severity is Severity.ERROR
    assert "conntrack" in found.summary
    assert isinstance(outcome(programs, without, {TARGET: Target("kubernetes", (1, 32))}), Passed)
    few = {path: "" for path in every if not path.endswith(("/socat", "/ethtool"))}
    assert finding(programs, few).severity is Severity.INFO


def test_v2_needs_no_devices_controller_and_no_cpuacct() -> None:
    """virt-host-validate and others warn of exactly these on every v2 host."""
    assert isinstance(outcome(cgroups, V2, {KERNEL: parse_release("6.12.0-1.el10")}), Passed)
    assert isinstance(outcome(cgroups, V2, {KERNEL: parse_release("4.18.0-553.el8")}), Passed)
    early = finding(cgroups, V2, {KERNEL: parse_release("4.19.0-6-amd64")})
    assert "cgroup.freeze" in early.summary


def test_v1_needs_pids_and_v2_memory() -> None:
    v1 = "".join(
        f"cgroup /sys/fs/cgroup/{one} cgroup rw,{one} 0 0\n"
        for one in ("cpu", "cpuacct", "cpuset", "devices", "freezer", "memory")
    )
    assert "pids" in finding(cgroups, {"/proc/self/mounts": v1}).summary
    offered = {**V2, "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io pids\n"}
    assert "memory" in finding(cgroups, offered).summary


def test_a_runtime_and_its_interface() -> None:
    containerd = {"/usr/bin/containerd": ""}
    config = "/etc/containerd/config.toml"
    assert finding(runtime, {}).problem == "kubernetes-no-runtime"
    assert isinstance(outcome(runtime, containerd), Passed)
    dockers = {**containerd, config: 'disabled_plugins = ["cri"]\n'}
    found = finding(runtime, dockers)
    assert found.problem == "containerd-cri-disabled"
    assert found.evidence[0] == Evidence(config, 'disabled_plugins = ["cri"]', 1)
    assert isinstance(outcome(runtime, {**dockers, "/usr/bin/crio": ""}), Passed)
    assert isinstance(outcome(runtime, {**containerd, config: "= no TOML"}), Unknown)


@pytest.mark.parametrize(
    ("kubelet", "containerd", "kind"),
    [
        ("systemd", "SystemdCgroup = true", Passed),
        ("systemd", "SystemdCgroup = false", Finding),
        ("cgroupfs", "SystemdCgroup = true", Finding),
        ("cgroupfs", "", Passed),
        ("", "SystemdCgroup = true", Passed),
        ("", "", Finding),
    ],
)
def test_cgroup_drivers_that_differ(kubelet: str, containerd: str, kind: type[Outcome]) -> None:
    table = "plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options"
    files = {
        **V2,
        "/usr/bin/containerd": "",
        "/etc/containerd/config.toml": f"version = 3\n[{table}]\n{containerd}\n",
    }
    if kubelet:
        files["/var/lib/kubelet/config.yaml"] = f"cgroupDriver: {kubelet}\n"
    assert isinstance(outcome(cgroup_driver, files), kind)


def test_what_containerd_imports_counts_and_is_named() -> None:
    drop_in = "/etc/containerd/conf.d/10-cgroups.toml"
    table = "plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.runc.options"
    files = {
        **V2,
        **NODE,
        "/usr/bin/containerd": "",
        "/etc/containerd/config.toml": 'version = 2\nimports = ["conf.d/*.toml"]\n',
        drop_in: f"version = 2\n[{table}]\nSystemdCgroup = false\n",
    }
    found = finding(cgroup_driver, files)
    assert (found.evidence[1].source, found.evidence[1].line) == (drop_in, 3)
    files[drop_in] = files[drop_in].replace("false", "true")
    assert isinstance(outcome(cgroup_driver, files), Passed)
    files[drop_in] = "= no TOML"
    assert isinstance(outcome(cgroup_driver, files), Unknown)


def test_a_file_of_the_first_version_does_not_know_the_long_name_of_the_plugin() -> None:
    """It passes over what looks right (containerd#5237), as was seen with 1.7.24 and 2.1.9."""
    config = "/etc/containerd/config.toml"
    table = 'plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options'
    files = {
        **V2,
        **NODE,
        "/usr/bin/containerd": "",
        config: f"[{table}]\nSystemdCgroup = true\n",
    }
    old = {CONTAINERD: Engine("containerd", (1, 7, 28), "1.7.28", "containerd.io")}
    assert (
        "ignored in a file of version 1" in finding(cgroup_driver, files, old).evidence[2].excerpt
    )
    short = {**files, config: files[config].replace('"io.containerd.grpc.v1.cri"', "cri")}
    assert isinstance(outcome(cgroup_driver, short, old), Passed)
    new = {CONTAINERD: Engine("containerd", (2, 1), "2.1", "containerd.io")}
    for passed_over in (files, short):
        assert isinstance(outcome(cgroup_driver, passed_over, new), Finding)
    second = {**files, config: f"version = 2\n{files[config]}"}
    assert isinstance(outcome(cgroup_driver, second, new), Passed)
    third = {**files, config: f"version = 3\n{files[config]}"}
    assert isinstance(outcome(cgroup_driver, third, new), Finding)


def test_ports_that_somebody_has() -> None:
    assert finding(ports, {"/proc/net/tcp": TCP.format(10250, "0A")}).severity is Severity.ERROR
    etcd = finding(ports, {"/proc/net/tcp": TCP.format(2379, "0A")})
    assert etcd.severity is Severity.WARNING
    assert "user 112" in etcd.evidence[0].excerpt
    client = {"/proc/net/tcp": TCP.format(6443, "01")}  # a connection, nobody who listens
    assert isinstance(outcome(ports, client), Passed)
    taken = {"/proc/net/tcp": TCP.format(10250, "0A"), **NODE}
    assert isinstance(outcome(ports, taken), NotApplicable)
    assert isinstance(outcome(ports, {}), Unknown)


@pytest.mark.parametrize(
    ("host", "hosts", "nss", "kind"),
    [
        ("web07", "127.0.0.1 localhost\n192.0.2.7 web07\n", "files dns", Passed),
        ("web07", "127.0.0.1 localhost\n", "files myhostname", Passed),
        ("web07", "127.0.0.1 localhost\n", "files dns", Finding),
        ("Web_07", "127.0.0.1 localhost\n", "files dns", Finding),
        ("web07", "192.0.2.7 web07\n", "files dns", Finding),
    ],
)
def test_the_name_of_a_node(host: str, hosts: str, nss: str, kind: type[Outcome]) -> None:
    files = {
        "/proc/sys/kernel/hostname": host + "\n",
        "/etc/hosts": hosts,
        "/etc/nsswitch.conf": f"hosts: {nss}\n",
    }
    assert isinstance(outcome(name, files), kind)


def test_routes_into_the_networks_of_clusters() -> None:
    assert isinstance(outcome(networks, {"/proc/net/route": ROUTE}), Passed)
    vpn = ROUTE + "tun0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n"
    assert "10.96.0.0/12" in finding(networks, {"/proc/net/route": vpn}).summary
    assert isinstance(outcome(networks, {"/proc/net/route": vpn, **NODE}), NotApplicable)


@pytest.mark.parametrize(
    ("inside", "kind"),
    [
        ('<service name="ssh"/>', Finding),
        ('<port port="10250" protocol="tcp"/>', Passed),
        ('<port port="10000-10300" protocol="tcp"/>', Passed),
        ('<port port="10250" protocol="udp"/>', Finding),
        ('<!-- <port port="10250" protocol="tcp"/> -->', Finding),
        ('<service name="kubelet"/>', Passed),
    ],
)
def test_the_zone_of_the_uplink_decides(inside: str, kind: type[Outcome]) -> None:
    files = {
        "/etc/firewalld/firewalld.conf": "DefaultZone=public\n",
        "/usr/sbin/firewalld": "",
        "/proc/net/route": ROUTE,
        "/usr/lib/firewalld/zones/public.xml": f"<zone>{inside}</zone>",
    }
    active = {UNITS: Units((Unit("firewalld.service", load="loaded", state="active"),))}
    assert isinstance(outcome(firewall, files, active), kind)
    stopped = {UNITS: Units((Unit("firewalld.service", load="loaded", state="inactive"),))}
    assert isinstance(outcome(firewall, files, stopped), NotApplicable)


def test_a_host_that_is_to_be_a_node_needs_the_bridges_filtered() -> None:
    path = "/proc/sys/net/bridge/bridge-nf-call-iptables"
    assert finding(bridge_netfilter, {path: "0\n"}).severity is Severity.WARNING
    assert isinstance(outcome(bridge_netfilter, {path: "1\n"}), Passed)


def test_ipv6_forwarding_is_nothing_to_a_host_with_ipv4_alone() -> None:
    """check-config.sh prints it in red on every such host."""
    off = {"/proc/sys/net/ipv6/conf/all/forwarding": "0\n"}
    assert isinstance(outcome(ipv6_forwarding, off), NotApplicable)
    dual = {"/var/lib/kubelet/config.yaml": "clusterDNS:\n- 10.96.0.10\n- fd00::a\n"}
    assert finding(ipv6_forwarding, {**off, **dual}).severity is Severity.WARNING
    on = {"/proc/sys/net/ipv6/conf/all/forwarding": "1\n"}
    assert isinstance(outcome(ipv6_forwarding, {**on, **dual}), Passed)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("\t[ERROR Swap]: running with swap on is not supported. Please disable swap",
         "kubernetes-swap-on"),
        ("\t[ERROR Port-10250]: Port 10250 is in use", "kubernetes-port-taken"),
        ("\t[ERROR NumCPU]: the number of available CPUs 1 is less than the required 2",
         "kubernetes-machine-too-small"),
        ("\t[ERROR FileExisting-conntrack]: conntrack not found in system path",
         "required-program-missing"),
        ("\t[ERROR FileContent--proc-sys-net-ipv4-ip_forward]: contents are not set to 1",
         "ipv4-forwarding-disabled"),
        ("rpc error: code = Unimplemented desc = unknown service runtime.v1.RuntimeService",
         "containerd-cri-disabled"),
    ],
)  # fmt: skip
def test_what_kubeadm_and_the_kubelet_say(line: str, code: str) -> None:
    assert [hit.finding.problem for hit in scan([line], SIGNATURES, "journal")] == [code]


def test_answers_are_given_in_all_three_ways() -> None:
    assert isinstance(outcome(machine, {}), Unknown)
    assert isinstance(outcome(firewall, {}, {UNITS: Absent("systemd")}), NotApplicable)
