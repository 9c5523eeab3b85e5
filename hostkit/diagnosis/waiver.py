# SPDX-License-Identifier: GPL-3.0-or-later
"""What an ignore file says: which findings are accepted, why, where, and until when.

[[ignore]]
problem = "loop-lvm-in-use"         # or: check = "NAME", all that this check reports
reason = "test machine, see OPS-1234"
host = "build-*"                    # when it holds for some hosts only
expires = 2027-03-31                # the last day it holds; then the finding counts again
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from hostkit.data import load_toml
from hostkit.diagnosis.finding import Finding
from hostkit.diagnosis.runner import Result
from hostkit.value import NamedTuple

_KEYS = {"problem", "check", "reason", "host", "expires"}
_DAY = r"\d{4}-\d\d-\d\d"


class Waiver(NamedTuple):
    """One entry: a problem or a check (the other is ""); `expires` is a day, or ""."""

    problem: str
    check: str
    reason: str
    host: str = ""
    expires: str = ""

    @property
    def name(self) -> str:
        """What it is about."""
        return self.problem or self.check

    def expired(self, today: str) -> bool:
        """Whether its last day is over; days as 2027-03-31."""
        return bool(self.expires) and self.expires < today

    def covers(self, host: str) -> bool:
        """Whether it is about a host of this name."""
        from fnmatch import fnmatchcase  # noqa: PLC0415 - 2 ms that few runs need

        return not self.host or fnmatchcase(host, self.host)


def parse_waivers(content: str) -> tuple[Waiver, ...]:
    r"""The entries of an ignore file. Raises ValueError with what is wrong, and where.

    >>> parse_waivers('[[ignore]]\nproblem = "a-b"\nreason = "later"\n')[0].reason
    'later'
    """
    data = load_toml(content)
    entries: object = data.pop("ignore", [])
    if data:
        raise ValueError(f"{next(iter(data))} has no meaning here; entries begin with [[ignore]]")
    if not isinstance(entries, list):
        raise ValueError("entries begin with [[ignore]]")
    listed = cast("Iterable[Any]", entries)
    return tuple(_waiver(number, entry) for number, entry in enumerate(listed, 1))


def _waiver(number: int, entry: Any) -> Waiver:
    if not isinstance(entry, dict):
        raise ValueError(f"entry {number}: entries begin with [[ignore]]")
    table = cast("dict[str, Any]", entry)
    words = {key: str(value) for key, value in table.items()}
    wrong = sorted(set(words) - _KEYS)
    if wrong:
        raise ValueError(f"entry {number}: {wrong[0]} has no meaning here")
    if bool(words.get("problem")) == bool(words.get("check")):
        raise ValueError(f"entry {number}: name a problem or a check, one of the two")
    if not words.get("reason", "").strip():
        raise ValueError(f"entry {number}: a reason is missing")
    if not re.fullmatch(_DAY, words.get("expires", "0000-00-00")):
        raise ValueError(f"entry {number}: expires is a day such as 2027-03-31")
    return Waiver(
        words.get("problem", ""),
        words.get("check", ""),
        words["reason"],
        words.get("host", ""),
        words.get("expires", ""),
    )


def waived(waivers: Iterable[Waiver], results: Sequence[Result]) -> Mapping[str, Waiver]:
    """The code of each problem that is accepted, with the first entry that says so."""
    found: dict[str, Waiver] = {}
    for one in waivers:
        codes = [one.problem] if one.problem else _reported(one.check, results)
        for code in codes:
            found.setdefault(code, one)
    return found


def _reported(check: str, results: Iterable[Result]) -> list[str]:
    outcomes = [o for result in results if result.check.name == check for o in result.outcomes]
    return [outcome.problem for outcome in outcomes if isinstance(outcome, Finding)]
