# SPDX-License-Identifier: GPL-3.0-or-later
"""What a message in a pasted text or a log points to."""

from hostkit.diagnosis.finding import Certainty, Severity
from hostkit.value import NamedTuple


class Signature(NamedTuple):
    r"""Words that a piece of software prints, and the problem they suggest.

    `anchors` are literals as printed: all of them must be there, within `reach`
    characters of the first. They are looked for in a copy of the text in which every run
    of white space is one blank and escapes are undone, so wrapping does not matter.
    `pattern`, when given, must match (re.search) in that neighbourhood; its named groups
    become the finding's params and fill the `{name}` places of `summary`. `unless` are
    literals of that neighbourhood that make it something else. `says`: params that the
    words imply. `of_host`: a program of the host itself prints it, so what ails only
    containers did not bring it about. `generic`: a wrapper that hides the cause; it
    counts only when no other error is found.

    >>> Signature("ipv4-forwarding-disabled", ("IPv4 forwarding is disabled",),
    ...           summary="dockerd warned that IPv4 forwarding was off").problem
    'ipv4-forwarding-disabled'
    """

    problem: str
    anchors: tuple[str, ...]
    summary: str
    pattern: str = ""
    unless: tuple[str, ...] = ()
    severity: Severity = Severity.ERROR
    certainty: Certainty = Certainty.LIKELY
    reach: int = 600
    generic: bool = False
    says: tuple[tuple[str, str], ...] = ()
    of_host: bool = False
