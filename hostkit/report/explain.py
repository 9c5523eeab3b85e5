# SPDX-License-Identifier: GPL-3.0-or-later
"""One problem of the catalogue, for a person."""

from collections.abc import Iterator

from hostkit import text
from hostkit.diagnosis.problem import FAMILIES, Problem, Remedy
from hostkit.report.style import Style, command_lines, family_words, hang

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
    parts = [
        _title(problem, style),
        _field("harm", style.say(problem.harm), style),
        list(_body(problem.explanation, style)),
        [line for one in problem.mistaken_for for line in _field("not", style.say(one), style)],
        _commands("confirm", problem.confirm, style),
        *(
            _remedy(remedy, family, fix if remedy.action in fixable else "", style)
            for remedy in problem.remedies
        ),
        [
            line
            for bad in problem.harmful
            for line in _field("do not", style.because(bad.advice, bad.why), style)
        ],
        _field("leads to", ", ".join(problem.causes), style),
        [line for source in problem.sources for line in _field("source", source, style)],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _title(problem: Problem, style: Style) -> list[str]:
    title = f"{problem.code} | {problem.area} | {style.say(problem.title)}"
    lines = hang("", title, style.width)
    return [style.paint("bold", line) for line in lines]


def _field(label: str, words: str, style: Style) -> list[str]:
    return hang(text.pad(style.say(label), _LABEL), words, style.width) if words else []


def _commands(label: str, commands: tuple[str, ...], style: Style) -> list[str]:
    lines = [line for one in commands for line in command_lines(one, style.width, _LABEL)]
    return [text.pad(style.say(label), _LABEL) + lines[0].lstrip(), *lines[1:]] if lines else []


def _remedy(remedy: Remedy, family: str, fix: str, style: Style) -> list[str]:
    lines = _field("fix", style.say(remedy.summary), style)
    for label, value in (
        (style.say("risk: "), remedy.risk),
        (style.say("interrupts: "), remedy.interrupts),
        (style.say("undo: "), remedy._replace(undo=style.say(remedy.undo)).undo_for({})),
    ):
        lines += hang(label, style.say(value), style.width, _LABEL) if value else []
    if fix:
        lines += command_lines(fix, style.width, _LABEL)
    mine = remedy.commands_for(family, {})
    named = sorted(remedy.commands, key=lambda name: (name != family, FAMILIES.index(name)))
    for name in named:
        commands = remedy.commands_for(name, {})
        if name != "any" or commands != mine or len(named) > 1:
            lines.append(" " * _LABEL + family_words(name, style))
        for command in commands:
            lines += command_lines(command, style.width, _LABEL + 2)
    return lines


def _body(markdown: str, style: Style) -> Iterator[str]:
    """Paragraphs wrapped; lists item by item; code as it stands."""
    gap = False
    for paragraph in markdown.split("\n\n"):
        if not paragraph.strip():
            continue
        if gap:
            yield ""
        gap = True
        lines = paragraph.strip("\n").split("\n")
        if _is_code(lines):
            yield from (text.printable(line) for line in lines if not line.startswith("```"))
        else:
            for label, words in _items(lines):
                yield from hang(label, style.say(words), style.width)


def prose(markdown: str) -> Iterator[str]:
    """What is translated: each paragraph, each item of a list, in one line."""
    for paragraph in markdown.split("\n\n"):
        lines = paragraph.strip("\n").split("\n")
        if paragraph.strip() and not _is_code(lines):
            yield from (words for _, words in _items(lines))


def _is_code(lines: list[str]) -> bool:
    return lines[0].startswith(("    ", "```", "|"))


def _items(lines: list[str]) -> list[tuple[str, str]]:
    """A paragraph as one string, a list as one string an item; each with its bullet."""
    items: list[tuple[str, str]] = []
    for line in lines:
        bullet = line[:2] if line.startswith(("- ", "* ")) else ""
        words = line[len(bullet) :].strip()
        if items and not bullet:
            items[-1] = (items[-1][0], f"{items[-1][1]} {words}")
        else:
            items.append((bullet, words))
    return items
