# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the catalogues of translations: `python -m contrib.translations` after every change.

It writes each hostkit/locale/LANGUAGE/LC_MESSAGES/hostkit.po anew, with what is there to be
translated now, and compiles it. The English text is the msgid, so that an outdated translation is
never shown; where the English of a place has changed, its translation is kept as fuzzy.
"""

import ast
import os
import re
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping
from glob import glob

from hostkit import plugins
from hostkit.cli import doctor, main
from hostkit.cli.language import DOMAIN, FOLDER
from hostkit.diagnosis.advise import Verdict
from hostkit.diagnosis.finding import Certainty, Severity
from hostkit.diagnosis.problem import Problem
from hostkit.report.areas import Status
from hostkit.report.explain import prose
from hostkit.report.style import FAMILY_WORDS
from hostkit.report.text import REMEDY_LABELS
from hostkit.value import NamedTuple

SOURCES = os.path.dirname(FOLDER)
WORDS = "word"  # the place of what stands in every report
MESSAGES = "message"
# Functions whose literal argument is shown to a person, which argument, and its place.
KEYWORDS = {
    "say": ((0,), WORDS),
    "translated": ((0,), WORDS),
    "_field": ((0,), WORDS),
    "_commands": ((0,), WORDS),
    "InputError": ((0, 1), MESSAGES),
}
IDENTITY = ("a text alone, no host was asked", "no engine", "engine unknown")
_MAGIC = 0x950412DE


class Entry(NamedTuple):
    """One text; `places` are where it is said. Only a translation that is not fuzzy counts."""

    msgid: str
    msgstr: str = ""
    places: tuple[str, ...] = ()
    fuzzy: bool = False


def texts() -> dict[str, tuple[str, ...]]:
    """Everything to be translated, with its places, in the order of the file."""
    found: dict[str, list[str]] = {}
    catalogue = plugins.load((plugins.CHECKS_GROUP,)).catalogue()
    spoken = [*((words, WORDS) for words in _words()), *_said()]
    for code in catalogue.codes():
        spoken += (
            (words, f"{code} {field}") for field, words in problem_texts(catalogue.get(code))
        )
    for words, place in spoken:
        if words and place not in found.setdefault(words, []):
            found[words].append(place)
    return {words: tuple(places) for words, places in found.items()}


def problem_texts(problem: Problem) -> Iterator[tuple[str, str]]:
    """The field and the words of each text of a problem that a person reads."""
    yield "title", problem.title
    yield "harm", problem.harm
    yield from ((f"mistaken {at}", words) for at, words in enumerate(problem.mistaken_for, 1))
    for at, remedy in enumerate(problem.remedies, 1):
        for field in ("summary", "risk", "interrupts", "undo"):
            yield f"{field} {at}", getattr(remedy, field)
    for at, bad in enumerate(problem.harmful, 1):
        yield from ((f"advice {at}", bad.advice), (f"why {at}", bad.why))
    yield from ((f"text {at}", words) for at, words in enumerate(prose(problem.explanation), 1))


def _words() -> Iterator[str]:
    for kind in (Severity, Certainty, Status, Verdict):
        yield from (one.value for one in kind)
    yield from (*REMEDY_LABELS, *FAMILY_WORDS.values(), *IDENTITY)
    yield from (doctor.OTHER_MACHINE, doctor.NO_ENGINE, doctor.NOT_RECOGNISED, doctor.NOT_READ)
    yield main.HELP
    yield from (summary for _, summary in main.COMMANDS.values())


def _said() -> Iterator[tuple[str, str]]:
    for path in sorted(glob(f"{SOURCES}/cli/*.py") + glob(f"{SOURCES}/report/*.py")):
        with open(path, encoding="utf-8") as source:
            yield from _literals(ast.parse(source.read()))


def _literals(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        given = [a.value if isinstance(a, ast.Constant) else None for a in node.args]
        if name == "counted" and len(given) > 1 and isinstance(given[1], str):
            yield from (("{number} " + noun, WORDS) for noun in (given[1], given[1] + "s"))
        positions, place = KEYWORDS.get(name, ((), ""))
        for at in positions:
            if at < len(given) and isinstance(said := given[at], str):
                yield said, place


def read(path: str) -> list[Entry]:
    """The entries of a .po file, its head first."""
    entries: list[Entry] = []
    with open(path, encoding="utf-8") as source:
        for block in source.read().split("\n\n"):
            values = {"msgid": "", "msgstr": ""}
            places: list[str] = []
            fuzzy, name = False, ""
            for line in block.splitlines():
                if line.startswith("#"):
                    places += [line[3:]] if line.startswith("#. ") else []
                    fuzzy |= line.startswith("#,") and "fuzzy" in line
                    continue
                name = line.partition(" ")[0] if line.startswith("msg") else name
                values[name] += ast.literal_eval(line[line.index('"') :])
            if name:
                entries.append(Entry(values["msgid"], values["msgstr"], tuple(places), fuzzy))
    return entries


def write(entries: Iterable[Entry]) -> str:
    """The text of a .po file."""
    blocks: list[str] = []
    for one in entries:
        lines = [f"#. {place}" for place in one.places]
        lines += ["#, fuzzy"] if one.fuzzy else []
        lines += [f"msgid {_quoted(one.msgid)}", f"msgstr {_quoted(one.msgstr)}"]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def _quoted(words: str) -> str:
    escaped = words.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    lines = re.findall(r".*?\\n|.+", escaped)
    if len(lines) < 2:  # noqa: PLR2004 - a line and another
        return f'"{escaped}"'
    return "\n".join(('""', *(f'"{line}"' for line in lines)))


def updated(old: Iterable[Entry], now: Mapping[str, tuple[str, ...]]) -> list[Entry]:
    """The entries for the texts of now; a changed one keeps the old translation as fuzzy."""
    head, *before = old
    by_text = {one.msgid: one for one in before}
    by_place = {place: one for one in before for place in one.places if " " in place}
    entries = [head]
    for words, places in now.items():
        known = by_text.get(words)
        if known is None:
            outdated = next((by_place[place] for place in places if place in by_place), None)
            stale = outdated is not None and bool(outdated.msgstr) and outdated.msgid not in now
            msgstr = outdated.msgstr if outdated and stale else ""
            entries.append(Entry(words, msgstr, places, fuzzy=stale))
        else:
            entries.append(known._replace(places=places))
    return entries


def compiled(entries: Iterable[Entry]) -> bytes:
    """The .mo file: sorted texts and their translations (the GNU gettext manual describes it)."""
    said = {one.msgid: one.msgstr for one in entries if one.msgstr and not one.fuzzy}
    ids = [words.encode() for words in sorted(said, key=str.encode)]
    values = [said[words.decode()].encode() for words in ids]
    tables = 7 * 4
    offset = tables + 16 * len(ids)
    index, data = b"", b""
    for words in (*ids, *values):
        index += struct.pack("<II", len(words), offset + len(data))
        data += words + b"\0"
    head = struct.pack("<7I", _MAGIC, 0, len(ids), tables, tables + 8 * len(ids), 0, 0)
    return head + index + data


def run() -> int:
    """Bring every language up to date, and say what is left to do."""
    now = texts()
    for path in sorted(glob(f"{FOLDER}/*/LC_MESSAGES/{DOMAIN}.po")):
        entries = updated(read(path), now)
        with open(path, "w", encoding="utf-8") as source:
            source.write(write(entries))
        with open(path.removesuffix("po") + "mo", "wb") as binary:
            binary.write(compiled(entries))
        fuzzy = sum(one.fuzzy for one in entries)
        open_ = sum(not one.msgstr for one in entries)
        sys.stdout.write(f"{path}: {len(entries)} texts, {fuzzy} fuzzy, {open_} not translated\n")
    return 0


if __name__ == "__main__":
    sys.exit(run())
