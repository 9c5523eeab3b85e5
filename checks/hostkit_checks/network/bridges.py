# SPDX-License-Identifier: GPL-3.0-or-later
"""The bridge that a running dockerd made at its start, and that somebody may have taken away."""

from collections.abc import Iterator

from hostkit.diagnosis.check import check
from hostkit.diagnosis.finding import Evidence, Finding, NotApplicable, Outcome, Passed, Severity
from hostkit.facts.daemonconfig import DAEMON_CONFIG
from hostkit.facts.fact import Facts
from hostkit.facts.links import LINKS

_DEFAULT = "docker0"


@check(
    "docker-bridge",
    title="Is the bridge still there that dockerd gives containers by default?",
    problems=("docker-bridge-missing",),
    needs=(DAEMON_CONFIG, LINKS),
    profiles=("docker",),
    subject=("bridge",),
)
def docker_bridge(facts: Facts) -> Iterator[Outcome]:
    """Made, or looked for, at dockerd's start alone: a restart brings it back."""
    config = facts.value(DAEMON_CONFIG)
    name = config.text("bridge") or _DEFAULT
    if not config.running:
        yield NotApplicable("dockerd does not run")
    elif config.switch("rootless", False) or name == "none":
        yield NotApplicable("this dockerd has no bridge on the host")
    elif facts.value(LINKS).get(name) is not None:
        yield Passed(f"{name} is there", (("bridge", name),))
    else:
        yield Finding(
            problem="docker-bridge-missing",
            severity=Severity.ERROR,
            summary=f"dockerd runs, and its bridge {name} is gone",
            evidence=(Evidence("/sys/class/net", f"no link {name}"),),
            params=(("bridge", name),),
        )
