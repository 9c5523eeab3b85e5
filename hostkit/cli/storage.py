# SPDX-License-Identifier: GPL-3.0-or-later
"""`hostkit storage ACTION`: which driver works here, what a data root holds, whether it is whole.

Exit codes: 0 all well, or mended; 1 something is wrong; 2 a wrong word or no such root; 5
refused, nothing is changed; 6 not all could be mended.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Sequence

from hostkit.cli import changes, common, store
from hostkit.cli.store import ActionEntry
from hostkit.storage import fsck
from hostkit.storage import root as roots
from hostkit.storage.driver import Issue
from hostkit.storage.errors import StorageError, Unsupported
from hostkit.storage.image.store import ImageStore

EXAMPLES = (
    "hostkit storage probe",
    "hostkit storage status --root /var/lib/docker",
    "hostkit storage check",
)
DESCRIPTION = """The data root of images and containers: which driver serves it best, what
lies there, whether all of it is whole."""
_HALF_WAY = 6
_UNCHECKED = "unchecked"


def options() -> ArgumentParser:
    """The options of this command."""
    return store.command("storage", DESCRIPTION, ACTIONS, EXAMPLES)


def run(arguments: Sequence[str]) -> int:
    """Run the action that the first word names."""
    return store.dispatch(ACTIONS, options, arguments)


# probe


def _probe_options() -> ArgumentParser:
    made = common.parser(
        "storage probe",
        "Says of each driver whether it can serve this host, the best first. As root it also\n"
        "tries them: a layer on a layer, in a folder of its own below the data root.",
        ("hostkit storage probe", "hostkit storage probe --root /srv/images"),
    )
    store.add_store(made)
    made.add_argument("--no-trial", action="store_true", help="only judge, change nothing")
    return made


def _probe(parsed: Namespace) -> int:
    place = store.root_of(parsed)
    tried = store.trials(place) if changes.is_root() and not parsed.no_trial else {}
    advised = store.advice(place)
    wanted = [one for one in advised.ranked if parsed.driver in ("", one.driver)]
    if parsed.format == "json":
        listed = [
            {
                "driver": one.driver,
                "verdict": one.verdict.value,
                "reasons": [reason._asdict() for reason in one.reasons],
                "trial": tried.get(one.driver),
            }
            for one in wanted
        ]
        tree = {"schema": "hostkit.storage-probe/1", "root": place, "summary": advised.summary}
        changes.say_json({**tree, "drivers": listed})
        return 0
    for one in wanted:
        changes.say(f"{one.driver}: {one.verdict}")
        for reason in one.reasons:
            changes.say(changes.wrapped(reason.text, f"  {reason.weight}: "))
        if one.driver in tried:
            why = tried[one.driver]
            changes.say(changes.wrapped(why or "it works here", "  trial: "))
    changes.say(changes.wrapped(advised.summary))
    return 0


# status


def _status_options() -> ArgumentParser:
    made = common.parser(
        "storage status",
        "Says what a data root holds. Docker's can be looked at while Docker runs.",
        ("hostkit storage status", "hostkit storage status --root /var/lib/docker"),
    )
    store.add_store(made)
    return made


def _status(parsed: Namespace) -> int:
    with store.reading(parsed) as images:
        found = list(images.images())
        layers = list(images.layers.layers())
        tree: dict[str, object] = {
            "schema": "hostkit.storage-status/1",
            "root": images.root,
            "driver": images.layers.driver.name,
            "engine": roots.engine_on(images.root),
            "images": len(found),
            "dangling": sum(not one.names for one in found),
            "layers": len(layers),
            "size": sum(layer.size for layer in layers),
            "containers": len(images.layers.containers()),
        }
        try:
            details = images.layers.driver.status()
        except (Unsupported, OSError) as problem:
            details = [("unknown", str(problem))]
    if parsed.format == "json":
        changes.say_json({**tree, "details": [list(one) for one in details]})
        return 0
    engine = (
        f"an engine runs on it ({tree['engine']})" if tree["engine"] else "no engine runs on it"
    )
    changes.say(f"{images.root}: {images.layers.driver.name}, {engine}")
    size = store.size_words(sum(layer.size for layer in layers))
    changes.say(
        f"{len(found)} images ({tree['dangling']} without a name), {len(layers)} layers of {size},"
        f" {tree['containers']} containers"
    )
    for name, value in details:
        changes.say(changes.wrapped(value, f"  {name}: "))
    return 0


# check and repair


def _check_options() -> ArgumentParser:
    made = common.parser(
        "storage check",
        "Looks for damage: names, images, layers and the driver's files are held against\n"
        "each other, and each layer against what was once loaded: contents, owners, modes,\n"
        "times, attributes. Nothing is changed.",
        ("hostkit storage check", "hostkit storage check --root /var/lib/docker --quick"),
    )
    made.add_argument("--quick", action="store_true", help="do not read the layers")
    store.add_store(made)
    return made


def _check(parsed: Namespace) -> int:
    with store.reading(parsed) as images:
        issues = _issues(images, content=not parsed.quick)
        engine = roots.engine_on(images.root)
    wrong = [one for one in issues if one.code != _UNCHECKED]
    if parsed.format == "json":
        _say_issues("hostkit.storage-check/1", images.root, issues, engine=engine)
    else:
        _show(issues)
        if engine:
            words = "an engine runs on this root: what it does meanwhile may look like damage"
            changes.complain(changes.wrapped(words, "note: "))
        changes.say(_summed(wrong))
    return 1 if wrong else 0


def _repair_options() -> ArgumentParser:
    made = common.parser(
        "storage repair",
        "Mends what `hostkit storage check` finds and what can be mended, after it has shown\n"
        "it and asked. What is damaged beyond use is taken away; load its image again.",
        ("hostkit storage repair --dry-run", "hostkit storage repair --yes"),
    )
    made.add_argument("--quick", action="store_true", help="do not read the layers")
    made.add_argument("--dry-run", action="store_true", help="only show what would be done")
    made.add_argument("--yes", action="store_true", help="do not ask")
    store.add_store(made)
    return made


def _repair(parsed: Namespace) -> int:
    opened = store.reading(parsed) if parsed.dry_run else store.changing(parsed)
    with opened as images:
        issues = _issues(images, content=not parsed.quick)
        able = [one for one in issues if one.repair]
        if parsed.format != "json":
            _show(issues)
        if able and not parsed.dry_run:
            changes.confirm(f"Do {len(able)} repairs?", yes=parsed.yes)
            failed = _mended(images, able)
            left = _issues(images, content=not parsed.quick)
        else:
            failed, left = [], issues
    wrong = [one for one in left if one.code != _UNCHECKED]
    if parsed.format == "json":
        done = [] if parsed.dry_run else [one._asdict() for one in able]
        _say_issues("hostkit.storage-repair/1", images.root, left, repaired=done, failed=failed)
    else:
        for words in failed:
            changes.complain(changes.wrapped(words, "not done: "))
        changes.say("Nothing was changed." if parsed.dry_run else _summed(wrong))
    if failed:
        return _HALF_WAY
    return 1 if wrong else 0


def _mended(images: ImageStore, able: Iterable[Issue]) -> list[str]:
    failed: list[str] = []
    for issue in able:
        try:
            fsck.repair(images, issue)
        except (StorageError, OSError) as problem:
            failed.append(f"{issue.subject}: {problem}")
    return failed


def _issues(images: ImageStore, *, content: bool) -> list[Issue]:
    total = sum(layer.size for layer in images.layers.layers()) if content else 0
    with store.progress("checking", total) as tell:
        return list(fsck.check(images, content=content, tell=tell))


def _show(issues: Iterable[Issue]) -> None:
    for one in issues:
        changes.say(changes.wrapped(f"{one.code} {one.subject}: {one.text}"))
        if one.repair:
            changes.say(changes.wrapped(one.repair, "  repair: "))


def _summed(wrong: Sequence[Issue]) -> str:
    if not wrong:
        return "Nothing is wrong."
    able = sum(bool(one.repair) for one in wrong)
    return f"{len(wrong)} wrong, {able} of them can be mended: hostkit storage repair"


def _say_issues(schema: str, root: str, issues: Iterable[Issue], **more: object) -> None:
    listed = [one._asdict() for one in issues]
    changes.say_json({"schema": schema, "root": root, "issues": listed, **more})


ACTIONS = {
    "probe": ActionEntry(_probe_options, _probe, "which driver serves this host best"),
    "status": ActionEntry(_status_options, _status, "what a data root holds"),
    "check": ActionEntry(_check_options, _check, "look for damage"),
    "repair": ActionEntry(_repair_options, _repair, "mend what can be mended"),
}
