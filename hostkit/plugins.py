# SPDX-License-Identifier: GPL-3.0-or-later
"""Entry points -> drivers and checks. A broken plug-in is a finding, never a traceback.

entry_points.txt is read here because importlib.metadata takes 45 ms to import, a third
of what a whole preflight may take; the format is the packaging specification's.
"""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import TypeVar, cast

from hostkit import files, text
from hostkit.diagnosis.check import API, Check, CheckPlugin
from hostkit.diagnosis.finding import Certainty, Evidence, Finding, Severity
from hostkit.diagnosis.problem import Catalogue
from hostkit.diagnosis.signature import Signature
from hostkit.facts.fact import Fact, Facts
from hostkit.facts.fitness import Fitness
from hostkit.storage.plugin import DRIVER_API, DriverPlugin
from hostkit.value import NamedTuple

T = TypeVar("T")
CHECKS_GROUP = "hostkit.checks"
DRIVERS_GROUP = "hostkit.drivers"
_OURS = "hostkit_checks."  # whose patterns the tests compile; it takes 50 ms
_ANY = (Exception, SystemExit)  # another project's code may fail in any way


class EntryPoint(NamedTuple):
    """One line of an entry_points.txt: `name = module:attribute`."""

    name: str
    module: str
    attribute: str
    distribution: str


class Plugins:
    """What is installed. `broken` grows with each plug-in, or part of one, that fails."""

    def __init__(
        self,
        areas: Sequence[CheckPlugin],
        drivers: Sequence[DriverPlugin],
        broken: Sequence[Finding],
    ) -> None:
        self.areas = tuple(areas)
        self.drivers = tuple(drivers)
        self.broken = list(broken)

    def checks(self, engine: str = "") -> tuple[tuple[str, Check], ...]:
        """(area, check) of every area, or of those that matter to an engine, in order."""
        return tuple(
            (area.area, one)
            for area in self.areas
            if not engine or engine in area.profiles
            for one in self._members(area, "checks", "CHECKS", Check)
        )

    def signatures(self) -> tuple[Signature, ...]:
        """The signatures of every area."""
        return tuple(
            one
            for area in self.areas
            for one in self._members(area, "signatures", "SIGNATURES", Signature)
        )

    def catalogue(self) -> Catalogue:
        """The problems of every area."""
        return Catalogue({area.area: _explain_folder(area) for area in self.areas})

    def fitness(self, facts: Facts) -> tuple[Fitness, ...]:
        """What each driver says of a host."""
        said: list[Fitness] = []
        for driver in self.drivers:
            try:
                said.append(driver.fitness(facts))
            except _ANY as error:
                self.broken.append(_broken(driver.name, f"{driver.name}: fitness", error))
        return tuple(said)

    def _members(self, area: CheckPlugin, module: str, name: str, kind: type[T]) -> tuple[T, ...]:
        where = f"{area.package}.{module}"
        try:
            members: tuple[object, ...] = getattr(import_module(where), name)
            good = tuple(member for member in members if isinstance(member, kind))
            if len(good) != len(members):
                raise TypeError(f"{name} holds something that is not a {kind.__name__}")
            if not area.package.startswith(_OURS):
                _try(good)
        except _ANY as error:
            self.broken.append(_broken(area.area, where, error))
            return ()
        return good


def load(groups: tuple[str, ...] = (CHECKS_GROUP, DRIVERS_GROUP)) -> Plugins:
    """Find and load the plug-ins; their checks and signatures are imported when asked for."""
    areas: list[CheckPlugin] = []
    drivers: list[DriverPlugin] = []
    broken: list[Finding] = []
    for group, entry in sorted(_entry_points(), key=lambda found: found[1].name):
        if group not in groups:
            continue
        try:
            plugin = getattr(import_module(entry.module), entry.attribute)
            _accept(group, plugin, areas, drivers)
        except _ANY as error:
            where = f"{entry.module}:{entry.attribute} of {entry.distribution}"
            broken.append(_broken(entry.name, where, error))
    return Plugins(areas, drivers, broken)


def _accept(
    group: str, plugin: object, areas: list[CheckPlugin], drivers: list[DriverPlugin]
) -> None:
    wanted = API if group == CHECKS_GROUP else DRIVER_API
    kind = CheckPlugin if group == CHECKS_GROUP else DriverPlugin
    if not isinstance(plugin, kind):
        raise TypeError(f"it is a {type(plugin).__name__}, not a {kind.__name__}")
    if plugin.api != wanted:
        raise ValueError(f"it speaks API {plugin.api}, this hostkit speaks {wanted}")
    if isinstance(plugin, CheckPlugin):
        import_module(plugin.package)  # where its explanations lie
        areas.append(plugin)
    else:
        drivers.append(plugin)


def _try(members: Sequence[object]) -> None:
    """Raise what would be raised in every run by checks and signatures that cannot be used."""
    for one in members:
        declared: Sequence[object] = []
        if isinstance(one, Check):
            declared = cast("Sequence[object]", (*one.needs, *one.uses))
        if not all(isinstance(fact, Fact) for fact in declared):
            raise TypeError(f"needs or uses of it hold something that is no fact: {one!r}")
        if isinstance(one, Signature):
            re.compile(one.pattern)
            if not all(one.anchors) or not one.anchors:
                raise ValueError(f"a signature of {one.problem} has no anchor, or an empty one")


def _explain_folder(area: CheckPlugin) -> str:
    path = sys.modules[area.package].__file__ or ""
    return os.path.join(os.path.dirname(path), "explain")


def _broken(name: str, where: str, error: BaseException) -> Finding:
    reason = text.shorten(text.printable(f"{type(error).__name__}: {error}"), 200)
    return Finding(
        problem="plugin-broken",
        severity=Severity.WARNING,
        certainty=Certainty.CONFIRMED,
        summary=f"the plug-in {text.printable(name)} cannot be used",
        evidence=(Evidence(text.printable(where), reason),),
    )


def _entry_points() -> Iterator[tuple[str, EntryPoint]]:
    seen: set[str] = set()
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for name in names:
            if not name.endswith(".dist-info") or name in seen:
                continue
            seen.add(name)
            path = os.path.join(folder or ".", name, "entry_points.txt")
            try:
                data, _ = files.read_bounded(path)
            except OSError:
                continue
            yield from parse_entry_points(text.decode(data), name.removesuffix(".dist-info"))


def parse_entry_points(content: str, distribution: str) -> Iterator[tuple[str, EntryPoint]]:
    r"""The entry points of our two groups.

    >>> [tuple(e) for _, e in parse_entry_points("[hostkit.checks]\nos = a.b:PLUGIN\n", "a-1")]
    [('os', 'a.b', 'PLUGIN', 'a-1')]
    """
    group = ""
    for raw in content.splitlines():
        line = raw.strip()
        if line.startswith("["):
            group = line.strip("[] ")
        elif group in (CHECKS_GROUP, DRIVERS_GROUP) and "=" in line and line[:1] not in "#;":
            name, _, target = line.partition("=")
            module, _, attribute = target.strip().partition(":")
            yield group, EntryPoint(name.strip(), module, attribute, distribution)
