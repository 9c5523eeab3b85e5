# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong at the next boot or start only: a warning, and no proof of an old message."""

from typing import Any

import pytest

from hostkit import plugins
from hostkit.diagnosis.check import Check
from hostkit.diagnosis.doctor import Text, diagnose, suspects
from hostkit.diagnosis.finding import Finding, Severity
from hostkit.facts.daemonconfig import DAEMON_CONFIG, DaemonConfig
from hostkit.facts.daemonjson import Setting
from hostkit.facts.engine import DOCKER, Engine
from hostkit.facts.fact import Fact
from hostkit.facts.kubelet import KUBELET
from hostkit.facts.lsm import SELINUX, Mode, SELinux
from hostkit_checks.daemon.configuration import daemon_flags, daemon_json
from hostkit_checks.daemon.startup import daemon_values
from hostkit_checks.network.checks import bridge_netfilter, ipv4_forwarding
from hostkit_checks.network.ipv6 import ipv6_forwarding
from hostkit_checks.security.checks import selinux_mode
from tests.fakes import make_facts

_LOADED = plugins.load()
SIGNATURES, CATALOGUE = _LOADED.signatures(), _LOADED.catalogue()
JSON = "/etc/docker/daemon.json"
SYSCTL = "/etc/sysctl.d/60-site.conf"
HOSTS = Setting("hosts", ("fd://",), "/usr/lib/systemd/system/docker.service", 5)


def config(*settings: Setting, flags: tuple[Setting, ...] = ()) -> DaemonConfig:
    return DaemonConfig(flags, settings, running=True)


def sysctls(key: str, now: str, later: str) -> dict[str, str]:
    path = f"/proc/sys/{key.replace('.', '/')}"
    return {path: f"{now}\n", SYSCTL: f"{key} = {later}\n"}


# (check, files, facts, what was logged before)
BOOT: dict[str, tuple[Check, dict[str, str], dict[Fact[Any], Any], str]] = {
    "ipv4-forwarding": (
        ipv4_forwarding,
        sysctls("net.ipv4.ip_forward", "1", "0"),
        {},
        "WARNING: IPv4 forwarding is disabled. Networking will not work.",
    ),
    "ipv6-forwarding": (
        ipv6_forwarding,
        sysctls("net.ipv6.conf.all.forwarding", "1", "0"),
        {DAEMON_CONFIG: config(Setting("ipv6", True, JSON, 1))},
        "",
    ),
    "bridge-nf": (
        bridge_netfilter,
        sysctls("net.bridge.bridge-nf-call-iptables", "1", "0"),
        {KUBELET: "/etc/kubernetes/kubelet.conf"},
        "[ERROR FileContent--proc-sys-net-bridge-bridge-nf-call-iptables]: "
        "/proc/sys/net/bridge/bridge-nf-call-iptables contents are not set to 1",
    ),
    "flag-conflict": (
        daemon_flags,
        {},
        {DAEMON_CONFIG: config(Setting("hosts", ("tcp://h",), JSON, 2), flags=(HOSTS,))},
        "unable to configure the Docker daemon with file /etc/docker/daemon.json: the following "
        "directives are specified both as a flag and in the configuration file: hosts: "
        "(from flag: [fd://], from file: [tcp://h])",
    ),
    "removed-key": (
        daemon_json,
        {JSON: '{"graph": "/d"}'},
        {DOCKER: Engine("docker", (20, 10, 24), "20.10.24", "package docker-ce")},
        "unable to configure the Docker daemon with file /etc/docker/daemon.json: the following "
        "directives don't match any configuration option: graph",
    ),
    "values": (
        daemon_values,
        {},
        {DAEMON_CONFIG: config(Setting("log-level", "loud", JSON, 2))},
        "",
    ),
    "selinux": (
        selinux_mode,
        {},
        {SELINUX: SELinux(Mode.PERMISSIVE, Mode.ENFORCING)},
        "avc:  denied  { write } for  pid=4711 comm=nginx "
        "scontext=system_u:system_r:container_t:s0:c1,c2 tcontext=unconfined_u:object_r:home_t:s0 "
        "tclass=dir permissive=0",
    ),
}


@pytest.mark.parametrize("name", BOOT)
def test_the_old_message_is_past_and_the_warning_stands(name: str) -> None:
    one, files, known, said = BOOT[name]
    facts = make_facts(files, given=known)
    suspected = suspects([Text("log", [said])], SIGNATURES)
    ranked, _ = diagnose(facts, [one], suspected, CATALOGUE)
    found = [each.finding for each in ranked]
    (warned,) = (finding for finding in found if finding.later)
    assert not warned.past
    assert warned.severity is not Severity.ERROR
    assert warned.evidence
    past = [finding for finding in found if finding.past]
    assert bool(past) is bool(said)
    assert [finding for finding in found if finding not in (warned, *past)] == []


@pytest.mark.parametrize("name", ["ipv4-forwarding", "bridge-nf", "ipv6-forwarding"])
def test_off_now_confirms_the_message(name: str) -> None:
    one, files, known, said = BOOT[name]
    off = {path: value.replace("1\n", "0\n") for path, value in files.items()}
    suspected = suspects([Text("log", [said])], SIGNATURES)
    ranked, _ = diagnose(make_facts(off, given=known), [one], suspected, CATALOGUE)
    assert [each.finding.past for each in ranked] == [False]
    assert not ranked[0].finding.later


def test_a_key_is_not_called_a_matter_of_later_versions_where_the_version_is_unknown() -> None:
    facts = make_facts({JSON: '{"graph": "/d"}'})
    found = [one for one in daemon_json.run(facts) if isinstance(one, Finding)]
    assert [one.later for one in found] == [False]
