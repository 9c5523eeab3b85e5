# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a program is installed, without running it."""

from functools import cache

from hostkit.facts.fact import Fact, Facts
from hostkit.host.answer import Absent, Answer, Known, Unreadable

FOLDERS = ("/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin")


@cache
def program(name: str) -> Fact[str]:
    """The path of a program such as `thin_check`; Absent when no usual folder has it."""
    return Fact(f"program {name}", lambda facts: _find(facts, name), waits=False)


def _find(facts: Facts, name: str) -> Answer[str]:
    refused: Unreadable | None = None
    for folder in FOLDERS:
        found = facts.host.stat(f"{folder}/{name}")
        if isinstance(found, Known) and found.value.kind == "file":
            return Known(f"{folder}/{name}", found.source)
        if isinstance(found, Unreadable):
            refused = found
    return refused or Absent(name, "is not installed")
