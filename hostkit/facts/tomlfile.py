# SPDX-License-Identifier: GPL-3.0-or-later
"""TOML files of engines: each key with its line, or what is wrong with a file and where."""

import re
from collections.abc import Iterator
from typing import TypeAlias

from hostkit import text
from hostkit.data import TOML_LEXEME, load_toml
from hostkit.facts.daemonjson import Fault, Setting, Table, Value, freeze
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.host.base import Host
from hostkit.value import NamedTuple

LIMIT = 1 << 18
FILES_LIMIT = 64  # that one configuration is made of
_SHOWN = 120

Path: TypeAlias = tuple[str, ...]


class TomlFile(NamedTuple):
    """One file, its keys without the tables that hold them. With a `fault` there are none."""

    path: str
    settings: tuple[Setting, ...]
    fault: Fault | None = None
    content: str = ""

    def line_of(self, word: str, after: int) -> int:
        """Where a word first stands from that line on; the line itself when it never does."""
        rest = self.content.split("\n")[after - 1 :] if word and after > 0 else ()
        return next((after + n for n, one in enumerate(rest) if word in one), after)


class Flaw(NamedTuple):
    """A file that an engine refuses, and with it all of its configuration."""

    path: str
    fault: Fault


class Layers(NamedTuple):
    """What several files say together; `files` are those that count, in their order.

    With a flaw or an unreadable file the settings are not what an engine would use.
    """

    settings: tuple[Setting, ...]
    files: tuple[str, ...]
    flaws: tuple[Flaw, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()

    def get(self, *names: str) -> Setting | None:
        """The key under these names of tables, when it is configured; the default is not."""
        key = dotted(names)
        return next((one for one in self.settings if one.key == key), None)

    def text(self, *names: str) -> Setting | None:
        """A key that holds one word that is not empty."""
        setting = self.get(*names)
        return setting if setting and isinstance(setting.value, str) and setting.value else None

    def under(self, *names: str) -> tuple[Setting, ...]:
        """All keys in and below a table."""
        head = dotted(names) + "."
        return tuple(one for one in self.settings if one.key.startswith(head))


def dotted(names: Path) -> str:
    """The names of a key as TOML writes them.

    >>> dotted(("plugins", "io.containerd.grpc.v1.cri", "sandbox_image"))
    'plugins."io.containerd.grpc.v1.cri".sandbox_image'
    """
    return ".".join(name if re.fullmatch(_BARE, name) else f'"{name}"' for name in names)


def parse_toml(data: bytes, path: str) -> TomlFile:
    r"""Parse one file; never raises, a fault is part of the answer.

    >>> parse_toml(b'[storage]\ndriver = "overlay"\n', "f").settings
    (Setting(key='storage.driver', value='overlay', source='f', line=2),)
    >>> parse_toml(b'[storage]\ndriver = overlay\n', "f").fault
    Fault(message='Invalid value', line=2, column=10, excerpt='driver = overlay')
    """
    try:
        content = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return _faulty(path, "it is not UTF-8", text.decode(data), line)
    content = content.replace("\r\n", "\n")
    if not re.search(_CONTENT, content):
        return TomlFile(path, ())  # comments alone: the packaged file of most hosts
    try:
        leaves = tuple(_leaves((), freeze(load_toml(content))))
    except ValueError as error:
        return _explained(path, content, error)
    except RecursionError:
        return _faulty(path, "nested too deep", content, 0)
    lines = _key_lines(content)
    settings = tuple(
        Setting(dotted(names), value, path, _line_of(names, lines)) for names, value in leaves
    )
    return TomlFile(path, settings, None, content)


def _leaves(above: Path, value: Value) -> Iterator[tuple[Path, Value]]:
    if not isinstance(value, Table):
        yield above, value
        return
    for name, one in value.items:
        yield from _leaves((*above, name), one)


def _line_of(names: Path, lines: dict[Path, int]) -> int:
    """Of the key itself, else of the inline table or the list of tables that it stands in."""
    for length in range(len(names), 0, -1):
        if names[:length] in lines:
            return lines[names[:length]]
    return 0


def _explained(path: str, content: str, error: ValueError) -> TomlFile:
    match = re.fullmatch(_WHERE, str(error), re.DOTALL)
    message = text.shorten(text.printable(match[1] if match else str(error)), _SHOWN)
    if match is None:  # a date that is none, digits without end: they are told without a place
        return _faulty(path, message, content, 0)
    if not match[2]:
        return _faulty(path, message, content, content.rstrip("\n").count("\n") + 1)
    return _faulty(path, message, content, int(match[2]), int(match[3]))


def _faulty(path: str, message: str, content: str, line: int, column: int = 0) -> TomlFile:
    lines = content.split("\n")
    chosen = lines[line - 1] if 0 < line <= len(lines) else ""
    excerpt = text.shorten(text.printable(chosen.strip()), _SHOWN)
    return TomlFile(path, (), Fault(message, line, column, excerpt))


_WHERE = r"(.*?) \(at (?:line (\d+), column (\d+)|end of document)\)"
_CONTENT = r"(?m)^[ \t]*[^#\s]"
_BARE = r"[A-Za-z0-9_-]+"


def _key_lines(content: str) -> dict[Path, int]:
    """The line of each key and each table header; of one that stands twice the first."""
    scan = _Scan()
    for match in re.finditer(TOML_LEXEME, content):
        scan.take(match[0])
    return scan.lines


class _Scan:
    """Where keys stand."""

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self.line = 1
        self._depth = 0  # of the brackets of a value
        self._table: Path = ()
        self._names: list[str] = []
        self._in_value = False

    def take(self, mark: str) -> None:
        if mark == "\n":
            self._end_line()
            return
        if self._in_value:
            self._depth = max(0, self._depth + (mark in "{[") - (mark in "}]"))
        elif mark == "]":
            self._table = tuple(self._names)
            self.lines.setdefault(self._table, self.line)
        elif mark == "=":
            self.lines.setdefault((*self._table, *self._names), self.line)
            self._in_value = True
        elif mark[0] not in "[#.,{}":
            self._names.append(_name(mark))
        self.line += mark.count("\n")

    def _end_line(self) -> None:
        self.line += 1
        if not self._depth:
            self._names, self._in_value = [], False


def _name(mark: str) -> str:
    """A part of a key without its quotes."""
    return mark[1:-1] if mark[0] in "\"'" else mark


class TomlFiles:
    """The files of one configuration, each read and parsed at most once."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._read: dict[str, Answer[TomlFile]] = {}

    def get(self, path: str) -> Answer[TomlFile]:
        """What one file says."""
        if path not in self._read:
            answer = self.host.read(path, LIMIT)
            if isinstance(answer, Known):
                self._read[path] = Known(parse_toml(answer.value, path), path)
            else:
                self._read[path] = answer
        return self._read[path]


def refused(path: str, fault: Fault) -> Unreadable:
    """A file that its reader refuses, as an answer."""
    where = f"line {fault.line}: " if fault.line else ""
    return Unreadable(path, f"{where}{fault.message}")


def whole(answer: Answer[Layers]) -> Answer[Layers]:
    """The configuration when all of it was understood: what an engine would use."""
    if not isinstance(answer, Known):
        return answer
    layers: Layers = answer.value  # named: mypy loses the type of a generic tuple's field
    if layers.unreadable:
        return layers.unreadable[0]
    for path, fault in layers.flaws:
        return refused(path, fault)
    return answer if layers.files else Absent(answer.source)
