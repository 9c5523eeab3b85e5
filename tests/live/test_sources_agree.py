# SPDX-License-Identifier: GPL-3.0-or-later
"""Independent sources say the same of this machine: our parsers, and four libraries."""

import ipaddress
import os
from typing import Any

import pytest

from hostkit.facts.block import BLOCK_DEVICES
from hostkit.facts.fact import Fact, Facts
from hostkit.facts.links import ADDRESSES, LINKS
from hostkit.facts.memory import MEMORY
from hostkit.host.answer import Absent, Answer, Known
from hostkit.host.local import LocalHost

HOST = LocalHost(budget_s=3600)  # made long before the last test asks it


def value(answer: Answer[Any]) -> Any:
    if isinstance(answer, Absent):
        pytest.skip(f"{answer.source}: {answer.reason}")
    assert isinstance(answer, Known)
    return answer.value


def both(fact: Fact[Any]) -> tuple[Any, Any]:
    assert fact.native is not None
    facts = Facts(HOST)
    return value(fact.gather(facts)), value(fact.native(facts))


def test_memory() -> None:
    ours, theirs = both(MEMORY)
    assert (ours.total, ours.swap_total) == (theirs.total, theirs.swap_total)
    assert abs(ours.available - theirs.available) < ours.total // 4


def test_block_devices() -> None:
    ours, theirs = both(BLOCK_DEVICES)

    def told(devices: Any) -> dict[str, tuple[Any, ...]]:
        # Loop devices come and go while other tests run.
        return {d.name: tuple(d) for d in devices.devices if not d.name.startswith(("loop", "dm-"))}

    assert told(ours) == told(theirs)


def test_disks_of_blkinfo() -> None:
    if not os.path.exists("/usr/bin/lsblk"):
        pytest.skip("lsblk is not installed")
    devices = value(Facts(HOST).get(BLOCK_DEVICES))
    for disk in value(HOST.native("blkinfo.disks")):
        if int(disk["size"]) and not disk["kname"].startswith(("loop", "dm-")):
            assert devices.named(disk["kname"]).size == int(disk["size"])


def test_links() -> None:
    ours, theirs = both(LINKS)

    def told(links: Any) -> dict[str, tuple[Any, ...]]:
        # veth pairs come and go while other tests run.
        return {one.name: (one.mtu, one.mac) for one in links.all if "veth" not in one.name}

    assert told(ours) == told(theirs)


def test_addresses() -> None:
    ours = {one.network.address for one in value(Facts(HOST).get(ADDRESSES))}
    theirs = {
        int(address)
        for one in value(HOST.native("pyroute2.addresses"))
        if (address := ipaddress.ip_address(one["address"])).version == 4
    }
    assert ours == theirs


def test_processes() -> None:
    assert os.getpid() in {one["pid"] for one in value(HOST.native("psutil.processes"))}
