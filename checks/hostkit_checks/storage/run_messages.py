# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of a full /run."""

from hostkit.diagnosis.signature import Signature

# runc, containerd and its shims, dockerd: Go's words for any write that fails.
RUN_SIGNATURES: tuple[Signature, ...] = (
    Signature(
        problem="run-full",
        anchors=("o space left on device",),
        pattern=r"(?P<path>/(?:var/)?run/[^\s:\"',;]{1,200})\"?: no space left on device",
        unless=("inotify", "fsnotify"),
        summary="a write to {path} failed: /run is full",
        reach=300,
    ),
)
