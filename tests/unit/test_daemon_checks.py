# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the engine: from facts to findings."""

from collections.abc import Mapping
from typing import Any

import pytest

from hostkit.diagnosis.check import Check
from hostkit.diagnosis.finding import Finding, NotApplicable, Outcome, Passed, Severity, Unknown
from hostkit.diagnosis.runner import run_checks
from hostkit.facts.engine import CONTAINERD, DOCKER, Engine
from hostkit.facts.fact import Fact
from hostkit.facts.processes import ENGINE_PROCESSES, EngineProcesses, Process
from hostkit.facts.target import TARGET, Target
from hostkit.facts.units import UNITS, Unit, Units
from hostkit.host.answer import Absent, Unreadable
from hostkit_checks.daemon import configuration, running
from tests.fakes import fake_stat, make_facts

PATH = "/etc/docker/daemon.json"
UNIT_PATH = "/usr/lib/systemd/system/docker.service"
NONE_RUN = EngineProcesses(())
DOCKERD = EngineProcesses((Process(42, "dockerd", ("/usr/bin/dockerd",)),))


def installed(*version: int) -> Engine:
    return Engine("docker", version, ".".join(map(str, version)), "docker-ce")


def ask(
    check: Check,
    given: Mapping[Fact[Any], Any] | None = None,
    files: Mapping[str, str | bytes] | None = None,
    **host: Any,
) -> tuple[Outcome, ...]:
    facts = make_facts(files, given={ENGINE_PROCESSES: NONE_RUN, **(given or {})}, **host)
    (result,) = run_checks(facts, [check])
    return result.outcomes


def json_findings(content: str | bytes, given: Mapping[Fact[Any], Any]) -> list[Finding]:
    outcomes = ask(configuration.daemon_json, given, {PATH: content})
    return [outcome for outcome in outcomes if isinstance(outcome, Finding)]


def test_an_engine_that_is_not_installed_is_no_fault() -> None:
    (outcome,) = ask(running.daemon_running)
    assert isinstance(outcome, NotApplicable)


def test_a_failed_unit_is_an_error_with_its_result() -> None:
    unit = Unit("docker.service", "loaded", "failed", "failed", "enabled", "exit-code")
    (finding,) = ask(running.daemon_running, {DOCKER: installed(26, 1), UNITS: Units((unit,))})
    assert isinstance(finding, Finding)
    assert finding.problem == "daemon-not-running"
    assert finding.severity is Severity.ERROR
    assert "exit-code" in finding.summary


def test_a_daemon_that_crashes_again_and_again_does_not_pass_for_its_socket() -> None:
    looping = Unit("docker.service", "loaded", "activating", "auto-restart", "enabled", "exit-code")
    units = Units((looping, Unit("docker.socket", "loaded", "active")))
    (finding,) = ask(running.daemon_running, {DOCKER: installed(26), UNITS: units})
    assert isinstance(finding, Finding)
    assert finding.severity is Severity.ERROR


def test_a_masked_daemon_does_not_pass_for_its_socket() -> None:
    masked = Unit("docker.service", "masked", "inactive", "dead", "masked")
    units = Units((masked, Unit("docker.socket", "loaded", "active")))
    (finding,) = ask(running.daemon_running, {DOCKER: installed(26), UNITS: units})
    assert isinstance(finding, Finding)
    assert "is masked, so nothing can start it" in finding.summary
    assert ("docker", "masked") in finding.params


def test_a_daemon_that_systemd_would_start_on_demand_is_well() -> None:
    units = Units((Unit("docker.socket", "loaded", "active"),))
    (outcome,) = ask(running.daemon_running, {DOCKER: installed(26), UNITS: units})
    assert isinstance(outcome, Passed)


def test_without_systemd_a_stopped_daemon_is_a_warning() -> None:
    (finding,) = ask(running.daemon_running, {DOCKER: installed(26)})
    assert isinstance(finding, Finding)
    assert finding.severity is Severity.WARNING


def test_processes_that_are_hidden_are_unknown_not_stopped() -> None:
    given: dict[Fact[Any], Any] = {
        DOCKER: installed(26),
        ENGINE_PROCESSES: Unreadable("/proc", "hidden"),
    }
    (outcome,) = ask(running.daemon_running, given)
    assert isinstance(outcome, Unknown)


def test_containerd_that_died_under_dockerd_is_an_error() -> None:
    engine = Engine("containerd", (1, 6), "1.6", "containerd.io")
    (finding,) = ask(running.containerd_running, {CONTAINERD: engine, ENGINE_PROCESSES: DOCKERD})
    assert isinstance(finding, Finding)
    assert finding.problem == "containerd-not-running"


def test_containerd_starts_with_docker() -> None:
    engine = Engine("containerd", (1, 6), "1.6", "containerd.io")
    (outcome,) = ask(running.containerd_running, {CONTAINERD: engine})
    assert isinstance(outcome, NotApplicable)


@pytest.mark.parametrize(
    ("command", "outcome"),
    [(b"/usr/bin/dockerd\0", Passed), (b"bash\0-l\0", Finding), (None, Passed)],
    ids=["a dockerd", "another program", "nobody"],
)
def test_the_pid_file_is_in_the_way_when_it_names_another_program(
    command: bytes | None, outcome: type
) -> None:
    files: dict[str, str | bytes] = {"/var/run/docker.pid": "42"}
    if command is not None:
        files["/proc/42/cmdline"] = command
    (found,) = ask(running.stale_daemon, files=files)
    assert isinstance(found, outcome)


def test_a_dockerd_beside_its_failed_unit_is_in_the_way() -> None:
    units = Units((Unit("docker.service", "loaded", "failed"),))
    (finding,) = ask(running.stale_daemon, {ENGINE_PROCESSES: DOCKERD, UNITS: units})
    assert isinstance(finding, Finding)
    assert "42" in finding.summary


GROUP = {"/etc/group": "docker:x:994:\n"}
USER = "Uid:\t1000\t1000\t1000\t1000\nGid:\t1000\t1000\t1000\t1000\nGroups:\t1000\n"


@pytest.mark.parametrize(
    ("stat", "problem"),
    [
        (fake_stat("socket", mode=0o660, gid=994), ""),
        (fake_stat("socket", mode=0o666, gid=994), "docker-sock-permission"),
        (fake_stat("socket", mode=0o660, gid=0), "docker-sock-permission"),
        (fake_stat("folder", mode=0o755), "docker-sock-not-a-socket"),
    ],
    ids=["well", "open to all", "group root", "a folder"],
)
def test_the_socket_is_judged_by_kind_mode_and_group(stat: Any, problem: str) -> None:
    (outcome,) = ask(running.docker_socket, files=GROUP, stats={"/run/docker.sock": stat})
    assert (outcome.problem if isinstance(outcome, Finding) else "") == problem


def test_a_user_outside_the_group_is_told_so() -> None:
    stats = {"/run/docker.sock": fake_stat("socket", mode=0o660, gid=994)}
    (outcome,) = ask(running.docker_socket, files={**GROUP, "/proc/self/status": USER}, stats=stats)
    assert isinstance(outcome, Finding)
    assert "user 1000" in outcome.summary


def test_a_broken_file_names_its_line() -> None:
    (finding,) = json_findings('{\n  "debug": true,\n}\n', {})
    assert finding.problem == "daemon-json-invalid"
    assert finding.severity is Severity.ERROR
    assert finding.evidence[0].line == 3


@pytest.mark.parametrize(
    ("version", "severities"),
    [((20, 10), [Severity.ERROR]), ((23,), []), ((), [Severity.INFO])],
)
def test_an_empty_file_is_an_error_before_23(
    version: tuple[int, ...], severities: list[Severity]
) -> None:
    given = {DOCKER: installed(*version)} if version else {}
    assert [finding.severity for finding in json_findings("\n", given)] == severities


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"debug": "true"}', "daemon-json-invalid"),
        ('{"dns": "10.0.0.1"}', "daemon-json-invalid"),
        ('{"log-opts": {"max-file": 3}}', "daemon-json-invalid"),
        ('{"mtu": true}', "daemon-json-invalid"),
        ('{"storage-opts": {"a": "b"}}', "daemon-json-invalid"),
        ('{"data_root": "/d"}', "daemon-json-unknown-key"),
        ('{"proxies": {"default": {"httpProxy": "x"}}}', "daemon-json-unknown-key"),
    ],
)
def test_what_no_dockerd_takes_is_an_error(content: str, problem: str) -> None:
    (finding,) = json_findings(content, {DOCKER: installed(26)})
    assert finding.problem == problem
    assert finding.severity is Severity.ERROR


@pytest.mark.parametrize(
    "content",
    [
        '{"graph": "/d"}',
        '{"storage-driver": "devicemapper"}',
        '{"storage-opts": ["dm.thinpooldev=/dev/mapper/x"]}',
        '{"storage-opts": ["overlay2.override_kernel_check=true"]}',
    ],
)
def test_a_key_that_an_upgrade_removes_is_told_beforehand(content: str) -> None:
    (now,) = json_findings(content, {DOCKER: installed(19, 3)})
    (asked,) = json_findings(content, {DOCKER: installed(19, 3), TARGET: Target("docker", (29,))})
    assert now.severity is Severity.INFO
    assert asked.severity is Severity.ERROR
    assert asked.problem == "daemon-json-unknown-key"


def test_a_key_that_does_nothing_is_a_warning_and_stops_no_dockerd() -> None:
    (finding,) = json_findings('{"insecure-registry": ["r:5000"]}', {})
    assert finding.severity is Severity.WARNING
    assert finding.problem == "daemon-json-key-without-effect"
    assert "insecure-registries" in finding.summary


def test_a_full_and_right_file_passes() -> None:
    content = """{"exec-opts": ["native.cgroupdriver=systemd"], "log-driver": "json-file",
    "log-opts": {"max-size": "100m"}, "storage-driver": "overlay2", "live-restore": true,
    "registry-mirrors": ["https://m.example.org"], "default-address-pools":
    [{"base": "10.10.0.0/16", "size": 24}], "features": {"buildkit": true}, "data-root": "/d",
    "default-ulimits": {"nofile": {"Name": "nofile", "Hard": 64000, "Soft": 64000}},
    "builder": {"gc": {"enabled": true}}, "bip": "10.9.0.1/24", "mtu": 1450, "iptables": true,
    "proxies": {"http-proxy": "http://p:1"}, "runtimes": {"x": {"path": "/x"}}, "dns": null}"""
    (outcome,) = ask(configuration.daemon_json, {DOCKER: installed(28)}, {PATH: content})
    assert isinstance(outcome, Passed)


def test_a_file_that_only_root_may_read_is_unknown() -> None:
    (outcome,) = ask(configuration.daemon_json, unreadable=[PATH], needs_root=True)
    assert isinstance(outcome, Unknown)
    assert outcome.needs_root


FD_UNIT = {UNIT_PATH: "[Service]\nExecStart=/usr/bin/dockerd -H fd://\n"}


def test_hosts_on_the_command_line_and_in_the_file_conflict() -> None:
    files = {**FD_UNIT, PATH: '{"hosts": ["tcp://0.0.0.0:2375"]}'}
    (finding,) = ask(configuration.daemon_flags, files=files)
    assert isinstance(finding, Finding)
    assert [(e.source, e.line) for e in finding.evidence] == [(PATH, 1), (UNIT_PATH, 2)]


@pytest.mark.parametrize(
    ("units", "outcome"),
    [
        (Units(()), Finding),
        (Units((Unit("docker.socket", "masked"),)), Finding),
        (Units((Unit("docker.socket", "loaded", "inactive"),)), Passed),
        (Absent("/run/systemd/system", "systemd does not run here"), NotApplicable),
        (Unreadable("systemctl show", "timed out"), Unknown),
    ],
)
def test_fd_needs_a_socket_unit(units: Any, outcome: type) -> None:
    (found,) = ask(configuration.socket_activation, {UNITS: units}, FD_UNIT)
    assert isinstance(found, outcome)


def test_a_daemon_on_tcp_alone_is_not_where_clients_look() -> None:
    files = {PATH: '{"hosts": ["tcp://127.0.0.1:2375"]}'}
    (finding,) = ask(configuration.daemon_hosts, {DOCKER: installed(26)}, files)
    assert isinstance(finding, Finding)
    assert finding.problem == "docker-host-mismatch"


@pytest.mark.parametrize(
    ("content", "outcome"),
    [
        ('{"hosts": ["tcp://0.0.0.0:2375"]}', Finding),
        ('{"hosts": ["tcp://10.0.0.1:2376"], "tls": true}', Finding),
        ('{"hosts": ["tcp://0.0.0.0:2376"], "tlsverify": true}', Passed),
        ('{"hosts": ["tcp://127.0.0.1:2375"]}', Passed),
        ('{"hosts": ["unix:///run/docker.sock"]}', Passed),
    ],
)
def test_an_api_that_asks_for_no_certificate_is_told(content: str, outcome: type) -> None:
    (found,) = ask(configuration.daemon_api, files={PATH: content})
    assert isinstance(found, outcome)
