# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom the host asks for names, as /etc/resolv.conf says (resolv.conf(5))."""

from hostkit.facts.fact import Fact, file_fact
from hostkit.value import NamedTuple

_PATH = "/etc/resolv.conf"
SYSTEMD_STUB = "127.0.0.53"
# The file in which systemd-resolved names the servers behind its stub; dockerd reads it.
UPSTREAM_PATH = "/run/systemd/resolve/resolv.conf"


class Resolver(NamedTuple):
    """Name servers in order, search domains, options."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    @property
    def loopback_only(self) -> bool:
        """Whether no server can be reached from another network namespace."""
        return bool(self.servers) and all(is_loopback(server) for server in self.servers)

    @property
    def systemd_stub(self) -> bool:
        """Whether systemd-resolved's local stub is the only server."""
        return set(self.servers) == {SYSTEMD_STUB}


def is_loopback(server: str) -> bool:
    """Whether a server is this host itself, as seen from this host only."""
    return server.startswith("127.") or server in ("::1", "localhost")


def parse_resolv_conf(content: str) -> Resolver:
    r"""The words of resolv.conf; the last `search` or `domain` counts.

    >>> parse_resolv_conf("# x\nnameserver 192.0.2.1\nsearch a.example\noptions edns0 trust-ad\n")
    Resolver(servers=('192.0.2.1',), search=('a.example',), options=('edns0', 'trust-ad'))
    """
    servers: list[str] = []
    search: tuple[str, ...] = ()
    options: list[str] = []
    for line in content.splitlines():
        words = line.split()
        if not words or words[0][0] in "#;":
            continue
        if words[0] == "nameserver" and len(words) > 1:
            servers.append(words[1])
        elif words[0] in ("search", "domain"):
            search = tuple(words[1:])
        elif words[0] == "options":
            options.extend(words[1:])
    return Resolver(tuple(servers), search, tuple(options))


RESOLVER: Fact[Resolver] = file_fact("resolver", _PATH, parse_resolv_conf)
UPSTREAM: Fact[Resolver] = file_fact("systemd-resolved servers", UPSTREAM_PATH, parse_resolv_conf)
