# SPDX-License-Identifier: GPL-3.0-or-later
"""A report for a terminal: healthy areas and remarks in a line each, a block for every cause."""

from enum import IntEnum

from hostkit import __version__, text
from hostkit.diagnosis.advise import Advice, Verdict
from hostkit.diagnosis.finding import Certainty, Evidence, NotApplicable, Passed, Severity
from hostkit.diagnosis.problem import Remedy
from hostkit.diagnosis.rank import Ranked
from hostkit.diagnosis.runner import Result
from hostkit.report.areas import Area, Status, areas
from hostkit.report.model import Report, counts, safe_params, unknowns
from hostkit.report.style import Style, command_lines, family_words, hang
from hostkit.value import NamedTuple

EVIDENCE_SHOWN = 3
UNKNOWN_SHOWN = 12
REMEDY_LABELS = ("fix: ", " or: ")  # the first two; `hostkit explain` shows all
_LOOKS = {
    Status.OK: "ok",
    Status.FAIL: "error",
    Status.WARN: "warning",
    Status.NOTE: "info",
    Status.UNKNOWN: "warning",
    Status.NOTHING: "dim",
}


class Verbosity(IntEnum):
    """`-q`: errors and totals alone; `-v`: also what passed and what does not apply."""

    QUIET = -1
    NORMAL = 0
    VERBOSE = 1


class Block(NamedTuple):
    """One root cause: its findings (of one problem), and what they bring about."""

    roots: list[Ranked]
    consequences: list[Ranked]

    def all(self) -> tuple[Ranked, ...]:
        """What it shows, in order."""
        return (*self.roots, *self.consequences)


def render(report: Report, style: Style, verbosity: Verbosity = Verbosity.NORMAL) -> str:
    """The whole report, ending in a newline."""
    verbose = verbosity is Verbosity.VERBOSE
    found = blocks(report, verbosity)
    remarks = [] if verbose else _remarks(report, found)
    parts = [
        *([] if verbosity is Verbosity.QUIET else [_header(report, style)]),
        *(_block(report, block, style) for block in found if block not in remarks),
        [line for block in remarks for one in block.all() for line in headline(one, style)],
    ]
    if verbosity is not Verbosity.QUIET:
        parts += [
            _advice(report, style, everything=verbose),
            _past(report, style),
            _ignored(report, style),
            _passed(report, style) if verbose else [],
            _unknown(report, style, everything=verbose),
            [line for note in report.diagnosis.notes for line in _note(note, style)],
        ]
    parts.append(_totals(report, style))
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _remarks(report: Report, found: list[Block]) -> list[Block]:
    """What is worth knowing and hurts nobody; not when it is all that answers a text."""
    mild = [block for block in found if block.roots[0].finding.severity is Severity.INFO]
    answers = report.diagnosis.recognised is not None and len(mild) == len(found)
    return [] if answers else mild


def blocks(report: Report, verbosity: Verbosity) -> list[Block]:
    """The findings, each consequence with the first of its causes that is shown."""
    found: list[Block] = []
    home: dict[str, Block] = {}
    for one in report.present():
        code = one.finding.problem
        if verbosity is Verbosity.QUIET and one.finding.severity is not Severity.ERROR:
            continue
        if code in home:
            block = home[code]
            is_root = block.roots[0].finding.problem == code
            (block.roots if is_root else block.consequences).append(one)
            continue
        cause = next((cause for cause in one.caused_by if cause in home), None)
        if cause is None:
            home[code] = Block([one], [])
            found.append(home[code])
        else:
            home[code] = home[cause]
            home[code].consequences.append(one)
    return found


def located(evidence: Evidence) -> str:
    """Source, line and words of one piece of evidence."""
    place = f"{evidence.source}:{evidence.line}" if evidence.line else evidence.source
    return f"{place}: {evidence.excerpt}" if evidence.excerpt else place


def _header(report: Report, style: Style) -> list[str]:
    lines = [f"hostkit {__version__}"]
    for piece in map(text.printable, map(style.say, report.identity)):
        if text.width(lines[-1]) + 3 + text.width(piece) <= style.width:
            lines[-1] += f" | {piece}"
        else:
            lines.append(f"  {piece}")
    lines = [style.paint("bold", line) for line in lines]
    shown = [area for area in areas(report, style) if area.status is not Status.NOTHING]
    column = max((text.width(area.name) for area in shown), default=0)
    lines += [_area_line(area, column, style) for area in shown]
    return lines


def _note(note: str, style: Style) -> list[str]:
    return hang(style.say("note: "), style.say(note), style.width)


def _area_line(area: Area, column: int, style: Style) -> str:
    mark = f" {text.pad(style.say(area.status.value), 4)}"
    start = f" {text.pad(text.printable(area.name), column)}  {text.pad(area.tally, 11)} "
    room = max(8, style.width - text.width(mark + start))
    note = text.shorten(text.printable(area.note), room)
    return style.paint(_LOOKS[area.status], mark) + f"{start}{note}".rstrip()


def _block(report: Report, block: Block, style: Style) -> list[str]:
    first = block.roots[0]
    lines: list[str] = []
    for root in block.roots:
        lines += headline(root, style)
        for evidence in root.finding.evidence[:EVIDENCE_SHOWN]:
            lines += hang("--> ", located(evidence), style.width, indent=2)
    why = style.say(first.problem.harm or first.problem.title)
    lines += hang(style.say("why: "), why, style.width, indent=2)
    for label, remedy in zip(REMEDY_LABELS, first.remedies, strict=False):
        lines += _remedy(report, first, remedy, label, style)
    if len(first.remedies) > len(REMEDY_LABELS):
        more = f"{report.program} explain {first.problem.code}"
        lines += hang(style.say("more: "), more, style.width, indent=2)
    if first.finding.severity is not Severity.INFO:
        lines += _warnings(first, style)
    if block.consequences:
        lines.append("  " + style.say("brings about:"))
        for one in block.consequences:
            lines += headline(one, style, indent=4)
            for evidence in one.finding.evidence[:1]:
                lines += hang("--> ", located(evidence), style.width, indent=6)
    return lines


def _warnings(one: Ranked, style: Style) -> list[str]:
    """What it is taken for, and the advice that does harm."""
    lines: list[str] = []
    for mistaken in one.problem.mistaken_for[:1]:
        lines += hang(style.say("not: "), style.say(mistaken), style.width, indent=2)
    for bad in one.problem.harmful:
        lines += hang(
            style.say("do not: "), style.because(bad.advice, bad.why), style.width, indent=2
        )
    return lines


def headline(one: Ranked, style: Style, indent: int = 0) -> list[str]:
    """`error[CODE] summary`, with the certainty when it is less than confirmed.

    In another language the problem's title stands for the summary, which is always English.
    """
    finding = one.finding
    label = f"{style.say(finding.severity)}[{text.printable(finding.problem)}]"
    title = style.translated(one.problem.title)
    words = title or finding.summary
    if finding.certainty is not Certainty.CONFIRMED:
        words = f"({style.say(finding.certainty)}) {words}"
    whole = hang("", f"{label} {words}", style.width - indent - 2)
    margin = " " * indent
    first = margin + style.paint(finding.severity.value, whole[0][: len(label)])
    lines = [first + whole[0][len(label) :], *(f"{margin}  {line}" for line in whole[1:])]
    if title:
        lines += hang(style.say("seen: "), finding.summary, style.width, indent + 2)
    return lines


def _remedy(report: Report, one: Ranked, remedy: Remedy, label: str, style: Style) -> list[str]:
    label = style.say(label)
    lines = hang(label, style.say(remedy.summary) + _price(remedy, style), style.width, indent=2)
    indent = 2 + text.width(label)
    if remedy.action in report.fixable and report.diagnosis.source == "live":
        lines += command_lines(f"{report.program} fix {one.problem.code}", style.width, indent)
        lines += [" " * indent + style.say("or by hand:")] if remedy.commands else []
    params = safe_params(one.finding)
    commands = remedy.commands_for(report.family_of(one), params)
    for command in commands:
        lines += command_lines(command, style.width, indent)
    if not commands:  # the distribution is not known, or the remedy does not know it
        for family in remedy.commands:
            lines.append(" " * indent + family_words(family, style))
            for command in remedy.commands_for(family, params):
                lines += command_lines(command, style.width, indent + 2)
    return lines


def _price(remedy: Remedy, style: Style) -> str:
    known = [
        style.say("risk: ") + style.say(remedy.risk) if remedy.risk else "",
        style.say("interrupts: ") + style.say(remedy.interrupts) if remedy.interrupts else "",
    ]
    said = style.say("; ").join(filter(None, known))
    return style.say(" ({price})").format(price=said) if said else ""


def _advice(report: Report, style: Style, *, everything: bool) -> list[str]:
    if report.advice is None:
        return []
    ranked = report.advice.ranked
    shown = [one for one in ranked if everything or one.verdict is not Verdict.IMPOSSIBLE]
    hidden = [text.printable(one.driver) for one in ranked if one not in shown]
    lines = hang(style.say("storage: "), _advised(report.advice, style), style.width)
    names = max((len(one.driver) for one in shown), default=0)
    verdicts = max((text.width(style.say(one.verdict)) for one in shown), default=0)
    for one in shown:
        verdict = text.pad(style.say(one.verdict), verdicts)
        label = f"{text.pad(text.printable(one.driver), names)}  {verdict}  "
        lines += hang(label, one.because.text if one.because else "", style.width, indent=2)
    if hidden:
        said = style.say("{drivers} (-v says why)").format(drivers=style.join(hidden))
        lines += hang(style.say("impossible here: "), said, style.width, indent=2)
    return lines


def _advised(advice: Advice, style: Style) -> str:
    """The sentence that sums the advice up; in another language than English its first half."""
    said = style.translated("use {driver}") if advice.best else ""
    if not said or advice.best is None:
        return advice.summary
    said = said.format(driver=advice.best.driver)
    alone = advice.summary == f"use {advice.best.driver}"
    return said if alone else f"{said} ({advice.summary})"


def _past(report: Report, style: Style) -> list[str]:
    past = report.past()
    if not past:
        return []
    head = style.say("past (the messages are there, this host says it is over; not counted):")
    lines = hang("", head, style.width)
    for one in past:
        title = style.translated(one.problem.title)
        said = f"{one.finding.problem}: {title or one.finding.summary}"
        lines += hang("", said, style.width, indent=2)
        if title:
            lines += hang(style.say("seen: "), one.finding.summary, style.width, indent=4)
        for evidence in one.finding.evidence[:1]:
            lines += hang("--> ", located(evidence), style.width, indent=4)
    return lines


def _ignored(report: Report, style: Style) -> list[str]:
    by_reason: dict[str, list[str]] = {}
    for one in report.diagnosis.ignored:
        code = one.finding.problem
        by_reason.setdefault(report.why_ignored(code), []).append(code)
    lines: list[str] = []
    for reason, codes in by_reason.items():
        words = f"{len(codes)} ({reason}): {', '.join(dict.fromkeys(codes))}"
        lines += hang(style.say("ignored: "), words, style.width)
    return lines


def _passed(report: Report, style: Style) -> list[str]:
    lines: list[str] = []
    for result in report.diagnosis.checks:
        for outcome in result.outcomes:
            if isinstance(outcome, Passed):
                lines += _said(style.say("ok"), result, outcome.note, style)
            elif isinstance(outcome, NotApplicable):
                lines += _said("-", result, outcome.reason, style)
    return [style.say("looked at:"), *lines] if lines else []


def _said(mark: str, result: Result, words: str, style: Style) -> list[str]:
    said = f"{result.check.name}: {words or result.check.title}"
    column = text.width(style.say("ok"))
    return hang(f"{text.pad(mark, column)} ", said, style.width, indent=2)


def _unknown(report: Report, style: Style, *, everything: bool) -> list[str]:
    unknown = unknowns(report.diagnosis.checks)
    if not unknown:
        return []
    lines = [style.say("could not be looked at (unknown is not a pass):")]
    by_reason: dict[str, list[str]] = {}
    for check, outcome in unknown:
        by_reason.setdefault(outcome.reason, []).append(check.name)
    shown = list(by_reason.items())[: None if everything else UNKNOWN_SHOWN]
    for reason, names in shown:
        lines += hang("? ", f"{', '.join(dict.fromkeys(names))}: {reason}", style.width, indent=2)
    if len(shown) < len(by_reason):
        more = len(by_reason) - len(shown)
        lines.append("  " + style.say("and {number} more: add -v").format(number=more))
    by_root = len({check.name for check, outcome in unknown if outcome.needs_root})
    if by_root and report.diagnosis.source == "live":
        said = style.say("{command}  (completes {number})")
        said = said.format(command=f"sudo {report.again}", number=by_root)
        lines += hang(style.say("as root: "), said, style.width, indent=2)
    return lines


def _totals(report: Report, style: Style) -> list[str]:
    number = counts(report.diagnosis)
    counted = [style.counted(number.error, "error"), style.counted(number.warning, "warning")]
    if report.diagnosis.recognised is False:
        counted = [style.say("not recognised")]
    several = (
        (style.say("{number} info"), number.info, number.info),
        (style.say("{number} past"), number.past, number.past),
        (style.say("{number} unknown"), number.unknown, report.diagnosis.checks),
        (style.say("{number} passed"), number.passed, report.diagnosis.checks),
        (style.say("{number} ignored"), number.ignored, number.ignored),
    )
    counted += [said.format(number=many) for said, many, shown in several if shown]
    total = style.say("{counts} in {seconds} s; exit code {code}").format(
        counts=style.join(counted),
        seconds=f"{report.diagnosis.duration_s:.2f}",
        code=report.exit_code,
    )
    lines = hang("", total, style.width)
    lines[0] = style.paint("bold", lines[0])
    present = report.present()
    if present:
        explain = f"{report.program} explain {present[0].finding.problem}"
        lines += hang(style.say("more: "), explain, style.width)
    return lines
