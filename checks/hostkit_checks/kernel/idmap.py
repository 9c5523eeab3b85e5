# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an ordinary user can map the sub-ids that belong to it."""

from collections.abc import Iterator

from hostkit.diagnosis.check import check
from hostkit.diagnosis.finding import Evidence, Finding, NotApplicable, Outcome, Passed, Severity
from hostkit.facts.fact import Facts
from hostkit.facts.idmap import ID_MAP_TOOLS
from hostkit.facts.rootless import ROOTLESS
from hostkit.facts.target import TARGET


@check(
    "id-map-programs",
    title="Are the programs there that map the sub-ids of ordinary users?",
    problems=("id-map-programs-missing",),
    needs=(ID_MAP_TOOLS,),
    uses=(ROOTLESS, TARGET),
    profiles=("docker", "podman"),
)
def id_map_programs(facts: Facts) -> Iterator[Outcome]:
    """Only rootless engines need them. Without the setuid bit, file capabilities may serve."""
    tools = facts.value(ID_MAP_TOOLS)
    missing = [tool.name for tool in tools if not tool.path]
    if not missing:
        bare = [tool.name for tool in tools if not tool.setuid]
        yield Passed(f"{' and '.join(bare)} by file capabilities" if bare else "both, setuid root")
        return
    target = facts.known(TARGET)
    used = facts.known(ROOTLESS) is not None
    if not used and (target is None or target.engine != "podman"):
        yield NotApplicable(f"no {' and '.join(missing)}, and no rootless engine that needs it")
        return
    yield Finding(
        problem="id-map-programs-missing",
        severity=Severity.WARNING if used else Severity.INFO,
        summary=f"{' and '.join(missing)} not installed: rootless containers have one user id",
        evidence=tuple(Evidence(name, "in no folder of programs") for name in missing),
    )
