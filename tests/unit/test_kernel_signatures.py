# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of kernel and cgroups: each is recognised in its wordings, and nothing else is."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hostkit.diagnosis.doctor import Text, suspects
from hostkit.diagnosis.finding import Severity
from hostkit_checks.cgroups.signatures import SIGNATURES as CGROUPS
from hostkit_checks.kernel.signatures import SIGNATURES as KERNEL

SIGNATURES = (*KERNEL, *CGROUPS)
CODES = frozenset(signature.problem for signature in SIGNATURES)

SAYS: tuple[tuple[str, str], ...] = (
    (
        'level=fatal msg="Your Linux kernel version 3.8.13-68.el6uek.x86_64 is not supported for'
        ' running docker. Please upgrade your kernel to 3.10.0 or newer."',
        "kernel-too-old",
    ),
    (
        "WARN[0000] You are running linux kernel version 2.6.32-431.el6, which might be unstable"
        " running docker. Please upgrade your kernel to 3.10.0.",
        "kernel-too-old",
    ),
    (
        "https://download.docker.com/linux/centos/7/i386/stable/repodata/repomd.xml: [Errno 14]",
        "host-32bit",
    ),
    ("bash: /usr/bin/docker: cannot execute binary file: Exec format error", "host-32bit"),
    (
        "failed to add the host (veth0a1b2c3) <=> sandbox (veth4d5e6f7) pair interfaces:"
        " operation not supported.",
        "kernel-updated-not-rebooted",
    ),
    (
        "nsenter: failed to unshare namespaces: Invalid argument",
        "user-namespaces-disabled",
    ),
    ("cannot clone: No space left on device", "user-namespaces-disabled"),
    (
        "[rootlesskit:parent] error: failed to setup UID/GID map: newuidmap 812 [0 1000 1]"
        " failed: : exit status 1",
        "subuid-mapping-broken",
    ),
    ("ApplyLayer exit status 1: lchown /etc/gshadow: invalid argument", "subuid-mapping-broken"),
    ("error: missing required cgroups: cpu memory", "cgroup-memory-controller-disabled"),
    ("standard_init: FATAL: kernel too old", "kernel-too-old"),
    ("Error: i386 is not a recognized platform.", "host-32bit"),
    ("Server:\n Version: 1.10.3\n OS/Arch:      linux/386", "host-32bit"),
    ("OSType: linux\nArchitecture: i686\nCPUs: 2", "host-32bit"),
    (
        "N: Skipping acquire of configured file 'stable/binary-i386/Packages'\n"
        "E: Package 'docker-ce' has no installation candidate",
        "host-32bit",
    ),
    (
        "modprobe: ERROR: ../libkmod/libkmod.c:586 kmod_search_moddep() could not open moddep"
        " file '/lib/modules/5.4.1-1/modules.dep.bin'",
        "kernel-updated-not-rebooted",
    ),
    (
        "FATAL: Could not load /lib/modules/2.6.32-504/modules.dep: No such file or directory",
        "kernel-updated-not-rebooted",
    ),
    ("- CONFIG_VETH: missing\n- CONFIG_BRIDGE: enabled", "kernel-config-missing-features"),
    ("- \x1b[37mCONFIG_MEMCG\x1b[m: \x1b[31mmissing\x1b[m", "kernel-config-missing-features"),
    ("NET namespaces aren't enabled in the kernel", "kernel-config-missing-features"),
    ("USER namespaces aren't enabled in the kernel", "user-namespaces-disabled"),
    (
        "[rootlesskit:parent] error: failed to start the child: fork/exec /proc/self/exe:"
        " no space left on device",
        "user-namespaces-disabled",
    ),
    (
        "Error during unshare(CLONE_NEWUSER): Operation not permitted",
        "user-namespaces-disabled",
    ),
    (
        'Can\'t create ID mappings: No subuid ranges found for user "dockremap"',
        "subuid-mapping-broken",
    ),
    (
        "potentially insufficient UIDs or GIDs available in user namespace (requested 0:42 for"
        " /etc/gshadow): Check /etc/subuid and /etc/subgid",
        "subuid-mapping-broken",
    ),
    ('exec: \\"newuidmap\\": executable file not found in $PATH', "subuid-mapping-broken"),
    (
        "newuidmap: uid range [1-65537) -> [100000-165536) not allowed",
        "subuid-mapping-broken",
    ),
    ("Kernel Version: 2.6.32-042stab108.8", "container-based-vps"),
    ("Error starting daemon: Devices cgroup isn't mounted", "cgroup-v1-controllers-not-mounted"),
    (
        "failed to start daemon: Devices cgroup isn't mounted",
        "cgroup-v2-unsupported",
    ),
    (
        "cgroups: cannot found cgroup mount destination: unknown.",
        "cgroup-systemd-hierarchy-missing",
    ),
    ("cgroups: cgroup mountpoint does not exist: unknown", "cgroup-systemd-hierarchy-missing"),
    (
        "OCI runtime create failed: this version of runc doesn't work on cgroups v2: unknown",
        "cgroup-v2-unsupported",
    ),
    (
        'msg="failed to find memory cgroup, you may need to add \\"cgroup_memory=1"',
        "cgroup-memory-controller-disabled",
    ),
    ("Following Cgroup subsystem not mounted: [memory]", "cgroup-memory-controller-disabled"),
    ("WARNING: No memory limit support", "cgroup-memory-controller-disabled"),
    ("WARNING: No swap limit support", "no-swap-limit-support"),
    (
        'level=warning msg="Your kernel does not support swap memory limit"',
        "no-swap-limit-support",
    ),
    (
        'kubelet cgroup driver: \\"systemd\\" is different from docker cgroup driver:'
        ' \\"cgroupfs\\"',
        "cgroup-driver-mismatch",
    ),
)

# Healthy or about something else, with the same words in them.
SAYS_NOTHING = (
    "Cgroup Driver: systemd\n Cgroup Version: 2\n Kernel Version: 6.1.0-9-amd64\n"
    " OSType: linux\n Architecture: x86_64",
    "Server:\n Version: 20.10.24\n OS/Arch: linux/amd64",
    "#subsys_name hierarchy num_cgroups enabled\nmemory 4 15 1\ncpu 1 1 0\n",
    'exec user process caused "exec format error" on linux/arm64',
    "Running modprobe bridge br_netfilter failed with message: modprobe: WARNING: Module bridge"
    " not found in directory /lib/modules/5.4.0",
    'level=warning msg="Your kernel does not support kernel memory limit"',
    'level=warning msg="Your kernel does not support cgroup blkio weight"',
    "- CONFIG_CGROUP_PERF: missing\n- CONFIG_VETH: enabled (as module)",
    "- cgroup hierarchy: cgroupv2\n Controllers:\n - cpu: available\n"
    "- CONFIG_CGROUP_DEVICE: missing",
    "N: Skipping acquire of configured file 'stable/binary-i386/Packages' as repository"
    " 'https://download.docker.com/linux/ubuntu jammy InRelease' doesn't support"
    " architecture 'i386'",
    "bash: /usr/local/bin/docker-compose: cannot execute binary file: Exec format error",
    "chown: changing ownership of '/data': Operation not permitted",
    "established a stable connection, kernel 5.10",
)


def found_in(text: str) -> list[str]:
    return [f.problem for f in suspects([Text("text", text.split("\n"))], SIGNATURES)]


@pytest.mark.parametrize(("text", "code"), SAYS, ids=[text[:40] for text, _ in SAYS])
def test_a_message_points_to_its_problem(text: str, code: str) -> None:
    assert code in found_in(text)


@pytest.mark.parametrize("text", SAYS_NOTHING, ids=[text[:40] for text in SAYS_NOTHING])
def test_no_false_alarm(text: str) -> None:
    assert found_in(text) == []


def test_no_memory_limit_explains_no_swap_limit() -> None:
    text = "WARNING: No memory limit support\nWARNING: No swap limit support"
    assert found_in(text) == ["cgroup-memory-controller-disabled"]


def test_swap_is_a_warning_at_most() -> None:
    (finding,) = suspects([Text("text", ["WARNING: No swap limit support"])], SIGNATURES)
    assert finding.severity is Severity.WARNING


def test_the_words_of_the_message_fill_the_summary() -> None:
    (finding,) = suspects([Text("text", [SAYS[0][0]])], SIGNATURES)
    assert dict(finding.params)["release"] == "3.8.13-68.el6uek.x86_64"
    assert "3.8.13-68.el6uek.x86_64" in finding.summary


def test_every_code_is_explained() -> None:
    checks = Path(__file__).resolve().parents[2] / "checks/hostkit_checks"
    for area, signatures in (("kernel", KERNEL), ("cgroups", CGROUPS)):
        for signature in signatures:
            assert (checks / area / "explain" / f"{signature.problem}.md").is_file()


def reports(folder: Path) -> Iterator[dict[str, Any]]:
    for line in (folder / "reports.jsonl").read_text().splitlines():
        yield json.loads(line)


def test_collected_reports_of_these_problems_are_recognised(shared_data: Path) -> None:
    missed = [
        report["id"]
        for report in reports(shared_data)
        if report["topic"] in CODES
        and not {report["topic"], *report["also_acceptable"]} & set(found_in(report["text"]))
    ]
    assert missed == []


def test_collected_reports_of_other_problems_raise_no_alarm(shared_data: Path) -> None:
    false = [
        (report["id"], code)
        for report in reports(shared_data)
        for code in found_in(report["text"])
        if code not in (report["topic"], *report["also_acceptable"])
    ]
    assert false == []
