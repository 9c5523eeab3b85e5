# SPDX-License-Identifier: GPL-3.0-or-later
"""What engines print where a mount does not pass on what is mounted below it."""

from hostkit.diagnosis.finding import Severity
from hostkit.diagnosis.signature import Signature

_PATH = r"[\\\"']*(?P<{}>/[^\s\\\"']*)[\\\"']*"

MOUNT_SIGNATURES: tuple[Signature, ...] = (
    # dockerd since 1.10 ("linux mounts: Path ..."), containerd ("path "/x" ..."), the kubelet's
    # events: a bind mount with shared or slave propagation.
    Signature(
        problem="mount-not-shared",
        anchors=("but it is not a shared",),
        pattern=rf"[Pp]ath {_PATH.format('path')} is mounted on {_PATH.format('mount')} but it is"
        r" not a shared",
        summary="{path} lies on {mount}, which passes on no mounts",
    ),
    # podman 3.3 and later, run by a user.
    Signature(
        problem="mount-not-shared",
        anchors=("is not a shared mount, this could cause issues",),
        pattern=rf"{_PATH.format('mount')} is not a shared mount",
        summary="{mount} passes on no mounts to containers of users",
        severity=Severity.WARNING,
    ),
)
