# SPDX-License-Identifier: GPL-3.0-or-later
"""`hostkit fix CODE`: look, show what will be changed, ask, change it, look again.

Exit codes: 0 mended, or there was nothing to mend, or shown by --dry-run; 5 nothing is
changed: refused, not confirmed, failed and taken back, or hostkit has no remedy of its own
(the commands for a person are then printed); 6 stopped half way.
"""

from argparse import ArgumentParser
from collections.abc import Sequence
from typing import NoReturn

from hostkit import plugins
from hostkit.cli import changes, common, invocation
from hostkit.diagnosis.check import Check
from hostkit.diagnosis.doctor import diagnose
from hostkit.diagnosis.finding import Finding, Unknown
from hostkit.diagnosis.problem import Catalogue, Problem, Remedy
from hostkit.errors import Refused
from hostkit.facts.fact import Facts
from hostkit.facts.osrelease import OS_RELEASE
from hostkit.facts.target import TARGET, Target
from hostkit.host.answer import Known
from hostkit.host.local import LocalHost
from hostkit.plan.engine import Engine
from hostkit.plan.plan import Plan
from hostkit.repair.registry import REPAIRS, automatic
from hostkit.report.model import safe_params
from hostkit.report.style import command_lines
from hostkit.system.machine import Machine
from hostkit.value import NamedTuple

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


class Judge(NamedTuple):
    """Says, as often as it is asked, whether this host has a problem."""

    problem: Problem
    checks: tuple[Check, ...]
    catalogue: Catalogue

    def look(self) -> Looked:
        """Ask the checks that can find it, on facts gathered now."""
        facts = Facts(LocalHost(), {TARGET: Known(Target("docker"), "the default")})
        ranked, results = diagnose(facts, self.checks, (), self.catalogue)
        found = [one.finding for one in ranked if one.finding.problem == self.problem.code]
        unknown = [o.reason for r in results for o in r.outcomes if isinstance(o, Unknown)]
        if not self.checks:
            unknown = ["no check looks for it, only messages name it"]
        return Looked(facts, found[0] if found else None, "; ".join(unknown))


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
    judge = _judge(args.code)
    looked = judge.look()
    if looked.finding is None:
        return _nothing_found(args, judge.problem, looked)
    plan = _plan(args, judge.problem, looked.facts, looked.finding)
    if args.dry_run:
        _report(args, judge.problem, "dry-run", "Nothing was changed.", plan)
        return 0
    if not changes.is_root():
        raise Refused("only root can change this machine", "the same with sudo, or --dry-run")
    changes.confirm("Do this?", yes=args.yes)
    return _carry_out(args, judge, plan, engine)


def _judge(code: str) -> Judge:
    loaded = plugins.load((plugins.CHECKS_GROUP,))
    catalogue = loaded.catalogue()
    problem = catalogue.get(code)
    checks = tuple(one for _, one in loaded.checks() if code in one.problems)
    return Judge(problem, checks, catalogue)


def _plan(args: FixArgs, problem: Problem, facts: Facts, finding: Finding) -> Plan[Machine]:
    """What is to be done, shown to whoever will be asked."""
    remedy = automatic(problem.remedies_for(dict(finding.params)))
    if remedy is None:
        _by_hand(args, problem, facts, finding)
    plan = REPAIRS[remedy.action](facts, remedy, finding)
    if not plan.steps:
        raise Refused(f"{problem.code} is there, but what its remedy sets is set already")
    if args.format == "text":
        changes.say(_shown(problem, finding, remedy, plan))
    elif not (args.yes or args.dry_run):
        changes.complain(_shown(problem, finding, remedy, plan))
    return plan


def _carry_out(args: FixArgs, judge: Judge, plan: Plan[Machine], engine: Engine[Machine]) -> int:
    """Apply the plan and look again; what did not help is taken back."""
    if not engine.start(plan):
        words = "Nothing to do: it has been set meanwhile."
        _report(args, judge.problem, "nothing-to-do", words)
        return 0
    after = judge.look()
    if after.finding is not None or after.unknown:
        engine.undo(plan.id)
        reason = after.finding.summary if after.finding else after.unknown
        raise Refused(f"it did not help, and was taken back: {reason}")
    back = invocation.named(changes.journals(args.root).command(plan.id))
    words = f"Mended. To take it back: {back}"
    _report(args, judge.problem, "fixed", words, plan)
    return 0


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
    words = [changes.wrapped(f"{problem.code}: {finding.summary}")]
    width = common.Output().style().width
    every: list[str] = []
    for remedy in problem.remedies_for(dict(finding.params)):
        commands = remedy.commands_for(family, params)
        every.extend(commands)
        words.append(changes.wrapped(f"{remedy.summary}:"))
        words.extend(line for one in commands for line in command_lines(one, width, 4))
    _report(args, problem, "by-hand", "\n".join(words), commands=every)
    raise Refused(
        f"hostkit has no remedy of its own for {problem.code}",
        f"more on these commands: hostkit explain {problem.code}",
    )


def _shown(problem: Problem, finding: Finding, remedy: Remedy, plan: Plan[Machine]) -> str:
    price = f"  risk: {remedy.risk or 'unknown'}; interrupts: {remedy.interrupts or 'unknown'}"
    lines = (
        changes.wrapped(f"{problem.code}: {finding.summary}"),
        changes.wrapped(f"{remedy.summary}:"),
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
    changes.say_json(data)
