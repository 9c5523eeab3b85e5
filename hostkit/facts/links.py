# SPDX-License-Identifier: GPL-3.0-or-later
"""Network links and their addresses, from /sys and /proc: no program is run."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from hostkit import text
from hostkit.facts.fact import Fact, Facts, parsed, refuse
from hostkit.facts.routes import ROUTES, Network, Route, Routes
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.host.base import Host
from hostkit.value import NamedTuple

_FOLDER = "/sys/class/net"
_LIMIT = 16384  # links; a bridge takes 1023, a host with more than this is no host of containers
_LOOPBACK_TYPE = "772"  # ARPHRD_LOOPBACK
_DOCKER_BRIDGE_ID = 12  # hex digits of a network's id behind br-


class LinkKind(StrEnum):
    """What a link is; OTHER: nothing in /sys says more."""

    BRIDGE = "bridge"
    BOND = "bond"
    VLAN = "vlan"
    VXLAN = "vxlan"
    WIRELESS = "wlan"
    LOOPBACK = "loopback"
    TUNNEL = "tun"
    VETH = "veth"
    HARDWARE = "hardware"
    OTHER = "other"


_KINDS = frozenset(kind.value for kind in LinkKind)


class Link(NamedTuple):
    """One interface; `state` is up, down or unknown, `master` its bridge or bond."""

    name: str
    kind: LinkKind
    mtu: int
    state: str
    mac: str = ""
    master: str = ""

    @property
    def docker_bridge(self) -> bool:
        """Whether it has a name that Docker gives its bridges: docker0, br-ID and such."""
        if self.kind is not LinkKind.BRIDGE:
            return False
        if self.name in ("docker0", "docker_gwbridge"):
            return True
        digits = self.name.removeprefix("br-")
        return (
            self.name.startswith("br-")
            and len(digits) == _DOCKER_BRIDGE_ID
            and all(digit in "0123456789abcdef" for digit in digits)
        )


class Links(NamedTuple):
    """All links of the network namespace."""

    all: tuple[Link, ...]

    def get(self, name: str) -> Link | None:
        """The link of that name."""
        return next((link for link in self.all if link.name == name), None)

    def bridges(self) -> tuple[Link, ...]:
        """Every bridge, Docker's or not."""
        return tuple(link for link in self.all if link.kind is LinkKind.BRIDGE)

    def ports(self, bridge: str) -> tuple[Link, ...]:
        """The links that belong to a bridge or bond."""
        return tuple(link for link in self.all if link.master == bridge)


class Address(NamedTuple):
    """An IPv4 address of the host with its network; `link` "" when no route names it."""

    link: str
    network: Network


def _gather_links(facts: Facts) -> Answer[Links]:
    names = facts.host.listdir(_FOLDER)
    if not isinstance(names, Known):
        return names
    if len(names.value) > _LIMIT:
        return Unreadable(_FOLDER, f"more than {_LIMIT} links")
    found = [_link(facts.host, name) for name in names.value]
    return Known(Links(tuple(link for link in found if link is not None)), _FOLDER)


def _link(host: Host, name: str) -> Link | None:
    """One link, or None when it went away meanwhile or is no link (bonding_masters)."""
    folder = f"{_FOLDER}/{name}"
    mtu = _word(host, f"{folder}/mtu")
    if not (mtu.isascii() and mtu.isdecimal()):
        return None
    master = host.stat(f"{folder}/master", follow=False)
    return Link(
        name=name,
        kind=_kind(host, folder),
        mtu=int(mtu[:9]),
        state=_word(host, f"{folder}/operstate"),
        mac=_word(host, f"{folder}/address"),
        master=master.value.target.rpartition("/")[2] if isinstance(master, Known) else "",
    )


def _kind(host: Host, folder: str) -> LinkKind:
    uevent = host.read(f"{folder}/uevent")
    told = parse_devtype(text.decode(uevent.value)) if isinstance(uevent, Known) else ""
    if told in _KINDS:
        return LinkKind(told)
    if _there(host, f"{folder}/bridge"):
        return LinkKind.BRIDGE
    if _word(host, f"{folder}/type") == _LOOPBACK_TYPE:
        return LinkKind.LOOPBACK
    if _there(host, f"{folder}/device"):
        return LinkKind.HARDWARE
    if _there(host, f"{folder}/tun_flags"):
        return LinkKind.TUNNEL
    peer, own = _word(host, f"{folder}/iflink"), _word(host, f"{folder}/ifindex")
    return LinkKind.VETH if peer and peer != own else LinkKind.OTHER


def parse_native(value: Any) -> Links:
    """The links as `pyroute2.links` gives them."""
    return Links(
        tuple(
            Link(
                name=one["name"],
                kind=_native_kind(one["kind"], one["type"]),
                mtu=int(one["mtu"]),
                state=one["state"],
                mac=one["mac"],
                master=one["master"],
            )
            for one in sorted(value, key=lambda one: one["name"])
        )
    )


def _native_kind(kind: str, hardware_type: int) -> LinkKind:
    if kind in _KINDS:
        return LinkKind(kind)
    if str(hardware_type) == _LOOPBACK_TYPE:
        return LinkKind.LOOPBACK
    return LinkKind.OTHER if kind else LinkKind.HARDWARE


def _gather_native(facts: Facts) -> Answer[Links]:
    answer = facts.host.native("pyroute2.links")
    return (
        parsed(answer.value, answer.source, parse_native) if isinstance(answer, Known) else answer
    )


def _there(host: Host, path: str) -> bool:
    return isinstance(host.stat(path), Known)


def _word(host: Host, path: str) -> str:
    answer = host.read(path)
    return text.decode(answer.value).strip() if isinstance(answer, Known) else ""


def parse_devtype(content: str) -> str:
    r"""The kind that a link's uevent names; hardware, veth and tun name none.

    >>> parse_devtype("DEVTYPE=bridge\nINTERFACE=docker0\nIFINDEX=4\n")
    'bridge'
    """
    for line in content.splitlines():
        if line.startswith("DEVTYPE="):
            return line.removeprefix("DEVTYPE=").strip()
    return ""


def parse_fib_trie(content: str) -> tuple[int, ...]:
    r"""The host's own IPv4 addresses in /proc/net/fib_trie, each once.

    >>> [hex(a) for a in parse_fib_trie("Local:\n     |-- 192.0.2.2\n        /32 host LOCAL\n")]
    ['0xc0000202']
    """
    found: dict[int, None] = {}
    leaf = ""
    for line in content.splitlines():
        words = line.split()
        if words[:1] == ["|--"] and len(words) > 1:
            leaf = words[1]
        elif words == ["/32", "host", "LOCAL"]:
            found[Network.parse(leaf or refuse("an address without a leaf")).address] = None
    return tuple(found)


def _gather_addresses(facts: Facts) -> Answer[tuple[Address, ...]]:
    path = "/proc/net/fib_trie"
    read = facts.host.read(path)
    if not isinstance(read, Known):
        return read
    routes = facts.value(ROUTES)
    return parsed(text.decode(read.value), path, lambda content: tuple(_placed(content, routes)))


def _placed(content: str, routes: Routes) -> Iterator[Address]:
    """Each address with the narrowest network that is on a link itself."""
    on_link: dict[Network, Route] = {}
    for route in routes.all:
        if not route.gateway and route.network.length:
            on_link.setdefault(route.network.whole, route)
    lengths = sorted({network.length for network in on_link}, reverse=True)
    for address in parse_fib_trie(content):
        holding = (on_link.get(Network(address, length).whole) for length in lengths)
        narrowest = next(filter(None, holding), None)
        if narrowest is not None:
            yield Address(narrowest.link, Network(address, narrowest.network.length))
        else:
            yield Address("lo" if address >> 24 == 127 else "", Network(address, 32))  # noqa: PLR2004 - 127/8 is loopback


class Address6(NamedTuple):
    """An IPv6 address as 32 hex digits. `link_local`: good on its own link only."""

    link: str
    digits: str
    length: int
    link_local: bool


_LINK_LOCAL = 0x20  # scope in if_inet6 (IPV6_ADDR_LINKLOCAL)
_IF_INET6_COLUMNS = 6


def parse_if_inet6(content: str) -> tuple[Address6, ...]:
    r"""The lines of /proc/net/if_inet6.

    >>> parse_if_inet6("fe800000000000000000000000000001 02 40 20 80 eth0\n")[0].link_local
    True
    """
    found: list[Address6] = []
    for line in content.splitlines():
        words = line.split()
        if len(words) != _IF_INET6_COLUMNS:
            refuse("not a line of if_inet6")
        found.append(
            Address6(words[5], words[0], int(words[2], 16), int(words[3], 16) == _LINK_LOCAL)
        )
    return tuple(found)


def _gather_addresses6(facts: Facts) -> Answer[tuple[Address6, ...]]:
    path = "/proc/net/if_inet6"
    read = facts.host.read(path)
    if isinstance(read, Absent):  # the kernel has no IPv6: no addresses
        return Known((), path)
    if isinstance(read, Unreadable):
        return read
    return parsed(text.decode(read.value), path, parse_if_inet6)


LINKS: Fact[Links] = Fact("links", _gather_links, waits=False, native=_gather_native)
ADDRESSES: Fact[tuple[Address, ...]] = Fact("IPv4 addresses", _gather_addresses, waits=False)
ADDRESSES6: Fact[tuple[Address6, ...]] = Fact("IPv6 addresses", _gather_addresses6, waits=False)
