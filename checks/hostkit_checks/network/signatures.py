# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of forwarding and bridges."""

from hostkit.diagnosis.finding import Certainty, Severity
from hostkit.diagnosis.signature import Signature

SIGNATURES: tuple[Signature, ...] = (
    # docker run and docker info, all versions (moby daemon/info.go, cli/command/container).
    Signature(
        problem="ipv4-forwarding-disabled",
        anchors=("IPv4 forwarding is disabled",),
        summary="the engine saw that IPv4 forwarding was off",
        severity=Severity.ERROR,
        certainty=Certainty.LIKELY,
    ),
)
