# SPDX-License-Identifier: GPL-3.0-or-later
"""A report for programs: one object, described by schema/hostkit.report-1.schema.json.

Never translated, and only ever added to: a change of what is there gets a new number.
"""

import json
from collections.abc import Mapping
from typing import Any

from hostkit import __version__
from hostkit.diagnosis.advise import Advice
from hostkit.diagnosis.problem import Problem, Remedy
from hostkit.diagnosis.rank import Ranked
from hostkit.report.model import Report, counts, safe_params, unknowns

SCHEMA = "hostkit.report/1"


def render(report: Report) -> str:
    """The object as text that is valid UTF-8 (and ASCII), ending in a newline."""
    return dump(as_data(report))


def dump(data: object) -> str:
    """Any of our values as indented JSON; text that is not Unicode is spelled out."""
    return json.dumps(_clean(data), indent=2) + "\n"


def as_data(report: Report) -> dict[str, Any]:
    """The object as plain Python values."""
    diagnosis = report.diagnosis
    area = report.areas.get
    return {
        "schema": SCHEMA,
        "hostkit": __version__,
        "host": diagnosis.host,
        "source": diagnosis.source,
        "target": report.target,
        "identity": list(report.identity),
        "summary": {**counts(diagnosis)._asdict(), "exit_code": report.exit_code},
        "findings": [_finding(report, one) for one in diagnosis.findings],
        "unknown": [
            {
                "check": check.name,
                "area": area(check.name, ""),
                "reason": outcome.reason,
                "needs_root": outcome.needs_root,
                "crashed": outcome.crashed,
            }
            for check, outcome in unknowns(diagnosis.checks)
        ],
        "passed": [
            {"check": check.name, "area": area(check.name, ""), "note": outcome.note}
            for check, outcome in diagnosis.passed()
        ],
        "ignored": [_ignored(report, one) for one in diagnosis.ignored],
        "recognised": diagnosis.recognised,
        "advice": _advice(report.advice),
        "notes": list(diagnosis.notes),
        "duration_s": round(diagnosis.duration_s, 4),
    }


def _advice(advice: Advice | None) -> dict[str, Any] | None:
    if advice is None:
        return None
    drivers = [
        {
            "driver": one.driver,
            "verdict": one.verdict.value,
            "reasons": [reason._asdict() for reason in one.reasons],
        }
        for one in advice.ranked
    ]
    return {"summary": advice.summary, "drivers": drivers}


def problem_data(problem: Problem) -> dict[str, Any]:
    """One problem of the catalogue, for `hostkit explain --format json`."""
    data = problem._asdict()
    data["remedies"] = [_remedy(remedy, {}) for remedy in problem.remedies]
    data["harmful"] = [harmful._asdict() for harmful in problem.harmful]
    return data


def _finding(report: Report, one: Ranked) -> dict[str, Any]:
    finding, problem = one.finding, one.problem
    params = safe_params(finding)
    return {
        "problem": finding.problem,
        "area": problem.area,
        "title": problem.title,
        "severity": finding.severity.value,
        "certainty": finding.certainty.value,
        "past": finding.past,
        "later": finding.later,
        "summary": finding.summary,
        "harm": problem.harm,
        "evidence": [evidence._asdict() for evidence in finding.evidence],
        "causes": list(one.causes),
        "caused_by": list(one.caused_by),
        "params": dict(finding.params),
        "remedies": [
            {
                **_remedy(remedy, params),
                "commands_here": list(remedy.commands_for(report.family_of(one), params)),
                "fix": _fix(report, problem, remedy),
            }
            for remedy in one.remedies
        ],
        "mistaken_for": list(problem.mistaken_for),
        "harmful": [harmful._asdict() for harmful in problem.harmful],
    }


def _ignored(report: Report, one: Ranked) -> dict[str, Any]:
    code = one.finding.problem
    waiver = report.waivers.get(code)
    return {
        **_finding(report, one),
        "reason": waiver.reason if waiver else "--ignore",
        "expires": waiver.expires or None if waiver else None,
    }


def _fix(report: Report, problem: Problem, remedy: Remedy) -> str:
    here = remedy.action in report.fixable and report.diagnosis.source == "live"
    return f"hostkit fix {problem.code}" if here else ""


def _remedy(remedy: Remedy, params: Mapping[str, str]) -> dict[str, Any]:
    return {
        "summary": remedy.summary,
        "risk": remedy.risk,
        "interrupts": remedy.interrupts,
        "undo": remedy.undo_for(params),
        "commands": {
            family: list(remedy.commands_for(family, params)) for family in remedy.commands
        },
    }


def _clean(value: object) -> object:
    """The value with lone surrogates (bytes that were not UTF-8) spelled out."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {str(_clean(key)): _clean(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType] - isinstance leaves the item types open
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType] - as above
    return value
