# SPDX-License-Identifier: GPL-3.0-or-later
"""From options to a shown report: what preflight and doctor do alike."""

import time
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from hostkit import plugins
from hostkit.cli import common, ignoring, invocation
from hostkit.cli.selection import Selection
from hostkit.diagnosis import origin
from hostkit.diagnosis.check import Check
from hostkit.diagnosis.doctor import Diagnosis
from hostkit.diagnosis.finding import Finding, Severity
from hostkit.diagnosis.rank import Ranked, rank
from hostkit.diagnosis.runner import Result
from hostkit.diagnosis.waiver import Waiver, waived
from hostkit.facts.fact import Facts
from hostkit.facts.target import TARGET
from hostkit.host.answer import Known, Unreadable
from hostkit.host.base import Host
from hostkit.repair.actions import ACTIONS
from hostkit.report import lines
from hostkit.report import text as text_report
from hostkit.report.model import Report, is_unknown
from hostkit.value import NamedTuple

if TYPE_CHECKING:
    from hostkit.diagnosis.advise import Advice

TEXT_HOST = "-"


class Examination:
    """What was asked for, and what is installed to answer it."""

    def __init__(
        self,
        command: Sequence[str],
        arguments: Namespace,
        loaded: plugins.Plugins,
    ) -> None:
        self.command = tuple(command)
        self.arguments = arguments
        self.loaded = loaded
        self.catalogue = loaded.catalogue()
        self.target = common.target_of(arguments.target)
        self.entries = ignoring.read(arguments.ignore_file)
        self.selection = Selection(common.words(arguments.select), common.words(arguments.ignore))
        areas = (area.area for area in loaded.areas)
        self.selection.verify(
            {*self.catalogue.codes(), *areas}, lambda: (one.name for _, one in loaded.checks())
        )

    @cache  # noqa: B019 - there is one examination in a process
    def known(self) -> tuple[tuple[str, Check], ...]:
        """The checks of the areas that matter to the target; imported when first asked for."""
        return self.loaded.checks(self.target.engine)

    def checks(self) -> tuple[Check, ...]:
        """The checks that matter to the target and were not deselected."""
        return tuple(
            one for one in self.selection.checks(self.known()) if self.target.engine in one.profiles
        )

    def wanted(self, findings: Iterable[Finding]) -> tuple[Finding, ...]:
        """The findings that `--select` asks for."""
        if not self.selection.select:
            return tuple(findings)
        checks = [one for _, one in self.known()]
        return tuple(
            finding
            for finding in findings
            if self.selection.wants(
                finding.problem, self.catalogue.describe(finding.problem).area, checks
            )
        )


class Seen(NamedTuple):
    """What came of it; `facts` is None when no host was asked.

    `recognised`: whether hostkit knows anything of the text; None without a text.
    """

    ranked: tuple[Ranked, ...]
    results: tuple[Result, ...]
    facts: Facts | None
    notes: tuple[str, ...] = ()
    advice: "Advice | None" = None
    recognised: bool | None = None


def begin(command: Sequence[str], arguments: Namespace, *, drivers: bool = False) -> Examination:
    """Check the options against what is installed. Raises InputError."""
    groups = (plugins.CHECKS_GROUP, plugins.DRIVERS_GROUP) if drivers else (plugins.CHECKS_GROUP,)
    return Examination(command, arguments, plugins.load(groups))


def open_host(snapshot: str) -> Host:
    """This machine, or the one that a snapshot was taken of."""
    if snapshot:
        from hostkit.host.snapshot import SnapshotHost

        return SnapshotHost(snapshot)
    from hostkit.host.local import LocalHost

    return LocalHost()


def facts_of(asked: Examination, host: Host) -> Facts:
    """The facts of a host for the target, from the preferred sources."""
    given = {TARGET: Known(asked.target, "--for")}
    return Facts(host, given, prefer_native=asked.arguments.source == "native")


def finish(asked: Examination, seen: Seen) -> int:
    """Show what came of it, and return the exit code."""
    report = report_of(asked, seen)
    output = common.output_of(asked.arguments)
    output.write(shown(report, output))
    return report.exit_code


def report_of(asked: Examination, seen: Seen) -> Report:
    """Select, and rank again what is left."""
    host = seen.facts.host if seen.facts is not None else None
    waivers, expired = _waivers(asked, seen)
    hidden = [asked.selection.ignores(one) or one.finding.problem in waivers for one in seen.ranked]
    ignored = [one for one, away in zip(seen.ranked, hidden, strict=True) if away]
    kept = [one.finding for one, away in zip(seen.ranked, hidden, strict=True) if not away]
    wanted = asked.wanted(kept)
    diagnosis = Diagnosis(
        host=host.name if host is not None else TEXT_HOST,
        source=host.kind if host is not None else "text",
        findings=rank(wanted, asked.catalogue),
        checks=seen.results,
        ignored=tuple(ignored),
        notes=(*seen.notes, *expired),
        duration_s=time.monotonic() - common.STARTED,
        recognised=seen.recognised,
    )
    return Report(
        diagnosis=diagnosis,
        identity=identity(seen.facts),
        areas=_areas(asked, seen),
        family=_family(seen),
        target=asked.arguments.target,
        again=invocation.again(asked.command, root=True),
        exit_code=exit_code(diagnosis, asked.target.engine, asked.arguments.fail_on),
        advice=seen.advice,
        fixable=ACTIONS,
        program=invocation.program(),
        fail_on=asked.arguments.fail_on,
        waivers=waivers,
    )


def _waivers(asked: Examination, seen: Seen) -> tuple[Mapping[str, Waiver], ignoring.Notes]:
    """What the ignore file accepts of this, by code, and notes on what it no longer does."""
    host = seen.facts.host if seen.facts is not None else None
    holding, notes = ignoring.holding(
        asked.entries,
        host.name if host is not None else TEXT_HOST,
        live=host is not None and host.kind == "live",
    )
    unknown = ignoring.strangers(
        holding, asked.catalogue, lambda: (one.name for _, one in asked.loaded.checks())
    )
    return waived(holding, seen.results), (*notes, *unknown)


def exit_code(diagnosis: Diagnosis, engine: str, fail_on: str) -> int:
    """0, 1 or 3 (docs/architecture.md)."""
    if fail_on == "never":
        return 0
    limit = Severity(fail_on).rank
    if any(not r.finding.past and r.finding.severity.rank <= limit for r in diagnosis.findings):
        return 1
    unsure = any(engine in r.check.required and is_unknown(r) for r in diagnosis.checks)
    return 3 if unsure or diagnosis.recognised is False else 0


def shown(report: Report, output: common.Output) -> str:
    """The report in the form that was asked for."""
    verbosity = text_report.Verbosity(output.verbosity)
    form = output.effective_format
    if form == "json":
        from hostkit.report import jsonout

        return jsonout.render(report)
    if form == "junit":
        from hostkit.report import junit

        return junit.render(report)
    if form == "lines":
        return lines.render(report, verbosity)
    return text_report.render(report, output.style(), verbosity)


def identity(facts: Facts | None) -> tuple[str, ...]:
    """What the header says of a host: name, distribution, kernel, engine."""
    if facts is None:
        return ("a text alone, no host was asked",)
    from hostkit.facts.engine import DOCKER, PODMAN
    from hostkit.facts.kernel import KERNEL
    from hostkit.facts.osrelease import OS_RELEASE

    release, kernel = facts.known(OS_RELEASE), facts.known(KERNEL)
    host = facts.host
    said = [host.name if host.kind == "live" else f"{host.name} ({host.kind})"]
    said.append(release.pretty_name or release.id if release else "distribution unknown")
    said.append(f"kernel {kernel.text}" if kernel else "kernel unknown")
    answers = [facts.get(fact) for fact in (DOCKER, PODMAN)]
    named = [f"{a.value.name} {a.value.version_text}" for a in answers if isinstance(a, Known)]
    unsure = any(isinstance(answer, Unreadable) for answer in answers)
    return (*said, *(named or ["engine unknown" if unsure else "no engine"]))


def _family(seen: Seen) -> str:
    """The key into a remedy's commands; of a text, what its quoted lines give away."""
    if seen.facts is None:
        return origin.family_in(origin.quoted(one.finding for one in seen.ranked))
    return host_family(seen.facts)


def host_family(facts: Facts) -> str:
    """The package family of a host; `any` when it is not known."""
    from hostkit.facts.osrelease import OS_RELEASE

    release = facts.known(OS_RELEASE)
    return release.package_family if release else "any"


def _areas(asked: Examination, seen: Seen) -> dict[str, str]:
    if not seen.results:
        return {}
    return {one.name: area for area, one in asked.known()}
