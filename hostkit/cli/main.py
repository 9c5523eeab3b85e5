# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: one parser, one dispatch, one place that catches our errors."""

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    del argv
    return 2


def run() -> None:
    """Entry point of the installed program."""
    sys.exit(main())
