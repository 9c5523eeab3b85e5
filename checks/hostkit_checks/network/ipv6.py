# SPDX-License-Identifier: GPL-3.0-or-later
"""IPv6 forwarding, where containers have IPv6 at all."""

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
from hostkit.facts.daemonconfig import DAEMON_CONFIG, DaemonConfig
from hostkit.facts.fact import Facts
from hostkit.facts.kubeletconfig import KUBELET_CONFIG, KUBELET_CONFIG_FILE
from hostkit.facts.processes import ENGINE_PROCESSES
from hostkit.facts.sysctl import CONFIGURED, proc_path, sysctl
from hostkit.host.answer import Absent, Known, Unreadable

KEY = "net.ipv6.conf.all.forwarding"
FORWARDING = sysctl(KEY)


@check(
    "ipv6-forwarding",
    title="Are IPv6 packets forwarded where containers have IPv6?",
    problems=("ipv6-forwarding-disabled",),
    uses=(FORWARDING, CONFIGURED, DAEMON_CONFIG, KUBELET_CONFIG, ENGINE_PROCESSES),
    profiles=("docker", "kubernetes"),
)
def ipv6_forwarding(facts: Facts) -> Iterator[Outcome]:
    """Hosts whose containers have IPv4 alone need none."""
    reason = _used(facts)
    config = facts.get(DAEMON_CONFIG)
    if reason is None and isinstance(config, Unreadable):
        yield Unknown(f"{config.source}: {config.reason}", needs_root=config.needs_root)
        return
    if reason is None:
        yield NotApplicable("no container here has IPv6")
        return
    answer = facts.get(FORWARDING)
    if isinstance(answer, Absent):
        yield NotApplicable("the kernel has no IPv6")
        return
    configured = facts.known(CONFIGURED)
    winner = configured.winner(KEY) if configured else None
    value = facts.value(FORWARDING)
    if value != "0" and (winner is None or winner.value != "0"):
        yield Passed("IPv6 forwarding is on")
        return
    processes = facts.known(ENGINE_PROCESSES)
    running = processes is not None and bool(processes.running("dockerd"))
    later = value == "0" and not running and reason.source != KUBELET_CONFIG_FILE
    if later and winner is None:
        yield Passed("dockerd will switch IPv6 forwarding on when it starts")
        return
    written = (
        (Evidence(winner.file, f"{winner.key} = {winner.value}", winner.line),) if winner else ()
    )
    when = "now" if value == "0" else "from the next boot on"
    yield Finding(
        problem="ipv6-forwarding-disabled",
        severity=Severity.WARNING,
        summary=f"containers have IPv6, and {KEY} is 0 {when}",
        evidence=(Evidence(proc_path(KEY), value), reason, *written),
        later=value != "0",
    )


def _used(facts: Facts) -> Evidence | None:
    """What says that containers or pods have IPv6, or None."""
    config = facts.get(DAEMON_CONFIG)
    setting = _of_docker(config.value) if isinstance(config, Known) else None
    if setting is not None:
        return setting
    kubelet = facts.known(KUBELET_CONFIG)
    servers = [one for one in (kubelet.cluster_dns if kubelet else ()) if ":" in one]
    return Evidence(KUBELET_CONFIG_FILE, f"clusterDNS: {servers[0]}") if servers else None


def _of_docker(config: DaemonConfig) -> Evidence | None:
    setting = config.get("ipv6")
    if setting is None or setting.value is not True:
        setting = config.get("fixed-cidr-v6")
    return (
        Evidence(setting.source, f"{setting.key} = {setting.value}", setting.line)
        if setting
        else None
    )
