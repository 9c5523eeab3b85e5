# SPDX-License-Identifier: GPL-3.0-or-later
"""SELinux, AppArmor, seccomp: what is known of them, and what is made of it."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hostkit.diagnosis.check import Check
from hostkit.diagnosis.finding import Finding, NotApplicable, Outcome, Passed, Severity, Unknown
from hostkit.diagnosis.runner import refutes, run_checks
from hostkit.facts import lsm
from hostkit.facts.daemonconfig import DAEMON_CONFIG, DaemonConfig
from hostkit.facts.daemonjson import Setting
from hostkit.facts.engine import DOCKER, Engine
from hostkit.facts.lsm import (
    APPARMOR,
    OVERLAY_LABELS,
    SECCOMP,
    SELINUX,
    AppArmor,
    Mode,
    Seccomp,
    SELinux,
)
from hostkit.host.answer import Absent, Known, Unreadable
from hostkit_checks.security import checks
from tests.fakes import make_facts

ENFORCE = "/sys/fs/selinux/enforce"
NO_SELINUX = {"/proc/filesystems": "nodev\tsysfs\n"}


def outcomes(check: Check, given_facts: dict[Any, Any]) -> tuple[Outcome, ...]:
    (result,) = run_checks(make_facts(given=given_facts), [check])
    return result.outcomes


def test_the_modes_of_selinux() -> None:
    config = {"/etc/selinux/config": "SELINUX=enforcing\nSELINUXTYPE=targeted\n"}
    facts = make_facts({ENFORCE: "0", **config})
    assert facts.value(SELINUX) == SELinux(Mode.PERMISSIVE, Mode.ENFORCING, "targeted")
    assert make_facts({"/selinux/enforce": "1"}).value(SELINUX) == SELinux(Mode.ENFORCING)
    assert make_facts(NO_SELINUX).value(SELINUX) == SELinux(Mode.DISABLED)


def test_selinux_that_cannot_be_seen_is_not_off() -> None:
    hidden = make_facts({"/proc/filesystems": "nodev\tselinuxfs\n"})
    assert isinstance(hidden.get(SELINUX), Unreadable)
    assert isinstance(make_facts({}).get(SELINUX), Unreadable)
    assert isinstance(make_facts({ENFORCE: "?"}).get(SELINUX), Unreadable)
    assert isinstance(make_facts(NO_SELINUX, unreadable=(ENFORCE,)).get(SELINUX), Unreadable)


def test_apparmor_and_its_loader() -> None:
    on = {lsm.APPARMOR_ENABLED: "Y\n", lsm.APPARMOR_PROFILES: "a (enforce)\nb (complain)\n"}
    assert make_facts(on).value(APPARMOR) == AppArmor(True, 2, "")
    loader = {**on, "/sbin/apparmor_parser": ""}
    assert make_facts(loader).value(APPARMOR).parser == "/sbin/apparmor_parser"
    assert make_facts({}).value(APPARMOR) == AppArmor(False)
    assert make_facts({lsm.APPARMOR_ENABLED: "N\n"}).value(APPARMOR).enabled is False
    hidden = make_facts(on, unreadable=("/usr/sbin/apparmor_parser",))
    assert isinstance(hidden.get(APPARMOR), Unreadable)


def test_seccomp() -> None:
    status = {"/proc/self/status": "Name:\tx\nSeccomp:\t0\n"}
    assert make_facts(status).value(SECCOMP) == Seccomp(True, ())
    actions = {**status, "/proc/sys/kernel/seccomp/actions_avail": "kill allow\n"}
    assert make_facts(actions).value(SECCOMP).actions == ("kill", "allow")
    assert make_facts({"/proc/self/status": "Name:\tx\n"}).value(SECCOMP) == Seccomp(False)
    assert isinstance(make_facts({}).get(SECCOMP), Absent)


def test_labels_on_overlay_by_kernel_or_by_symbol() -> None:
    release = "/proc/sys/kernel/osrelease"
    assert make_facts({release: "4.9.0\n"}).value(OVERLAY_LABELS)
    el7 = {release: "3.10.0-514.el7.x86_64\n", "/proc/kallsyms": "0 T security_inode_copy\n"}
    assert not make_facts(el7).value(OVERLAY_LABELS)
    el74 = {**el7, "/proc/kallsyms": "0 T a\n0 T security_inode_copy_up\n"}
    assert make_facts(el74).value(OVERLAY_LABELS)
    assert isinstance(make_facts({release: "3.10.0\n"}).get(OVERLAY_LABELS), Absent)


@given(st.text())
def test_any_text_is_parsed_or_refused(content: str) -> None:
    lsm.parse_selinux_config(content)
    try:
        lsm.parse_enforce(content)
    except ValueError:
        return


def test_only_an_enforcing_selinux_can_have_denied() -> None:
    for mode, refuted in ((Mode.ENFORCING, False), (Mode.PERMISSIVE, True), (Mode.DISABLED, True)):
        facts = make_facts(given={SELINUX: SELinux(mode, mode)})
        (result,) = run_checks(facts, [checks.selinux_mode])
        assert refutes(result) is refuted
    unknown = outcomes(checks.selinux_mode, {SELINUX: Unreadable("x", "y")})
    assert isinstance(unknown[0], Unknown)


def test_a_mode_that_the_next_boot_changes() -> None:
    found, _ = outcomes(checks.selinux_mode, {SELINUX: SELinux(Mode.DISABLED, Mode.ENFORCING)})
    assert isinstance(found, Finding)
    assert found.severity is Severity.WARNING
    found, _ = outcomes(checks.selinux_mode, {SELINUX: SELinux(Mode.PERMISSIVE, Mode.ENFORCING)})
    assert isinstance(found, Finding)
    assert found.severity is Severity.INFO


def _overlay(labels: Any, *settings: tuple[str, Any]) -> Outcome:
    file = tuple(Setting(key, value, "/etc/docker/daemon.json", 2) for key, value in settings)
    given_facts = {DAEMON_CONFIG: DaemonConfig((), file), OVERLAY_LABELS: labels}
    (outcome,) = outcomes(checks.selinux_overlay, given_facts)
    return outcome


def test_selinux_on_overlay() -> None:
    on = ("selinux-enabled", True)
    assert isinstance(_overlay(False), NotApplicable)
    assert isinstance(_overlay(False, ("selinux-enabled", False)), NotApplicable)
    assert isinstance(_overlay(True, on), Passed)
    assert isinstance(_overlay(False, on, ("storage-driver", "devicemapper")), NotApplicable)
    found = _overlay(False, on, ("storage-driver", "overlay2"))
    assert isinstance(found, Finding)
    assert found.evidence[0].line == 2
    assert isinstance(_overlay(Absent("/proc/kallsyms"), on), Unknown)


def test_apparmor_without_its_loader() -> None:
    (missing,) = outcomes(checks.apparmor_parser, {APPARMOR: AppArmor(True)})
    assert isinstance(missing, Finding)
    assert missing.severity is Severity.WARNING
    docker = Engine("docker", (20, 10, 24), "20.10.24", "docker-ce")
    (refused,) = outcomes(checks.apparmor_parser, {APPARMOR: AppArmor(True), DOCKER: docker})
    assert isinstance(refused, Finding)
    assert refused.severity is Severity.ERROR
    (there,) = outcomes(checks.apparmor_parser, {APPARMOR: AppArmor(True, None, "/sbin/x")})
    assert isinstance(there, Passed)
    (off,) = outcomes(checks.apparmor_parser, {APPARMOR: AppArmor(False)})
    assert isinstance(off, NotApplicable)


def test_a_kernel_without_seccomp() -> None:
    (found,) = outcomes(checks.seccomp, {SECCOMP: Seccomp(False)})
    assert isinstance(found, Finding)
    (fine,) = outcomes(checks.seccomp, {SECCOMP: Seccomp(True)})
    assert isinstance(fine, Passed)


def test_facts_name_their_source() -> None:
    answer = make_facts({ENFORCE: "1"}).get(SELINUX)
    assert isinstance(answer, Known)
    assert answer.source == ENFORCE
