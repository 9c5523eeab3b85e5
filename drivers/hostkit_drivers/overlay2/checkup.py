# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong in a home of overlay2, and how it is mended.

A power cut leaves short names empty or leading nowhere (moby issues 35747 and 42456). All of
them follow from the layers and their parents, so they can be made anew.
"""

import base64
import os
from collections.abc import Iterator, Mapping, Sequence

from hostkit.storage import untouched
from hostkit.storage.driver import Issue
from hostkit.storage.errors import Damaged, StorageError
from hostkit.storage.home import Record
from hostkit.system.tree import remove_tree
from hostkit_drivers.overlay2.links import Links, is_short

PREFIX = "overlay2-"
_LINK = f"{PREFIX}link-broken"
_LOWER = f"{PREFIX}lower-broken"
_STRAY = f"{PREFIX}link-stray"
_MISSING = f"{PREFIX}diff-missing"
_REST = f"{PREFIX}folder-without-layer"
# What a folder holds besides the files of its layer.
_PARTS = frozenset(("link", "lower", "work", "merged", "committed"))
_POINTERS = ("overlay.redirect", "overlay.metacopy")


def check(links: Links, records: Sequence[Record]) -> Iterator[Issue]:
    """Everything that is wrong with the names; changes nothing."""
    known = {record.id: record for record in records}
    for record in records:
        if not os.path.isdir(links.diff(record.id)):
            yield Issue(_MISSING, record.id, f"{links.diff(record.id)} is not there")
            continue
        yield from _names_of(links, record, known)
    for short in links.strays():
        if is_short(short) and not any(_key(record) == short for record in records):
            yield Issue(_STRAY, short, f"l/{short} is of no layer", "remove it")
    for name in links.folders():
        if name not in known and not links.is_layer(name):
            names = set(untouched.names(links.folder(name)))
            text = f"{links.folder(name)} has no files of a layer"
            yield Issue(_REST, name, text, "remove it" if names <= _PARTS else "")


def _names_of(links: Links, record: Record, known: Mapping[str, Record]) -> Iterator[Issue]:
    try:
        short = links.short(record.id)
    except (OSError, Damaged) as problem:
        yield Issue(_LINK, record.id, str(problem), "make its short name anew")
    else:
        if _key(record) not in ("", short):
            text = f"its short name is {short}, its record says {_key(record)}"
            yield Issue(_LINK, record.id, text, "make its short name anew")
        elif not links.is_linked(record.id, short):
            text = f"l/{short} does not lead to it"
            yield Issue(_LINK, record.id, text, "make its short name anew")
    try:
        lower = links.lower(record.id)
        owners = [links.owner(name) for name in lower]
    except (OSError, Damaged) as problem:
        yield _lower_issue(record, str(problem), known)
        return
    if None in owners:
        text = f"{lower[owners.index(None)]} of the layers below it leads nowhere"
        yield _lower_issue(record, text, known)
    elif record.parent is not None and owners[:1] != [record.parent]:
        yield _lower_issue(record, f"its parent is {record.parent}, its file says otherwise", known)


def _lower_issue(record: Record, text: str, known: Mapping[str, Record]) -> Issue:
    if record.parent is None or record.parent not in known:
        return Issue(_LOWER, record.id, f"{text}; which layers are below is not known")
    return Issue(_LOWER, record.id, text, "write it anew from its parents")


def repair(links: Links, issue: Issue, known: Mapping[str, Record]) -> None:
    """Do what the issue's `repair` says; called while the store is locked."""
    if not issue.repair:
        raise StorageError(f"{issue.subject}: {issue.text}", "this cannot be mended by itself")
    if issue.code == _STRAY:
        links.unlink(issue.subject)
    elif issue.code == _REST:
        remove_tree(links.folder(issue.subject))
    elif issue.code == _LINK:
        _relink(links, known[issue.subject], known)
    elif issue.code == _LOWER:
        _write_lower(links, issue.subject, known)


def _relink(links: Links, record: Record, known: Mapping[str, Record]) -> None:
    """A short name: the record's, or the one that l/ has for the layer, or a new one.

    With a new one, the files of all layers above are written anew.
    """
    short = _key(record) or _short_or_none(links, record.id) or _leading_to(links, record.id)
    if short:
        links.remake(record.id, short)
        return
    links.remake(record.id, base64.b32encode(os.urandom(16)).decode().rstrip("="))
    for other in known:
        if record.id in _chain(other, known)[1:]:
            _write_lower(links, other, known)


def _short_or_none(links: Links, layer: str) -> str:
    try:
        return links.short(layer)
    except (OSError, Damaged):
        return ""


def _leading_to(links: Links, layer: str) -> str:
    """The short name whose link leads to a layer that has lost it."""
    return next((short for short in links.strays() if links.is_linked(layer, short)), "")


def _write_lower(links: Links, layer: str, known: Mapping[str, Record]) -> None:
    below = [f"l/{_key(known[one]) or links.short(one)}" for one in _chain(layer, known)[1:]]
    if below:
        links.put_lower(layer, below)


def _chain(layer: str, known: Mapping[str, Record]) -> list[str]:
    """A layer and those below it."""
    found: list[str] = []
    at: str | None = layer
    while at is not None and at not in found:
        if at not in known:
            raise StorageError(f"layer {layer} stands on {at}, which is not there")
        found.append(at)
        at = known[at].parent
    return found


def _key(record: Record) -> str:
    return record.key.partition(" ")[0]


# What other engines' mounts put into an upper folder.


def pointer_in(upper: str) -> str:
    """The name of an attribute that says that content lies in a layer below, "" for none."""
    pending = [upper]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                folder = entry.is_dir(follow_symlinks=False)
                if folder or entry.is_file(follow_symlinks=False):
                    for name in os.listxattr(entry.path, follow_symlinks=False):
                        if name.partition(".")[2] in _POINTERS:
                            return name
                if folder:
                    pending.append(entry.path)
    return ""


def following(options: tuple[str, ...]) -> tuple[str, ...]:
    """Mount options for a layer that is read and may have such pointers."""
    replaced = {"metacopy=off": "metacopy=on", "redirect_dir=off": "redirect_dir=follow"}
    return tuple(replaced.get(option, option) for option in options)
