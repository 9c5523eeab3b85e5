# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts made sick for real: the cause is named, its remedy mends it, the host is well again."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rig.sickhost import SickHost
from tests.rig.tools import DOCKER, IPTABLES, ToolsUnavailableError, unpack

pytestmark = pytest.mark.root
NOBODY = 65534
as_anyone = pytest.mark.parametrize("user", [0, NOBODY], ids=["root", "ordinary-user"])


@pytest.fixture(scope="session")
def tools() -> tuple[Path, ...]:
    try:
        return unpack(IPTABLES), unpack(DOCKER)
    except ToolsUnavailableError as error:
        pytest.skip(f"no real engine to test with: {error}")


@pytest.fixture
def host(tools: tuple[Path, ...]) -> Iterator[SickHost]:
    with SickHost(*tools) as sick:
        yield sick


@pytest.fixture
def docker_host(host: SickHost) -> SickHost:
    """A host with a running dockerd; healthy, so what a test finds, it has broken itself."""
    host.start_dockerd()
    return host


class Report:
    """One JSON report of a run inside a sick host."""

    def __init__(self, host: SickHost, *args: str, user: int = 0) -> None:
        done = host.hostkit(*args, "--format", "json", user=user)
        assert "Traceback" not in done.stderr
        assert done.stdout, done.stderr
        self.status = done.returncode
        self.data: dict[str, Any] = json.loads(done.stdout)
        self.present = [f for f in self.data["findings"] if not f["past"]]
        self.codes = [f["problem"] for f in self.present]
        self.past = [f["problem"] for f in self.data["findings"] if f["past"]]

    def first(self) -> dict[str, Any]:
        assert self.present, "no finding at all"
        return dict(self.present[0])

    def unknown(self) -> list[str]:
        return [u["check"] for u in self.data["unknown"]]

    def remedy(self, code: str) -> str:
        """All commands of all remedies of one finding, as one text."""
        found = next(f for f in self.present if f["problem"] == code)
        return json.dumps(found["remedies"])


def errors(report: Report) -> list[str]:
    """But what the kernel says: that is this machine's, with all that other tests do to it."""
    return [
        f["problem"]
        for f in report.present
        if f["severity"] == "error" and any(e["source"] != "dmesg" for e in f["evidence"])
    ]


def test_a_healthy_docker_host_has_no_error(docker_host: SickHost) -> None:
    report = Report(docker_host, "doctor")
    assert errors(report) == []


def test_forwarding_off_is_found_fixed_and_undone(docker_host: SickHost) -> None:
    docker_host.write("/etc/sysctl.d/60-hardening.conf", "net.ipv4.ip_forward = 0\n")
    docker_host.run("sysctl", "-w", "net.ipv4.ip_forward=0")
    sick = Report(docker_host, "preflight")
    assert sick.first()["problem"] == "ipv4-forwarding-disabled"
    assert "/etc/sysctl.d/60-hardening.conf" in json.dumps(sick.first()["evidence"])
    assert sick.status == 1

    fixed = docker_host.hostkit("fix", "ipv4-forwarding-disabled", "--yes")
    assert fixed.returncode == 0, fixed.stderr
    assert docker_host.shell("cat /proc/sys/net/ipv4/ip_forward").strip() == "1"
    assert "ipv4-forwarding-disabled" not in Report(docker_host, "preflight").codes

    taken_back = re.search(r"hostkit undo (\d\S+)", fixed.stdout)
    assert taken_back is not None
    undone = docker_host.hostkit("undo", taken_back[1], "--yes")
    assert undone.returncode == 0, undone.stderr
    assert docker_host.shell("cat /proc/sys/net/ipv4/ip_forward").strip() == "0"
    assert docker_host.shell("ls /etc/sysctl.d | grep -c hostkit || true").strip() == "0"


def test_forwarding_off_at_the_next_boot_only_is_a_warning(docker_host: SickHost) -> None:
    docker_host.write("/etc/sysctl.d/60-hardening.conf", "net.ipv4.ip_forward = 0\n")
    report = Report(docker_host, "preflight")
    found = next(f for f in report.present if f["problem"] == "ipv4-forwarding-disabled")
    assert found["severity"] == "warning"


FLUSH = "for t in nat filter; do iptables -t $t -F; iptables -t $t -X; done"


def test_a_flush_under_a_live_dockerd_is_the_root_cause(docker_host: SickHost) -> None:
    docker_host.import_busybox()
    docker_host.shell(FLUSH)
    failed = docker_host.run(
        "docker", "run", "-d", "-p", "8080:80", "busybox", "sleep", "9", check=False
    )
    assert "No chain/target/match by that name" in failed.stderr

    report = Report(docker_host, "doctor", failed.stderr)
    assert report.first()["problem"] == "iptables-chains-flushed"
    assert report.first()["certainty"] == "confirmed"
    assert "iptables-kernel-module-missing" not in report.codes
    assert "restart docker" in report.remedy("iptables-chains-flushed")

    docker_host.stop_dockerd()
    docker_host.start_dockerd()
    healthy = Report(docker_host, "doctor", failed.stderr)
    assert healthy.codes == []
    assert healthy.past == ["iptables-chains-flushed"]
    assert healthy.status == 0


def test_a_flush_is_found_without_any_message(docker_host: SickHost) -> None:
    docker_host.shell(FLUSH)
    report = Report(docker_host, "doctor")
    assert report.first()["problem"] == "iptables-chains-flushed"


def test_a_flush_of_the_legacy_backend_is_found(tools: tuple[Path, ...]) -> None:
    with SickHost(*tools, backend="legacy") as host:
        host.start_dockerd()
        assert "iptables-chains-flushed" not in Report(host, "doctor").codes
        host.shell(FLUSH)
        assert Report(host, "doctor").first()["problem"] == "iptables-chains-flushed"


def test_an_ordinary_user_gets_an_unknown_not_a_pass(docker_host: SickHost) -> None:
    docker_host.shell(FLUSH)
    report = Report(docker_host, "preflight", user=NOBODY)
    assert "iptables-chains-flushed" not in report.codes
    flushed = [u for u in report.data["unknown"] if "chains" in u["check"]]
    assert flushed
    assert flushed[0]["needs_root"]
    assert report.status in (1, 3)


def test_an_ordinary_user_still_sees_forwarding_off(docker_host: SickHost) -> None:
    docker_host.run("sysctl", "-w", "net.ipv4.ip_forward=0")
    report = Report(docker_host, "doctor", user=NOBODY)
    assert "ipv4-forwarding-disabled" in report.codes


def test_a_pasted_error_is_judged_for_an_ordinary_user_too(docker_host: SickHost) -> None:
    message = "WARNING: IPv4 forwarding is disabled. Networking will not work."
    healthy = Report(docker_host, "doctor", message, user=NOBODY)
    assert (healthy.codes, healthy.past) == ([], ["ipv4-forwarding-disabled"])
    docker_host.run("sysctl", "-w", "net.ipv4.ip_forward=0")
    sick = Report(docker_host, "doctor", message, user=NOBODY)
    assert sick.first()["problem"] == "ipv4-forwarding-disabled"
    assert sick.first()["certainty"] == "confirmed"


def test_what_an_ordinary_user_cannot_see_leaves_a_suspicion_standing(
    docker_host: SickHost,
) -> None:
    message = "iptables: No chain/target/match by that name."
    command = "iptables --wait -t nat -A DOCKER -p tcp -d 0/0 --dport 80 -j DNAT"
    report = Report(docker_host, "doctor", f"(iptables failed: {command}: {message}", user=NOBODY)
    assert report.first()["problem"] == "iptables-chains-flushed"
    assert report.first()["certainty"] != "confirmed"
    assert report.past == []


def test_a_drop_policy_that_cuts_other_bridges_off_is_found(docker_host: SickHost) -> None:
    docker_host.shell("iptables -P FORWARD DROP")
    docker_host.shell("ip link add br0 type bridge && ip addr add 10.9.0.1/24 dev br0")
    docker_host.shell("ip link add tap0 type veth peer name tap1 && ip link set tap0 master br0")
    docker_host.shell("for i in br0 tap0 tap1; do ip link set $i up; done")
    report = Report(docker_host, "doctor")
    assert "docker-forward-drop-policy" in report.codes
    docker_host.shell("iptables -I DOCKER-USER -i br0 -j ACCEPT")
    docker_host.shell("iptables -I DOCKER-USER -o br0 -j ACCEPT")
    assert "docker-forward-drop-policy" not in Report(docker_host, "doctor").codes


@as_anyone
def test_a_broken_daemon_json_is_found_with_its_line(host: SickHost, user: int) -> None:
    host.write("/etc/docker/daemon.json", '{\n  "debug": true\n  "mtu": 1400\n}\n')
    report = Report(host, "preflight", user=user)
    assert report.first()["problem"] == "daemon-json-invalid"
    evidence = report.first()["evidence"][0]
    assert (evidence["source"], evidence["line"]) == ("/etc/docker/daemon.json", 3)
    host.write("/etc/docker/daemon.json", '{\n  "debug": true,\n  "mtu": 1400\n}\n')
    assert "daemon-json-invalid" not in Report(host, "preflight", user=user).codes


@as_anyone
def test_a_full_data_root_is_found(host: SickHost, user: int) -> None:
    small_data_root(host, "-N 4000")
    available = int(host.shell("df --output=avail -B1M /var/lib/docker | tail -n 1"))
    host.run("fallocate", "-l", f"{available - 16}MiB", "/var/lib/docker/fill")
    report = Report(host, "preflight", user=user)
    assert report.first()["problem"] == "docker-root-disk-full"
    assert "prune" in report.remedy("docker-root-disk-full")
    host.shell("rm /var/lib/docker/fill")
    assert "docker-root-disk-full" not in Report(host, "preflight", user=user).codes


@as_anyone
def test_a_data_root_without_inodes_is_found(host: SickHost, user: int) -> None:
    small_data_root(host, "-N 64")
    host.shell("i=0; while mkdir /var/lib/docker/$i 2>/dev/null; do i=$((i+1)); done")
    report = Report(host, "preflight", user=user)
    assert report.first()["problem"] == "inodes-exhausted"
    assert "docker-root-disk-full" not in report.codes
    host.shell("rmdir /var/lib/docker/[0-9]*")
    assert "inodes-exhausted" not in Report(host, "preflight", user=user).codes


def small_data_root(host: SickHost, options: str) -> None:
    """An ext4 file system on a loop file; the loop device ends with the mount."""
    host.shell("truncate -s 8G /tmp/disk && umount /var/lib/docker")
    host.shell(f"mkfs.ext4 -q -F -m 0 -O ^has_journal {options} /tmp/disk")
    host.shell("mount -o loop /tmp/disk /var/lib/docker")


@as_anyone
def test_missing_control_groups_are_found(host: SickHost, user: int) -> None:
    host.shell("umount -R /sys/fs/cgroup")
    report = Report(host, "preflight", user=user)
    assert report.first()["problem"] == "cgroup-v1-controllers-not-mounted"
    assert report.status == 1
    mounts = "mount -t tmpfs cgroup /sys/fs/cgroup && cd /sys/fs/cgroup"
    v1 = "for c in $(awk '!/^#/ {print $1}' /proc/cgroups); do mkdir $c;"
    host.shell(f"{mounts} && {v1} mount -t cgroup -o $c cgroup $c || rmdir $c; done")
    after = Report(host, "preflight", user=user)
    assert "cgroup-v1-controllers-not-mounted" not in after.codes


@as_anyone
def test_a_mount_over_the_control_groups_is_named(host: SickHost, user: int) -> None:
    host.shell("mount -t tmpfs oops /sys/fs/cgroup")
    first = Report(host, "preflight", user=user).first()
    assert first["problem"] == "cgroup-v1-controllers-not-mounted"
    assert first["summary"].startswith("tmpfs is mounted over /sys/fs/cgroup")
    assert "umount /sys/fs/cgroup" in json.dumps(first["remedies"][0])
    host.shell("umount /sys/fs/cgroup")
    assert "cgroup-v1-controllers-not-mounted" not in Report(host, "preflight", user=user).codes


@as_anyone
def test_a_dead_registry_mirror_is_found(host: SickHost, user: int) -> None:
    host.write("/etc/docker/daemon.json", '{"registry-mirrors": ["https://dockerhub.azk8s.cn"]}')
    assert "registry-mirror-dead" in Report(host, "preflight", user=user).codes


def test_data_of_a_driver_that_the_engine_no_longer_has_is_found(host: SickHost) -> None:
    host.shell("mkdir -p /var/lib/docker/devicemapper/metadata /var/lib/docker/overlay2/l")
    host.write("/var/lib/docker/devicemapper/metadata/base", "{}")
    host.shell("mkdir -p /var/lib/docker/image/devicemapper/imagedb/content/sha256")
    host.write(f"/var/lib/docker/image/devicemapper/imagedb/content/sha256/{'a' * 64}", "{}")
    report = Report(host, "preflight", "--for", "docker@26")
    assert "storage-data-orphaned" in report.codes
