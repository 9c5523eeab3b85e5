# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker's daemon.json: its settings with their lines, or what is wrong with it and where."""

import codecs
import re
from typing import TYPE_CHECKING, TypeAlias

from hostkit import text
from hostkit.value import NamedTuple

if TYPE_CHECKING:
    from json import JSONDecodeError

LIMIT = 1 << 20
DEPTH_LIMIT = 32
# dockerd 23.0 and later lets a byte order mark choose the encoding.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class Table(NamedTuple):
    """A JSON object; of a name that stands twice both are kept, the last one counts."""

    items: tuple[tuple[str, "Value"], ...]

    def get(self, name: str) -> "Value":
        """The value of a name, or None."""
        return dict(self.items).get(name)


Json: TypeAlias = str | int | float | bool | list["Json"] | dict[str, "Json"] | Table | None
Value: TypeAlias = str | int | float | bool | tuple["Value", ...] | Table | None


class Setting(NamedTuple):
    """A key of the daemon's configuration; `line` counts from 1, 0 for the whole source."""

    key: str
    value: Value
    source: str
    line: int


def shown(setting: Setting) -> str:
    """A setting as evidence: its key, and its value as JSON and TOML both write it.

    >>> shown(Setting("disabled_plugins", ("cri",), "f", 1))
    'disabled_plugins = ["cri"]'
    """
    return f"{setting.key} = {_written(setting.value)}"


def _written(value: Value) -> str:
    if isinstance(value, Table):
        return "{...}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f'"{value}"' if isinstance(value, str) else str(value)


class Fault(NamedTuple):
    """Why a file is no configuration; line and column from 1, 0 when they are not known."""

    message: str
    line: int
    column: int
    excerpt: str


class DaemonJson(NamedTuple):
    """One daemon.json. With a `fault` there are no settings: dockerd does not start."""

    path: str
    settings: tuple[Setting, ...]
    duplicates: tuple[Setting, ...] = ()
    fault: Fault | None = None
    empty: bool = False


def parse_daemon_json(data: bytes, path: str) -> DaemonJson:
    r"""Parse one file as dockerd would; never raises, a fault is part of the answer.

    >>> parse_daemon_json(b'{"debug": true,\n "dns": ["10.0.0.1"]}', "f").settings[1]
    Setting(key='dns', value=('10.0.0.1',), source='f', line=2)
    >>> parse_daemon_json(b'{"debug": true,\n}', "f").fault
    Fault(message='a comma before the closing }', line=2, column=1, excerpt='}')
    """
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        content = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        excerpt = text.decode(data).splitlines()[line - 1] if data else ""
        return _faulty(path, Fault(f"it is not {encoding}", line, column, excerpt))
    if not content.strip():
        return DaemonJson(path, (), empty=True)
    import json  # noqa: PLC0415 - 3 ms that a host without this file need not pay

    fault = _too_deep(content)
    if fault is not None:
        return _faulty(path, fault)
    try:
        value: Json = json.loads(content, object_pairs_hook=_table, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        return _faulty(path, _explained(content, error))
    except (ValueError, RecursionError) as error:  # NaN; digits without end
        return _faulty(path, Fault(str(error), 0, 0, ""))
    frozen = freeze(value)
    if not isinstance(frozen, Table):
        return _faulty(path, Fault("it is not a JSON object {...}", 1, 1, _line(content, 1)))
    lines = iter(_key_lines(content))
    settings = tuple(Setting(key, one, path, next(lines, 0)) for key, one in frozen.items)
    last = {setting.key: setting for setting in settings}
    kept = tuple(setting for setting in settings if last[setting.key] is setting)
    lost = tuple(setting for setting in settings if last[setting.key] is not setting)
    return DaemonJson(path, kept, lost)


def _faulty(path: str, fault: Fault) -> DaemonJson:
    return DaemonJson(path, (), fault=fault)


def _table(pairs: list[tuple[str, Json]]) -> Table:
    return Table(tuple((name, freeze(value)) for name, value in pairs))


def freeze(value: Json) -> Value:
    """What a JSON or TOML parser returned, as a value that cannot change."""
    if isinstance(value, list):
        return tuple(freeze(one) for one in value)
    if isinstance(value, dict):
        return Table(tuple((name, freeze(one)) for name, one in value.items()))
    return value


def _no_constant(name: str) -> Value:
    raise ValueError(f"{name} is not JSON")


# A string that is not closed is taken to the end of its line: no text is looked at twice.
_LEXEME = r'"(?:[^"\\\n]|\\.)*+"?|[{}\[\]:,]|\n'


def _too_deep(content: str) -> Fault | None:
    """The place where the nesting passes the limit, found before the parser recurses."""
    depth, line = 0, 1
    for match in re.finditer(_LEXEME, content):
        mark = match[0]
        if mark == "\n":
            line += 1
        elif mark in "{[":
            depth += 1
            if depth > DEPTH_LIMIT:
                return Fault(f"nested deeper than {DEPTH_LIMIT}", line, 0, _line(content, line))
        elif mark in "}]":
            depth -= 1
    return None


def _key_lines(content: str) -> list[int]:
    """The line of each key of the outermost object, in order."""
    lines: list[int] = []
    depth, line = 0, 1
    at_key = False
    for match in re.finditer(_LEXEME, content):
        mark = match[0]
        if mark == "\n":
            line += 1
        elif mark in "{[":
            depth += 1
            at_key = depth == 1
        elif mark in "}]":
            depth -= 1
        elif mark == ",":
            at_key = depth == 1
        elif mark[0] == '"' and at_key:
            lines.append(line)
            at_key = False
    return lines


def _explained(content: str, error: "JSONDecodeError") -> Fault:
    """Say what people mistype in the words of a person."""
    before = content[: error.pos].rstrip()
    rest = content[error.pos :].lstrip()
    line, column, message = error.lineno, error.colno, error.msg
    if before.endswith(",") and rest[:1] in ("}", "]"):
        message = f"a comma before the closing {rest[0]}"
        at = len(content) - len(rest)
        line = content.count("\n", 0, at) + 1
        column = at - content.rfind("\n", 0, at)
    elif rest[:1] in ("“", "”", "‘", "’", "'"):  # noqa: RUF001 - the very characters people paste
        message = 'a quote that is not the plain "'
    elif rest.startswith(("//", "#", "/*")):
        message = "a comment; JSON has none"
    elif error.msg.startswith("Expecting ',' delimiter") and rest[:1] == '"':
        message = "a comma is missing before this"
    elif error.msg.startswith("Extra data"):
        message = "there is more after the closing }"
    elif not rest:
        message = "the file ends too early: a bracket, brace or quote is not closed"
    return Fault(message, line, column, _line(content, line))


def _line(content: str, number: int) -> str:
    lines = content.splitlines()
    chosen = lines[number - 1] if 0 < number <= len(lines) else ""
    return text.shorten(text.printable(chosen.strip()), 120)
