# SPDX-License-Identifier: GPL-3.0-or-later
"""The TCP ports on which somebody listens, from /proc/net/tcp and tcp6."""

from hostkit import text
from hostkit.facts.fact import Fact, Facts, refuse
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.value import NamedTuple

FILES = ("/proc/net/tcp", "/proc/net/tcp6")
_LISTEN = "0A"  # TCP_LISTEN (include/net/tcp_states.h)
_COLUMNS = 10
_LIMIT = 32 << 20  # a line a connection


class Listener(NamedTuple):
    """A port with the user id that holds it; `loopback`: only this host reaches it."""

    port: int
    uid: int
    loopback: bool
    source: str


def parse_net_tcp(content: str, source: str) -> tuple[Listener, ...]:
    r"""The listeners of one of the files; addresses are hex words in the machine's order.

    >>> parse_net_tcp("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when "
    ... "retrnsmt   uid\n   0: 0100007F:192B 00000000:0000 0A 00000000:00000000 00:00000000 "
    ... "00000000     0        0 20211 1\n", "f")
    (Listener(port=6443, uid=0, loopback=True, source='f'),)
    """
    found: list[Listener] = []
    for line in content.splitlines()[1:]:
        words = line.split(None, _COLUMNS)
        if len(words) < _COLUMNS:
            refuse(f"not a line of {source}: {line[:60]!r}")
        if words[3] != _LISTEN:
            continue
        address, _, port = words[1].rpartition(":")
        found.append(Listener(int(port, 16), int(words[7][:10]), _is_loopback(address), source))
    return tuple(found)


def _is_loopback(address: str) -> bool:
    """127.0.0.0/8 and ::1, also where IPv4 is written within IPv6."""
    four = address[-8:].upper()
    if len(address) == len(four) or address[:-8].strip("0").upper() == "FFFF":
        return four.endswith("7F") or four == "7F000001"  # the second: big-endian machines
    return address[:-8].strip("0") == "" and four in ("01000000", "00000001")


def _gather(facts: Facts) -> Answer[tuple[Listener, ...]]:
    found: list[Listener] = []
    for path in FILES:
        answer = facts.host.read(path, _LIMIT)
        if isinstance(answer, Absent) and path != FILES[0]:
            continue  # a kernel without IPv6
        if not isinstance(answer, Known):
            return answer
        try:
            found += parse_net_tcp(text.decode(answer.value), path)
        except ValueError as error:
            return Unreadable(path, f"not understood: {error}")
    return Known(tuple(found), FILES[0])


LISTENING: Fact[tuple[Listener, ...]] = Fact("listening ports", _gather, waits=False)
