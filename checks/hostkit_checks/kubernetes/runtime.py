# SPDX-License-Identifier: GPL-3.0-or-later
"""The container runtime as a kubelet needs it: there, with its CRI, and of one cgroup driver."""

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
    Unknown,
)
from hostkit.facts.cgroups import CGROUPS, CgroupVersion
from hostkit.facts.cri import CONTAINERD_CONFIG, CONTAINERD_CONFIG_FILE
from hostkit.facts.fact import Facts
from hostkit.facts.kubeletconfig import KUBELET_CONFIG, KUBELET_CONFIG_FILE
from hostkit.facts.programs import program
from hostkit.host.answer import Known, Unreadable

PROFILE = ("kubernetes",)
CONTAINERD = program("containerd")
CRIO = program("crio")
CRI_DOCKERD = program("cri-dockerd")
K3S = program("k3s")
K0S = program("k0s")
RUNTIMES = (CONTAINERD, CRIO, CRI_DOCKERD, K3S, K0S)


@check(
    "kubernetes-runtime",
    title="Is there a container runtime that a kubelet can talk to?",
    problems=("kubernetes-no-runtime", "containerd-cri-disabled"),
    uses=(*RUNTIMES, CONTAINERD_CONFIG),
    profiles=PROFILE,
    required=PROFILE,
)
def runtime(facts: Facts) -> Iterator[Outcome]:
    """Docker's package of containerd comes with the part that a kubelet needs switched off."""
    answers = [facts.get(one) for one in RUNTIMES]
    found = [answer.value for answer in answers if isinstance(answer, Known)]
    if not found:
        refused = next((answer for answer in answers if isinstance(answer, Unreadable)), None)
        yield Unknown(f"{refused.source}: {refused.reason}") if refused else _no_runtime()
        return
    if found != [facts.known(CONTAINERD)]:
        yield Passed(", ".join(found))
        return
    config = facts.get(CONTAINERD_CONFIG)
    if isinstance(config, Unreadable):
        yield Unknown(f"{config.source}: {config.reason}", needs_root=config.needs_root)
    elif isinstance(config, Known) and config.value.cri_disabled:
        yield Finding(
            problem="containerd-cri-disabled",
            severity=Severity.ERROR,
            summary="containerd's CRI, which the kubelet talks to, is switched off",
            evidence=(Evidence(config.source, 'disabled_plugins = ["cri"]'),),
        )
    else:
        yield Passed(f"{found[0]} with its CRI")


def _no_runtime() -> Finding:
    return Finding(
        problem="kubernetes-no-runtime",
        severity=Severity.ERROR,
        summary="no container runtime is installed that a kubelet can use",
        evidence=(Evidence("/usr/bin", "no containerd, crio or cri-dockerd"),),
    )


@check(
    "cgroup-driver",
    title="Do the kubelet and containerd make control groups in the same way?",
    problems=("cgroup-driver-mismatch",),
    uses=(KUBELET_CONFIG, CONTAINERD_CONFIG, CONTAINERD, CRIO, CGROUPS),
    profiles=PROFILE,
)
def cgroup_driver(facts: Facts) -> Iterator[Outcome]:
    """Only what is written is compared: newer kubelets ask the runtime."""
    installed = facts.get(CONTAINERD)
    if isinstance(installed, Unreadable):
        yield Unknown(f"{installed.source}: {installed.reason}", needs_root=installed.needs_root)
        return
    if not isinstance(installed, Known) or isinstance(facts.get(CRIO), Known):
        yield NotApplicable("containerd is not the only runtime here")
        return
    answer = facts.get(CONTAINERD_CONFIG)
    if isinstance(answer, Unreadable):
        yield Unknown(f"{answer.source}: {answer.reason}", needs_root=answer.needs_root)
        return
    config = answer.value if isinstance(answer, Known) else None
    if config is not None and config.systemd_cgroup is None and config.imports:
        yield Unknown(f"{CONTAINERD_CONFIG_FILE} includes {', '.join(config.imports)}")
        return
    systemd = bool(config and config.systemd_cgroup)
    mine = "systemd" if systemd else "cgroupfs"
    kubelet = facts.known(KUBELET_CONFIG)
    theirs = kubelet.cgroup_driver if kubelet else None
    written = "SystemdCgroup = true" if systemd else "SystemdCgroup is not true"
    if theirs == mine:
        yield Passed(f"both use {mine}")
    elif theirs is not None:
        yield _mismatch(
            f"the kubelet uses {theirs}, containerd {mine}",
            Evidence(KUBELET_CONFIG_FILE, f"cgroupDriver: {theirs}"),
            Evidence(CONTAINERD_CONFIG_FILE, written),
        )
    elif kubelet is None and not systemd and _unified(facts):
        yield _mismatch(
            "containerd uses cgroupfs, and kubeadm will set the kubelet to systemd",
            Evidence(CONTAINERD_CONFIG_FILE, written),
        )._replace(certainty=Certainty.LIKELY)
    else:
        yield Passed(f"containerd uses {mine}")


def _unified(facts: Facts) -> bool:
    cgroups = facts.known(CGROUPS)
    return cgroups is not None and cgroups.version is CgroupVersion.V2


def _mismatch(summary: str, *evidence: Evidence) -> Finding:
    return Finding(
        problem="cgroup-driver-mismatch",
        severity=Severity.WARNING,
        summary=summary,
        evidence=evidence,
    )


RUNTIME_CHECKS: tuple[Check, ...] = (runtime, cgroup_driver)
