# SPDX-License-Identifier: GPL-3.0-or-later
"""`hostkit preflight`: every check, before containers are trusted to a host."""

from argparse import ArgumentParser
from collections.abc import Sequence

from hostkit.cli import common, examine
from hostkit.diagnosis.advise import Advice, advise, finding
from hostkit.diagnosis.doctor import diagnose
from hostkit.diagnosis.runner import facts_of
from hostkit.errors import InputError
from hostkit.facts.fact import Facts

# Any of these in --select asks for advice on storage.
ADVICE = frozenset(("storage", "no-storage-driver-fits"))

EXAMPLES = (
    "hostkit preflight",
    "hostkit preflight --for docker@29 --fail-on warning",
    "hostkit preflight --select storage,network -v",
    "hostkit preflight --format json -o report.json",
    "hostkit preflight --snapshot web07.tar.gz",
)


def options() -> ArgumentParser:
    """The options of this command."""
    made = common.parser(
        "preflight",
        "Says whether this host can run containers, now and after the next boot,\n"
        "what stands in the way, and how to mend it. It only reads.",
        EXAMPLES,
        common.EXIT_CODES,
    )
    common.add_diagnosis(made)
    return made


def run(arguments: Sequence[str]) -> int:
    """Ask everything, show it, return the exit code."""
    parsed = options().parse_args(arguments)
    asked = examine.begin(("preflight", *arguments), parsed, drivers=True)
    facts = examine.facts_of(asked, examine.open_host(parsed.snapshot))
    checks = asked.checks()
    facts.prefetch(facts_of(checks))
    advice = _advice(asked, facts)
    if not checks and not advice:
        raise InputError(
            f"there is nothing to look at: no check for {asked.target.engine} was selected",
            "`hostkit list checks` names them; a problem may be known by its messages alone",
        )
    extra = asked.wanted(filter(None, [finding(advice)])) if advice else ()
    suspected = (*asked.loaded.broken, *extra)
    ranked, results = diagnose(facts, checks, suspected, asked.catalogue)
    return examine.finish(asked, examine.Seen(ranked, results, facts, advice=advice))


def _advice(asked: examine.Examination, facts: Facts) -> Advice | None:
    """What the drivers themselves say of this host, unless storage is not asked about."""
    selection = asked.selection
    if selection.ignore & ADVICE or (selection.select and not selection.select & ADVICE):
        return None
    return advise(asked.loaded.fitness(facts))
