# SPDX-License-Identifier: GPL-3.0-or-later
"""Bridges, subnets, packet sizes, name servers and the table of connections."""

from typing import Any

import pytest

from hostkit.diagnosis.check import Check
from hostkit.diagnosis.finding import Finding, NotApplicable, Outcome, Passed, Severity, Unknown
from hostkit.diagnosis.runner import run_checks
from hostkit.facts.daemonconfig import DAEMON_CONFIG, DaemonConfig
from hostkit.facts.daemonjson import Setting
from hostkit.facts.kubelet import KUBELET
from hostkit.facts.links import LINKS, Link, LinkKind, Links
from hostkit.facts.resolver import RESOLVER, UPSTREAM, Resolver, parse_resolv_conf
from hostkit.facts.routes import ROUTES, Network, Route, Routes
from hostkit.host.answer import Absent
from hostkit_checks.network.addresses import address_pools, bridge_mtu, docker_subnets
from hostkit_checks.network.checks import BRIDGE_NF, bridge_netfilter
from hostkit_checks.network.names import (
    CONNTRACK_COUNT,
    CONNTRACK_MAX,
    conntrack_table,
    resolver,
)
from tests.fakes import make_facts

CONFIG = DaemonConfig((), (), running=True)
DOCKER0 = Link("docker0", LinkKind.BRIDGE, 1500, "up")
ETH0 = Link("eth0", LinkKind.HARDWARE, 1500, "up")
DEFAULT = Route("eth0", Network(0, 0), 0xC0000201, 100)


def outcomes(one: Check, given: dict[Any, Any]) -> tuple[Outcome, ...]:
    (result,) = run_checks(make_facts(given=given), [one])
    assert not any(isinstance(o, Unknown) and o.crashed for o in result.outcomes), result.outcomes
    return result.outcomes


def finding(one: Check, given: dict[Any, Any]) -> Finding:
    found = outcomes(one, given)[0]
    assert isinstance(found, Finding), found
    return found


def route(link: str, network: str, gateway: int = 0) -> Route:
    return Route(link, Network.parse(network), gateway, 0)


def config(key: str, value: Any) -> DaemonConfig:
    return CONFIG._replace(file=(Setting(key, value, "/etc/docker/daemon.json", 2),))


def subnets(*more: Route, servers: tuple[str, ...] = ()) -> dict[Any, Any]:
    return {
        LINKS: Links((DOCKER0, ETH0)),
        ROUTES: Routes((DEFAULT, route("docker0", "172.17.0.0/16"), *more)),
        RESOLVER: Resolver(servers),
    }


def test_a_docker_network_of_its_own_is_well() -> None:
    given = subnets(route("eth0", "192.0.2.0/24"), servers=("192.0.2.53", "172.17.0.1", "fe80::1"))
    assert isinstance(outcomes(docker_subnets, given)[0], Passed)


@pytest.mark.parametrize("other", ["172.17.4.0/24", "172.16.0.0/12", "172.17.0.0/16"])
def test_a_route_into_dockers_network_is_found(other: str) -> None:
    found = finding(docker_subnets, subnets(route("tun0", other, 1)))
    assert found.problem == "docker-subnet-conflict"
    assert "tun0" in found.summary


def test_a_name_server_in_dockers_network_is_an_error() -> None:
    found = finding(docker_subnets, subnets(servers=("172.17.0.53",)))
    assert found.severity is Severity.ERROR
    assert "dns-resolution-failure" in found.causes


def test_without_a_bridge_nothing_can_overlap() -> None:
    given = {LINKS: Links((ETH0,)), ROUTES: Routes((DEFAULT, route("eth0", "172.17.0.0/16")))}
    assert isinstance(outcomes(docker_subnets, given)[0], NotApplicable)


def test_pools_that_routes_cover() -> None:
    assert isinstance(outcomes(address_pools, {ROUTES: Routes((DEFAULT,))})[0], Passed)
    vpn = (route("tun0", "172.16.0.0/12"), route("tun0", "192.168.0.0/16"))
    found = finding(address_pools, {ROUTES: Routes((DEFAULT, *vpn))})
    assert (found.problem, found.severity) == ("address-pool-exhausted", Severity.ERROR)
    nearly = (vpn[0], *(route("tun0", f"192.168.{n}.0/20") for n in range(0, 240, 16)))
    assert finding(address_pools, {ROUTES: Routes(nearly)}).severity is Severity.WARNING
    own = config("default-address-pools", ())
    given = {ROUTES: Routes((DEFAULT, *vpn)), DAEMON_CONFIG: own}
    assert isinstance(outcomes(address_pools, given)[0], NotApplicable)


def mtu(uplink: int, bridge: int, *, ports: bool, daemon: DaemonConfig = CONFIG) -> dict[Any, Any]:
    links = [ETH0._replace(mtu=uplink), DOCKER0._replace(mtu=bridge)]
    if ports:
        links.append(Link("veth1", LinkKind.VETH, bridge, "up", master="docker0"))
    return {LINKS: Links(tuple(links)), ROUTES: Routes((DEFAULT,)), DAEMON_CONFIG: daemon}


def test_packets_larger_than_the_uplink_takes() -> None:
    found = finding(bridge_mtu, mtu(1400, 1500, ports=True))
    assert dict(found.params)["mtu"] == "1400"
    assert isinstance(outcomes(bridge_mtu, mtu(9000, 1500, ports=True))[0], Passed)
    assert isinstance(outcomes(bridge_mtu, mtu(1400, 1400, ports=True))[0], Passed)


def test_an_empty_bridge_shows_1500_whatever_is_configured() -> None:
    assert isinstance(outcomes(bridge_mtu, mtu(1400, 1500, ports=False))[0], Finding)
    set_right = mtu(1400, 1500, ports=False, daemon=config("mtu", 1400))
    assert isinstance(outcomes(bridge_mtu, set_right)[0], Passed)


def test_without_a_default_route_no_size_is_wrong() -> None:
    given = {**mtu(1400, 1500, ports=True), ROUTES: Routes(())}
    assert isinstance(outcomes(bridge_mtu, given)[0], NotApplicable)


def test_bridge_nf_matters_only_where_something_needs_it() -> None:
    off = {BRIDGE_NF: "0", DAEMON_CONFIG: CONFIG}
    assert isinstance(outcomes(bridge_netfilter, off)[0], NotApplicable)
    assert isinstance(outcomes(bridge_netfilter, {DAEMON_CONFIG: CONFIG})[0], NotApplicable)
    icc = finding(bridge_netfilter, {**off, DAEMON_CONFIG: config("icc", False)})
    assert (icc.severity, icc.evidence[1].line) == (Severity.WARNING, 2)
    node = {KUBELET: "/etc/kubernetes/kubelet.conf"}
    assert finding(bridge_netfilter, {**off, **node}).severity is Severity.ERROR
    unloaded = finding(bridge_netfilter, node)
    assert "not loaded" in unloaded.evidence[0].excerpt
    assert isinstance(outcomes(bridge_netfilter, {**node, BRIDGE_NF: "1"})[0], Passed)


@pytest.mark.parametrize(
    ("given", "well"),
    [
        ({RESOLVER: Resolver(("192.0.2.53",))}, True),
        ({RESOLVER: Resolver(("127.0.0.1", "192.0.2.53"))}, True),
        ({RESOLVER: Resolver(("127.0.1.1",))}, False),
        ({RESOLVER: Resolver(("::1",))}, False),
        ({RESOLVER: Resolver()}, False),
        ({RESOLVER: Absent("/etc/resolv.conf")}, False),
        ({RESOLVER: Resolver(("127.0.0.53",)), UPSTREAM: Resolver(("192.0.2.53",))}, True),
        ({RESOLVER: Resolver(("127.0.0.53",))}, False),
        ({RESOLVER: Resolver(("127.0.1.1",)), DAEMON_CONFIG: config("dns", ("192.0.2.5",))}, True),
    ],
)
def test_name_servers(given: dict[Any, Any], *, well: bool) -> None:
    (found,) = outcomes(resolver, given)
    assert isinstance(found, Passed) is well


def test_resolv_conf_of_every_shape() -> None:
    found = parse_resolv_conf("; c\nnameserver 192.0.2.1\nnameserver\ndomain a\nsearch b c\nfoo\n")
    assert found == (("192.0.2.1",), ("b", "c"), ())


@pytest.mark.parametrize(
    ("count", "limit", "severity"),
    [
        ("10", "65536", None),
        ("62000", "65536", "warning"),
        ("65536", "65536", "error"),
        ("5", "0", None),
    ],
)
def test_the_table_of_connections(count: str, limit: str, severity: str | None) -> None:
    (found,) = outcomes(conntrack_table, {CONNTRACK_COUNT: count, CONNTRACK_MAX: limit})
    assert (found.severity if isinstance(found, Finding) else None) == severity


def test_a_number_that_is_none_is_unknown() -> None:
    (found,) = outcomes(conntrack_table, {CONNTRACK_COUNT: "x", CONNTRACK_MAX: "5"})
    assert isinstance(found, Unknown)


def test_no_table_of_connections_is_no_problem() -> None:
    assert isinstance(outcomes(conntrack_table, {})[0], NotApplicable)
