# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole hosts, all checks and all drivers: the root cause first, and nothing false beside it."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from hostkit import plugins
from hostkit.diagnosis.advise import advise, finding
from hostkit.diagnosis.check import Check
from hostkit.diagnosis.doctor import Diagnosis, Text, diagnose, suspects
from hostkit.diagnosis.finding import Certainty, Finding, Severity, Unknown
from hostkit.diagnosis.problem import Catalogue
from hostkit.diagnosis.rank import Ranked
from hostkit.diagnosis.runner import Result
from hostkit.diagnosis.signature import Signature
from hostkit.facts.fact import Facts
from hostkit.facts.logs import LOGS
from hostkit.facts.osrelease import OS_RELEASE
from hostkit.facts.target import TARGET, Target
from hostkit.host.answer import Known
from hostkit.host.base import Host
from hostkit.host.record import Recorder, write_snapshot
from hostkit.host.snapshot import SnapshotHost
from hostkit.report import text as text_report
from hostkit.report.model import Report
from hostkit.report.style import Style
from tests import hosts

# Severity (E, W, I) and code of every finding, what is to be read first in front; ~ likely,
# ? possible, - past. CentOS 7 comes with user namespaces off, which only rootless engines mind.
USERNS = "I user-namespaces-disabled"
PREFLIGHT: dict[str, tuple[str, ...]] = {
    "centos6-old-libdevmapper": (
        "E kernel-too-old",
        "E cgroup-v1-controllers-not-mounted",
        "W seccomp-missing",
        "W no-storage-driver-fits",
        "E libdevmapper-too-old",
        "W daemon-not-running",
    ),
    "centos7-dead-mirror": ("W registry-mirror-dead", "I? registry-mirror-dead", USERNS),
    "centos7-direct-lvm": ("W devicemapper-deprecated", "I daemon-json-unknown-key", USERNS),
    "centos7-direct-lvm-unmonitored": (
        "W thinpool-not-monitored",
        "W devicemapper-deprecated",
        "I daemon-json-unknown-key",
        USERNS,
    ),
    "centos7-dnat-missing": ("E iptables-kernel-module-missing", "I dm-module-missing"),
    "centos7-docker26-orphaned": ("E storage-data-orphaned", USERNS),
    "centos7-firewalld-restarted": ("E iptables-chains-flushed", USERNS),
    "centos7-forwarding-off": ("E ipv4-forwarding-disabled", USERNS),
    "centos7-hardened-sysctl": ("W ipv4-forwarding-disabled", USERNS),
    "centos7-healthy": (USERNS,),
    "centos7-module-missing": (
        "E kernel-config-missing-features",
        "E iptables-kernel-module-missing",
        "E daemon-not-running",
        "I dm-module-missing",
    ),
    "centos7-not-rebooted": ("E kernel-updated-not-rebooted", "E daemon-not-running", USERNS),
    "centos70-old-libdevmapper": (
        "E libdevmapper-too-old",
        "E daemon-not-running",
        "W no-storage-driver-fits",
    ),
    "centos72-early-overlay": (
        "W overlay-kernel-too-old",
        "W no-storage-driver-fits",
        "I daemon-json-unknown-key",
        USERNS,
    ),
    "centos72-loop-lvm": (
        "E loop-lvm-in-use",
        "W loop-lvm-space-not-reclaimed",
        "I loop-lvm-backing-fs-full",
        "I xfs-ftype0-no-dtype",
        "W no-storage-driver-fits",
        USERNS,
        "I devicemapper-deprecated",
    ),
    "centos79-ftype0": ("E xfs-ftype0-no-dtype", "W no-storage-driver-fits", USERNS),
    "centos79-ftype0-docker": ("E xfs-ftype0-no-dtype", "W no-storage-driver-fits", USERNS),
    "openvz6-guest": (
        "E container-based-vps",
        "E cgroup-v1-controllers-not-mounted",
        "E kernel-too-old",
        "W seccomp-missing",
        "W no-storage-driver-fits",
    ),
    "rhel10-containerd-config-broken": (
        "E containerd-config-invalid",
        "E containerd-not-running",
        "E daemon-not-running",
    ),
    "rhel10-hardened-overlay": (
        "E overlay-module-missing",
        "E daemon-not-running",
        "W no-storage-driver-fits",
    ),
    "rhel10-healthy": (),
    "rhel10-no-modules-extra": ("E iptables-kernel-module-missing", "E daemon-not-running"),
    "rhel9-podman": (),
    "rhel9-podman-config-broken": ("E podman-config-invalid",),
    "rhel9-podman-for-docker": ("W package-conflict-podman-runc",),
    "sles15": (),
    "sles15-forwarding-off": ("E ipv4-forwarding-disabled",),
    "ubuntu1204-aufs": (
        "W no-swap-limit-support",
        "W no-storage-driver-fits",
        "W~ aufs-dirperm1-unsupported",
    ),
}

# What the logs of the host add to that for `hostkit doctor`, which gives no advice on storage.
FROM_LOGS: dict[str, tuple[str, ...]] = {
    "centos7-dnat-missing": ("I?- iptables-chains-flushed",),
    "centos7-not-rebooted": ("E~ no-loop-devices",),
}

# Checks that cannot look, because this host truly does not say it.
UNKNOWN: dict[str, set[str]] = {
    # A Docker so old takes devicemapper where there is no aufs, and nothing was used before.
    "centos6-old-libdevmapper": {"loop-lvm"},
    "centos70-old-libdevmapper": {"loop-lvm"},
    # The modules are gone: what was built in nobody says. Asking nft could load it.
    "centos7-not-rebooted": {
        "device-mapper",
        "iptables-backends",
        "iptables-modules",
        "kernel-config",
        "kernel-features",
        "overlay-module",
    },
    # The kernel, its modules and its configuration are the provider's.
    "openvz6-guest": {
        "backing-filesystem",
        "d-type",
        "device-mapper",
        "ip6tables-modules",
        "iptables-backends",
        "iptables-modules",
        "kernel-config",
        "kernel-features",
    },
    # With one file broken, what the others say is not what podman would do.
    "rhel9-podman-config-broken": {"podman-values"},
}

# Words that the first remedy's commands must hold, in the host's own package family.
REMEDIES = {
    "centos6-old-libdevmapper": ("yum", ()),
    "centos7-dead-mirror": ("yum", ("daemon.json", "systemctl reload docker")),
    "centos7-direct-lvm": ("yum", ("docker image save",)),
    "centos7-direct-lvm-unmonitored": ("yum", ("yum install", "lvchange --monitor y docker/th")),
    "centos7-dnat-missing": ("yum", ("kernel",)),
    "centos7-docker26-orphaned": ("yum", ("yum downgrade docker-ce", '"devicemapper"')),
    "centos7-firewalld-restarted": ("yum", ("systemctl restart docker",)),
    "centos7-forwarding-off": ("yum", ("sysctl",)),
    "centos7-hardened-sysctl": ("yum", ("sysctl",)),
    "centos7-module-missing": ("yum", ()),
    "centos7-not-rebooted": ("yum", ("reboot",)),
    "centos70-old-libdevmapper": ("yum", ("yum install device-mapper-libs",)),
    "centos72-early-overlay": ("yum", ("yum",)),
    "centos72-loop-lvm": ("yum", ("yum install",)),
    "centos79-ftype0": ("yum", ("mkfs.xfs", "ftype=1")),
    "openvz6-guest": ("yum", ()),
    "rhel10-hardened-overlay": (
        "dnf",
        ("vi +3 /etc/modprobe.d/hardening.conf", "modprobe overlay"),
    ),
    "rhel10-no-modules-extra": ("dnf", ("dnf install kernel-modules-extra-$(uname -r)",)),
    "rhel9-podman-for-docker": ("dnf", ("dnf",)),
    "sles15-forwarding-off": ("zypper", ("sysctl",)),
    "ubuntu1204-aufs": ("apt", ("update-grub", "swapaccount=1")),
}


class Installed(NamedTuple):
    plugins: plugins.Plugins
    checks: tuple[Check, ...]
    signatures: tuple[Signature, ...]
    catalogue: Catalogue


class Examined(NamedTuple):
    ranked: tuple[Ranked, ...]
    results: tuple[Result, ...]
    facts: Facts


@cache
def installed() -> Installed:
    loaded = plugins.load()
    checks = tuple(check for _, check in loaded.checks())
    return Installed(loaded, checks, loaded.signatures(), loaded.catalogue())


def examine(name: str, host: Host, *, logs: bool = False) -> Examined:
    """As preflight asks a host, or with its logs as doctor does."""
    here = installed()
    engine = hosts.describe(name).get("target", "docker")
    facts = Facts(host, {TARGET: Known(Target(engine), "--for")})
    suspected: tuple[Finding, ...]
    if logs:
        texts = [Text(log.source, log.lines) for log in facts.known(LOGS) or ()]
        suspected = suspects(texts, here.signatures)
    else:
        suspected = tuple(filter(None, [finding(advise(here.plugins.fitness(facts)))]))
    checks = [check for check in here.checks if engine in check.profiles]
    ranked, results = diagnose(facts, checks, suspected, here.catalogue)
    return Examined(ranked, results, facts)


@cache
def preflight(name: str) -> Examined:
    return examine(name, hosts.load(name))


def brief(ranked: tuple[Ranked, ...]) -> tuple[str, ...]:
    marks = {"confirmed": "", "likely": "~", "possible": "?"}
    return tuple(
        f"{f.severity.value[0].upper()}{marks[f.certainty.value]}{'-' * f.past} {f.problem}"
        for f in (one.finding for one in ranked)
    )


def test_every_host_is_described_and_expected() -> None:
    assert set(hosts.names()) == set(PREFLIGHT)
    for name in hosts.names():
        assert not hosts.stray(hosts.describe(name)), name


@pytest.mark.parametrize("name", hosts.names())
def test_the_root_cause_is_first_and_nothing_false_is_beside_it(name: str) -> None:
    found = brief(preflight(name).ranked)
    assert sorted(found) == sorted(PREFLIGHT[name])
    assert found[:1] == PREFLIGHT[name][:1]


@pytest.mark.parametrize("name", hosts.names())
def test_what_could_not_be_looked_at(name: str) -> None:
    unsure = {
        result.check.name
        for result in preflight(name).results
        if any(isinstance(outcome, Unknown) for outcome in result.outcomes)
    }
    assert unsure == UNKNOWN.get(name, set())


@pytest.mark.parametrize("name", hosts.names())
def test_the_logs_add_nothing_false(name: str) -> None:
    found = brief(examine(name, hosts.load(name), logs=True).ranked)
    advice = "no-storage-driver-fits"
    expected = {*PREFLIGHT[name], *FROM_LOGS.get(name, ())}
    assert set(found) == {one for one in expected if not one.endswith(advice)}
    assert found[:1] == PREFLIGHT[name][:1]


@pytest.mark.parametrize("name", sorted(REMEDIES))
def test_the_remedy_is_written_for_this_host(name: str) -> None:
    family, words = REMEDIES[name]
    seen = preflight(name)
    first = seen.ranked[0]
    assert seen.facts.value(OS_RELEASE).package_family == family
    assert first.problem.remedies
    params = dict(first.finding.params)
    lines = [
        line for remedy in first.problem.remedies for line in remedy.commands_for(family, params)
    ]
    said = "\n".join(lines)
    for word in words:
        assert word in said
    others = {"yum": ("dnf ", "apt-get", "zypper"), "dnf": ("yum ", "apt-get", "zypper")}
    assert not [line for line in lines if line.startswith(others.get(family, ()))]


@pytest.mark.parametrize("name", hosts.names())
def test_a_snapshot_tells_the_same(name: str, tmp_path: Path) -> None:
    recorder = Recorder(hosts.load(name))
    live = examine(name, recorder)
    path = str(tmp_path / "host.tar.gz")
    write_snapshot(recorder, path)
    assert brief(examine(name, SnapshotHost(path)).ranked) == brief(live.ranked)


@pytest.mark.parametrize("name", hosts.names())
def test_an_ordinary_user_is_told_nothing_false(name: str) -> None:
    """Less is seen: what was found as root is found or not known, and nothing else is."""
    seen = examine(name, hosts.OrdinaryUser(hosts.load(name)))
    assert set(brief(seen.ranked)) <= set(PREFLIGHT[name])
    outcomes = {result.check.name: result.outcomes for result in seen.results}
    for result in preflight(name).results:
        if any(isinstance(one, Finding) for one in result.outcomes):
            now = outcomes[result.check.name]
            assert any(isinstance(one, Finding | Unknown) for one in now), result.check.name


def cause(name: str, code: str) -> tuple[str, ...]:
    return next(r.caused_by for r in preflight(name).ranked if r.finding.problem == code)


def test_the_same_message_with_opposite_remedies() -> None:
    """`No chain/target/match by that name` after a flush and without the module."""
    flushed = preflight("centos7-firewalld-restarted").ranked[0]
    assert "firewalld.service started after it" in flushed.finding.summary
    assert "firewalld.service became active 1806 s after docker.service" in {
        evidence.excerpt for evidence in flushed.finding.evidence
    }
    assert flushed.problem.remedies[0].commands["any"] == ("systemctl restart docker",)
    codes = {one.finding.problem for one in preflight("centos7-module-missing").ranked}
    assert "iptables-chains-flushed" not in codes
    assert "iptables-kernel-module-missing" in cause("centos7-module-missing", "daemon-not-running")


def test_the_file_that_decides_at_boot_is_named_with_its_line() -> None:
    (evidence,) = preflight("centos7-hardened-sysctl").ranked[0].finding.evidence
    assert (evidence.source, evidence.line) == ("/etc/sysctl.d/60-cis.conf", 3)


def test_an_old_kernel_explains_what_else_is_amiss_on_el6() -> None:
    for code in ("cgroup-v1-controllers-not-mounted", "seccomp-missing", "no-storage-driver-fits"):
        assert "kernel-too-old" in cause("centos6-old-libdevmapper", code)
    assert "libdevmapper-too-old" in cause("centos6-old-libdevmapper", "daemon-not-running")


def test_a_guest_of_openvz_is_told_that_the_kernel_is_the_providers() -> None:
    assert "container-based-vps" in cause("openvz6-guest", "kernel-too-old")


def test_three_numbers_tell_the_waste_of_a_loop_file() -> None:
    (found,) = (
        one.finding
        for one in preflight("centos72-loop-lvm").ranked
        if one.finding.problem == "loop-lvm-space-not-reclaimed"
    )
    assert found.summary == "the pool uses 111.8 MB of its 12.9 GB on disk"


@pytest.mark.parametrize("name", [n for n, found in PREFLIGHT.items() if set(found) <= {USERNS}])
def test_a_healthy_host_is_read_at_a_glance(name: str) -> None:
    """Remarks take two lines at most, and `hostkit fix` and pasted texts still find them."""
    seen = preflight(name)
    diagnosis = Diagnosis(name, "snapshot", seen.ranked, seen.results)
    areas = {check.name: area for area, check in installed().plugins.checks()}
    report = Report(diagnosis, (name,), areas, "yum", "docker", "hostkit preflight", 0)
    lines = text_report.render(report, Style(80)).splitlines()
    assert len(lines) <= len(set(areas.values())) + 2 * len(seen.ranked) + 6
    assert not [line for line in lines if line.lstrip().startswith(("why:", "fix:", "-->"))]


def test_a_remark_confirms_what_is_pasted() -> None:
    here = installed()
    said = "USER namespaces aren't enabled in the kernel"
    suspected = suspects([Text("text", [said])], here.signatures)
    facts = Facts(hosts.load("centos7-healthy"), {TARGET: Known(Target("docker"), "--for")})
    ranked, _ = diagnose(facts, here.checks, suspected, here.catalogue)
    (found,) = (r.finding for r in ranked if r.finding.problem == "user-namespaces-disabled")
    assert (found.severity, found.certainty) == (Severity.ERROR, Certainty.CONFIRMED)
