# SPDX-License-Identifier: GPL-3.0-or-later
"""`hostkit undo RUN`: bring back exactly what was before a run, or finish one cut off.

Exit codes: 0 undone, finished, undone already, or listed; 5 refused and nothing changed,
because something else has changed the same things since; 6 stopped half way.
"""

from argparse import ArgumentParser
from collections.abc import Sequence

from hostkit.cli import changes, common, invocation
from hostkit.errors import InputError
from hostkit.plan.journal import Journals, Listed, Progress, Status, Written
from hostkit.value import NamedTuple

EXAMPLES = (
    "hostkit undo",
    "hostkit undo 20261121T022814-3f9c",
    "hostkit undo --resume 20261121T022814-3f9c",
)
SCHEMA = "hostkit.undo/1"


class UndoArgs(NamedTuple):
    """Without `run_id` the runs are listed; `resume`: go on instead of back."""

    run_id: str = ""
    yes: bool = False
    dry_run: bool = False
    format: str = "text"
    list: bool = False
    resume: bool = False
    root: str = ""


def options() -> ArgumentParser:
    """The options of this command."""
    made = common.parser(
        "undo",
        "Brings back what was before a run of `hostkit fix`, or lists the runs. It refuses,\n"
        "saying why, where something else has changed the same things since.",
        EXAMPLES,
    )
    made.add_argument("run_id", metavar="RUN", nargs="?", default="")
    made.add_argument("--resume", action="store_true", help="finish a run that was cut off")
    made.add_argument("--list", action="store_true", help="list the runs, the latest first")
    made.add_argument("--dry-run", action="store_true", help="only show what would be changed")
    made.add_argument("--yes", action="store_true", help="do not ask")
    made.add_argument("--format", choices=("text", "json"), default="text")
    made.add_argument("--root", metavar="DIR", default="", help="default: $HOSTKIT_ROOT")
    return made


def run(arguments: Sequence[str]) -> int:
    """Parse the words after `undo` and do it."""
    return undo(UndoArgs(**vars(options().parse_args(arguments))))


def undo(args: UndoArgs) -> int:
    """Undo, resume or list. Raises InputError, Refused and StoppedHalfway."""
    kept = changes.journals(args.root)
    if args.list or not args.run_id:
        if args.resume:
            raise InputError("--resume needs the name of a run", "`hostkit undo` lists the runs")
        if (args.yes or args.dry_run) and not args.list:
            raise InputError("which run is to be undone?", "`hostkit undo` lists the runs")
        return _list(args, kept)
    written = kept.read(args.run_id)
    before = Progress(written.entries).status
    if not _has_work(args, before):
        return _finished(args, before, before)
    if args.format == "text":
        changes.say(_shown(args, kept, written, before))
    if args.dry_run:
        return _finished(args, before, before, "Nothing was changed.")
    changes.confirm("Go on?" if _forwards(args, before) else "Take this back?", yes=args.yes)
    engine = changes.engine(kept, quiet=args.format == "json")
    (engine.resume if args.resume else engine.undo)(args.run_id)
    after = Progress(kept.read(args.run_id).entries).status
    return _finished(args, before, after)


def _has_work(args: UndoArgs, status: Status) -> bool:
    return status.unfinished or (status is Status.APPLIED and not args.resume)


def _forwards(args: UndoArgs, status: Status) -> bool:
    return args.resume and status is Status.CUT_OFF


def _shown(args: UndoArgs, kept: Journals, written: Written, status: Status) -> str:
    steps = changes.engine(kept, quiet=True).steps(args.run_id)
    progress = Progress(written.entries)
    title = written.header.title if written.header else ""
    if _forwards(args, status):
        return f"To be finished: {title}\n{changes.preview(steps)}"
    back = (f"take back: {steps[number].describe()}" for number in progress.to_undo())
    return "\n".join((f"To be taken back: {title}", *changes.listed(back)))


_WORDS = {
    Status.NOTHING_DONE: "The run {run} changed nothing.",
    Status.APPLIED: "The run {run} is complete.",
    Status.UNDONE: "The run {run} is undone: all is as it was before.",
}


def _finished(args: UndoArgs, before: Status, after: Status, words: str = "") -> int:
    if args.format == "json":
        data = {"schema": SCHEMA, "run": args.run_id, "before": before.value, "after": after.value}
        changes.say_json(data)
        return 0
    if before is after is Status.UNDONE:
        words = f"The run {args.run_id} is undone already."
    changes.say(words or _WORDS[after].format(run=args.run_id))
    return 0


def _list(args: UndoArgs, kept: Journals) -> int:
    runs = kept.runs()
    if args.format == "json":
        changes.say_json({"schema": SCHEMA, "runs": [_data(run) for run in runs]})
        return 0
    if not runs:
        changes.say("hostkit has changed nothing on this machine.")
    for run in runs:
        status = "damaged" if run.damage else run.status.value
        changes.say(f"{run.id}  {status:<12}  {run.damage or run.title}")
        if run.status.unfinished:
            ways = (kept.command("--resume", run.id), kept.command(run.id))
            changes.say(invocation.named(f"    {'   or   '.join(ways)}"))
    if any(run.status is Status.APPLIED for run in runs):
        changes.say(invocation.named(f"To take one back: {kept.command('RUN')}"))
    return 0


def _data(run: Listed) -> dict[str, str]:
    return {**run._asdict(), "status": "damaged" if run.damage else run.status.value}
