# SPDX-License-Identifier: GPL-3.0-or-later
"""`hostkit fix CODE`: look, show what will be changed, ask, change it, look again.

Exit codes: 0 mended, or there was nothing to mend, or shown by --dry-run; 5 nothing is
changed: refused, not confirmed, failed and taken back, or hostkit has no remedy of its own
(the commands for a person are then printed); 6 stopped half way.
"""

import json
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from hostkit import plugins
from hostkit.cli import changes, common
from hostkit.diagnosis.doctor import diagnose
from hostkit.diagnosis.finding import Finding, Unknown
from hostkit.diagnosis.problem import Catalogue, Problem, Remedy
from hostkit.errors import Refused
from hostkit.facts.fact import Facts
from hostkit.facts.osrelease import OS_RELEASE
from hostkit.facts.target import TARGET, Target
from hostkit.host.answer import Known
from hostkit.host.local import LocalHost
from hostkit.plan.plan import Plan
from hostkit.repair.registry import REPAIRS, automatic
from hostkit.report.model import safe_params
from hostkit.system.machine import Machine

EXAMPLES = (
    "hostkit fix ipv4-forwarding-disabled --dry-run",
    "hostkit fix ipv4-forwarding-disabled",
    "hostkit fix ipv4-forwarding-disabled --yes",
)
SCHEMA = "hostkit.fix/1"


class FixArgs(NamedTuple):
    """`format` is text or json; `root` is the folder of hostkit's state, "" for the usual."""

    code: str
    dry_run: bool = False
    yes: bool = False
    format: str = "text"
    root: str = ""


class Looked(NamedTuple):
    """What the checks of one problem say: a finding, or why there may be one, or neither."""

    facts: Facts
    finding: Finding | None
    unknown: str


def options() -> ArgumentParser:
    """The options of this command."""
    made = common.parser(
        "fix",
        "Mends one problem of this host, after it has looked and asked. It notes what was\n"
        "before, so that `hostkit undo` brings exactly that back.",
        EXAMPLES,
    )
    made.add_argument("code", metavar="CODE")
    made.add_argument("--dry-run", action="store_true", help="only show what would be changed")
    made.add_argument("--yes", action="store_true", help="do not ask")
    made.add_argument("--format", choices=("text", "json"), default="text")
    made.add_argument("--root", metavar="DIR", default="", help="default: $HOSTKIT_ROOT")
    return made


def run(arguments: Sequence[str]) -> int:
    """Parse the words after `fix` and do it."""
    return fix(FixArgs(**vars(options().parse_args(arguments))))


def fix(args: FixArgs) -> int:
    """Mend one problem. Raises Refused and StoppedHalfway."""
    engine = changes.engine(changes.journals(args.root), quiet=args.format == "json")
    if changes.is_root() and not args.dry_run:
        engine.refuse_unfinished()
    loaded = plugins.load((plugins.CHECKS_GROUP,))
    catalogue = loaded.catalogue()
    problem = catalogue.get(args.code)
    looked = _look(problem, loaded, catalogue)
    if looked.finding is None:
        return _nothing_found(args, problem, looked)
    remedy = automatic(problem.remedies)
    if remedy is None:
        _by_hand(args, problem, looked.facts, looked.finding)
    plan = REPAIRS[remedy.action](looked.facts, remedy, looked.finding)
    if not plan.steps:
        raise Refused(f"{problem.code} is there, but what its remedy sets is set already")
    if args.format == "text" or not (args.yes or args.dry_run):
        show = changes.say if args.format == "text" else changes.complain
        show(_shown(problem, looked.finding, remedy, plan))
    if args.dry_run:
        _report(args, problem, "dry-run", "Nothing was changed.", plan)
        return 0
    if not changes.is_root():
        raise Refused("only root can change this machine", "the same with sudo, or --dry-run")
    changes.confirm("Do this?", yes=args.yes)
    if not engine.start(plan):
        _report(args, problem, "nothing-to-do", "Nothing to do: it has been set meanwhile.")
        return 0
    after = _look(problem, loaded, catalogue)
    if after.finding is not None or after.unknown:
        engine.undo(plan.id)
        reason = after.finding.summary if after.finding else after.unknown
        raise Refused(f"it did not help, and was taken back: {reason}")
    _report(args, problem, "fixed", f"Mended. To take it back: hostkit undo {plan.id}", plan)
    return 0


def _look(problem: Problem, loaded: plugins.Plugins, catalogue: Catalogue) -> Looked:
    """Ask the checks that can find the problem, on facts gathered now."""
    checks = [one for _, one in loaded.checks() if problem.code in one.problems]
    facts = Facts(LocalHost(), {TARGET: Known(Target("docker"), "the default")})
    ranked, results = diagnose(facts, checks, (), catalogue)
    found = [one.finding for one in ranked if one.finding.problem == problem.code]
    unknown = [o.reason for r in results for o in r.outcomes if isinstance(o, Unknown)]
    reason = "; ".join(unknown) if checks else "no check looks for it, only messages name it"
    return Looked(facts, found[0] if found else None, reason)


def _nothing_found(args: FixArgs, problem: Problem, looked: Looked) -> int:
    if looked.unknown:
        raise Refused(
            f"it cannot be told whether this host has {problem.code}: {looked.unknown}",
            f"what to do by hand: hostkit explain {problem.code}",
        )
    words = f"Nothing to do: this host does not have {problem.code}."
    _report(args, problem, "nothing-to-do", words)
    return 0


def _by_hand(args: FixArgs, problem: Problem, facts: Facts, finding: Finding) -> NoReturn:
    """Print the commands for a person; nothing is changed."""
    release = facts.known(OS_RELEASE)
    family = release.package_family if release else "any"
    params = safe_params(finding)
    words = [f"{problem.code}: {finding.summary}"]
    every: list[str] = []
    for remedy in problem.remedies:
        commands = remedy.commands_for(family, params)
        every.extend(commands)
        words.extend((f"{remedy.summary}:", *(f"    {line}" for line in commands)))
    _report(args, problem, "by-hand", "\n".join(words), commands=every)
    raise Refused(
        f"hostkit has no remedy of its own for {problem.code}",
        f"more on these commands: hostkit explain {problem.code}",
    )


def _shown(problem: Problem, finding: Finding, remedy: Remedy, plan: Plan[Machine]) -> str:
    price = f"  risk: {remedy.risk or 'unknown'}; interrupts: {remedy.interrupts or 'unknown'}"
    lines = (
        f"{problem.code}: {finding.summary}",
        f"{plan.title}:",
        changes.preview(plan.steps),
        price,
    )
    return "\n".join(lines)


def _report(
    args: FixArgs,
    problem: Problem,
    status: str,
    words: str,
    plan: Plan[Machine] | None = None,
    commands: Sequence[str] = (),
) -> None:
    """The last thing that is said, in words or as one JSON object."""
    if args.format != "json":
        changes.say(words)
        return
    data = {
        "schema": SCHEMA,
        "problem": problem.code,
        "status": status,
        "run": plan.id if plan and status == "fixed" else None,
        "steps": changes.step_data(plan.steps) if plan else [],
        "commands": list(commands),
    }
    changes.say(json.dumps(data, indent=2))
