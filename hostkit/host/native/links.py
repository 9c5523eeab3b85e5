# SPDX-License-Identifier: GPL-3.0-or-later
# The library brings no types, so its one wrapper is checked less strictly.
# pyright: basic, reportMissingModuleSource=false
"""pyroute2: links, addresses and routes, straight from netlink."""

from collections.abc import Iterable
from typing import Any

from pyroute2 import IPRoute

_MAIN_TABLE = 254


def links() -> list[dict[str, Any]]:
    """Each link; `kind` is what `ip link add type` would be given, "" for hardware and lo."""
    with IPRoute() as netlink:
        found = list(netlink.get_links())
    names = {one["index"]: one.get_attr("IFLA_IFNAME") for one in found}
    return [
        {
            "name": names[one["index"]],
            "mtu": one.get_attr("IFLA_MTU"),
            "state": (one.get_attr("IFLA_OPERSTATE") or "").lower(),
            "mac": one.get_attr("IFLA_ADDRESS") or "",
            "master": names.get(one.get_attr("IFLA_MASTER"), ""),
            "kind": (one.get_attr("IFLA_LINKINFO") or _Nothing()).get_attr("IFLA_INFO_KIND") or "",
            "type": one["ifi_type"],
        }
        for one in found
    ]


def addresses() -> list[dict[str, Any]]:
    """Each address, IPv4 and IPv6, with the name of its link."""
    with IPRoute() as netlink:
        names = _names(netlink.get_links())
        return [
            {
                "link": names.get(one["index"], ""),
                "address": one.get_attr("IFA_LOCAL") or one.get_attr("IFA_ADDRESS"),
                "length": one["prefixlen"],
            }
            for one in netlink.get_addr()
        ]


def routes() -> list[dict[str, Any]]:
    """Each IPv4 route of the main table; destination "" is the default route."""
    with IPRoute() as netlink:
        names = _names(netlink.get_links())
        return [
            {
                "destination": one.get_attr("RTA_DST") or "",
                "length": one["dst_len"],
                "gateway": one.get_attr("RTA_GATEWAY") or "",
                "link": names.get(one.get_attr("RTA_OIF"), ""),
                "metric": one.get_attr("RTA_PRIORITY") or 0,
            }
            for one in netlink.get_routes(family=2, table=_MAIN_TABLE)
        ]


class _Nothing:
    """A link without details."""

    def get_attr(self, name: str) -> str:
        del name
        return ""


def _names(found: Iterable[Any]) -> dict[int, str]:
    return {one["index"]: one.get_attr("IFLA_IFNAME") for one in found}
