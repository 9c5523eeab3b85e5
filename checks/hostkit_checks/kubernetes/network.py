# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports, names, networks and the firewall of a node."""

from collections.abc import Iterator

from hostkit.diagnosis.check import Check, check
from hostkit.diagnosis.finding import (
    Certainty,
    Evidence,
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Severity,
    Unknown,
)
from hostkit.facts.fact import Facts
from hostkit.facts.firewalld import FIREWALLD
from hostkit.facts.firewallports import ZONE_PORTS
from hostkit.facts.hostnames import (
    HOSTNAME,
    HOSTNAME_FILE,
    HOSTS,
    HOSTS_FILE,
    NAME_SERVICES,
    NSSWITCH,
    fault_of,
)
from hostkit.facts.kubelet import KUBELET
from hostkit.facts.listening import LISTENING, Listener
from hostkit.facts.routes import ROUTES, Network
from hostkit.facts.units import UNITS
from hostkit.host.answer import Absent, Known
from hostkit.value import NamedTuple

PROFILE = ("kubernetes",)


class Port(NamedTuple):
    """A port that a node needs for itself; `services`: firewalld's names for it."""

    number: int
    who: str
    control_plane: bool = True
    services: tuple[str, ...] = ()


PORTS: tuple[Port, ...] = (
    Port(10250, "the kubelet", False, ("kubelet", "kubelet-worker", "kube-worker")),
    Port(6443, "the API server", True, ("kube-apiserver", "kube-control-plane")),
    Port(2379, "etcd's clients", True),
    Port(2380, "etcd's peers", True),
    Port(10257, "the controller manager", True),
    Port(10259, "the scheduler", True),
)
# What kubeadm, k3s and flannel take for services and pods when nobody says otherwise.
NETWORKS: tuple[tuple[str, str], ...] = (
    ("10.96.0.0/12", "kubeadm's services"),
    ("10.244.0.0/16", "flannel's pods"),
    ("10.42.0.0/16", "k3s's pods"),
    ("10.43.0.0/16", "k3s's services"),
)


@check(
    "kubernetes-ports",
    title="Are the ports free that a node needs?",
    problems=("kubernetes-port-taken",),
    needs=(LISTENING,),
    uses=(KUBELET,),
    profiles=PROFILE,
)
def ports(facts: Facts) -> Iterator[Outcome]:
    """On a host that is a node already, it is Kubernetes that has them."""
    node = facts.known(KUBELET)
    if node:
        yield NotApplicable(f"this is a node already ({node})")
        return
    taken = {one.number: one for one in PORTS}
    by_port: dict[int, Listener] = {}
    for listener in facts.value(LISTENING):
        if listener.port in taken:
            by_port.setdefault(listener.port, listener)
    if not by_port:
        yield Passed(", ".join(str(one.number) for one in PORTS))
        return
    worker = any(not taken[port].control_plane for port in by_port)
    yield Finding(
        problem="kubernetes-port-taken",
        severity=Severity.ERROR if worker else Severity.WARNING,
        summary=f"somebody listens on port {', '.join(map(str, by_port))}"[:100],
        evidence=tuple(
            Evidence(one.source, f"port {port} for {taken[port].who}: taken by user {one.uid}")
            for port, one in by_port.items()
        ),
        params=(("port", str(next(iter(by_port)))),),
    )


@check(
    "kubernetes-name",
    title="Is the host's name one that a node can have, and known to the host itself?",
    problems=("hostname-unusable",),
    needs=(HOSTNAME,),
    uses=(HOSTS, NAME_SERVICES),
    profiles=PROFILE,
)
def name(facts: Facts) -> Iterator[Outcome]:
    """No name server is asked: a name in none of the host's files may still be in DNS."""
    host = facts.value(HOSTNAME)
    fault = fault_of(host)
    if fault:
        yield Finding(
            problem="hostname-unusable",
            severity=Severity.WARNING,
            summary=f"the host's name cannot be a node's: {fault}",
            evidence=(Evidence(HOSTNAME_FILE, host),),
        )
    hosts = facts.known(HOSTS)
    if hosts is not None and not hosts.addresses("localhost"):
        yield Finding(
            problem="hostname-unusable",
            severity=Severity.WARNING,
            summary=f"localhost has no address in {HOSTS_FILE}: probes of pods may fail",
            evidence=(Evidence(HOSTS_FILE, "no line names localhost"),),
        )
    elif not fault:
        yield _resolves(facts, host)


def _resolves(facts: Facts, host: str) -> Outcome:
    hosts = facts.known(HOSTS)
    addresses = hosts.addresses(host) if hosts else ()
    if addresses:
        return Passed(f"{host} is {addresses[0]}")
    services = facts.known(NAME_SERVICES) or ()
    if "myhostname" in services:
        return Passed(f"{host}, which systemd answers for (myhostname)")
    if hosts is None:
        return Unknown(f"{HOSTS_FILE} could not be read")
    return Finding(
        problem="hostname-unusable",
        severity=Severity.INFO,
        certainty=Certainty.POSSIBLE,
        summary=f"{host} is in no file of this host: only DNS can give it an address",
        evidence=(
            Evidence(HOSTS_FILE, f"no line names {host}"),
            Evidence(NSSWITCH, f"hosts: {' '.join(services)}"),
        ),
    )


@check(
    "kubernetes-networks",
    title="Are the usual networks of clusters free at this site?",
    problems=("cluster-network-conflict",),
    needs=(ROUTES,),
    uses=(KUBELET,),
    profiles=PROFILE,
)
def networks(facts: Facts) -> Iterator[Outcome]:
    """Only before a cluster is there: afterwards the routes are the cluster's own."""
    node = facts.known(KUBELET)
    if node:
        yield NotApplicable(f"this is a node already ({node})")
        return
    routes = facts.value(ROUTES)
    clashes = [
        (network, whose, route)
        for network, whose in NETWORKS
        for route in routes.overlapping(Network.parse(network), ())
    ]
    if not clashes:
        yield Passed(f"{len(NETWORKS)} networks are free")
        return
    named = ", ".join(dict.fromkeys(f"{network} ({whose})" for network, whose, _ in clashes))
    yield Finding(
        problem="cluster-network-conflict",
        severity=Severity.WARNING,
        summary=f"the host has routes into {named}"[:100],
        evidence=tuple(
            Evidence("/proc/net/route", f"{route.network} over {route.link}: {whose}")
            for _, whose, route in clashes
        ),
        params=(("network", clashes[0][0]),),
    )


@check(
    "kubernetes-firewall",
    title="Does firewalld let other nodes reach the kubelet?",
    problems=("kubernetes-ports-closed",),
    uses=(FIREWALLD, UNITS, ZONE_PORTS),
    profiles=PROFILE,
)
def firewall(facts: Facts) -> Iterator[Outcome]:
    """Of the zone that the uplink is in, with its services; other zones do not matter."""
    if isinstance(facts.get(FIREWALLD), Absent):
        yield NotApplicable("firewalld is not installed")
        return
    units = facts.known(UNITS)
    unit = units.get("firewalld.service") if units else None
    if units is not None and (unit is None or not unit.active):
        yield NotApplicable("firewalld does not run")
        return
    answer = facts.get(ZONE_PORTS)
    if not isinstance(answer, Known):
        yield Unknown(f"{answer.source}: {answer.reason}")
        return
    zone = answer.value
    closed = [
        port
        for port in PORTS
        if not zone.opens(port.number) and not set(port.services) & set(zone.services)
    ]
    if not any(not port.control_plane for port in closed):
        yield Passed(f"the zone {zone.zone} opens 10250/tcp")
        return
    listed = ", ".join(str(port.number) for port in closed)
    yield Finding(
        problem="kubernetes-ports-closed",
        severity=Severity.WARNING,
        certainty=Certainty.LIKELY,
        summary=f"firewalld's zone {zone.zone} does not open {listed}"[:100],
        evidence=(Evidence(answer.source, f"services: {' '.join(zone.services)}"),),
        params=(("zone", zone.zone),),
    )


NETWORK_CHECKS: tuple[Check, ...] = (ports, name, networks, firewall)
