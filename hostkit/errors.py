# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own failures, never the host's: a fault of the host is a finding.

Only `hostkit.cli.main` catches these; it prints the message and the hint and exits
with `exit_code` (the meaning of each code is in docs/architecture.md).
"""


class HostkitError(Exception):
    """hostkit cannot do what was asked: what is wrong, and what to do next."""

    exit_code = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InputError(HostkitError):
    """What we were given (an option, a file, a snapshot, a journal) cannot be used."""


class HostUnreachable(HostkitError):
    """The host to be examined does not answer."""

    exit_code = 4


class Refused(HostkitError):
    """A change was refused and nothing was changed."""

    exit_code = 5


class StoppedHalfway(HostkitError):
    """A change stopped after its first step; the hint names the command that finishes it."""

    exit_code = 6
