# SPDX-License-Identifier: GPL-3.0-or-later
"""firewalld's files and the zones that the kernel's rules show."""

from pathlib import Path

import pytest

from hostkit.facts.firewalld import FIREWALLD, active_zones, parse_conf, parse_zone
from hostkit.facts.iptables import parse_save
from hostkit.facts.nft import parse_text
from hostkit.facts.ruleset import Backend, Family
from hostkit.host.answer import Absent, Known, Unreadable
from tests.fakes import make_facts

CAPTURES = Path(__file__).parents[1] / "captures" / "firewalld"
CONF = "/etc/firewalld/firewalld.conf"


def test_a_real_configuration() -> None:
    found = parse_conf((CAPTURES / "fw-conf.txt").read_text())
    assert found == ("nftables", "public", False, ())


def test_zones_that_the_kernel_has() -> None:
    with_docker = parse_text((CAPTURES / "fw-nft-docker.txt").read_text())
    assert active_zones(with_docker) == {"docker0": "docker", "": "public"}
    assert active_zones(parse_text((CAPTURES / "fw-nft.txt").read_text())) == {"": "public"}


def test_zones_of_the_iptables_backend() -> None:
    saved = parse_save(
        "*filter\n:FORWARD_IN_ZONES - [0:0]\n-A FORWARD_IN_ZONES -i eth0 -g FWDI_public\n"
        "-A FORWARD_IN_ZONES -g FWDI_home\nCOMMIT\n",
        Family.IPV4,
        Backend.LEGACY,
    )
    assert active_zones(saved.tables) == {"eth0": "public", "": "home"}


def test_rules_without_firewalld_have_no_zones() -> None:
    saved = parse_save("*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n", Family.IPV4, Backend.NFT)
    assert active_zones(saved.tables) == {}


def test_zone_files_are_read_and_broken_ones_left_out() -> None:
    facts = make_facts(
        {
            CONF: "StrictForwardPorts=yes\nDefaultZone=work\n",
            "/etc/firewalld/zones/trusted.xml": '<?xml version="1.0"?>\n<zone target="ACCEPT">\n'
            '<!-- <interface name="no"/> --><interface name="docker0"/></zone>',
            "/etc/firewalld/zones/public.xml.old": "<zone/>",
            "/etc/firewalld/zones/broken.xml": "nothing",
        }
    )
    found = facts.value(FIREWALLD)
    assert found.strict_forward_ports
    assert [zone.name for zone in found.zones] == ["trusted"]
    assert found.zone_of("docker0") == "trusted"
    assert found.zone_of("no") == ""


def test_not_installed_is_absent_and_not_readable_is_unknown() -> None:
    assert isinstance(make_facts().get(FIREWALLD), Absent)
    assert isinstance(make_facts(unreadable=[CONF], needs_root=True).get(FIREWALLD), Unreadable)
    assert isinstance(make_facts({"/usr/sbin/firewalld": ""}).get(FIREWALLD), Known)


def test_a_zone_file_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        parse_zone("<service/>", "x")
