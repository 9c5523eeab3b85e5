# SPDX-License-Identifier: GPL-3.0-or-later
"""What firewalld's zone of the uplink lets in for good: its zone file, /etc before /usr."""

import re

from hostkit.facts.fact import Fact, Facts, read_text, refuse
from hostkit.facts.firewalld import FIREWALLD
from hostkit.facts.routes import ROUTES
from hostkit.host.answer import Absent, Answer
from hostkit.value import NamedTuple

FOLDERS = ("/etc/firewalld/zones", "/usr/lib/firewalld/zones")
_COMMENT = r"(?s)<!--.*?(?:-->|\Z)"  # one that is not closed hides the rest
_TARGET = r"""<zone\b[^<>]*?\btarget\s*=\s*["']([^"']*)["']"""
_PORT = r"<port\b([^<>]*)>"
_SERVICE = r"""<service\b[^<>]*?\bname\s*=\s*["']([^"']*)["']"""
_ATTRIBUTE = r"""\b(\w+)\s*=\s*["']([^"']*)["']"""
_NAME = r"[\w.-]{1,64}"


class ZonePorts(NamedTuple):
    """`ports`: first, last and protocol of each range."""

    zone: str
    target: str
    ports: tuple[tuple[int, int, str], ...]
    services: tuple[str, ...]

    def opens(self, port: int, protocol: str = "tcp") -> bool:
        """Whether a port of this host is let in, services aside."""
        return self.target == "ACCEPT" or any(
            first <= port <= last and protocol == one for first, last, one in self.ports
        )


def parse_zone_ports(content: str, zone: str) -> ZonePorts:
    """The ports and services of a zone file (firewalld.zone(5)).

    >>> parse_zone_ports('<zone><service name="ssh"/><port port="6443" protocol="tcp"/></zone>',
    ...                  "public").ports
    ((6443, 6443, 'tcp'),)
    """
    bare = re.sub(_COMMENT, "", content)
    if "<zone" not in bare:
        refuse("no <zone> in it")
    target = re.search(_TARGET, bare)
    ports: list[tuple[int, int, str]] = []
    for found in re.finditer(_PORT, bare):
        attributes = dict(re.findall(_ATTRIBUTE, found[1]))
        first, _, last = attributes.get("port", "").partition("-")
        if first.isdecimal() and (last or first).isdecimal():
            protocol = attributes.get("protocol", "")
            ports.append((int(first[:6]), int((last or first)[:6]), protocol))
    return ZonePorts(
        zone, target[1] if target else "", tuple(ports), tuple(re.findall(_SERVICE, bare))
    )


def _gather(facts: Facts) -> Answer[ZonePorts]:
    firewalld = facts.value(FIREWALLD)
    routes = facts.known(ROUTES)
    zone = (firewalld.zone_of(routes.uplink) if routes else "") or firewalld.default_zone
    if not re.fullmatch(_NAME, zone):
        return Absent(FOLDERS[0], "the zone's name is no file name")
    answer: Answer[ZonePorts] = Absent(FOLDERS[0])
    for folder in FOLDERS:
        path = f"{folder}/{zone}.xml"
        answer = read_text(facts.host, path, lambda content: parse_zone_ports(content, zone))
        if not isinstance(answer, Absent):
            return answer
    return answer


ZONE_PORTS: Fact[ZonePorts] = Fact("ports of the firewalld zone", _gather, waits=False)
