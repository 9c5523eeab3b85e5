# SPDX-License-Identifier: GPL-3.0-or-later
"""One problem of the catalogue, for a person."""

from collections.abc import Iterator

from hostkit import text
from hostkit.diagnosis.problem import FAMILIES, Problem, Remedy
from hostkit.report.style import FAMILY_WORDS, Style, command_lines, hang

_LABEL = 11


def render(
    problem: Problem,
    family: str,
    fixable: frozenset[str],
    style: Style,
    program: str = "hostkit",
) -> str:
    """What it is, what it does, what it is not, how to see it and how to mend it."""
    fix = f"{program} fix {problem.code} --dry-run"
    lines = _title(problem, style)
    parts = [
        lines,
        _field("harm", problem.harm, style),
        list(_body(problem.explanation, style.width)),
        [line for one in problem.mistaken_for for line in _field("not", one, style)],
        _commands("confirm", problem.confirm, style),
        *(
            _remedy(remedy, family, fix if remedy.action in fixable else "", style)
            for remedy in problem.remedies
        ),
        [
            line
            for bad in problem.harmful
            for line in _field("do not", f"{bad.advice}, because {bad.why}", style)
        ],
        _field("leads to", ", ".join(problem.causes), style),
        [line for source in problem.sources for line in _field("source", source, style)],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _title(problem: Problem, style: Style) -> list[str]:
    lines = hang("", f"{problem.code} | {problem.area} | {problem.title}", style.width)
    return [style.paint("bold", line) for line in lines]


def _field(label: str, words: str, style: Style) -> list[str]:
    return hang(f"{label:<{_LABEL}}", words, style.width) if words else []


def _commands(label: str, commands: tuple[str, ...], style: Style) -> list[str]:
    lines = [line for one in commands for line in command_lines(one, style.width, _LABEL)]
    return [f"{label:<{_LABEL}}{lines[0].lstrip()}", *lines[1:]] if lines else []


def _remedy(remedy: Remedy, family: str, fix: str, style: Style) -> list[str]:
    lines = _field("fix", remedy.summary, style)
    for name, value in (
        ("risk", remedy.risk),
        ("interrupts", remedy.interrupts),
        ("undo", remedy.undo_for({})),
    ):
        lines += hang(f"{name}: ", value, style.width, indent=_LABEL) if value else []
    if fix:
        lines += command_lines(fix, style.width, _LABEL)
    mine = remedy.commands_for(family, {})
    named = sorted(remedy.commands, key=lambda name: (name != family, FAMILIES.index(name)))
    for name in named:
        commands = remedy.commands_for(name, {})
        if name != "any" or commands != mine or len(named) > 1:
            lines.append(f"{'':<{_LABEL}}{FAMILY_WORDS.get(name, name)}:")
        for command in commands:
            lines += command_lines(command, style.width, _LABEL + 2)
    return lines


def _body(markdown: str, cells: int) -> Iterator[str]:
    """Paragraphs wrapped; lists item by item; code as it stands."""
    gap = False
    for paragraph in markdown.split("\n\n"):
        if not paragraph.strip():
            continue
        if gap:
            yield ""
        gap = True
        lines = paragraph.strip("\n").split("\n")
        if lines[0].startswith(("    ", "```", "|")):
            yield from (text.printable(line) for line in lines if not line.startswith("```"))
        else:
            for item in _items(lines):
                label = item[:2] if item.startswith(("- ", "* ")) else ""
                yield from hang(label, item[len(label) :], cells)


def _items(lines: list[str]) -> list[str]:
    """A paragraph as one string, a list as one string an item."""
    items: list[str] = []
    for line in lines:
        if items and not line.startswith(("- ", "* ")):
            items[-1] += f" {line.strip()}"
        else:
            items.append(line)
    return items
