# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan: the steps of one run, in order, and how they are written down."""

import re
import secrets
import time
from collections.abc import Sequence
from typing import Generic

from hostkit.errors import InputError
from hostkit.plan.codec import Json, from_json
from hostkit.plan.step import Kinds, M, Step
from hostkit.text import printable
from hostkit.value import NamedTuple

_RUN_ID = r"[0-9]{8}T[0-9]{6}-[0-9a-f]{4}"


class Plan(NamedTuple, Generic[M]):
    """What one run does. `id` names the run; `created` is UTC, 2026-11-21T02:28:14Z."""

    id: str
    title: str
    steps: tuple[Step[M], ...]
    created: str


def new_plan(title: str, steps: Sequence[Step[M]]) -> Plan[M]:
    """A plan with a run id of its own, which sorts by time."""
    now = time.gmtime()
    run = f"{time.strftime('%Y%m%dT%H%M%S', now)}-{secrets.token_hex(2)}"
    return Plan(run, title, tuple(steps), time.strftime("%Y-%m-%dT%H:%M:%SZ", now))


def is_run_id(word: str) -> bool:
    """Whether a word can name a run, and so a file in the folder of journals.

    >>> is_run_id("20261121T022814-3f9c"), is_run_id("../etc/passwd")
    (True, False)
    """
    return re.fullmatch(_RUN_ID, word) is not None


def read_step(data: Json, kinds: Kinds[M]) -> Step[M]:
    """A step from the journal. Raises InputError for one that this version does not know."""
    try:
        name = data["kind"], data["version"]
        if name not in kinds:
            shown = printable(" ".join(map(str, name)))
            raise InputError(
                f"this hostkit does not know a step of the run: {shown}",
                "use the version of hostkit that made the run",
            )
        return from_json(kinds[name], data)
    except (ValueError, TypeError, LookupError) as error:
        raise InputError(f"a step of the run is not well formed: {printable(str(error))}") from None
