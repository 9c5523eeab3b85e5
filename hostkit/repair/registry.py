# SPDX-License-Identifier: GPL-3.0-or-later
"""Which remedies hostkit can carry out itself, and what it can undo."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from hostkit.diagnosis.finding import Finding
from hostkit.diagnosis.problem import Remedy
from hostkit.facts.fact import Facts
from hostkit.plan.plan import Plan
from hostkit.plan.step import Kinds, kinds_of
from hostkit.repair.sysctl import plan_sysctl
from hostkit.system.file import WriteFile
from hostkit.system.machine import Machine
from hostkit.system.sysctl import SetSysctl

# Reads only. Raises Refused where a change could not be made, or not be undone exactly.
Repair: TypeAlias = Callable[[Facts, Remedy, Finding], Plan[Machine]]

# By the `action` of a remedy in the catalogue.
REPAIRS: Mapping[str, Repair] = {"sysctl": plan_sysctl}

STEP_KINDS: Kinds[Machine] = kinds_of(SetSysctl, WriteFile)


def automatic(remedies: Iterable[Remedy]) -> Remedy | None:
    """The first remedy that hostkit can carry out itself."""
    return next((remedy for remedy in remedies if remedy.action in REPAIRS), None)
