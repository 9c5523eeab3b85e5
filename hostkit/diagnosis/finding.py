# SPDX-License-Identifier: GPL-3.0-or-later
"""What a check or a signature says of a host. Values only."""

from enum import StrEnum
from typing import TypeAlias

from hostkit.value import NamedTuple


class Severity(StrEnum):
    """How much it hurts: containers fail, containers are at risk, worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 for the most severe."""
        return _SEVERITIES.index(self)


class Certainty(StrEnum):
    """Confirmed: facts of the host say so. Likely and possible: a message suggests it."""

    CONFIRMED = "confirmed"
    LIKELY = "likely"
    POSSIBLE = "possible"

    @property
    def rank(self) -> int:
        """0 for the most certain."""
        return _CERTAINTIES.index(self)


_SEVERITIES = tuple(Severity)
_CERTAINTIES = tuple(Certainty)


class Evidence(NamedTuple):
    """Where it stands: a file or command, its line (from 1; 0: the whole) and the words."""

    source: str
    excerpt: str
    line: int = 0


class Finding(NamedTuple):
    """One problem of the catalogue, seen on this host or in this text.

    `params` fill the `{name}` places of the problem's remedies. `past`: the message was
    there, and the host's facts say it is no longer so. `causes` are codes of problems
    that this one brings about, besides those the catalogue names. `of_host`: a program of
    the host itself says so, not one in a container. `later`: all is well now, and will not
    be after the next boot, start of a daemon or upgrade; it refutes what a text says of now.
    """

    problem: str
    severity: Severity
    summary: str
    evidence: tuple[Evidence, ...]
    certainty: Certainty = Certainty.CONFIRMED
    params: tuple[tuple[str, str], ...] = ()
    causes: tuple[str, ...] = ()
    past: bool = False
    of_host: bool = False
    later: bool = False


class Passed(NamedTuple):
    """The check looked and found it well; `note` is what it saw, in a few words.

    `params` name the things it looked at, as those of a Finding do (Check.subject).
    """

    note: str = ""
    params: tuple[tuple[str, str], ...] = ()


class Unknown(NamedTuple):
    """The check could not look. Never a pass."""

    reason: str
    needs_root: bool = False
    crashed: bool = False


class NotApplicable(NamedTuple):
    """There is nothing here for the check to look at; `params` as in a Finding."""

    reason: str
    params: tuple[tuple[str, str], ...] = ()


Outcome: TypeAlias = Finding | Passed | Unknown | NotApplicable
