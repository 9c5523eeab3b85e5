# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks of Docker's bridges against those of the site, and packet sizes on both."""

from collections.abc import Iterator

from hostkit.diagnosis.check import check
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
from hostkit.facts.links import LINKS, Link, Links
from hostkit.facts.resolver import RESOLVER
from hostkit.facts.routes import ROUTES, Network, Route, Routes

_ROUTES_FILE = "/proc/net/route"
# The address pools that dockerd takes networks from when none are configured.
_POOLS: tuple[tuple[str, int], ...] = (
    ("172.17.0.0/16", 16),
    ("172.18.0.0/16", 16),
    ("172.19.0.0/16", 16),
    ("172.20.0.0/14", 16),
    ("172.24.0.0/14", 16),
    ("172.28.0.0/14", 16),
    ("192.168.0.0/16", 20),
)
_FEW = 2
_DEFAULT_MTU = 1500


@check(
    "docker-subnets",
    title="Do networks of Docker's overlap networks of the site?",
    problems=("docker-subnet-conflict",),
    needs=(LINKS, ROUTES),
    uses=(RESOLVER,),
    profiles=("docker",),
)
def docker_subnets(facts: Facts) -> Iterator[Outcome]:
    """The narrower route wins, so one side cannot reach the other."""
    links, routes = facts.value(LINKS), facts.value(ROUTES)
    bridges = [link.name for link in links.bridges() if link.docker_bridge]
    own = [r for r in routes.all if r.link in bridges and r.network.length and not r.gateway]
    if not own:
        yield NotApplicable("no bridge of Docker's has a network")
        return
    resolver = facts.known(RESOLVER)
    servers = _addresses(resolver.servers if resolver else ())
    clean = True
    for route in own:
        for other in routes.overlapping(route.network, bridges):
            clean = False
            yield _overlap(route, other)
        for server in servers:
            if route.network.contains(server.address) and not _is_host(route, server):
                clean = False
                yield _swallowed(route, server)
    if clean:
        networks = ", ".join(str(route.network) for route in own[:4])
        yield Passed(f"no other route leads into {networks}")


def _addresses(written: tuple[str, ...]) -> list[Network]:
    found: list[Network] = []
    for server in written:
        try:
            found.append(Network.parse(server))
        except ValueError:  # IPv6
            continue
    return found


def _is_host(route: Route, server: Network) -> bool:
    """Whether a server is the bridge's own first address: a resolver on the host listens there."""
    return server.address == (route.network.address & route.network.mask) + 1


def _overlap(route: Route, other: Route) -> Finding:
    return Finding(
        problem="docker-subnet-conflict",
        severity=Severity.WARNING,
        summary=f"{route.link} has {route.network}, and {other.network} is routed by {other.link}",
        evidence=(
            Evidence(_ROUTES_FILE, f"{route.network} dev {route.link}"),
            Evidence(_ROUTES_FILE, f"{other.network} dev {other.link}"),
        ),
        params=(("bridge", route.link), ("network", str(other.network))),
    )


def _swallowed(route: Route, server: Network) -> Finding:
    address = str(server).partition("/")[0]
    return Finding(
        problem="docker-subnet-conflict",
        severity=Severity.ERROR,
        summary=f"the name server {address} lies in {route.network} of {route.link}: not reachable",
        evidence=(
            Evidence("/etc/resolv.conf", f"nameserver {address}"),
            Evidence(_ROUTES_FILE, f"{route.network} dev {route.link}"),
        ),
        params=(("bridge", route.link), ("network", str(route.network))),
        causes=("dns-resolution-failure", "registry-unreachable"),
    )


@check(
    "address-pools",
    title="Are there address pools left for Docker's next network?",
    problems=("address-pool-exhausted",),
    needs=(ROUTES,),
    uses=(DAEMON_CONFIG,),
    profiles=("docker",),
)
def address_pools(facts: Facts) -> Iterator[Outcome]:
    """Each pool that a route leads into is passed over: a VPN can cover them all."""
    config = facts.known(DAEMON_CONFIG)
    if config is not None and config.get("default-address-pools") is not None:
        yield NotApplicable("default-address-pools is configured")
        return
    routes = facts.value(ROUTES)
    pools = [pool for written, length in _POOLS for pool in _split(Network.parse(written), length)]
    free = [pool for pool in pools if not _routed(routes, pool)]
    if len(free) > _FEW:
        yield Passed(f"{len(free)} of {len(pools)} default address pools are free")
        return
    wide = sorted((r for r in routes.all if _covers(r)), key=lambda r: r.network.length)
    yield Finding(
        problem="address-pool-exhausted",
        severity=Severity.WARNING if free else Severity.ERROR,
        summary=f"{len(free)} of Docker's {len(pools)} default address pools are free",
        evidence=tuple(Evidence(_ROUTES_FILE, f"{r.network} dev {r.link}") for r in wide[:5]),
    )


def _covers(route: Route) -> bool:
    return bool(route.network.length) and any(
        route.network.overlaps(Network.parse(written)) for written, _ in _POOLS
    )


def _routed(routes: Routes, pool: Network) -> bool:
    return any(r.network.length and r.network.overlaps(pool) for r in routes.all)


def _split(pool: Network, length: int) -> Iterator[Network]:
    step = 1 << (32 - length)
    for number in range(1 << (length - pool.length)):
        yield Network(pool.address + number * step, length)


@check(
    "bridge-mtu",
    title="Do packets of containers fit the link to the outside?",
    problems=("mtu-mismatch",),
    needs=(LINKS, ROUTES),
    uses=(DAEMON_CONFIG,),
    profiles=("docker",),
)
def bridge_mtu(facts: Facts) -> Iterator[Outcome]:
    """Small answers pass and large ones vanish: the connection hangs after its start."""
    links, routes = facts.value(LINKS), facts.value(ROUTES)
    uplink = links.get(routes.uplink)
    if uplink is None:
        yield NotApplicable("there is no default route")
        return
    config = facts.known(DAEMON_CONFIG)
    judged = [
        (link, mtu)
        for link in links.bridges()
        if link.docker_bridge and (mtu := _container_mtu(link, links, config))
    ]
    if not judged:
        yield NotApplicable("no bridge of Docker's is in use")
        return
    wide = [(link, mtu) for link, mtu in judged if mtu > uplink.mtu]
    for link, mtu in wide:
        yield Finding(
            problem="mtu-mismatch",
            severity=Severity.WARNING,
            summary=f"containers on {link.name} send {mtu} bytes, {uplink.name} takes {uplink.mtu}",
            evidence=(
                Evidence(f"/sys/class/net/{link.name}/mtu", str(link.mtu)),
                Evidence(f"/sys/class/net/{uplink.name}/mtu", str(uplink.mtu)),
            ),
            params=(("bridge", link.name), ("mtu", str(uplink.mtu))),
        )
    if not wide:
        yield Passed(f"the bridges' packets fit {uplink.name} ({uplink.mtu} bytes)")


def _container_mtu(link: Link, links: Links, config: DaemonConfig | None) -> int:
    """What containers on a bridge use: an empty bridge shows 1500 whatever was configured."""
    if links.ports(link.name):
        return link.mtu
    if link.name != "docker0":
        return 0
    setting = config.get("mtu") if config else None
    written = str(setting.value) if setting is not None else ""
    return (
        int(written)
        if written.isascii() and written.isdecimal() and written != "0"
        else (_DEFAULT_MTU)
    )
