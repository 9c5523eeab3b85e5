# SPDX-License-Identifier: GPL-3.0-or-later
"""Forwarding and bridges: what containers need to reach anything at all."""

from collections.abc import Iterator

from hostkit.diagnosis.check import EVERY_PROFILE, Check, check
from hostkit.diagnosis.finding import (
    Evidence,
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Severity,
)
from hostkit.facts.daemonconfig import DAEMON_CONFIG, DaemonConfig
from hostkit.facts.fact import Facts
from hostkit.facts.kubelet import KUBELET
from hostkit.facts.links import LINKS, LinkKind
from hostkit.facts.processes import ENGINE_PROCESSES
from hostkit.facts.sysctl import CONFIGURED, Assignment, proc_path, sysctl
from hostkit.facts.target import TARGET
from hostkit.host.answer import Absent
from hostkit_checks.network.addresses import address_pools, bridge_mtu, docker_subnets
from hostkit_checks.network.bridges import docker_bridge
from hostkit_checks.network.ipv6 import ipv6_forwarding
from hostkit_checks.network.names import conntrack_table, resolver

IP_FORWARD = sysctl("net.ipv4.ip_forward")
BRIDGE_NF = sysctl("net.bridge.bridge-nf-call-iptables")
_SWITCHES_ON = {"dockerd": "dockerd", "podman": "Podman's first container"}


@check(
    "ipv4-forwarding",
    title="Are packets of containers forwarded, now and after the next boot?",
    problems=("ipv4-forwarding-disabled",),
    needs=(IP_FORWARD,),
    uses=(CONFIGURED, DAEMON_CONFIG, ENGINE_PROCESSES, LINKS, TARGET),
    required=EVERY_PROFILE,
)
def ipv4_forwarding(facts: Facts) -> Iterator[Outcome]:
    """Off now is an error; on now but off at boot is the surprise after a restart.

    A Docker that does not run yet switches it on when it starts, Podman with the first
    container on a bridge; kubelets and hostkit expect it on.
    """
    configured = facts.known(CONFIGURED)
    winner = configured.winner("net.ipv4.ip_forward") if configured else None
    value = facts.value(IP_FORWARD)
    if value != "1":
        off = winner is not None and winner.value != "1"
        who = "" if off else _switches_on(facts)
        what = f"{_SWITCHES_ON[who]} will switch it on" if who else "containers reach no other host"
        yield Finding(
            problem="ipv4-forwarding-disabled",
            severity=Severity.WARNING if who else Severity.ERROR,
            summary=f"net.ipv4.ip_forward is {value}: {what}",
            evidence=(
                Evidence(proc_path("net.ipv4.ip_forward"), value),
                *_written(winner),
            ),
            params=(("set", who),) if who else _set_by(winner),
        )
    elif winner is not None and winner.value != "1":
        yield Finding(
            problem="ipv4-forwarding-disabled",
            severity=Severity.WARNING,
            summary=f"ip_forward is 1 now, and {winner.value} from the next boot on",
            evidence=_written(winner),
            params=_set_by(winner),
            later=True,
        )
    else:
        yield Passed("IPv4 forwarding is on")


def _switches_on(facts: Facts) -> str:
    """Who is sure to switch forwarding on before a container needs it: a key, or ""."""
    target = facts.known(TARGET)
    engine = target.engine if target else "docker"
    if engine == "podman":
        return _podmans_network(facts)
    processes = facts.known(ENGINE_PROCESSES)
    if engine != "docker" or not processes or processes.running("dockerd"):
        return ""
    config = facts.known(DAEMON_CONFIG)
    does = config is None or (
        config.switch("ip-forward", True) and config.text("firewall-backend") != "nftables"
    )
    return "dockerd" if does else ""


def _podmans_network(facts: Facts) -> str:
    """Netavark switches it on when it makes a bridge, and not when it finds one in use."""
    links = facts.known(LINKS)
    if links is None:
        return ""
    bridges = {link.name for link in links.bridges()}
    used = any(link.kind is LinkKind.VETH and link.master in bridges for link in links.all)
    return "" if used else "podman"


def _set_by(winner: Assignment | None) -> tuple[tuple[str, str], ...]:
    """What a remedy by hand must change: the file that decides, if one of the site's does."""
    if winner is None or winner.value == "1" or not winner.file.startswith("/etc/"):
        return (("set", "nobody"),)
    return (("file", winner.file), ("line", str(winner.line)), ("set", "file"))


def _written(winner: Assignment | None) -> tuple[Evidence, ...]:
    if winner is None:
        return ()
    return (Evidence(winner.file, f"{winner.key} = {winner.value}", winner.line),)


@check(
    "bridge-netfilter",
    title="Does the packet filter see what stays within a bridge, where that is needed?",
    problems=("bridge-nf-disabled",),
    uses=(BRIDGE_NF, CONFIGURED, DAEMON_CONFIG, KUBELET, TARGET),
)
def bridge_netfilter(facts: Facts) -> Iterator[Outcome]:
    """Docker up to 27 warns in any case; only some settings, and Kubernetes, need it."""
    answer = facts.get(BRIDGE_NF)
    loaded = not isinstance(answer, Absent)
    nodes = tuple(_of_node(facts))
    if loaded and facts.value(BRIDGE_NF) == "1":
        configured = facts.known(CONFIGURED) if nodes else None  # dockerd sets it at its start
        winner = configured.winner("net.bridge.bridge-nf-call-iptables") if configured else None
        if winner is None or winner.value != "0":
            yield Passed("the packet filter sees bridged packets")
            return
        yield Finding(
            problem="bridge-nf-disabled",
            severity=Severity.WARNING,
            summary="bridge-nf-call-iptables is 1 now, and 0 from the next boot on",
            evidence=(*_written(winner), *(evidence for evidence, _ in nodes)),
            later=True,
        )
        return
    reasons = [*_reasons(facts.known(DAEMON_CONFIG)), *nodes]
    if not reasons:
        yield NotApplicable("bridged packets bypass the filter, and nothing here needs it")
        return
    state = "is 0" if loaded else "does not exist: br_netfilter is not loaded"
    yield Finding(
        problem="bridge-nf-disabled",
        severity=Severity.ERROR if facts.known(KUBELET) else Severity.WARNING,
        summary=f"{', '.join(name for _, name in reasons)} needs bridge-nf-call-iptables",
        evidence=(
            Evidence(proc_path("net.bridge.bridge-nf-call-iptables"), state),
            *(evidence for evidence, _ in reasons),
        ),
    )


def _of_node(facts: Facts) -> Iterator[tuple[Evidence, str]]:
    """Kubernetes needs it on every node, for services whose two ends share it."""
    kubelet, target = facts.known(KUBELET), facts.known(TARGET)
    if kubelet:
        yield Evidence(kubelet, "this host is a Kubernetes node"), "Kubernetes"
    elif target is not None and target.engine == "kubernetes":
        yield Evidence("--for", "kubernetes"), "Kubernetes"


def _reasons(config: DaemonConfig | None) -> Iterator[tuple[Evidence, str]]:
    """Settings of dockerd that only rules on bridged packets can carry out."""
    for key in ("icc", "userland-proxy"):
        setting = config.get(key) if config else None
        if setting is not None and setting.value is False:
            yield Evidence(setting.source, f"{key} = false", setting.line), f"{key}=false"


CHECKS: tuple[Check, ...] = (
    ipv4_forwarding,
    ipv6_forwarding,
    bridge_netfilter,
    docker_subnets,
    address_pools,
    bridge_mtu,
    docker_bridge,
    resolver,
    conntrack_table,
)
