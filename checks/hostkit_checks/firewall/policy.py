# SPDX-License-Identifier: GPL-3.0-or-later
"""What dockerd was told about iptables, and whom its FORWARD policy cuts off."""

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
from hostkit.facts.daemonconfig import DAEMON_CONFIG
from hostkit.facts.fact import Facts
from hostkit.facts.links import ADDRESSES, LINKS, Address, Link
from hostkit.facts.netfilter import RULESET
from hostkit.facts.routes import Network
from hostkit.facts.ruleset import Rule, Table


@check(
    "iptables-option",
    title="Is dockerd allowed to set up its packet-filter rules?",
    problems=("iptables-disabled-in-daemon",),
    needs=(DAEMON_CONFIG,),
    profiles=("docker",),
)
def iptables_option(facts: Facts) -> Iterator[Outcome]:
    """Switched off, nobody masquerades, publishes or isolates unless the administrator does."""
    setting = facts.value(DAEMON_CONFIG).get("iptables")
    if setting is None or setting.value is not False:
        yield Passed("dockerd sets its rules up")
        return
    yield Finding(
        problem="iptables-disabled-in-daemon",
        severity=Severity.WARNING,
        summary="dockerd is told not to touch iptables: no masquerading, no published ports",
        evidence=(Evidence(setting.source, "iptables = false", setting.line),),
    )


@check(
    "forward-policy",
    title="Does Docker's FORWARD policy drop the packets of other bridges?",
    problems=("docker-forward-drop-policy",),
    uses=(RULESET, LINKS, ADDRESSES, DAEMON_CONFIG),
    profiles=("docker",),
)
def forward_policy(facts: Facts) -> Iterator[Outcome]:
    """Virtual machines and other engines on bridges of their own are what it hits."""
    config = facts.known(DAEMON_CONFIG)
    if config is not None and not config.running:
        yield NotApplicable("dockerd does not run")
        return
    filters = facts.value(RULESET).table("filter")
    forward = filters.chain("FORWARD") if filters else None
    if filters is None or forward is None or filters.chain("DOCKER") is None:
        yield NotApplicable("the filter table has no chains of Docker's")
        return
    if forward.policy != "DROP":
        yield Passed("packets that no rule is about are forwarded")
        return
    links = facts.value(LINKS)
    addresses = facts.known(ADDRESSES) or ()
    accepting = [rule for rule in reachable(filters, "FORWARD") if rule.target == "ACCEPT"]
    others = [link for link in links.bridges() if not link.docker_bridge and links.ports(link.name)]
    cut = [link for link in others if not _accepted(link, accepting, addresses)]
    for link in cut:
        ports = ", ".join(port.name for port in links.ports(link.name)[:4])
        yield Finding(
            problem="docker-forward-drop-policy",
            severity=Severity.WARNING,
            summary=f"FORWARD drops by policy and no rule accepts what comes from {link.name}",
            evidence=(
                Evidence("iptables-save", ":FORWARD DROP"),
                Evidence(f"/sys/class/net/{link.name}/brif", f"ports: {ports}"),
            ),
            params=(("bridge", link.name),),
        )
    if not cut:
        yield Passed("FORWARD drops by policy, and no other bridge needs it")


def reachable(table: Table, start: str) -> Iterator[Rule]:
    """Every rule of a chain and of all chains that it leads to, each once."""
    waiting, seen = [start], {start}
    while waiting:
        chain = table.chain(waiting.pop())
        for rule in chain.rules if chain else ():
            yield rule
            if rule.target not in seen:
                seen.add(rule.target)
                waiting.append(rule.target)


def _accepted(bridge: Link, rules: list[Rule], addresses: tuple[Address, ...]) -> bool:
    """Whether some rule lets packets from a bridge through: by its name, its network, or all."""
    own = [address.network for address in addresses if address.link == bridge.name]
    for rule in rules:
        if rule.into:
            pattern = rule.into
            if pattern == bridge.name or (
                pattern.endswith("+") and bridge.name.startswith(pattern[:-1])
            ):
                return True
        elif rule.value("-s"):
            if any(_parsed(rule.value("-s")).overlaps(network) for network in own):
                return True
        elif not rule.out and not rule.matches:
            return True
    return False


def _parsed(written: str) -> Network:
    try:
        return Network.parse(written)
    except ValueError:  # a list or a name: no network of ours
        return Network(0, 32)
