# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of security and limits in the wordings of several versions; and what is none."""

import json
from pathlib import Path

import pytest

from hostkit.diagnosis.scan import scan
from hostkit_checks.limits.signatures import SIGNATURES as LIMITS
from hostkit_checks.security.signatures import SIGNATURES as SECURITY

MINE = (*SECURITY, *LIMITS)
CODES = {signature.problem for signature in MINE}


def problems(content: str) -> set[str]:
    return {hit.finding.problem for hit in scan(content.splitlines(), MINE, "text")}


MESSAGES = [
    ("selinux-denial", 'audit: type=1400 audit(1.2:3): avc:  denied  { read } for  pid=4 '
     'comm="nginx" name="html" scontext=system_u:system_r:container_t:s0:c1,c2 '
     "tcontext=system_u:object_r:home_t:s0 tclass=dir"),
    ("selinux-denial", "SELinux is preventing /usr/bin/cat from read access on the file data. "
     "scontext container_t"),
    ("selinux-denial", "write /proc/self/attr/keycreate: permission denied"),
    ("selinux-overlay-unsupported", 'level=fatal msg="Error starting daemon: SELinux is '
     'not supported with the overlay graph driver on this kernel"'),
    ("apparmor-parser-missing", "AppArmor enabled on system but the docker-default profile could "
     'not be loaded: exec: \\"apparmor_parser\\": executable file not found in $PATH'),
    ("apparmor-parser-missing", "- apparmor: enabled, but apparmor_parser missing"),
    ("seccomp-too-old", "unable to init seccomp: error adding seccomp rule for syscall statx: "
     "invalid argument"),
    ("seccomp-too-old", "runtime/cgo: pthread_create failed: Operation not permitted"),
    ("oom-killed", "kernel: Out of memory: Kill process 812 (mysqld) score 901 or sacrifice child"),
    ("oom-killed", "Memory cgroup out of memory: Killed process 9 (java), UID 0, total-vm:1kB"),
    ("oom-killed", '"OOMKilled": true,'),
    ("oom-killed", "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=abc"),
    ("inotify-limit", "failed to create fsnotify watcher: too many open files"),
    ("inotify-limit", "tail: inotify cannot be used, reverting to polling: Too many open files"),
    ("inotify-limit", "inotify_add_watch(7, /x): No space left on device"),
    ("inotify-limit", "Error: watch /app/src ENOSPC"),
    ("clock-skew", "x509: certificate has expired or is not yet valid: current time "
     "2001-01-01T00:00:10Z is before 2023-05-01T00:00:00Z"),
    ("clock-skew", "E: Release file for http://mirror.debian.org/debian/dists/x/InRelease is not "
     "valid yet (invalid for another 3h 2min 1s). Updates will not be applied."),
    ("open-files-limit", "http: Accept error: accept unix /var/run/docker.sock: accept4: too many "
     "open files; retrying in 1s"),
    ("open-files-limit", "kernel: VFS: file-max limit 98304 reached"),
]  # fmt: skip
NOTHING = [
    'type=AVC msg=audit(1.2:3): avc:  denied  { read } for  pid=1 comm="httpd" '
    "scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:object_r:home_t:s0 tclass=file",
    'avc:  denied  { read } for pid=1 comm="x" scontext=u:r:container_t:s0 permissive=1',
    "avc:  granted  { setsecparam } for pid=1 scontext=u:r:container_t:s0",
    '"OOMKilled": false,',
    "WARNING: No oom kill disable support",
    "write /var/lib/docker/tmp/x: no space left on device",
    "apparmor  seccomp Profile: builtin",
    "level=info msg=\"AppArmor enabled\" apparmor_parser=/sbin/apparmor_parser",
    "nginx: accept() failed (24: Too many open files)",
    "x509: certificate signed by unknown authority",
    "chown: /data: Operation not permitted",
    "- CONFIG_SECCOMP: enabled",
]  # fmt: skip


@pytest.mark.parametrize(("code", "message"), MESSAGES)
def test_a_message_is_recognised(code: str, message: str) -> None:
    assert problems(message) == {code}


@pytest.mark.parametrize("message", NOTHING)
def test_other_messages_are_not_ours(message: str) -> None:
    assert problems(message) == set()


def test_reports_of_others(shared_data: Path) -> None:
    missed: list[str] = []
    for line in (shared_data / "reports.jsonl").read_text().splitlines():
        report = json.loads(line)
        meant = {report["topic"], *report["also_acceptable"]}
        found = problems(report["text"])
        if found - meant or (report["topic"] in CODES and report["topic"] not in found):
            missed.append(f"{report['id']}: {meant} but {found}")
    assert missed == []
