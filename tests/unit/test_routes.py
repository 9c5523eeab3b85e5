# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks, /proc/net/route in both byte orders, links and addresses from /sys and /proc."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.facts.links import (
    ADDRESSES,
    LINKS,
    Link,
    LinkKind,
    parse_devtype,
    parse_fib_trie,
    parse_if_inet6,
)
from hostkit.facts.resolver import parse_resolv_conf
from hostkit.facts.routes import Network, dotted, parse_route
from tests.fakes import make_facts

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
ROUTE = (
    HEAD
    + "eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
    + "wlan0\t00000000\t010200C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n"
    + "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    + "docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
    + "*\t000012AC\t00000000\t0201\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
)
FIB = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
Local:
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 172.17.0.1
        /32 host LOCAL
     |-- 192.0.2.2
        /32 host LOCAL
     |-- 192.0.2.255
        /32 link BROADCAST
"""


def test_routes_of_a_docker_host() -> None:
    routes = parse_route(ROUTE)
    assert routes.uplink == "eth0"
    assert [str(r.network) for r in routes.all[2:]] == [
        "192.0.2.0/24",
        "172.17.0.0/16",
        "172.18.0.0/16",
    ]
    assert dotted(routes.all[0].gateway) == "192.0.2.1"
    assert routes.all[4].reject
    overlapping = routes.overlapping(Network.parse("172.16.0.0/12"), ["eth0"])
    assert [route.link for route in overlapping] == ["docker0"]


def test_a_big_endian_machine_prints_the_words_the_other_way() -> None:
    routes = parse_route(
        HEAD
        + "eth0\t00000000\tC0000201\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        + "eth0\tC0000200\t00000000\t0001\t0\t0\t0\tFFFFFF00\t0\t0\t0\n"
    )
    assert str(routes.all[1].network) == "192.0.2.0/24"
    assert dotted(routes.all[0].gateway) == "192.0.2.1"


@pytest.mark.parametrize("content", ["", "nonsense\n", HEAD + "eth0\t00\n", HEAD + "a\tx" * 9])
def test_what_is_no_routing_table_is_refused(content: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_route(content)


@pytest.mark.parametrize("written", ["1.2.3", "1.2.3.4.5", "256.0.0.0/8", "10.0.0.0/33", "a.b.c.d"])
def test_what_is_no_network_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Network.parse(written)


NETWORKS = st.builds(Network, st.integers(0, 0xFFFFFFFF), st.integers(0, 32))


@given(NETWORKS, NETWORKS)
def test_overlap_is_mutual_and_agrees_with_contains(one: Network, other: Network) -> None:
    assert one.overlaps(other) == other.overlaps(one)
    assert one.overlaps(other) == (one.contains(other.address) or other.contains(one.address))
    assert Network.parse(str(one)) == one


@given(st.text())
def test_any_text_is_parsed_or_refused(content: str) -> None:
    parsers: tuple[Callable[[str], object], ...] = (
        parse_route,
        parse_fib_trie,
        parse_if_inet6,
        parse_devtype,
        parse_resolv_conf,
        Network.parse,
    )
    for parse in parsers:
        try:
            parse(content)
        except ValueError:
            continue


@given(st.text())
def test_any_line_below_the_heading_is_parsed_or_refused(content: str) -> None:
    try:
        parse_route(HEAD + content)
    except ValueError:
        return


def sysfs(name: str, **files: str) -> dict[str, str]:
    base = {"mtu": "1500\n", "operstate": "up\n", "address": "02:00:00:00:00:01\n", "uevent": ""}
    return {f"/sys/class/net/{name}/{key}": value for key, value in {**base, **files}.items()}


def test_links_and_their_kinds() -> None:
    facts = make_facts(
        {
            **sysfs("docker0", uevent="DEVTYPE=bridge\nINTERFACE=docker0\n"),
            **sysfs("br-0123456789ab", **{"bridge/bridge_id": "8000"}),
            **sysfs("veth1", iflink="9\n", ifindex="8\n"),
            **sysfs("eth0", **{"device/vendor": "0x1af4\n"}, mtu="1400\n"),
            **sysfs("lo", type="772\n"),
            "/sys/class/net/bonding_masters": "\n",
        },
        links={"/sys/class/net/veth1/master": "../docker0"},
    )
    links = facts.value(LINKS)
    assert {link.name: link.kind for link in links.all} == {
        "br-0123456789ab": LinkKind.BRIDGE,
        "docker0": LinkKind.BRIDGE,
        "eth0": LinkKind.HARDWARE,
        "lo": LinkKind.LOOPBACK,
        "veth1": LinkKind.VETH,
    }
    assert [port.name for port in links.ports("docker0")] == ["veth1"]
    assert [bridge.docker_bridge for bridge in links.bridges()] == [True, True]
    eth0 = links.get("eth0")
    assert eth0 is not None
    assert eth0.mtu == 1400


@pytest.mark.parametrize("name", ["br0", "br-lan", "virbr0", "br-0123456789abc", "lxdbr0"])
def test_other_bridges_are_not_dockers(name: str) -> None:
    assert not Link(name, LinkKind.BRIDGE, 1500, "up").docker_bridge


def test_addresses_have_the_network_of_their_link() -> None:
    facts = make_facts({"/proc/net/route": ROUTE, "/proc/net/fib_trie": FIB})
    assert [(a.link, str(a.network)) for a in facts.value(ADDRESSES)] == [
        ("lo", "127.0.0.1/32"),
        ("docker0", "172.17.0.1/16"),
        ("eth0", "192.0.2.2/24"),
    ]
