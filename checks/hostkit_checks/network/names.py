# SPDX-License-Identifier: GPL-3.0-or-later
"""Name servers that a container can reach, and room in the table of connections."""

from collections.abc import Iterator

from hostkit.diagnosis.check import check
from hostkit.diagnosis.finding import (
    Evidence,
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Severity,
    Unknown,
)
from hostkit.facts.daemonconfig import DAEMON_CONFIG
from hostkit.facts.fact import Facts
from hostkit.facts.resolver import RESOLVER, UPSTREAM, UPSTREAM_PATH
from hostkit.facts.sysctl import proc_path, sysctl
from hostkit.host.answer import Absent

_RESOLV_CONF = "/etc/resolv.conf"
CONNTRACK_COUNT = sysctl("net.netfilter.nf_conntrack_count")
CONNTRACK_MAX = sysctl("net.netfilter.nf_conntrack_max")
_NEARLY_FULL = 90  # per cent
_FULL = 99


@check(
    "resolver",
    title="Does the host name a server that containers can ask for names?",
    problems=("dns-resolution-failure",),
    uses=(RESOLVER, UPSTREAM, DAEMON_CONFIG),
    settles=False,  # a server that is named may still not answer
)
def resolver(facts: Facts) -> Iterator[Outcome]:
    """Nobody is asked: whether a server answers is for `getent hosts` to say."""
    config = facts.known(DAEMON_CONFIG)
    configured = config.words("dns") if config else ()
    if configured:
        yield Passed(f"dockerd gives containers {', '.join(configured[:3])}")
        return
    if isinstance(facts.get(RESOLVER), Absent):
        yield _finding("there is no /etc/resolv.conf: names are asked of this host itself", "")
        return
    found = facts.value(RESOLVER)
    if not found.servers:
        yield _finding("/etc/resolv.conf names no server", "no line `nameserver ADDRESS`")
    elif found.systemd_stub:
        upstream = facts.known(UPSTREAM)
        if upstream is not None and upstream.servers:
            yield Passed(f"systemd-resolved asks {', '.join(upstream.servers[:3])}")
        else:
            yield _finding(
                f"the only name server is systemd-resolved's stub, and {UPSTREAM_PATH} names none",
                f"nameserver {found.servers[0]}",
            )
    elif found.loopback_only:
        yield _finding(
            f"{found.servers[0]} is this host itself: no container can reach it there",
            f"nameserver {found.servers[0]}",
        )
    else:
        yield Passed(f"name servers: {', '.join(found.servers[:3])}")


def _finding(summary: str, excerpt: str) -> Finding:
    return Finding(
        problem="dns-resolution-failure",
        severity=Severity.WARNING,
        summary=summary,
        evidence=(Evidence(_RESOLV_CONF, excerpt or "does not exist"),),
    )


@check(
    "conntrack-table",
    title="Is there room in the table of connections?",
    problems=("conntrack-table-full",),
    uses=(CONNTRACK_COUNT, CONNTRACK_MAX),
    settles=False,  # it fills at peaks; now tells nothing of then
)
def conntrack_table(facts: Facts) -> Iterator[Outcome]:
    """When it is full, the kernel drops the packets that would open a connection."""
    if isinstance(facts.get(CONNTRACK_COUNT), Absent):
        yield NotApplicable("connections are not tracked here")
        return
    written = facts.value(CONNTRACK_COUNT), facts.value(CONNTRACK_MAX)
    if not all(word.isascii() and word.isdecimal() for word in written):
        yield Unknown(f"{proc_path('net.netfilter.nf_conntrack_count')}: not a number")
        return
    count, limit = (int(word[:18]) for word in written)
    if limit == 0:
        yield Passed("the table has no limit")
        return
    percent = count * 100 // limit
    if percent < _NEARLY_FULL:
        yield Passed(f"{count} of {limit} connections")
        return
    yield Finding(
        problem="conntrack-table-full",
        severity=Severity.ERROR if percent >= _FULL else Severity.WARNING,
        summary=f"{count} of {limit} connections are tracked ({percent} %)",
        evidence=(
            Evidence(proc_path("net.netfilter.nf_conntrack_count"), str(count)),
            Evidence(proc_path("net.netfilter.nf_conntrack_max"), str(limit)),
        ),
    )
