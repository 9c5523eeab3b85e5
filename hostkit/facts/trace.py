# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a container engine is or was on this machine; a client alone leaves no trace."""

from hostkit.facts.fact import Fact, Facts
from hostkit.host.answer import Absent, Answer, Known

_TRACES = (
    "/run/docker.sock",
    "/usr/bin/dockerd",
    "/usr/sbin/dockerd",
    "/usr/local/bin/dockerd",
    "/usr/bin/dockerd-current",
    "/usr/bin/podman",
    "/snap/bin/docker",
    "/var/lib/docker",
    "/var/lib/containers/storage",
)


def _gather(facts: Facts) -> Answer[str]:
    for path in _TRACES:
        if not isinstance(facts.host.stat(path), Absent):  # what may not be seen is there
            return Known(path, path)
    return Absent("/var/lib/docker", "no engine is or was here")


ENGINE_TRACE: Fact[str] = Fact("trace of an engine", _gather, waits=False)
