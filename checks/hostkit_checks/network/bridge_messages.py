# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of a bridge that is gone."""

from hostkit.diagnosis.signature import Signature

BRIDGE_SIGNATURES: tuple[Signature, ...] = (
    # dockerd, its bridge driver, when a container or an endpoint is made.
    Signature(
        problem="docker-bridge-missing",
        anchors=("could not find bridge ",),
        pattern=r"could not find bridge (?P<bridge>[\w.-]{1,15})(?::|$|\s)",
        summary="dockerd did not find its bridge {bridge}",
    ),
)
