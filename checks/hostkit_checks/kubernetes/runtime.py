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
from hostkit.facts.containerdconfig import CONTAINERD_CONFIG, ContainerdConfig
from hostkit.facts.daemonjson import shown
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
        return
    disabled = config.value.cri_disabled if isinstance(config, Known) else None
    if disabled is None:
        yield Passed(f"{found[0]} with its CRI")
        return
    yield Finding(
        problem="containerd-cri-disabled",
        severity=Severity.ERROR,
        summary="containerd's CRI, which the kubelet talks to, is switched off",
        evidence=(Evidence(disabled.source, shown(disabled), disabled.line),),
        params=(("file", disabled.source),),
    )


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
    setting = config.systemd_cgroup if config else None
    mine = "systemd" if setting is not None and setting.value is True else "cgroupfs"
    kubelet = facts.known(KUBELET_CONFIG)
    theirs = kubelet.cgroup_driver if kubelet else None
    written = _written(answer.source, config)
    if theirs == mine:
        yield Passed(f"both use {mine}")
    elif theirs is not None:
        yield _mismatch(
            f"the kubelet uses {theirs}, containerd {mine}",
            Evidence(KUBELET_CONFIG_FILE, f"cgroupDriver: {theirs}"),
            *written,
        )
    elif kubelet is None and mine == "cgroupfs" and _unified(facts):
        yield _mismatch(
            "containerd uses cgroupfs, and kubeadm will set the kubelet to systemd", *written
        )._replace(certainty=Certainty.LIKELY)
    else:
        yield Passed(f"containerd uses {mine}")


def _written(source: str, config: ContainerdConfig | None) -> tuple[Evidence, ...]:
    """What says how containerd makes control groups, or that nothing does."""
    setting = config.systemd_cgroup if config else None
    if setting is not None:
        return (Evidence(setting.source, shown(setting), setting.line),)
    nothing = Evidence(source, "SystemdCgroup is not set for runc")
    ignored = config.ignored_cri[:1] if config else ()
    return (
        nothing,
        *(
            Evidence(
                one.source,
                f"ignored in a file of version {config.version if config else 1}: {shown(one)}",
                one.line,
            )
            for one in ignored
        ),
    )


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
