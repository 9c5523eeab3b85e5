# SPDX-License-Identifier: GPL-3.0-or-later
"""`hostkit list checks|problems`: everything that hostkit can look at or name."""

import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from hostkit import plugins
from hostkit.cli import common
from hostkit.report.style import Style

JSON_ONLY = ("problems",)  # too wide for a table
EXAMPLES = ("hostkit list checks", "hostkit list problems --format json")


def options() -> ArgumentParser:
    """The options of this command."""
    made = common.parser("list", "Lists what hostkit can look at, or name.", EXAMPLES)
    made.add_argument("what", metavar="checks|problems", choices=("checks", "problems"))
    common.add_output(made, ("text", "json"))
    return made


def run(arguments: Sequence[str]) -> int:
    """Show one of the two lists."""
    parsed = options().parse_args(arguments)
    loaded = plugins.load((plugins.CHECKS_GROUP,))
    rows = _checks(loaded) if parsed.what == "checks" else _problems(loaded)
    output = common.output_of(parsed)
    if output.format == "json":
        from hostkit.report import jsonout

        output.write(jsonout.dump(rows))
        return 0
    from hostkit.report.table import table

    headings = tuple(name for name in rows[0] if name not in JSON_ONLY) if rows else ()
    terminal = bool(output.path) or sys.stdout.isatty()
    style = output.style()
    cells = [[_cell(name, str(row[name]), style) for name in headings] for row in rows]
    output.write(table(headings, cells, style.width if terminal else None))
    return 0


def _cell(heading: str, words: str, style: Style) -> str:
    return style.say(words) if heading == "title" else words


def _checks(loaded: plugins.Plugins) -> list[dict[str, object]]:
    return [
        {"area": area, "check": one.name, "problems": list(one.problems), "title": one.title}
        for area, one in loaded.checks()
    ]


def _problems(loaded: plugins.Plugins) -> list[dict[str, object]]:
    catalogue = loaded.catalogue()
    problems = sorted(map(catalogue.get, catalogue.codes()), key=lambda one: (one.area, one.code))
    return [{"area": one.area, "code": one.code, "title": one.title} for one in problems]
