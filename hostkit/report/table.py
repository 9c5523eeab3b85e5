# SPDX-License-Identifier: GPL-3.0-or-later
"""Wide tables; the only user of tabulate, which is slow to import (about 50 ms)."""

from collections.abc import Sequence

from tabulate import tabulate  # type: ignore[import-untyped]  # noqa: TID251 - it has no types; this is the module that may import it

from hostkit import text


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int | None) -> str:
    """Rows under headings; the last column is wrapped so that lines fit `width` cells.

    Without a width each row is one line, as grep and awk want it.
    """
    clean = [[text.printable(cell) for cell in row] for row in rows]
    others = len(headings) - 1
    taken = sum(
        max(text.width(row[column]) for row in (headings, *clean)) + 2 for column in range(others)
    )
    if width is not None:
        room = max(20, width - taken)
        clean = [[*row[:-1], "\n".join(text.wrap(row[-1], room))] for row in clean]
    shown: str = tabulate(clean, headers=headings, tablefmt="simple", disable_numparse=True)
    return "".join(f"{line.rstrip()}\n" for line in shown.splitlines())
