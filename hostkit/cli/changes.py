# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands that change a machine share: asking first, and telling what is done."""

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from hostkit import text
from hostkit.cli.common import Output
from hostkit.cli.streams import discard_output
from hostkit.errors import Refused
from hostkit.report.jsonout import dump
from hostkit.report.style import hang

if TYPE_CHECKING:
    from hostkit.plan.engine import Engine
    from hostkit.plan.journal import Journals
    from hostkit.plan.step import Step
    from hostkit.system.machine import Machine

DEFAULT_ROOT = "/var/lib/hostkit"


def journals(root: str) -> "Journals":
    """The journals under `root`, else under $HOSTKIT_ROOT, else where the system keeps state."""
    from hostkit.plan.journal import Journals  # images and storage keep none, and need not wait

    named = root or os.environ.get("HOSTKIT_ROOT")  # which sudo does not hand on
    return Journals(named or DEFAULT_ROOT, usual=not named)


def engine(kept: "Journals", *, quiet: bool) -> "Engine[Machine]":
    """The engine for the machine we run on; `quiet` sends its lines to standard error."""
    from hostkit.plan.engine import Engine  # as above
    from hostkit.repair.registry import STEP_KINDS
    from hostkit.system.machine import Machine

    return Engine(Machine(), STEP_KINDS, kept, complain if quiet else say)


def say(line: str) -> None:
    """Print one line; a reader that has gone must not stop a change half way."""
    _print(line, to_error=False)


def say_json(data: object) -> None:
    """Print one JSON object."""
    say(dump(data).rstrip("\n"))


def complain(line: str) -> None:
    """Print one line to standard error."""
    _print(line, to_error=True)


def _print(line: str, *, to_error: bool) -> None:
    try:
        shown = "\n".join(map(text.printable, line.split("\n")))
        print(shown, file=sys.stderr if to_error else sys.stdout, flush=True)
    except OSError:
        discard_output(sys.stderr if to_error else sys.stdout)


def wrapped(words: str, label: str = "") -> str:
    """One sentence, as wide as the terminal."""
    return "\n".join(hang(label, words, Output().style().width))


def listed(sentences: Iterable[str]) -> list[str]:
    """Numbered sentences."""
    return [wrapped(words, f"  {number}. ") for number, words in enumerate(sentences, 1)]


def preview(steps: "Sequence[Step[Machine]]") -> str:
    """The steps, each with its diff."""
    lines: list[str] = []
    for what, step in zip(listed(step.describe() for step in steps), steps, strict=True):
        lines.append(what)
        lines.extend(f"       {line}" for line in step.diff().splitlines())
    return "\n".join(lines)


def step_data(steps: "Iterable[Step[Machine]]") -> list[dict[str, str]]:
    """The steps as JSON shows them."""
    return [{"kind": one.kind, "description": one.describe(), "diff": one.diff()} for one in steps]


def is_root() -> bool:
    """Whether we may change this machine."""
    return os.geteuid() == 0


def confirm(question: str, *, yes: bool) -> None:
    """Ask on the terminal; raise Refused for anything but yes."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Refused("nobody is there to ask: standard input is no terminal", "add --yes")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Refused("not confirmed; nothing was changed")
