# SPDX-License-Identifier: GPL-3.0-or-later
"""Are Docker's chains where dockerd put them? What each version installs is its own layout."""

from collections.abc import Iterator

from hostkit.diagnosis.check import check
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
from hostkit.facts.daemonconfig import DAEMON_CONFIG, DaemonConfig
from hostkit.facts.engine import DOCKER
from hostkit.facts.fact import Facts
from hostkit.facts.links import LINKS
from hostkit.facts.netfilter import RULESET, Ruleset
from hostkit.facts.ruleset import Backend, Chain, Family, Table
from hostkit.facts.units import UNITS, Units

# What takes rules away when it starts, stops or reloads.
FLUSHERS = ("firewalld.service", "iptables.service", "nftables.service", "ufw.service")
_NFT_TABLE = "docker-bridges"  # Docker 29 with firewall-backend nftables
_USER_CHAIN_SINCE = (17, 6)
_FORWARD_CHAIN_SINCE = (28, 0, 1)
_WITHOUT_USER_CHAIN = (19, 3, 3)  # lost it, 19.03.4 brought it back


def skipped(config: DaemonConfig) -> NotApplicable | None:
    """Why there are no rules of dockerd's to look for, or None."""
    if not config.running:
        return NotApplicable("dockerd does not run")
    if config.switch("rootless", False):
        return NotApplicable("a rootless dockerd keeps its rules in a namespace of its own")
    if not config.switch("iptables", True):
        return NotApplicable("dockerd runs with --iptables=false")
    return None


_DOCKER = (("engine", "docker"),)


@check(
    "iptables-chains",
    title="Are the packet filter's chains that dockerd made still there?",
    problems=("iptables-chains-flushed",),
    subject=("engine",),
    uses=(DAEMON_CONFIG, RULESET, DOCKER, UNITS, LINKS),
    profiles=("docker",),
    required=("docker",),
)
def iptables_chains(facts: Facts) -> Iterator[Outcome]:
    """Nobody puts them back but a start of dockerd."""
    config = facts.value(DAEMON_CONFIG)
    reason = skipped(config)
    if reason is not None:
        yield reason
        return
    ruleset = facts.value(RULESET)
    if config.text("firewall-backend") == "nftables":
        yield _nftables(ruleset)
        return
    if ruleset.iptables is None:
        yield Unknown("the program iptables is not installed")
        return
    engine = facts.known(DOCKER)
    bridge = "docker0" if config.switch("ip-masq", True) and _has_docker0(facts) else ""
    own = ruleset.iptables.backend
    for backend in (own, *(other for other in Backend if other is not own)):
        if not missing(ruleset, backend, engine.version if engine else (), bridge):
            yield Passed(f"Docker's chains are in place ({backend.value})", _DOCKER)
            return
    gone = missing(ruleset, own, engine.version if engine else (), bridge)
    yield _flushed(gone, ruleset, facts)


def _has_docker0(facts: Facts) -> bool:
    links = facts.known(LINKS)
    return links is not None and links.get("docker0") is not None


def _nftables(ruleset: Ruleset) -> Outcome:
    for table in ruleset.of(Family.IPV4, Backend.NFT):
        if table.name == _NFT_TABLE and any(chain.hook == "forward" for chain in table.chains):
            return Passed(f"the table ip {_NFT_TABLE} is in place", _DOCKER)
    if ruleset.gaps:
        return Unknown(f"{ruleset.gaps[0].source}: {ruleset.gaps[0].reason}")
    return Finding(
        problem="iptables-chains-flushed",
        severity=Severity.ERROR,
        summary=f"dockerd runs, and its nftables table ip {_NFT_TABLE} is gone",
        evidence=(Evidence("nft list ruleset", f"no table ip {_NFT_TABLE}"),),
        params=_DOCKER,
    )


def missing(
    ruleset: Ruleset, backend: Backend, version: tuple[int, ...], masqueraded: str = ""
) -> tuple[str, ...]:
    """What of dockerd's own chains and jumps is not in the IPv4 tables of one backend."""
    tables = {t.name: t for t in ruleset.of(Family.IPV4, backend) if t.iptables}
    nat, filters = tables.get("nat"), tables.get("filter")
    gone = [*_missing_nat(nat, masqueraded)]
    if filters is None or filters.chain("DOCKER") is None:
        gone.append("filter DOCKER")
    gone.extend(_missing_forward(filters.chain("FORWARD") if filters else None, version))
    return tuple(gone)


def _missing_nat(nat: Table | None, masqueraded: str) -> Iterator[str]:
    if nat is None or nat.chain("DOCKER") is None:
        yield "nat DOCKER"
    prerouting = nat.chain("PREROUTING") if nat else None
    if prerouting is None or not prerouting.jumps_to("DOCKER"):
        yield "the jump from nat PREROUTING"
    if masqueraded and not _masquerades(nat.chain("POSTROUTING") if nat else None, masqueraded):
        yield f"the masquerading of {masqueraded}"


def _masquerades(postrouting: Chain | None, bridge: str) -> bool:
    """Whether what leaves a bridge's network by another link gets the host's address."""
    return postrouting is not None and any(
        rule.target in ("MASQUERADE", "SNAT")
        and any(m.option == "-o" and m.negated and bridge in m.values for m in rule.matches)
        for rule in postrouting.rules
    )


def _missing_forward(forward: Chain | None, version: tuple[int, ...]) -> Iterator[str]:
    """The jumps of any version's layout will do: an upgraded dockerd may not have restarted."""
    targets = {rule.target for rule in forward.rules} if forward else set[str]()
    isolated = bool(targets & {"DOCKER-ISOLATION-STAGE-1", "DOCKER-ISOLATION", "DOCKER"})
    if "DOCKER-USER" in targets and ("DOCKER-FORWARD" in targets or isolated):
        return
    no_user_chain = version[:3] == _WITHOUT_USER_CHAIN or version < _USER_CHAIN_SINCE
    if no_user_chain and isolated:
        return
    second = "DOCKER-FORWARD" if version >= _FORWARD_CHAIN_SINCE else "DOCKER"
    wanted = ("DOCKER",) if version and no_user_chain else ("DOCKER-USER", second)
    for name in wanted:
        present = isolated if name == "DOCKER" else name in targets
        if not present:
            yield f"the jump from FORWARD to {name}"


def _flushed(gone: tuple[str, ...], ruleset: Ruleset, facts: Facts) -> Finding:
    later = later_than_docker(facts.known(UNITS))
    since = f"; {later[0][0]} started after it" if later else ""
    source = facts.get(RULESET).source
    return Finding(
        problem="iptables-chains-flushed",
        severity=Severity.ERROR,
        certainty=Certainty.LIKELY if ruleset.gaps and not ruleset.tables else Certainty.CONFIRMED,
        summary=f"dockerd runs without {_listed(gone)}{since}",
        evidence=(
            Evidence(source, f"missing: {', '.join(gone)}"),
            *(Evidence("systemctl show", line) for _, line in later),
        ),
        params=(*_DOCKER, *((("service", later[0][0]),) if later else ())),
    )


def _listed(gone: tuple[str, ...]) -> str:
    if len(gone) > 2:  # noqa: PLR2004 - what fits the line
        return f"{gone[0]} and {len(gone) - 1} more of its chains and jumps"
    return " and ".join(gone)


def later_than_docker(units: Units | None) -> tuple[tuple[str, str], ...]:
    """(service, sentence) of each firewall service that became active after dockerd."""
    docker = units.get("docker.service") if units else None
    if units is None or docker is None or not docker.active_enter_s:
        return ()
    found: list[tuple[str, str]] = []
    for name in FLUSHERS:
        unit = units.get(name)
        if unit is not None and unit.active and unit.active_enter_s > docker.active_enter_s:
            seconds = unit.active_enter_s - docker.active_enter_s
            found.append((name, f"{name} became active {seconds:.0f} s after docker.service"))
    return tuple(found)
