# SPDX-License-Identifier: GPL-3.0-or-later
"""`--ignore-file`: read it, and say what of it no longer holds."""

import os
import time
from collections.abc import Callable, Container, Iterable
from typing import TypeAlias

from hostkit import files, text
from hostkit.diagnosis.waiver import Waiver, parse_waivers
from hostkit.errors import InputError
from hostkit.value import NamedTuple

DEFAULT = "/etc/hostkit/ignore.toml"
Notes: TypeAlias = tuple[str, ...]


class Entries(NamedTuple):
    """What a file says; `fault`: why the default one cannot be used."""

    path: str = ""
    waivers: tuple[Waiver, ...] = ()
    fault: str = ""


def read(path: str) -> Entries:
    """The entries of a file, or of the default one if it is there.

    A fault in a file that was named is an InputError. One in the default file must not keep
    anybody from a diagnosis: nothing is ignored then, and that is said.
    """
    named = path or DEFAULT
    if not path and not os.path.lexists(DEFAULT):
        return Entries()
    try:
        data, more = files.read_bounded(named)
        if more:
            raise ValueError(f"larger than {files.READ_LIMIT} bytes")
        return Entries(named, parse_waivers(text.decode(data)))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        fault = f"{text.printable(named)} cannot be used: {text.printable(str(reason))}"
        if path:
            raise InputError(fault) from error
        return Entries(named, fault=f"{fault}; nothing is ignored")


def holding(entries: Entries, host: str, *, live: bool) -> tuple[tuple[Waiver, ...], Notes]:
    """The entries that hold for a host today, and what is to be said of the others.

    The default file is about the machine that it lies on, not about another's texts.
    """
    if not live and entries.path == DEFAULT:
        return (), ()
    today = time.strftime("%Y-%m-%d")
    here = [one for one in entries.waivers if one.covers(host)]
    expired = [
        f"{entries.path}: the entry for {one.name} expired on {one.expires} and is no longer "
        f"applied ({one.reason})"
        for one in here
        if one.expired(today)
    ]
    notes = (entries.fault, *expired) if entries.fault else tuple(expired)
    return tuple(one for one in here if not one.expired(today)), notes


def strangers(
    waivers: Iterable[Waiver], problems: Container[str], checks: Callable[[], Iterable[str]]
) -> Notes:
    """A note for each entry that names nothing that there is."""
    lost = [one.name for one in waivers if one.problem and one.problem not in problems]
    named = [one.check for one in waivers if one.check]
    if named:
        lost += sorted(set(named).difference(checks()))
    return tuple(f"the ignore file names {name}, which hostkit does not know" for name in lost)
