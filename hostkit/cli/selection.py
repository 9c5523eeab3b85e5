# SPDX-License-Identifier: GPL-3.0-or-later
"""`--select` and `--ignore`: codes of problems, names of checks, names of areas."""

from collections.abc import Callable, Collection, Iterable

from hostkit.diagnosis.check import Check
from hostkit.diagnosis.rank import Ranked
from hostkit.errors import InputError
from hostkit.text import printable
from hostkit.value import NamedTuple


class Selection(NamedTuple):
    """What is wanted; an empty `select` wants everything. To ignore wins."""

    select: frozenset[str]
    ignore: frozenset[str]

    def checks(self, known: Iterable[tuple[str, Check]]) -> tuple[Check, ...]:
        """The checks that are to run, of (area, check)."""
        return tuple(check for area, check in known if self._runs(area, check))

    def _runs(self, area: str, check: Check) -> bool:
        names = {area, check.name}
        if self.ignore & names:
            return False
        return not self.select or bool(self.select & {*names, *check.problems})

    def wants(self, code: str, area: str, checks: Iterable[Check]) -> bool:
        """Whether a problem is wanted: by itself, its area, or a selected check of it."""
        if not self.select or self.select & {code, area}:
            return True
        return any(code in one.problems for one in checks if one.name in self.select)

    def ignores(self, one: Ranked) -> bool:
        """Whether a finding is to be kept apart."""
        return bool(self.ignore & {one.finding.problem, one.problem.area})

    def verify(self, known: Collection[str], checks: Callable[[], Iterable[str]]) -> None:
        """Refuse a name that nothing has; `checks` gives their names when needed.

        Raises InputError with the nearest names.
        """
        unknown = sorted((self.select | self.ignore).difference(known))
        if not unknown:
            return
        names = {*known, *checks()}
        for name in unknown:
            if name not in names:
                raise InputError(
                    f"no problem, check or area is called {printable(name)}", _hint(name, names)
                )


def _hint(name: str, names: Iterable[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, sorted(names), n=3, cutoff=0.5)
    near = f"did you mean {' or '.join(close)}? " if close else ""
    return f"{near}`hostkit list checks` and `hostkit list problems` name them all"
