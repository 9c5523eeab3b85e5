# SPDX-License-Identifier: GPL-3.0-or-later
"""firewalld's configuration, and its zones as the kernel has them.

firewall-cmd starts a Python interpreter and asks over D-Bus, 300 ms a question; the files
and the rules that firewalld has written answer the same without it.
"""

import re
from collections.abc import Iterable, Iterator

from hostkit import text
from hostkit.facts.fact import Fact, Facts, read_text, refuse
from hostkit.facts.ruleset import Rule, Table
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.host.base import Host
from hostkit.value import NamedTuple

CONFIG = "/etc/firewalld/firewalld.conf"
_ZONES = "/etc/firewalld/zones"
_PROGRAM = "/usr/sbin/firewalld"
_YES = ("yes", "true")
_COMMENT = r"(?s)<!--.*?(?:-->|\Z)"  # one that is not closed hides the rest
_ZONE_TAG = r"<zone\b([^<>]*)>"
_NAMED = r"<(interface|source)\b([^<>]*)>"
_ATTRIBUTE = r"""\b(\w+)\s*=\s*["']([^"']*)["']"""
# Where firewalld sends what comes in by an interface, in all its versions and backends.
_DISPATCH = r"^(?:filter_)?FORWARD_(?:IN_)?ZONES$"
_ZONE_CHAIN = r"^(?:filter_)?FWDI?_(.+)$"
_IIFNAME = r'iifname "([^"]*)"'


class Zone(NamedTuple):
    """A zone file of the administrator's, and what firewalld bound to it for good."""

    name: str
    target: str = "default"
    interfaces: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


class Firewalld(NamedTuple):
    """firewalld.conf and the zones of /etc; `backend` "" when the file does not say."""

    backend: str
    default_zone: str
    strict_forward_ports: bool
    zones: tuple[Zone, ...] = ()

    def zone_of(self, interface: str) -> str:
        """The zone that a file binds an interface to, or ""."""
        return next((zone.name for zone in self.zones if interface in zone.interfaces), "")


def parse_conf(content: str) -> Firewalld:
    r"""The lines KEY=VALUE of firewalld.conf(5).

    >>> parse_conf("# c\nDefaultZone=public\nFirewallBackend=nftables\n")
    Firewalld(backend='nftables', default_zone='public', strict_forward_ports=False, zones=())
    """
    values: dict[str, str] = {}
    for line in content.splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.lstrip().startswith("#"):
            values[key.strip()] = value.strip()
    return Firewalld(
        backend=values.get("FirewallBackend", "").lower(),
        default_zone=values.get("DefaultZone", "public"),
        strict_forward_ports=values.get("StrictForwardPorts", "no").lower() in _YES,
    )


def parse_zone(content: str, name: str) -> Zone:
    """A zone file (firewalld.zone(5)); only what binds it is read, so no XML parser is needed.

    >>> parse_zone('<zone target="ACCEPT"><interface name="docker0"/></zone>', "trusted")
    Zone(name='trusted', target='ACCEPT', interfaces=('docker0',), sources=())
    """
    bare = re.sub(_COMMENT, "", content)
    tag = re.search(_ZONE_TAG, bare) or refuse("no <zone> in it")
    bound = [
        (kind, dict(re.findall(_ATTRIBUTE, inner))) for kind, inner in re.findall(_NAMED, bare)
    ]
    return Zone(
        name,
        dict(re.findall(_ATTRIBUTE, tag[1])).get("target", "default"),
        tuple(a["name"] for kind, a in bound if kind == "interface" and "name" in a),
        tuple(a["address"] for kind, a in bound if kind == "source" and "address" in a),
    )


def active_zones(tables: Iterable[Table]) -> dict[str, str]:
    """Interface -> zone, read from the rules that firewalld put into the kernel.

    "" stands for every other interface: the default zone. Empty: no rules of firewalld.
    """
    found: dict[str, str] = {}
    for rule in _dispatches(tables):
        zone = re.match(_ZONE_CHAIN, rule.target)
        if zone:
            found.setdefault(_interface(rule), zone[1])
    return found


def _dispatches(tables: Iterable[Table]) -> Iterator[Rule]:
    for table in tables:
        for chain in table.chains:
            if re.match(_DISPATCH, chain.name):
                yield from chain.rules


def _interface(rule: Rule) -> str:
    named = rule.into
    if not named and rule.matches:  # nft's text, not taken apart
        words = re.search(_IIFNAME, " ".join(rule.matches[0].values))
        named = words[1] if words else ""
    return "" if named == "+" else named


def _zone(host: Host, name: str) -> Zone | None:
    """A zone file; one that cannot be read or understood counts as none."""
    if not name.endswith(".xml"):
        return None
    answer = read_text(
        host, f"{_ZONES}/{name}", lambda said: parse_zone(said, name.removesuffix(".xml"))
    )
    return answer.value if isinstance(answer, Known) else None


def _gather(facts: Facts) -> Answer[Firewalld]:
    host = facts.host
    conf = host.read(CONFIG)
    if isinstance(conf, Absent):
        program = host.stat(_PROGRAM)
        if not isinstance(program, Known):
            return Absent("firewalld", "is not installed")
        return Known(parse_conf(""), _PROGRAM)
    if isinstance(conf, Unreadable):
        return conf
    names = host.listdir(_ZONES)
    read = [_zone(host, name) for name in names.value] if isinstance(names, Known) else []
    zones = [zone for zone in read if zone is not None]
    return Known(parse_conf(text.decode(conf.value))._replace(zones=tuple(zones)), CONFIG)


FIREWALLD: Fact[Firewalld] = Fact("firewalld", _gather, waits=False)
