# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of engines of ordinary users that may not limit their containers."""

from hostkit.diagnosis.finding import Severity
from hostkit.diagnosis.signature import Signature

_PROBLEM = "rootless-limits-without-effect"

ROOTLESS: tuple[Signature, ...] = (
    # crun. memory and pids are handed down by default: without them the kernel has none.
    Signature(
        problem=_PROBLEM,
        anchors=("requested cgroup controller ",),
        pattern=r"cgroup controller [`'\"]?(?P<controller>cpu|cpuset|io)[`'\"]? is not available",
        summary="the controller {controller} is not handed down to this user's engine",
        reach=100,
    ),
    Signature(
        problem="cgroup-memory-controller-disabled",
        anchors=("requested cgroup controller ",),
        pattern=r"cgroup controller [`'\"]?memory[`'\"]? is not available",
        summary="crun found no memory controller",
        reach=100,
    ),
    # crun, in podman 2.
    Signature(
        problem=_PROBLEM,
        anchors=("opening file ", " for writing: "),
        pattern=r"opening file [`'\"](?P<file>(?:cpu|cpuset|io|memory|pids)\.[\w.]+)[`'\"] for "
        r"writing: (?:Permission denied|No such file)",
        summary="this user's engine may not write {file}",
        reach=120,
    ),
    # docker info of rootless Docker, 20.10 and later.
    Signature(
        problem=_PROBLEM,
        anchors=("Running in rootless-mode without cgroups",),
        summary="docker info: rootless Docker cannot limit anything",
        severity=Severity.WARNING,
    ),
    # podman on cgroup v1, and with cgroupfs.
    Signature(
        problem=_PROBLEM,
        anchors=("esource limits are not supported and ignored on cgroups V1 rootless",),
        summary="podman ignored the limits of a rootless container",
        severity=Severity.WARNING,
    ),
    Signature(
        problem=_PROBLEM,
        anchors=("cannot specify resource limits without cgroups v2",),
        summary="podman refused the limits of a rootless container",
    ),
    # runc.
    Signature(
        problem=_PROBLEM,
        anchors=("rootless needs no limits + no cgrouppath",),
        summary="runc may make no cgroup for a rootless container",
    ),
    # kind and minikube on a rootless engine.
    Signature(
        problem=_PROBLEM,
        anchors=("controller needs to be delegated",),
        pattern=r"(?P<controller>cpu|cpuset|io|memory|pids) controller needs",
        summary="the controller {controller} is not handed down to this user's engine",
        reach=80,
    ),
)
