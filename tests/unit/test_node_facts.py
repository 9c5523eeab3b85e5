# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts of a node: any text is parsed or refused, in bounded time, and nothing else."""

import pytest

from hostkit.facts.firewallports import ZONE_PORTS
from hostkit.facts.listening import LISTENING, parse_net_tcp
from hostkit.host.answer import Absent, Known, Unreadable
from tests.fakes import make_facts

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("0100007F", True),
        ("7F00000A", False),  # 10.0.0.127
        ("00000000", False),
        ("00000000000000000000000001000000", True),
        ("00000000000000000000000000000000", False),
        ("0000000000000000FFFF00000100007F", True),
        ("0000000000000000FFFF00000A00000A", False),
    ],
)
def test_who_reaches_a_listener(address: str, loopback: bool) -> None:
    line = f"   0: {address}:1F90 {'0' * len(address)}:0000 0A 0:0 00:0 0     0        0 1 1\n"
    (one,) = parse_net_tcp(HEAD + line, "f")
    assert (one.port, one.loopback) == (8080, loopback)


def test_a_kernel_without_ipv6_has_no_second_file() -> None:
    assert isinstance(make_facts({"/proc/net/tcp": HEAD}).get(LISTENING), Known)
    assert isinstance(make_facts({}).get(LISTENING), Absent)
    odd = make_facts({"/proc/net/tcp": HEAD + "what is this\n"}).get(LISTENING)
    assert isinstance(odd, Unreadable)


def test_the_zone_of_the_administrator_hides_the_packaged_one() -> None:
    facts = make_facts(
        {
            "/usr/sbin/firewalld": "",
            "/etc/firewalld/firewalld.conf": "DefaultZone=work\n",
            "/etc/firewalld/zones/work.xml": "<zone target='ACCEPT'/>",
            "/usr/lib/firewalld/zones/work.xml": "<zone/>",
        }
    )
    assert facts.value(ZONE_PORTS).opens(10250)
