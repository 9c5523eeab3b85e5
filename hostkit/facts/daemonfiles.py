# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that the daemon's configuration names, and whether they are there."""

from hostkit.facts.daemonconfig import DAEMON_CONFIG
from hostkit.facts.daemonjson import Setting
from hostkit.facts.fact import Fact, Facts
from hostkit.host.answer import Absent, Answer, Known
from hostkit.value import NamedTuple

# Keys whose value dockerd opens when it starts; what is no path stands for something else.
KEYS = ("seccomp-profile", "tlscacert", "tlscert", "tlskey", "userland-proxy-path")


class DaemonFiles(NamedTuple):
    """The settings that name a file, and those of them whose file does not exist."""

    named: tuple[Setting, ...]
    missing: tuple[Setting, ...]


def _gather(facts: Facts) -> Answer[DaemonFiles]:
    config = facts.value(DAEMON_CONFIG)
    named = [
        setting
        for setting in map(config.get, KEYS)
        if setting and isinstance(setting.value, str) and setting.value.startswith("/")
    ]
    missing = [one for one in named if isinstance(facts.host.stat(str(one.value)), Absent)]
    return Known(DaemonFiles(tuple(named), tuple(missing)), config.path)


DAEMON_FILES: Fact[DaemonFiles] = Fact("files of the daemon", _gather, waits=True)
