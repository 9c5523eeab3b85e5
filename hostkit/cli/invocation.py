# SPDX-License-Identifier: GPL-3.0-or-later
"""How we were started, so that a command we print can be typed as it stands."""

import os
import re
import sys
from collections.abc import Sequence

NAME = "hostkit"
_SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Our name where a command of ours follows, not in a path or in the middle of a sentence.
_OURS = (
    r"(?<![\w/.-])hostkit"
    r"(?= (?:preflight|doctor|explain|list|collect|fix|undo|image|storage)\b)"
)


def program(*, root: bool = False) -> str:
    """`hostkit` where a shell finds it, else what was typed; `root`: where sudo finds it.

    sudo looks only into the system's own folders (secure_path in sudoers(5)).
    """
    started = sys.argv[0]
    if started.endswith(f"/{NAME}/__main__.py"):
        return f"{sys.executable} -m {NAME}"
    if os.path.basename(started) != NAME or not os.path.exists(started):
        return NAME
    found = _found(_SYSTEM if root else os.environ.get("PATH", ""))
    return NAME if found and os.path.samefile(found, started) else _quoted(started)


def _quoted(path: str) -> str:
    """A path as a shell takes it."""
    if re.fullmatch(r"[\w./+-]+", path):
        return path
    from shlex import quote  # a path that needs it is rare

    return quote(path)


def _found(path: str) -> str:
    """What a shell with this PATH would run for our bare name, or ""."""
    places = (os.path.join(folder, NAME) for folder in path.split(":"))
    return next((place for place in places if os.access(place, os.X_OK)), "")


def again(command: Sequence[str], *, root: bool = False) -> str:
    """The command line to type for the same again."""
    from shlex import quote

    return " ".join((program(root=root), *map(quote, command)))


def named(words: str) -> str:
    """Words with our commands as they have to be typed here.

    >>> named("`hostkit list problems` names them all")
    '`hostkit list problems` names them all'
    """
    typed, as_root = program(), program(root=True)
    words = re.sub(rf"(?<=sudo ){_OURS}", lambda _: as_root, words)
    return re.sub(rf"(?<!sudo ){_OURS}", lambda _: typed, words)
