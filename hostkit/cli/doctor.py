# SPDX-License-Identifier: GPL-3.0-or-later
"""`hostkit doctor`: the root cause of what is wrong, on a host or in a text.

A text alone can only be suspected of something. When a host can be asked, its facts
confirm a suspicion, refute it (it is then past), or leave it as it was.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hostkit.cli import common, examine, invocation, reading
from hostkit.cli.examine import Examination, Seen
from hostkit.diagnosis import origin
from hostkit.diagnosis.check import Check
from hostkit.diagnosis.doctor import Text, diagnose, suspects
from hostkit.diagnosis.finding import Finding
from hostkit.diagnosis.rank import rank
from hostkit.errors import InputError
from hostkit.host.answer import Absent, Known

if TYPE_CHECKING:
    from hostkit.facts.fact import Facts

EXAMPLES = (
    "hostkit doctor",
    'hostkit doctor "WARNING: IPv4 forwarding is disabled."',
    "journalctl -u docker -b | hostkit doctor -",
    "hostkit doctor --text dockerd.log --snapshot web07.tar.gz",
    "hostkit doctor --text dockerd.log --host none --format json",
    "sudo hostkit doctor --paste > issue.md",
)
OTHER_MACHINE = (
    "part of the text is of another distribution than this host, which judged only the rest"
)
NO_ENGINE = "no container engine on this machine: the text was judged alone (--host live asks it)"
NOT_RECOGNISED = (
    "not recognised: hostkit knows none of these messages, which says nothing of how the host is; "
    "the lines before the message may say more, and `hostkit doctor` there looks at the host"
)
NOT_READ = "standard input was not read: `hostkit doctor -` looks for the trouble in it"


def options() -> ArgumentParser:
    """The options of this command."""
    made = common.parser(
        "doctor",
        "Names the root cause of what is wrong. Without a text: of this host, by its\n"
        "checks and its logs. With a text (an error message, a log): of what the text\n"
        "complains of, confirmed or refuted by the host. It only reads.",
        EXAMPLES,
        common.EXIT_CODES + common.NOT_RECOGNISED,
    )
    made.add_argument("words", metavar="TEXT", nargs="*", help="the message; - reads it from stdin")
    made.add_argument("--text", metavar="FILE", default="", help="read the text from a file")
    made.add_argument(
        "--host",
        choices=("auto", "live", "none"),
        default="auto",
        help="who judges a text: this machine if it has an engine (auto), it anyhow, or nobody",
    )
    made.add_argument(
        "--paste",
        action="store_true",
        help="Markdown for a bug report: what maintainers ask for, without secrets",
    )
    common.add_diagnosis(made)
    return made


def run(arguments: Sequence[str]) -> int:
    """Read the text, ask the host, show what is behind it, return the exit code."""
    parsed = options().parse_args(arguments)
    if parsed.snapshot and parsed.host != "auto":
        raise InputError("--host and --snapshot exclude each other")
    given = _given(parsed)
    asked = examine.begin(("doctor", *arguments), parsed)
    if parsed.paste:
        return _paste(asked, given)
    seen = _host_alone(asked) if given is None else _text(asked, given)
    return examine.finish(asked, seen)


def _paste(asked: Examination, given: reading.Reading | None) -> int:
    """The report and what stands behind it, for those who know nothing of this host."""
    from hostkit.cli import paste

    if given is not None or asked.arguments.format:
        raise InputError("--paste is about a host and is always Markdown: no TEXT, no --format")
    seen = _host_alone(asked)
    report = examine.report_of(asked, seen)
    if seen.facts is not None:
        common.output_of(asked.arguments).write(paste.render(report, paste.parts(seen.facts)))
    return report.exit_code


def _given(parsed: Namespace) -> reading.Reading | None:
    """The text, or None when there is none."""
    words: list[str] = parsed.words
    if words and parsed.text:
        raise InputError("TEXT and --text FILE exclude each other")
    if parsed.text == "-" or words == ["-"]:
        return reading.from_stdin()
    if parsed.text:
        return reading.from_file(parsed.text)
    return reading.from_words(" ".join(words)) if words else None


def _host_alone(asked: Examination) -> Seen:
    """Every check, and every message of the logs."""
    if asked.arguments.host == "none":
        raise InputError("--host none needs a text", 'hostkit doctor "the error message"')
    facts = examine.facts_of(asked, examine.open_host(asked.arguments.snapshot))
    checks = asked.checks()
    texts, notes = _logs(facts)
    notes += (invocation.named(NOT_READ),) if reading.stdin_waits() else ()
    found = suspects(texts, asked.loaded.signatures())
    suspected = (*asked.loaded.broken, *asked.wanted(found))
    ranked, results = diagnose(facts, checks, suspected, asked.catalogue)
    return Seen(ranked, results, facts, notes)


def _logs(facts: "Facts") -> tuple[tuple[Text, ...], tuple[str, ...]]:
    """What the logs of the host say, and which of them could not be read."""
    from hostkit.facts.logs import LOGS

    answer = facts.get(LOGS)
    if not isinstance(answer, Known):
        return (), (f"no log was read: {answer.source}: {answer.reason}",)
    unread = tuple(f"{log.source} was not read: {log.reason}" for log in answer.value if log.reason)
    return tuple(Text(log.source, log.lines) for log in answer.value if log.lines), unread


def _text(asked: Examination, given: reading.Reading) -> Seen:
    """What the text points to, held against the host when there is one to ask."""
    said = given.text._replace(lines=reading.spoken(given.text.lines))
    known = suspects([said], asked.loaded.signatures())
    found = asked.wanted(known)
    notes = [*given.notes, *([] if known else [NOT_RECOGNISED])]
    facts = _judge(asked) if found or asked.arguments.snapshot else None
    if facts is None:
        if found and asked.arguments.host == "auto":
            notes.append(NO_ENGINE)
        ranked = rank((*asked.loaded.broken, *found), asked.catalogue)
        return Seen(ranked, (), None, tuple(notes), recognised=bool(known))
    areas = [asked.catalogue.describe(one.problem).area for one in found]
    mine, foreign = origin.split(found, areas, examine.host_family(facts))
    notes += [OTHER_MACHINE] if foreign else []
    suspected = (*asked.loaded.broken, *mine)
    ranked, results = diagnose(facts, judges(asked, mine), suspected, asked.catalogue)
    ranked = rank((*(one.finding for one in ranked), *foreign), asked.catalogue)
    return Seen(ranked, results, facts, tuple(notes), recognised=bool(known))


def _judge(asked: Examination) -> "Facts | None":
    """The facts of the host that is to judge a text, or None."""
    if asked.arguments.host == "none":
        return None
    facts = examine.facts_of(asked, examine.open_host(asked.arguments.snapshot))
    if asked.arguments.host == "auto" and not asked.arguments.snapshot:
        from hostkit.facts.trace import ENGINE_TRACE

        if isinstance(facts.get(ENGINE_TRACE), Absent):
            return None
    return facts


def judges(asked: Examination, suspected: Sequence[Finding]) -> tuple[Check, ...]:
    """The checks that judge these suspicions, or what may have brought them about."""
    codes = {finding.problem for finding in suspected}
    for finding in suspected:
        for cause in asked.catalogue.causes_of(finding.problem):
            if not (finding.of_host and asked.catalogue.get(cause).inside):
                codes.add(cause)
    return tuple(check for check in asked.checks() if codes.intersection(check.problems))
