# SPDX-License-Identifier: GPL-3.0-or-later
"""firewalld: whose zone Docker's bridges are in, and what that zone lets through."""

from collections.abc import Iterator

from hostkit.diagnosis.check import check
from hostkit.diagnosis.finding import (
    Evidence,
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Severity,
    Unknown,
)
from hostkit.facts.daemonconfig import DAEMON_CONFIG
from hostkit.facts.engine import DOCKER
from hostkit.facts.fact import Facts
from hostkit.facts.firewalld import CONFIG, FIREWALLD, Firewalld, active_zones
from hostkit.facts.links import LINKS
from hostkit.facts.netfilter import RULESET, Ruleset
from hostkit.facts.ruleset import Family
from hostkit.facts.units import UNITS
from hostkit.host.answer import Absent

# Docker binds its bridges to a zone of its own from this version on.
_OWN_ZONE_SINCE = (20, 10)
_OPEN_ZONES = ("docker", "trusted")


def _inactive(facts: Facts) -> NotApplicable | None:
    if isinstance(facts.get(FIREWALLD), Absent):
        return NotApplicable("firewalld is not installed")
    units = facts.known(UNITS)
    unit = units.get("firewalld.service") if units else None
    if units is not None and (unit is None or not unit.active):
        return NotApplicable("firewalld does not run")
    return None


@check(
    "firewalld-zone",
    title="Is a bridge of Docker's bound to a zone that is not Docker's?",
    problems=("firewalld-zone-conflict",),
    uses=(FIREWALLD, UNITS, DOCKER, LINKS, DAEMON_CONFIG),
    profiles=("docker",),
)
def firewalld_zone(facts: Facts) -> Iterator[Outcome]:
    """Docker 20.10 and later bind the bridge themselves and fail when it is bound already."""
    reason = _inactive(facts)
    if reason is not None:
        yield reason
        return
    firewalld = facts.value(FIREWALLD)
    engine = facts.known(DOCKER)
    if engine is not None and engine.version < _OWN_ZONE_SINCE:
        yield NotApplicable(f"Docker {engine.version_text} has no zone of its own")
        return
    bound = [(zone.name, one) for zone in firewalld.zones for one in zone.interfaces]
    wrong = [(zone, one) for zone, one in bound if _dockers(one) and zone != "docker"]
    config = facts.known(DAEMON_CONFIG)
    running = config is not None and config.running
    for zone, interface in wrong:
        yield Finding(
            problem="firewalld-zone-conflict",
            severity=Severity.WARNING if running or engine is None else Severity.ERROR,
            summary=f"{interface} is bound to the zone {zone}; Docker binds it to its zone docker",
            evidence=(
                Evidence(f"/etc/firewalld/zones/{zone}.xml", f'<interface name="{interface}"/>'),
            ),
            params=(("zone", zone), ("interface", interface), ("zone-is", "another")),
        )
    if not wrong:
        yield Passed("no zone file binds a bridge of Docker's elsewhere")


def _dockers(interface: str) -> bool:
    return interface in ("docker0", "docker_gwbridge") or interface.startswith("br-")


@check(
    "firewalld-forwarding",
    title="Does firewalld let the packets of containers through?",
    problems=("firewalld-blocks-container-traffic",),
    uses=(FIREWALLD, UNITS, RULESET, LINKS, DAEMON_CONFIG),
    profiles=("docker",),
)
def firewalld_forwarding(facts: Facts) -> Iterator[Outcome]:
    """Its nft rules come after Docker's and may reject what Docker has accepted."""
    reason = _inactive(facts)
    if reason is not None:
        yield reason
        return
    config = facts.known(DAEMON_CONFIG)
    if config is not None and not config.running:
        yield NotApplicable("dockerd does not run")
        return
    firewalld = facts.value(FIREWALLD)
    if firewalld.strict_forward_ports:
        yield Finding(
            problem="firewalld-blocks-container-traffic",
            severity=Severity.ERROR,
            summary="StrictForwardPorts=yes: firewalld blocks every port that Docker publishes",
            evidence=(Evidence(CONFIG, "StrictForwardPorts=yes"),),
        )
    ruleset = facts.value(RULESET)
    bridges = [link.name for link in facts.value(LINKS).bridges() if link.docker_bridge]
    blocked = [
        (name, zone) for name, zone in _zones(ruleset, bridges) if not _open(firewalld, zone)
    ]
    for name, zone in blocked:
        yield Finding(
            problem="firewalld-blocks-container-traffic",
            severity=Severity.ERROR,
            summary=f"{name} is in firewalld's zone {zone}, which rejects what it forwards",
            evidence=(Evidence("nft list ruleset", f"table inet firewalld: {name} -> {zone}"),),
            params=(("interface", name), ("zone", zone)),
        )
    if not blocked and not firewalld.strict_forward_ports:
        yield _clean(ruleset)


def _clean(ruleset: Ruleset) -> Outcome:
    """Only nft shows firewalld's table: without it nothing follows."""
    if _own_tables(ruleset) or not any(gap.source.startswith("nft ") for gap in ruleset.gaps):
        return Passed("firewalld lets Docker's bridges through")
    gap = next(gap for gap in ruleset.gaps if gap.source.startswith("nft "))
    return Unknown(f"{gap.source}: {gap.reason}")


def _own_tables(ruleset: Ruleset) -> bool:
    return any(t.name == "firewalld" and t.family is Family.INET for t in ruleset.tables)


def _zones(ruleset: Ruleset, bridges: list[str]) -> Iterator[tuple[str, str]]:
    """The zone of each bridge in firewalld's own nft table; none with its iptables backend.

    There Docker's rules stand in the same chain before firewalld's, and decide.
    """
    tables = [t for t in ruleset.tables if t.name == "firewalld" and t.family is Family.INET]
    zones = active_zones(tables)
    for bridge in bridges:
        zone = zones.get(bridge, zones.get("", ""))
        if zone:
            yield bridge, zone


def _open(firewalld: Firewalld, zone: str) -> bool:
    return zone in _OPEN_ZONES or any(
        one.name == zone and one.target == "ACCEPT" for one in firewalld.zones
    )
