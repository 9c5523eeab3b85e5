# SPDX-License-Identifier: GPL-3.0-or-later
"""No host at all: somebody only pasted a text, so every question stays open."""

import time
from typing import Any

from hostkit.files import READ_LIMIT
from hostkit.host.answer import Answer, Unreadable
from hostkit.host.base import FileStat, Output, SourceKind, Space, Tail
from hostkit.host.commands import Command

REASON = "only a text was given, no host"


class TextHost:
    """Answers nothing; the text itself goes to the signatures."""

    kind: SourceKind = "text"
    privileged = False

    def __init__(self, name: str = "text") -> None:
        self.name = name
        self.taken_at = time.time()

    def read(self, path: str, limit: int = READ_LIMIT) -> Answer[bytes]:
        del limit
        return Unreadable(path, REASON)

    def tail(self, path: str, limit: int) -> Answer[Tail]:
        del limit
        return Unreadable(path, REASON)

    def listdir(self, path: str) -> Answer[tuple[str, ...]]:
        return Unreadable(path, REASON)

    def stat(self, path: str, *, follow: bool = True) -> Answer[FileStat]:
        del follow
        return Unreadable(path, REASON)

    def space(self, path: str) -> Answer[Space]:
        return Unreadable(path, REASON)

    def run(self, command: Command, *args: str) -> Answer[Output]:
        return Unreadable(" ".join((*command.argv, *args)), REASON)

    def native(self, source: str) -> Answer[Any]:
        return Unreadable(source, REASON)
