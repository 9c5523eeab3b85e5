# SPDX-License-Identifier: GPL-3.0-or-later
"""IPv4 networks and the main routing table, from /proc/net/route."""

from collections.abc import Iterable, Iterator

from hostkit.facts.fact import Fact, file_fact, refuse
from hostkit.value import NamedTuple

_BITS = 32
_ALL = 0xFFFFFFFF
_UP, _GATEWAY, _REJECT = 0x1, 0x2, 0x200  # RTF_* of route.h
_COLUMNS = 8


class Network(NamedTuple):
    """An IPv4 network, or an address with the length of its network.

    >>> lan = Network.parse("172.17.0.0/16")
    >>> lan.overlaps(Network.parse("172.17.4.0/24")), str(lan), lan.contains(lan.address + 9)
    (True, '172.17.0.0/16', True)
    """

    address: int
    length: int

    @classmethod
    def parse(cls, written: str) -> "Network":
        """From `a.b.c.d` or `a.b.c.d/n`; raises ValueError."""
        address, slash, length = written.partition("/")
        parts = [int(part) for part in address.split(".") if part.isascii() and part.isdecimal()]
        bits = int(length) if slash else _BITS
        if len(parts) != 4 or address.count(".") != 3 or max(parts) > 255 or not 0 <= bits <= _BITS:  # noqa: PLR2004 - what an IPv4 address is
            refuse(f"not an IPv4 network: {written[:40]!r}")
        return cls(int.from_bytes(parts), bits)

    @property
    def mask(self) -> int:
        """The bits that all addresses of the network share."""
        return _ALL << (_BITS - self.length) & _ALL

    @property
    def whole(self) -> "Network":
        """The network of an address: its first address, with the same length."""
        return Network(self.address & self.mask, self.length)

    def contains(self, address: int) -> bool:
        """Whether an address lies in the network."""
        return address & self.mask == self.address & self.mask

    def overlaps(self, other: "Network") -> bool:
        """Whether any address lies in both."""
        wider = self if self.length <= other.length else other
        return (self.address ^ other.address) & wider.mask == 0

    def __str__(self) -> str:
        return f"{dotted(self.address)}/{self.length}"


class Route(NamedTuple):
    """One IPv4 route; `gateway` 0: the network is on the link itself."""

    link: str
    network: Network
    gateway: int
    metric: int
    reject: bool = False

    @property
    def default(self) -> bool:
        """Whether it takes what no other route wants."""
        return self.network.length == 0 and not self.reject


class Routes(NamedTuple):
    """The main table, in the kernel's order."""

    all: tuple[Route, ...]

    @property
    def uplink(self) -> str:
        """The link of the default route with the lowest metric, or ""."""
        found = [route for route in self.all if route.default]
        return min(found, key=lambda route: route.metric).link if found else ""

    def overlapping(self, network: Network, ignoring: Iterable[str]) -> Iterator[Route]:
        """The routes to addresses of a network over other links than these; no default."""
        skipped = frozenset(ignoring)
        for route in self.all:
            if (
                route.network.length
                and not route.reject
                and route.link not in skipped
                and route.network.overlaps(network)
            ):
                yield route


def dotted(address: int) -> str:
    """An address as people write it.

    >>> dotted(0x7F000001)
    '127.0.0.1'
    """
    return ".".join(str(part) for part in address.to_bytes(4))


def parse_route(content: str) -> Routes:
    r"""The lines of /proc/net/route: words in hex, in the byte order of the machine.

    >>> head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
    >>> routes = parse_route(head + "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
    ...                           + "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n")
    >>> dotted(routes.all[0].gateway), str(routes.all[1].network), routes.uplink
    ('192.0.2.1', '192.0.2.0/24', 'eth0')
    """
    lines = content.splitlines()
    if not lines or not lines[0].startswith("Iface"):
        refuse("no heading of /proc/net/route")
    rows = [line.split() for line in lines[1:] if line.strip()]
    if any(len(row) < _COLUMNS for row in rows):
        refuse("a line is cut short")
    big = _big_endian(int(row[7], 16) for row in rows)
    found: list[Route] = []
    for row in rows:
        destination, gateway, mask = (_number(row[at], big=big) for at in (1, 2, 7))
        flags = int(row[3], 16)
        length = mask.bit_count()
        if flags & _UP:
            found.append(
                Route(
                    row[0],
                    Network(destination, length),
                    gateway if flags & _GATEWAY else 0,
                    int(row[6]),
                    bool(flags & _REJECT),
                )
            )
    return Routes(tuple(found))


def _big_endian(masks: Iterable[int]) -> bool:
    """The masks tell the byte order: only one way are their ones all in front."""
    for mask in masks:
        if mask not in (0, _ALL):
            return _contiguous(mask) and not _contiguous(_swapped(mask))
    return False


def _contiguous(mask: int) -> bool:
    inverted = mask ^ _ALL
    return inverted & (inverted + 1) == 0


def _swapped(number: int) -> int:
    return int.from_bytes(number.to_bytes(4, "little"))


def _number(word: str, *, big: bool) -> int:
    number = int(word, 16)
    if not 0 <= number <= _ALL:
        refuse(f"not an IPv4 word: {word[:20]}")
    return number if big else _swapped(number)


ROUTES: Fact[Routes] = file_fact("IPv4 routes", "/proc/net/route", parse_route)
