# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the clock can be right: files that time-keepers and packages touched are older."""

from hostkit.facts.fact import Fact, Facts
from hostkit.host.answer import Absent, Answer, Known
from hostkit.value import NamedTuple

# Written while the host ran well: by time-keepers, package managers, logins.
_WITNESSES = (
    "/var/lib/systemd/timesync/clock",
    "/var/lib/chrony/drift",
    "/var/lib/ntp/drift",
    "/var/lib/rpm/Packages",
    "/var/lib/rpm/rpmdb.sqlite",
    "/var/lib/dpkg/status",
    "/var/log/wtmp",
    "/etc/ld.so.cache",
)


class Clock(NamedTuple):
    """The host's time and the newest file among the witnesses, in seconds since the epoch."""

    now: float
    newest: float
    witness: str

    @property
    def behind_s(self) -> float:
        """By how much the clock is at least behind; 0.0 when it may be right."""
        return max(0.0, self.newest - self.now)


def _gather(facts: Facts) -> Answer[Clock]:
    times = [
        (answer.value.mtime, path)
        for path in _WITNESSES
        if isinstance(answer := facts.host.stat(path), Known)
    ]
    if not times:
        return Absent(_WITNESSES[0], "nothing on this host tells an earlier time")
    newest, witness = max(times)
    return Known(Clock(facts.host.taken_at, newest, witness), witness)


CLOCK: Fact[Clock] = Fact("clock", _gather, waits=False)
