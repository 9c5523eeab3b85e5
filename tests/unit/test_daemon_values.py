# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that dockerd refuses, and what an upgrade would stop. Real daemons: test_upgrades."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from hostkit.diagnosis.check import Check
from hostkit.diagnosis.finding import Finding, NotApplicable, Outcome, Passed, Severity
from hostkit.diagnosis.runner import run_checks
from hostkit.facts.daemonconfig import DaemonConfig
from hostkit.facts.daemonjson import parse_daemon_json
from hostkit.facts.engine import DOCKER, Engine
from hostkit.facts.packages import PACKAGES
from hostkit.facts.target import TARGET, Target
from hostkit.facts.units import UNITS, Units
from hostkit.host.answer import Absent
from hostkit_checks.daemon.configuration import daemon_json
from hostkit_checks.daemon.keys import early_keys
from hostkit_checks.daemon.startup import (
    STARTUP_CHECKS,
    api_minimum,
    daemon_values,
    direct_access,
    file_attributes,
    seccomp_profile,
)
from hostkit_checks.daemon.values import refused_values
from tests.fakes import make_facts

UNIT = "/usr/lib/systemd/system/docker.service"
NEW = (28, 5, 2)


def config(settings: Mapping[str, Any]) -> DaemonConfig:
    file = parse_daemon_json(json.dumps(settings).encode(), "/etc/docker/daemon.json")
    return DaemonConfig((), file.settings)


def texts(settings: Mapping[str, Any], version: tuple[int, ...] = NEW) -> list[str]:
    return [one.text for one in refused_values(config(settings), version)]


def outcomes(
    check: Check, files: Mapping[str, str], target: Target | None = None, **given: Any
) -> tuple[Outcome, ...]:
    known: dict[Any, Any] = {
        TARGET: target or Target("docker"),
        DOCKER: Absent("dockerd", "docker is not installed"),
        PACKAGES: Absent("rpm"),
        **given.get("given", {}),
    }
    return run_checks(make_facts(files, given=known), (check,))[0].outcomes


def finding(check: Check, files: Mapping[str, str], target: Target | None = None) -> Finding:
    (found,) = outcomes(check, files, target)
    assert isinstance(found, Finding), found
    assert found.problem in check.problems
    assert len(found.summary) <= 100
    return found


@pytest.mark.parametrize(
    "settings",
    [
        {"labels": ["a=1", "b=2", "a=1"]},
        {"mtu": 0, "max-concurrent-downloads": 0},
        {"log-driver": "json-file", "log-opts": {"max-size": "10m", "max-file": "3", "tag": "x"}},
        {"log-driver": "local", "log-opts": {"max-size": "10m", "mode": "non-blocking"}},
        {"log-driver": "fluentd", "log-opts": {"fluentd-address": "127.0.0.1:24224"}},
        {"log-driver": "grafana/loki-docker-driver:latest", "log-opts": {"loki-url": "http://x"}},
        {"registry-mirrors": ["https://mirror.example", "http://10.0.0.1:5000/"]},
        {"insecure-registries": ["10.0.0.0/8", "r.example:5000", "2001:db8::/32", "[::1]:5000"]},
        {"dns": ["10.0.0.1", "2001:db8::1"], "dns-search": ["example.net", "."], "ip": "0.0.0.0"},
        {"bip": "172.20.0.1/16", "fixed-cidr": "172.20.4.0/24", "bridge": ""},
        {"ipv6": True, "fixed-cidr-v6": "2001:db8:1::/64"},
        {"default-address-pools": [{"base": "10.10.0.0/16", "size": 24}]},
        {"default-address-pools": [{"base": "fd00::/48", "size": 64}]},
        {"default-runtime": "nvidia", "runtimes": {"nvidia": {"path": "nvidia-runtime"}}},
        {"default-runtime": "io.containerd.runc.v2"},
        {"exec-opts": ["native.cgroupdriver=systemd"], "cgroup-parent": "docker.slice"},
        {"hosts": ["unix:///run/docker.sock", "tcp://0.0.0.0:2376", "fd://"]},
        {"tlsverify": True, "tlscert": "/c.pem", "tlskey": "/k.pem", "tlscacert": "/ca.pem"},
        {"default-shm-size": "64M", "log-level": "warn", "metrics-addr": "127.0.0.1:9323"},
        {"icc": False, "iptables": True},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_values_that_people_have_raise_no_alarm(settings: Mapping[str, Any]) -> None:
    assert texts(settings) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"labels": ["a=1", "a=2"]}, "both '1' and '2'"),
        ({"registry-mirrors": ["mirror.example"]}, "http://"),
        ({"registry-mirrors": ["https://u:p@mirror.example"]}, "more in it"),
        ({"log-driver": "journald", "log-opts": {"max-size": "1m"}}, "journald has no 'max-size'"),
        ({"default-address-pools": [{"base": "10.0.0.0/24", "size": 16}]}, "does not fit"),
        ({"bip": "10.1.0.0"}, "ADDRESS/LENGTH"),
        ({"bridge": "br0", "bip": "10.1.0.1/24"}, "names another"),
        ({"default-runtime": "nvidia"}, "has no 'nvidia'"),
        ({"exec-opts": ["native.cgroupdriver=systemd"], "cgroup-parent": "docker"}, ".slice"),
        ({"hosts": ["http://0.0.0.0:2375"]}, "protocol"),
        ({"tls": True}, "without tlscert and tlskey"),
    ],
)
def test_values_that_stop_the_daemon(settings: Mapping[str, Any], said: str) -> None:
    (text,) = texts(settings)
    assert said in text


def test_rules_have_the_versions_in_which_they_were_true() -> None:
    assert texts({"labels": ["a=1", "a=2"]}, (17, 3)) == []
    assert texts({"ipv6": True}, (26, 1)) != []
    assert texts({"ipv6": True}, (27,)) == []


def test_a_file_that_is_named_and_not_there() -> None:
    files = {"/etc/docker/daemon.json": '{"seccomp-profile": "/etc/docker/none.json"}'}
    assert "does not exist" in finding(daemon_values, files).summary
    assert isinstance(outcomes(daemon_values, {**files, "/etc/docker/none.json": "{}"})[0], Passed)


def test_another_seccomp_profile() -> None:
    off = {"/etc/docker/daemon.json": '{"seccomp-profile": "unconfined"}'}
    own = {"/etc/docker/daemon.json": '{"seccomp-profile": "/etc/docker/mine.json"}'}
    assert finding(seccomp_profile, off).severity is Severity.WARNING
    assert finding(seccomp_profile, own).severity is Severity.INFO
    assert isinstance(outcomes(seccomp_profile, {"/etc/docker/daemon.json": "{}"})[0], Passed)


def test_the_switch_that_leaves_out_the_raw_table() -> None:
    line = "ExecStart=/usr/bin/dockerd\n"
    on = {UNIT: f"[Service]\nEnvironment=DOCKER_INSECURE_NO_IPTABLES_RAW=1\n{line}"}
    target = Target("docker", (28, 3))
    assert finding(direct_access, on, target).severity is Severity.WARNING
    assert isinstance(outcomes(direct_access, on, Target("docker", (27,)))[0], NotApplicable)
    assert isinstance(outcomes(direct_access, {UNIT: f"[Service]\n{line}"}, target)[0], Passed)


def test_attributes_that_vfs_is_told_to_lose() -> None:
    option = "vfs.xattrs=i_want_broken_containers"
    files = {"/etc/docker/daemon.json": json.dumps({"storage-opts": [option]})}
    assert finding(file_attributes, files).severity is Severity.WARNING


def package(name: str, version: str) -> dict[str, str]:
    installed = "Status: install ok installed\nArchitecture: amd64\n"
    rows = [
        f"Package: {one}\n{installed}Version: {its}\n\n"
        for one, its in (("dpkg", "1.21"), (name, version))
    ]
    return {"/var/lib/dpkg/status": "".join(rows)}


def test_clients_that_29_no_longer_answers() -> None:
    def asked(version: str, target: tuple[int, ...], json_file: str = "{}") -> Outcome:
        files = {**package("docker-ce-cli", version), "/etc/docker/daemon.json": json_file}
        facts = make_facts(files, given={TARGET: Target("docker", target)})
        return run_checks(facts, (api_minimum,))[0].outcomes[0]

    old, new = "5:20.10.24~3-0~debian-bookworm", "5:28.5.2-1~debian.12~bookworm"
    refused = asked(old, (29,))
    assert isinstance(refused, Finding)
    assert "1.41" in refused.evidence[1].excerpt
    assert isinstance(asked(new, (29,)), Passed)
    assert isinstance(asked(old, (28,)), Passed)
    assert isinstance(asked(old, (29,), '{"min-api-version": "1.24"}'), Passed)


def test_keys_that_a_version_does_not_have_yet() -> None:
    settings = config({"firewall-backend": "nftables", "debug": True}).file
    assert [one.setting.key for one in early_keys(settings, (28, 5))] == ["firewall-backend"]
    assert early_keys(settings, (29,)) == ()
    assert early_keys(settings, ()) == ()


def test_an_upgrade_names_all_that_would_stop_the_daemon_at_once() -> None:
    """20.10 runs with all of it; what is asked is what 29 would do."""
    settings = {
        "graph": "/srv/docker",
        "storage-driver": "overlay2",
        "storage-opts": ["overlay2.override_kernel_check=true"],
        "cluster-store": "consul://c",
    }
    files = {"/etc/docker/daemon.json": json.dumps(settings)}
    old = {DOCKER: Engine("docker", (20, 10, 24), "20.10.24", "docker-ce")}
    now = outcomes(daemon_json, files, given=old)
    later = outcomes(daemon_json, files, Target("docker", (29,)), given=old)
    assert not any(isinstance(o, Finding) and o.severity is Severity.ERROR for o in now)
    told = " ".join(o.summary for o in later if isinstance(o, Finding))
    assert all(word in told for word in ("graph", "override_kernel_check", "cluster-store"))


@pytest.mark.parametrize("check", STARTUP_CHECKS, ids=lambda check: check.name)
def test_a_host_without_docker_is_well(check: Check) -> None:
    assert not any(isinstance(one, Finding) for one in outcomes(check, {}))


@pytest.mark.parametrize(
    ("settings", "version", "systemd_v2", "refused"),
    [
        ({"cgroup-parent": "/batch"}, NEW, True, True),
        ({"cgroup-parent": "/batch"}, (20, 10), True, True),
        ({"cgroup-parent": "/batch"}, (19, 3), True, False),
        ({"cgroup-parent": "/batch"}, NEW, False, False),
        ({"cgroup-parent": "batch.slice"}, NEW, True, False),
        ({"cgroup-parent": ""}, NEW, True, False),
        (
            {"cgroup-parent": "/batch", "exec-opts": ["native.cgroupdriver=cgroupfs"]},
            NEW,
            True,
            False,
        ),
    ],
)
def test_a_parent_that_is_no_slice_where_systemd_is_the_default(
    settings: dict[str, Any], version: tuple[int, ...], *, systemd_v2: bool, refused: bool
) -> None:
    found = refused_values(config(settings), version, systemd_v2=systemd_v2)
    assert bool(found) is refused


def test_the_default_follows_from_the_host() -> None:
    files = {
        "/etc/docker/daemon.json": '{"cgroup-parent": "/batch"}',
        "/proc/self/mounts": "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n",
    }
    new, given = Target("docker", NEW), {UNITS: Units(())}
    (found,) = outcomes(daemon_values, files, new, given=given)
    assert isinstance(found, Finding)
    assert "the default on cgroup v2" in found.summary
    absent = {UNITS: Absent("/run/systemd/system", "systemd does not run here")}
    assert isinstance(outcomes(daemon_values, files, new, given=absent)[0], Passed)
