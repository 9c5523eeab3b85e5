# SPDX-License-Identifier: GPL-3.0-or-later
"""How a check is declared, and how a package of checks, ours or another's, presents itself."""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from hostkit.diagnosis.finding import Outcome
from hostkit.facts.fact import Fact, Facts
from hostkit.value import NamedTuple

API = 1
EVERY_PROFILE = ("docker", "podman", "hostkit", "kubernetes")
CheckFunction: TypeAlias = Callable[[Facts], Iterable[Outcome]]


class Check(NamedTuple):
    """A question about a host.

    `needs`: facts that must all be known, else the runner reports Unknown; `uses`: facts
    that may be missing. It sees no others. `problems`: every code it can report, which
    makes it the judge of a suspicion with that code, unless `settles` is False.
    `subject`: the params by which a text names the very thing, such as a path; what the
    check saw of another one neither confirms nor refutes the text.
    `profiles`: what it matters to; `required`: for these an unknown answer is exit code 3.
    """

    name: str
    title: str
    run: CheckFunction
    problems: tuple[str, ...]
    needs: tuple[Fact[Any], ...] = ()
    uses: tuple[Fact[Any], ...] = ()
    profiles: tuple[str, ...] = EVERY_PROFILE
    required: tuple[str, ...] = ()
    settles: bool = True
    subject: tuple[str, ...] = ()


def check(  # noqa: PLR0913 - keywords that declare; nobody passes them by place
    name: str,
    *,
    title: str,
    problems: tuple[str, ...],
    needs: tuple[Fact[Any], ...] = (),
    uses: tuple[Fact[Any], ...] = (),
    profiles: tuple[str, ...] = EVERY_PROFILE,
    required: tuple[str, ...] = (),
    settles: bool = True,
    subject: tuple[str, ...] = (),
) -> Callable[[CheckFunction], Check]:
    """Declare a function as a check; it yields outcomes, and nothing at all is a pass."""

    def declare(run: CheckFunction) -> Check:
        return Check(name, title, run, problems, needs, uses, profiles, required, settles, subject)

    return declare


class CheckPlugin(NamedTuple):
    """One area of checks, as an entry point of the group `hostkit.checks` names it.

    `package` holds the modules `checks` (CHECKS) and `signatures` (SIGNATURES), tuples,
    and the folder `explain` with one CODE.md a problem; each is loaded when asked for.
    `signatures` imports no facts: judging a text must stay quick. `profiles`: the only
    targets that any of its checks matter to; for others they are not even imported.
    """

    api: int
    area: str
    title: str
    package: str
    profiles: tuple[str, ...] = EVERY_PROFILE
