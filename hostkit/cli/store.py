# SPDX-License-Identifier: GPL-3.0-or-later
"""What `image` and `storage` share: which root, which driver, and how both are opened."""

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn, cast

from hostkit import plugins
from hostkit.cli import changes, common
from hostkit.errors import HostkitError, InputError, Refused
from hostkit.facts.graphdrivers import LIVES
from hostkit.report.progress import Progress
from hostkit.storage import root as roots
from hostkit.storage.driver import StorageDriver
from hostkit.storage.errors import StorageError, Unsupported
from hostkit.storage.image.store import ImageStore
from hostkit.storage.layerstore import LayerStore
from hostkit.storage.plugin import DriverPlugin
from hostkit.system import aside, mounts
from hostkit.value import NamedTuple

if TYPE_CHECKING:
    from hostkit.diagnosis.advise import Advice


class ActionEntry(NamedTuple):
    """One action of a command: its options, what it does, and a sentence for the help."""

    options: Callable[[], ArgumentParser]
    run: Callable[[Namespace], int]
    summary: str


def dispatch(
    actions: Mapping[str, ActionEntry],
    made: Callable[[], ArgumentParser],
    arguments: Sequence[str],
) -> int:
    """Run the action that the first word names."""
    if not arguments:
        made().print_help()
        return InputError.exit_code
    entry = actions.get(arguments[0])
    if entry is None:
        made().parse_args(arguments)  # shows the help, or says what is wrong
        return 0
    return entry.run(entry.options().parse_args(arguments[1:]))


def command(
    name: str, description: str, actions: Mapping[str, ActionEntry], examples: Sequence[str]
) -> ArgumentParser:
    """The parser of a command that has actions, for its help and its errors."""
    lines = "".join(f"  {action:<8} {entry.summary}\n" for action, entry in actions.items())
    more = f"actions:\n{lines}\noptions of an action:  hostkit {name} ACTION --help"
    made = common.parser(name, description, examples, more)
    made.add_argument("action", metavar="ACTION", choices=tuple(actions))
    return made


def add_store(made: ArgumentParser, *, output: bool = True) -> None:
    """`--root`, `--driver`, `--format`."""
    made.add_argument(
        "--root", metavar="DIR", default="", help="default: $HOSTKIT_ROOT or /var/lib/hostkit"
    )
    made.add_argument(
        "--driver",
        metavar="NAME",
        default="",
        help="default: the one whose layers are there, else the best that works",
    )
    if output:
        made.add_argument("--format", choices=("text", "json"), default="text")


class Meant(NamedTuple):
    """The data root that was meant, and the driver: its folder's name, "" for none yet."""

    root: str
    driver: str
    others: tuple[str, ...] = ()


def root_of(parsed: Namespace) -> str:
    """The data root that was meant. Raises StorageError for what cannot be one."""
    return roots.refuse_unfit(parsed.root or os.environ.get("HOSTKIT_ROOT") or changes.DEFAULT_ROOT)


def place_of(parsed: Namespace) -> Meant:
    """Where the images are. Raises Refused when it is not sure which driver's are meant.

    Layers of another driver are never passed over in silence.
    """
    root = root_of(parsed)
    try:
        there = roots.occupied(root, {*LIVES, *(one.directory for one in _drivers())} - {""})
    except PermissionError as problem:
        raise _not_root(problem) from None
    wanted = _folder_of(parsed.driver) if parsed.driver else ""
    if not there or there == [wanted]:
        return Meant(root, wanted)
    names = " and ".join(there)
    if not wanted:
        if len(there) > 1:
            raise Refused(f"{root} holds layers of {names}", "name one of them with --driver")
        return Meant(root, there[0])
    if wanted not in there:
        raise Refused(
            f"{root} holds layers of {names}, not of {wanted}: they would seem to be gone",
            "name another --root, or leave --driver away",
        )
    others = tuple(one for one in there if one != wanted)
    changes.complain(f"note: {root} also holds layers of {' and '.join(others)}, not shown here")
    return Meant(root, wanted, others)


@contextmanager
def reading(parsed: Namespace, *, content: bool = False) -> Generator[ImageStore]:
    """The images, to be looked at: nothing below the root is changed.

    `content`: also what is in the layers, which needs root.
    """
    place = place_of(parsed)
    if not os.path.isdir(place.root):
        raise InputError(f"there is no data root {place.root}", "name one with --root")
    if changes.is_root():
        mounts.enter_private_namespace()
        aside.make_read_only(place.root)
    elif content:
        raise InputError("only root can read the layers", "the same with sudo")
    try:
        driver = _reader(place)
        try:
            layers = LayerStore(place.root, driver, read_only=True)
            yield ImageStore(place.root, layers)
        finally:
            driver.close()
    except PermissionError as problem:
        raise _not_root(problem) from None


@contextmanager
def changing(parsed: Namespace) -> Generator[ImageStore]:
    """The images, to be changed. Raises Refused when that is not safe."""
    place = place_of(parsed)
    if not changes.is_root():
        raise Refused("only root can change images", "the same with sudo")
    engine = roots.engine_on(place.root)
    if engine:
        raise Refused(
            f"an engine is running on {place.root}: it holds {engine}",
            "stop it first (systemctl stop docker docker.socket), or use another --root",
        )
    mounts.enter_private_namespace()
    os.makedirs(place.root, mode=0o711, exist_ok=True)
    driver = _opened(place)
    try:
        yield ImageStore(place.root, LayerStore(place.root, driver))
    finally:
        driver.close()


def saving(parsed: Namespace) -> AbstractContextManager[ImageStore]:
    """The images, to be written elsewhere: held where nobody else's engine is at work."""
    place = place_of(parsed)
    if roots.is_dockers(place.root) or not os.path.isdir(place.root):
        return reading(parsed, content=True)
    return changing(parsed)


@contextmanager
def progress(what: str, total: int = 0) -> Generator[Callable[[int], object]]:
    """How far something is, said on a terminal when it takes long."""
    shown = Progress(what, total)
    try:
        yield shown.add
    finally:
        shown.close()


def ranked(root: str, directory: str = "") -> list[DriverPlugin]:
    """The drivers that can be opened, or those of one folder, the best for this host first."""
    able = (one for one in _drivers() if one.open is not None)
    by_name = {one.name: one for one in able if directory in ("", one.directory)}
    if len(by_name) < 2:  # noqa: PLR2004 - nothing to choose
        return list(by_name.values())
    wanted = (one for one in advice(root).ranked if one.driver in by_name)
    # One that cannot work here is not tried: devices would be made for nothing.
    return [by_name[one.driver] for one in wanted if directory or one.verdict != "impossible"]


def trials(root: str) -> dict[str, str]:
    """Why each driver that can be opened does not work below a root, "" when it does."""
    mounts.enter_private_namespace()
    there = os.path.isdir(root)
    os.makedirs(root, mode=0o711, exist_ok=True)
    try:
        return {one.name: roots.trial(one, root) for one in ranked(root)}
    finally:
        if not there:
            os.rmdir(root)


def advice(root: str) -> "Advice":
    """What the drivers say of this host, with the root where it is."""
    from hostkit.diagnosis.advise import advise
    from hostkit.facts.dataroot import PLACE, Place
    from hostkit.facts.fact import Fact, Facts
    from hostkit.facts.target import TARGET, Target
    from hostkit.host.answer import Answer, Known
    from hostkit.host.local import LocalHost

    given: dict[Fact[Any], Answer[Any]] = {
        TARGET: Known(Target("hostkit"), "hostkit"),
        PLACE: Known(Place(root, "--root"), "--root"),
    }
    facts = Facts(LocalHost(), given)
    return advise(_loaded().fitness(facts))


def size_words(size: int) -> str:
    """Bytes as images are shown: three digits that matter.

    >>> size_words(999), size_words(1_234_567), size_words(123_456_789_000)
    ('999 B', '1.23 MB', '123 GB')
    """
    amount, units = float(size), iter(("B", "kB", "MB", "GB", "TB", "PB"))
    unit = next(units)
    while amount >= 999.5:  # noqa: PLR2004 - what would be shown as 1000
        amount, unit = amount / 1000, next(units)
    return f"{amount:.3g} {unit}" if unit != "B" else f"{size} B"


def _reader(place: Meant) -> StorageDriver:
    """The driver, or what only knows its name where it cannot be opened here."""
    why = "no driver for it is installed" if place.driver else "there are no layers yet"
    for plugin in _drivers():
        if plugin.directory == place.driver and plugin.open is not None:
            try:
                return plugin.open(place.root, {}, True)
            except (HostkitError, OSError) as problem:
                why = str(problem)
    return cast("StorageDriver", _Unopened(place.driver or "none", why))


class _Unopened:
    """Stands for a driver that cannot be opened: images are listed, layers are not read."""

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        self._why = why

    def close(self) -> None:
        """There is nothing to give back."""

    def __getattr__(self, _: str) -> NoReturn:
        raise Unsupported(f"layers of {self.name} cannot be read here: {self._why}")


def _opened(place: Meant) -> StorageDriver:
    """The driver whose layers are there, else the best that passes a trial."""
    failed: list[str] = []
    for plugin in ranked(place.root, place.driver):
        assert plugin.open is not None
        why = "" if place.driver else roots.trial(plugin, place.root)
        if why:
            failed.append(f"{plugin.name}: {why}")
            continue
        return plugin.open(place.root, {}, False)
    name = place.driver or "no driver"
    raise StorageError(
        f"{name} works on {place.root}" if not place.driver else f"{name} does not work here",
        "; ".join(failed) or "`hostkit storage probe` says more",
    )


def _folder_of(name: str) -> str:
    for plugin in _drivers():
        if name in (plugin.name, plugin.directory) and plugin.directory:
            return plugin.directory
    if name in LIVES:
        return name
    known = ", ".join(sorted(one.name for one in _drivers() if one.open is not None))
    raise InputError(f"there is no driver {name}", f"drivers: {known}")


@cache
def _loaded() -> plugins.Plugins:
    return plugins.load((plugins.DRIVERS_GROUP,))


def _drivers() -> tuple[DriverPlugin, ...]:
    return _loaded().drivers


def _not_root(problem: OSError) -> HostkitError:
    return InputError(f"{problem.filename}: {problem.strerror}", "the same with sudo")
