# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a container engine is or was on this machine; a client alone leaves no trace."""

from hostkit.facts.fact import Fact, Facts
from hostkit.host.answer import Absent, Answer, Known
from hostkit.host.base import FileStat

_EXECUTABLE = 0o111
_PROGRAMS = (
    "/usr/bin/dockerd",
    "/usr/sbin/dockerd",
    "/usr/local/bin/dockerd",
    "/usr/bin/dockerd-current",
    "/usr/bin/podman",
    "/snap/bin/docker",
)
_TRACES = (
    "/run/docker.sock",
    *_PROGRAMS,
    "/var/lib/docker",
    "/var/lib/containers/storage",
)


def _gather(facts: Facts) -> Answer[str]:
    for path in _TRACES:
        answer = facts.host.stat(path)
        if isinstance(answer, Absent):
            continue
        # What may not be seen is there; an empty or blocked program is no engine.
        if path in _PROGRAMS and isinstance(answer, Known) and not _runs(answer.value):
            continue
        return Known(path, path)
    return Absent("/var/lib/docker", "no engine is or was here")


def _runs(stat: FileStat) -> bool:
    return stat.kind == "file" and stat.size > 0 and bool(stat.mode & _EXECUTABLE)


ENGINE_TRACE: Fact[str] = Fact("trace of an engine", _gather, waits=False)
