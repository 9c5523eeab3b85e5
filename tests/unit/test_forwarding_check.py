# SPDX-License-Identifier: GPL-3.0-or-later
"""IPv4 forwarding: how bad it is that it is off, and what a person must edit."""

from typing import Any

import pytest

from hostkit import plugins
from hostkit.diagnosis.finding import Finding, Severity
from hostkit.diagnosis.runner import run_checks
from hostkit.facts.daemonconfig import DAEMON_CONFIG, DaemonConfig
from hostkit.facts.daemonjson import Setting
from hostkit.facts.fact import Fact
from hostkit.facts.links import LINKS, Link, LinkKind, Links
from hostkit.facts.processes import ENGINE_PROCESSES, EngineProcesses, Process
from hostkit.facts.target import TARGET, Target
from hostkit.host.answer import Unreadable
from hostkit_checks.network.checks import ipv4_forwarding
from tests.fakes import make_facts

OFF = {"/proc/sys/net/ipv4/ip_forward": "0\n"}
IDLE = EngineProcesses(())
RUNS = EngineProcesses((Process(42, "dockerd", ("/usr/bin/dockerd",)),))
PODMAN0 = Link("podman0", LinkKind.BRIDGE, 1500, "up")
IDLE_BRIDGE = Links((PODMAN0,))
IN_USE = Links((PODMAN0, Link("veth0", LinkKind.VETH, 1500, "up", master="podman0")))
SITE = "/etc/sysctl.d/60-hardening.conf"


def found(files: dict[str, str], **given: Any) -> Finding:
    known: dict[Fact[Any], Any] = {
        TARGET: Target(given.get("engine", "docker")),
        ENGINE_PROCESSES: given.get("processes", IDLE),
        DAEMON_CONFIG: DaemonConfig(given.get("settings", ()), (), running=False),
        LINKS: given.get("links", Unreadable("/sys/class/net", "denied")),
    }
    folders = {"/etc/sysctl.d": ["60-hardening.conf"]} if SITE in files else {}
    (result,) = run_checks(make_facts(files, given=known, folders=folders), [ipv4_forwarding])
    finding = result.outcomes[0]
    assert isinstance(finding, Finding), finding
    return finding


def test_before_docker_runs_the_default_of_the_kernel_is_a_warning() -> None:
    finding = found(OFF)
    assert finding.severity is Severity.WARNING
    assert "dockerd will switch it on" in finding.summary
    assert finding.params == (("set", "dockerd"),)


@pytest.mark.parametrize(
    "given",
    [
        {"processes": RUNS},
        {"processes": Unreadable("/proc", "denied")},
        {"engine": "podman"},  # whether a bridge is in use is not known
        {"engine": "podman", "links": IN_USE},
        {"engine": "hostkit"},
        {"engine": "hostkit", "links": IDLE_BRIDGE},
        {"engine": "kubernetes"},
        {"engine": "kubernetes", "links": IDLE_BRIDGE},
        {"settings": (Setting("ip-forward", False, "/etc/docker/daemon.json", 1),)},
        {"settings": (Setting("firewall-backend", "nftables", "/etc/docker/daemon.json", 1),)},
    ],
)
def test_where_nobody_will_switch_it_on_it_is_an_error(given: dict[str, Any]) -> None:
    finding = found(OFF, **given)
    assert finding.severity is Severity.ERROR
    assert finding.params == (("set", "nobody"),)


@pytest.mark.parametrize("links", [Links(()), IDLE_BRIDGE])
def test_podman_switches_it_on_with_its_first_container(links: Links) -> None:
    finding = found(OFF, engine="podman", links=links)
    assert finding.severity is Severity.WARNING
    assert "Podman's first container will switch it on" in finding.summary
    assert finding.params == (("set", "podman"),)


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_no_engine_is_relied_on_where_a_file_sets_0(engine: str) -> None:
    files = {**OFF, SITE: "net.ipv4.ip_forward = 0\n"}
    assert found(files, engine=engine, links=Links(())).severity is Severity.ERROR


def test_a_file_that_sets_0_is_an_error_and_named_for_the_editor() -> None:
    finding = found({**OFF, SITE: "# site\nnet.ipv4.ip_forward = 0\n"})
    assert finding.severity is Severity.ERROR
    assert set(finding.params) == {("file", SITE), ("line", "2"), ("set", "file")}


def test_what_undo_does_not_give_back_is_said() -> None:
    problem = plugins.load().catalogue().get("ipv4-forwarding-disabled")
    for remedy in problem.remedies:
        assert "LRO" in remedy.interrupts
