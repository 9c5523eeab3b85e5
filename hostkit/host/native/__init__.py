# SPDX-License-Identifier: GPL-3.0-or-later
"""What the project's libraries know of a live machine, as plain JSON values.

One module a library (psutil, pyudev, blkinfo, pyroute2), imported when it is asked for.
"""

from typing import Any

from hostkit.host.answer import Absent, Answer


def ask(source: str) -> Answer[Any]:
    """The answer of one native source, named `library.topic`."""
    return Absent(source, "no such native source")
