# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a storage driver can serve a host: reasons, never a bare yes or no.

Lies here because both sides need it: drivers compute it from facts, diagnosis judges it,
and neither may import the other.
"""

from enum import StrEnum

from hostkit.value import NamedTuple


class Weight(StrEnum):
    """What a reason does to the choice of a driver."""

    BLOCKS = "blocks"  # cannot work here
    UNKNOWN = "unknown"  # could block; the fact that decides is not known
    ADVISES_AGAINST = "advises-against"  # works, and should not be used in production
    FAVOURS = "favours"


class Reason(NamedTuple):
    """One sentence, where it comes from, and the catalogue's code when it is a problem."""

    weight: Weight
    text: str
    source: str = ""
    problem: str = ""


class Fitness(NamedTuple):
    """All that speaks for and against one driver on one host."""

    driver: str
    reasons: tuple[Reason, ...]

    def has(self, weight: Weight) -> bool:
        """Whether any reason has this weight."""
        return any(reason.weight is weight for reason in self.reasons)
