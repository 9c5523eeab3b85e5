# SPDX-License-Identifier: GPL-3.0-or-later
"""Packet-filter rules as values: one shape for iptables-save, nft JSON and nft text.

Base chains carry their hook and priority, so that the way of a packet can be followed
through all tables, whoever wrote them.
"""

from collections.abc import Iterator
from enum import StrEnum

from hostkit.value import NamedTuple


class Backend(StrEnum):
    """The part of the kernel that holds the rules: ip_tables (legacy) or nf_tables."""

    LEGACY = "legacy"
    NFT = "nft"


class Family(StrEnum):
    """The packets that a table sees, in nft's words; iptables is `ip`, ip6tables `ip6`."""

    IPV4 = "ip"
    IPV6 = "ip6"
    INET = "inet"
    ARP = "arp"
    BRIDGE = "bridge"
    NETDEV = "netdev"


class Match(NamedTuple):
    """One condition, or one option of a target, in the words of the program that printed it.

    iptables: module "tcp" ("" for the built-in ones), option "--dport", values ("80",).
    nft: option "tcp dport"; an expression that was not taken apart has option "" and
    stands in `values` as printed, so that it can never be taken for "always".
    """

    module: str
    option: str
    values: tuple[str, ...] = ()
    negated: bool = False


class Rule(NamedTuple):
    """A rule: conditions, what happens to a packet that meets all, counters when printed.

    `target` is a verdict in capitals (ACCEPT, DNAT, ...) or the name of a chain; `goto`:
    the chain does not return here. "" only counts. `text` is the rule as printed.
    """

    matches: tuple[Match, ...]
    target: str = ""
    goto: bool = False
    options: tuple[Match, ...] = ()
    comment: str = ""
    packets: int | None = None
    octets: int | None = None
    text: str = ""

    def value(self, option: str) -> str:
        """The value of a condition that is there and not negated, or ""."""
        for match in self.matches:
            if match.option == option and not match.negated:
                return match.values[0] if match.values else ""
        return ""

    @property
    def into(self) -> str:
        """The interface that a packet must come from, or ""."""
        return self.value("-i") or self.value("iifname")

    @property
    def out(self) -> str:
        """The interface that a packet must leave by, or ""."""
        return self.value("-o") or self.value("oifname")


class Chain(NamedTuple):
    """A chain; `policy` in capitals and `hook` in small letters are "" for a user's chain."""

    name: str
    rules: tuple[Rule, ...] = ()
    policy: str = ""
    hook: str = ""
    priority: int | None = None

    def jumps_to(self, target: str) -> bool:
        """Whether any rule leads to that chain or verdict."""
        return any(rule.target == target for rule in self.rules)


class Table(NamedTuple):
    """A table of one family in one backend; `iptables`: the iptables programs manage it."""

    family: Family
    name: str
    chains: tuple[Chain, ...]
    backend: Backend
    iptables: bool = True

    def chain(self, name: str) -> Chain | None:
        """The chain of that name, or None."""
        return next((chain for chain in self.chains if chain.name == name), None)

    @property
    def used(self) -> bool:
        """Whether it can do anything to a packet: a rule, or a policy other than ACCEPT."""
        return any(chain.rules or chain.policy == "DROP" for chain in self.chains)

    def rules(self) -> Iterator[tuple[Chain, Rule]]:
        """Every rule with its chain."""
        for chain in self.chains:
            for rule in chain.rules:
                yield chain, rule
