# SPDX-License-Identifier: GPL-3.0-or-later
"""IPv4 forwarding: how bad it is that it is off, and what a person must edit."""

from typing import Any

import pytest

from hostkit.diagnosis.finding import Finding, Severity
from hostkit.diagnosis.runner import run_checks
from hostkit.facts.daemonconfig import DAEMON_CONFIG, DaemonConfig
from hostkit.facts.daemonjson import Setting
from hostkit.facts.fact import Fact
from hostkit.facts.processes import ENGINE_PROCESSES, EngineProcesses, Process
from hostkit.facts.target import TARGET, Target
from hostkit.host.answer import Unreadable
from hostkit_checks.network.checks import ipv4_forwarding
from tests.fakes import make_facts

OFF = {"/proc/sys/net/ipv4/ip_forward": "0\n"}
IDLE = EngineProcesses(())
RUNS = EngineProcesses((Process(42, "dockerd", ("/usr/bin/dockerd",)),))
SITE = "/etc/sysctl.d/60-hardening.conf"


def found(files: dict[str, str], **given: Any) -> Finding:
    known: dict[Fact[Any], Any] = {
        TARGET: Target(given.get("engine", "docker")),
        ENGINE_PROCESSES: given.get("processes", IDLE),
        DAEMON_CONFIG: DaemonConfig(given.get("settings", ()), (), running=False),
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
        {"engine": "podman"},
        {"engine": "hostkit"},
        {"settings": (Setting("ip-forward", False, "/etc/docker/daemon.json", 1),)},
        {"settings": (Setting("firewall-backend", "nftables", "/etc/docker/daemon.json", 1),)},
    ],
)
def test_where_nobody_will_switch_it_on_it_is_an_error(given: dict[str, Any]) -> None:
    finding = found(OFF, **given)
    assert finding.severity is Severity.ERROR
    assert finding.params == (("set", "nobody"),)


def test_a_file_that_sets_0_is_an_error_and_named_for_the_editor() -> None:
    finding = found({**OFF, SITE: "# site\nnet.ipv4.ip_forward = 0\n"})
    assert finding.severity is Severity.ERROR
    assert set(finding.params) == {("file", SITE), ("line", "2"), ("set", "file")}
