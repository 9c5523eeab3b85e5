# SPDX-License-Identifier: GPL-3.0-or-later
"""The corpus: messages with the problem they point to, and outputs that point to none.

messages/AREA.toml holds a table for each message, named by its problem:

    [[oom-killed]]
    from = "where the fixed part of the words stands: repository, file, versions"
    accept = ["other problems that a careful reader may name first"]
    unseen = true   # held out: no signature may be written after looking at it
    text = '''...'''

The fixed words are those of the software; hosts, ids, versions and paths are invented.
healthy/*.txt are separated by lines of "=== what it is".
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
SEPARATOR = "=== "


class Message(NamedTuple):
    """One text, the code that should come first, and others that may."""

    name: str
    area: str
    code: str
    accept: tuple[str, ...]
    text: str
    origin: str
    unseen: bool = False

    @property
    def right(self) -> tuple[str, ...]:
        """All the codes that may come first."""
        return (self.code, *self.accept)


class Healthy(NamedTuple):
    """One text of which nothing may be said."""

    name: str
    text: str


def messages() -> tuple[Message, ...]:
    """Every message of the corpus, named by its code and its number among those of the code."""
    return tuple(
        message for path in sorted(HERE.glob("messages/*.toml")) for message in _messages(path)
    )


def _messages(path: Path) -> Iterator[Message]:
    for code, entries in tomllib.loads(path.read_text(encoding="utf-8")).items():
        for number, entry in enumerate(entries, 1):
            yield Message(
                name=f"{path.stem}: {code}#{number}",
                area=path.stem,
                code=code,
                accept=tuple(entry.get("accept", ())),
                text=entry["text"],
                origin=entry["from"],
                unseen=entry.get("unseen", False),
            )


def healthy() -> tuple[Healthy, ...]:
    """Every text of the corpus that should raise no alarm."""
    return tuple(one for path in sorted(HERE.glob("healthy/*.txt")) for one in _healthy(path))


def _healthy(path: Path) -> Iterator[Healthy]:
    for part in ("\n" + path.read_text(encoding="utf-8")).split("\n" + SEPARATOR)[1:]:
        title, _, text = part.partition("\n")
        yield Healthy(f"{path.stem}: {title.strip()}", text.rstrip("\n") + "\n")
