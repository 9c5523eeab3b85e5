# SPDX-License-Identifier: GPL-3.0-or-later
"""Of several complaints in one text the cause comes first, whatever was printed first."""

import pytest

from hostkit import plugins
from hostkit.diagnosis.doctor import Text, suspects
from hostkit.diagnosis.rank import rank

LOADED = plugins.load((plugins.CHECKS_GROUP,))
NO_DAEMON = (
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. "
    "Is the docker daemon running?"
)
WRAPPER = "Job for docker.service failed because the control process exited with error code."
NETWORK = "Error initializing network controller: "


def codes(content: str) -> list[str]:
    found = suspects([Text("text", content.splitlines())], LOADED.signatures())
    return [one.finding.problem for one in rank(found, LOADED.catalogue())]


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ("Devices cgroup isn't mounted", "cgroup-v1-controllers-not-mounted"),
        (f"{NETWORK}ZONE_CONFLICT: 'docker0' already bound to a zone", "firewalld-zone-conflict"),
        (
            f"{NETWORK}could not find an available, non-overlapping IPv4 address pool",
            "address-pool-exhausted",
        ),
        (
            f"{NETWORK}failed to create NAT chain DOCKER: Iptables not found",
            "iptables-binary-missing",
        ),
        (
            f"{NETWORK}iptables v1.8.4 (legacy): can't initialize iptables table `nat': "
            "Table does not exist (do you need to insmod?)",
            "iptables-kernel-module-missing",
        ),
        (
            f"{NETWORK}Failed to initialize nft: Protocol not supported",
            "iptables-nft-legacy-mismatch",
        ),
        ("/dev/mapper/control: open failed: No such device", "dm-module-missing"),
        ("docker[5324]: /usr/bin/docker: relocation error: /usr/bin...ce", "libdevmapper-too-old"),
        ("this version of runc doesn't work on cgroups v2", "cgroup-v2-unsupported"),
        ("Linux vps 2.6.32-042stab123.9 #1 SMP x86_64", "container-based-vps"),
        (
            "Your Linux kernel version 2.6.32-754.el6.x86_64 is not supported for running docker.",
            "kernel-too-old",
        ),
        ("write /var/lib/docker/x: no space left on device", "docker-root-disk-full"),
        (
            "device-mapper: thin: 253:2: switching pool to out-of-data-space (error IO) mode",
            "thinpool-full",
        ),
    ],
)
def test_the_cause_is_before_the_daemon_that_does_not_run(message: str, cause: str) -> None:
    assert codes(f"{NO_DAEMON}\n{WRAPPER}\n{message}")[0] == cause


def test_a_remark_beside_a_failure_does_not_hide_it() -> None:
    assert codes(f"WARNING: bridge-nf-call-iptables is disabled\n{WRAPPER}") == [
        "daemon-failed-generic",
        "bridge-nf-disabled",
    ]


def test_forwarding_is_no_cause_of_a_pull_that_fails() -> None:
    """dockerd pulls with the host's own packets, which nobody forwards."""
    assert "registry-unreachable" not in (
        LOADED.catalogue().describe("ipv4-forwarding-disabled").causes
    )


@pytest.mark.parametrize("name", ["sub-ids", "container-selinux", "docker-socket", "open-files"])
def test_what_looks_at_another_user_or_package_than_the_text_refutes_nothing(name: str) -> None:
    (check,) = [one for _, one in LOADED.checks() if one.name == name]
    assert not check.settles
