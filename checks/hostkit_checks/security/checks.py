# SPDX-License-Identifier: GPL-3.0-or-later
"""SELinux, AppArmor and seccomp: what can refuse a container or its engine."""

from collections.abc import Iterator

from hostkit.diagnosis.check import Check, check
from hostkit.diagnosis.finding import (
    Certainty,
    Evidence,
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Severity,
)
from hostkit.facts.daemonconfig import DAEMON_CONFIG
from hostkit.facts.engine import DOCKER
from hostkit.facts.fact import Facts
from hostkit.facts.lsm import (
    APPARMOR,
    APPARMOR_ENABLED,
    OVERLAY_LABELS,
    SECCOMP,
    SELINUX,
    SELINUX_CONFIG,
    Mode,
)

_NO_PARSER = (23, 0, 1)  # the first that goes on without apparmor_parser


@check(
    "selinux-mode",
    title="Does SELinux refuse anything, and will it after the next boot?",
    problems=("selinux-denial", "selinux-mode-differs-at-boot"),
    needs=(SELINUX,),
)
def selinux_mode(facts: Facts) -> Iterator[Outcome]:
    """Only an enforcing SELinux can be why something fails; a pass refutes such a suspicion."""
    selinux = facts.value(SELINUX)
    later = selinux.configured
    if later is not None and later is not selinux.mode:
        unlabelled = selinux.mode is Mode.DISABLED
        yield Finding(
            problem="selinux-mode-differs-at-boot",
            severity=Severity.WARNING if unlabelled else Severity.INFO,
            summary=f"SELinux is {selinux.mode} now and will be {later} after the next boot",
            evidence=(Evidence(SELINUX_CONFIG, f"SELINUX={later}"),),
            later=True,
        )
    if selinux.mode is Mode.ENFORCING:
        yield NotApplicable("SELinux enforces; what it denied is in the audit log")
    else:
        yield Passed(f"SELinux is {selinux.mode}: it refuses nothing")


@check(
    "selinux-overlay",
    title="Can dockerd's SELinux support work with overlay on this kernel?",
    problems=("selinux-overlay-unsupported",),
    needs=(DAEMON_CONFIG,),
    uses=(OVERLAY_LABELS,),
    profiles=("docker",),
)
def selinux_overlay(facts: Facts) -> Iterator[Outcome]:
    """With both, dockerd does not start where the kernel does not copy labels up."""
    config = facts.value(DAEMON_CONFIG)
    enabled = config.get("selinux-enabled")
    if enabled is None or str(enabled.value).lower() not in ("true", "1", "t"):
        yield NotApplicable("dockerd is not told to use SELinux")
        return
    driver = config.get("storage-driver")
    if facts.value(OVERLAY_LABELS):
        yield Passed("this kernel copies SELinux labels up on overlay")
    elif driver is not None and not str(driver.value).startswith("overlay"):
        yield NotApplicable(f"the storage driver is {driver.value}")
    else:
        yield Finding(
            problem="selinux-overlay-unsupported",
            severity=Severity.ERROR,
            certainty=Certainty.CONFIRMED if driver is not None else Certainty.POSSIBLE,
            summary="dockerd has selinux-enabled, and this kernel has no SELinux on overlay",
            evidence=(
                Evidence(enabled.source, f"selinux-enabled: {enabled.value}", enabled.line),
                Evidence("/proc/kallsyms", "no security_inode_copy_up"),
            ),
        )


@check(
    "apparmor-parser",
    title="Can the engine load its AppArmor profile?",
    problems=("apparmor-parser-missing",),
    needs=(APPARMOR,),
    uses=(DOCKER,),
)
def apparmor_parser(facts: Facts) -> Iterator[Outcome]:
    """Docker up to 23.0.0 starts no container without it, later ones have no profile then."""
    apparmor = facts.value(APPARMOR)
    docker = facts.known(DOCKER)
    if not apparmor.enabled:
        yield NotApplicable("this kernel does not enforce AppArmor")
    elif apparmor.parser:
        yield Passed(f"AppArmor is on, and {apparmor.parser} is there")
    else:
        yield Finding(
            problem="apparmor-parser-missing",
            severity=Severity.ERROR if docker and docker.version < _NO_PARSER else Severity.WARNING,
            summary="AppArmor is on and apparmor_parser is not installed",
            evidence=(Evidence(APPARMOR_ENABLED, "Y"),),
        )


@check(
    "seccomp",
    title="Can the system calls of containers be filtered?",
    problems=("seccomp-missing",),
    needs=(SECCOMP,),
)
def seccomp(facts: Facts) -> Iterator[Outcome]:
    """Without it containers run, unfiltered, unless a profile is asked for."""
    if facts.value(SECCOMP).supported:
        yield Passed("the kernel has seccomp")
    else:
        yield Finding(
            problem="seccomp-missing",
            severity=Severity.WARNING,
            summary="this kernel has no seccomp: system calls of containers are not filtered",
            evidence=(Evidence("/proc/self/status", "no line Seccomp:"),),
        )


CHECKS: tuple[Check, ...] = (selinux_mode, selinux_overlay, apparmor_parser, seccomp)
