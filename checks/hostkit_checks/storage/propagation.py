# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what is mounted on the host reaches containers, and the other way round."""

from collections.abc import Iterator

from hostkit.diagnosis.check import Check, check
from hostkit.diagnosis.finding import (
    Evidence,
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Severity,
    Unknown,
)
from hostkit.facts.fact import Facts
from hostkit.facts.graphdrivers import DOCKER_VERSION, written
from hostkit.facts.machine import MACHINE
from hostkit.facts.mounts import MOUNTS, PATH
from hostkit.facts.target import TARGET
from hostkit.facts.units import UNITS
from hostkit.host.answer import Absent, Known

# Where a kubelet lets pods pass on what they mount (mountPropagation: Bidirectional).
_KUBELET = "/var/lib/kubelet"
_OWN_CONTAINERD = (18, 9)  # the first Docker that leaves containerd to systemd
_CUT_OFF = ("slave", "private")


@check(
    "mount-propagation",
    title="Can containers share mounts with the host?",
    problems=("mount-not-shared",),
    needs=(MOUNTS,),
    uses=(MACHINE, TARGET),
    profiles=("docker", "podman", "kubernetes"),
    subject=("mount",),
)
def mount_propagation(facts: Facts) -> Iterator[Outcome]:
    """A host with systemd has every mount shared at boot; other inits leave them private."""
    machine = facts.get(MACHINE)
    target = facts.known(TARGET)
    path = _KUBELET if target is not None and target.engine == "kubernetes" else "/"
    mount = facts.value(MOUNTS).holding(path)
    if mount is None:
        yield Unknown(f"{PATH}: no mount holds {path}")
        return
    params = (("path", path), ("mount", mount.target))
    if mount.shared:
        yield Passed(f"{mount.target} is {mount.propagation}", params)
    elif isinstance(machine, Known) and machine.value.shares_kernel:
        yield NotApplicable("in a container the host decides", params)
    elif not isinstance(machine, Known):
        yield Unknown(f"{machine.source}: {machine.reason}")
    else:
        severity = Severity.WARNING if path == _KUBELET else Severity.INFO
        yield Finding(
            problem="mount-not-shared",
            severity=severity,
            summary=f"{mount.target} is {mount.propagation}: containers share no mounts with it",
            evidence=(Evidence(PATH, f"{mount.target} {mount.fstype}: {mount.propagation}"),),
            params=params,
        )


@check(
    "docker-mount-flags",
    title="Does dockerd see the host's mounts, and the host those of dockerd?",
    problems=("docker-mountflags-set",),
    uses=(UNITS, DOCKER_VERSION),
    profiles=("docker",),
)
def docker_mount_flags(facts: Facts) -> Iterator[Outcome]:
    """A unit with MountFlags gets mounts of its own, which containerd does not see."""
    units = facts.get(UNITS)
    if isinstance(units, Absent):
        yield NotApplicable(units.reason)
        return
    if not isinstance(units, Known):
        yield Unknown(f"{units.source}: {units.reason}", needs_root=units.needs_root)
        return
    unit = units.value.get("docker.service")
    if unit is None:
        yield NotApplicable("there is no docker.service")
        return
    if unit.mount_flags not in _CUT_OFF:
        yield Passed(f"MountFlags={unit.mount_flags or '(not set)'}")
        return
    version = facts.known(DOCKER_VERSION)
    apart = version is not None and version >= _OWN_CONTAINERD
    flags = f"MountFlags={unit.mount_flags}"
    if version is not None and apart:
        summary = f"docker.service has {flags}: Docker {written(version)} starts no containers"
    else:
        summary = f"docker.service has {flags}: mounts of containers stay unseen on the host"
    yield Finding(
        problem="docker-mountflags-set",
        severity=Severity.ERROR if apart else Severity.INFO,
        summary=summary,
        evidence=(Evidence("systemctl show docker.service", flags),),
    )


PROPAGATION_CHECKS: tuple[Check, ...] = (mount_propagation, docker_mount_flags)
