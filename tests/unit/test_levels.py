# SPDX-License-Identifier: GPL-3.0-or-later
"""The level table of docs/architecture.md is the truth, and the imports obey it.

Imports inside functions count too: a cycle hidden in a function is still a cycle.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.xdist_group("levels")
ROOT = Path(__file__).resolve().parents[2]
SOURCE_ROOTS = (ROOT / "hostkit", ROOT / "drivers/hostkit_drivers", ROOT / "checks/hostkit_checks")
PACKAGES = tuple(folder.name for folder in SOURCE_ROOTS)
OWN = re.compile(r"`([^`]+)`")


class Place(NamedTuple):
    """A row of the table: its level, the modules it names, what it may import."""

    level: str
    prefixes: tuple[str, ...]
    may_import: str


class Import(NamedTuple):
    """One import of one of our own modules."""

    importer: str
    imported: str
    line: int


def places() -> tuple[Place, ...]:
    table: list[Place] = []
    for line in (ROOT / "docs/architecture.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == 4 and (cells[0].isdigit() or cells[0] == "plug-in"):
            names = (_dotted(name) for name in OWN.findall(cells[1]))
            table.append(Place(cells[0], tuple(name for name in names if name), cells[3]))
    return tuple(table)


def _dotted(path: str) -> str:
    """`checks/hostkit_checks/` -> hostkit_checks; `hostkit/host/` -> hostkit.host."""
    name = path.strip("/").removesuffix(".py").replace("/", ".")
    name = name.removeprefix("drivers.").removeprefix("checks.")
    return name if name.split(".")[0] in PACKAGES else ""


@cache
def modules() -> dict[str, Path]:
    found: dict[str, Path] = {}
    for folder in SOURCE_ROOTS:
        for path in folder.rglob("*.py"):
            parts = path.relative_to(folder.parent).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


@cache  # all files are parsed once, by the one worker that has this group of tests
def imports() -> tuple[Import, ...]:
    return tuple(_imports(modules()))


def _imports(known: dict[str, Path]) -> Iterator[Import]:
    for name, path in known.items():
        for node in ast.walk(ast.parse(path.read_text(), str(path))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [
                    f"{node.module}.{alias.name}"
                    if f"{node.module}.{alias.name}" in known
                    else node.module
                    for alias in node.names
                ]
            else:
                continue
            for imported in dict.fromkeys(names):
                if imported.split(".")[0] in PACKAGES and imported != name:
                    yield Import(name, imported, node.lineno)


def place_of(module: str, table: tuple[Place, ...]) -> Place | None:
    best: tuple[int, Place] | None = None
    for place in table:
        for prefix in place.prefixes:
            within = module == prefix or module.startswith(prefix + ".")
            if within and (best is None or len(prefix) > best[0]):
                best = (len(prefix), place)
    return best[1] if best else None


def allowed(importer: Place, imported: Place, target: str) -> bool:
    if importer == imported or "all" in importer.may_import:
        return True
    words = set(re.findall(r"[\w.]+", importer.may_import))
    names = {prefix.split(".", 1)[-1] for prefix in imported.prefixes}
    by_level = imported.level == "0" and "0" in words
    by_name = bool(names & words) or target.removeprefix("hostkit.") in words
    return by_level or by_name


def test_the_table_is_read() -> None:
    levels = {place.level for place in places()}
    assert {"0", "1", "2", "3", "4", "5", "plug-in"} <= levels


def test_every_module_has_a_level() -> None:
    table = places()
    homeless = [
        name for name in modules() if place_of(name, table) is None and name not in PACKAGES
    ]
    assert not [name for name in homeless if name != "hostkit.__main__"]


def test_imports_point_down() -> None:
    table = places()
    wrong: list[str] = []
    for one in imports():
        if one.importer == "hostkit.__main__" or one.imported in PACKAGES:
            continue
        importer, imported = place_of(one.importer, table), place_of(one.imported, table)
        if importer is None or imported is None or not allowed(importer, imported, one.imported):
            wrong.append(f"{one.importer}:{one.line} imports {one.imported}")
    assert not wrong


def test_plug_ins_do_not_import_each_other() -> None:
    wrong: list[str] = []
    for one in imports():
        mine, theirs = one.importer.split("."), one.imported.split(".")
        if mine[0] == theirs[0] and mine[0] != "hostkit" and len(theirs) > 1:
            private = theirs[1].startswith("_")  # shared by all plug-ins of the package
            if mine[1:2] != theirs[1:2] and not private:
                wrong.append(f"{one.importer}:{one.line} imports {one.imported}")
    assert not wrong


def test_signatures_import_no_facts() -> None:
    wrong = [
        f"{one.importer}:{one.line}"
        for one in imports()
        if one.importer.endswith(".signatures") and one.imported.startswith("hostkit.facts")
    ]
    assert not wrong


def test_there_is_no_import_cycle() -> None:
    edges: dict[str, set[str]] = {}
    for one in imports():
        edges.setdefault(one.importer, set()).add(one.imported)
    done: set[str] = set()
    for start in edges:
        _no_cycle(start, edges, [], done)


def _no_cycle(name: str, edges: dict[str, set[str]], path: list[str], done: set[str]) -> None:
    assert name not in path, " -> ".join([*path, name])
    if name in done:
        return
    for following in edges.get(name, ()):
        _no_cycle(following, edges, [*path, name], done)
    done.add(name)
