# SPDX-License-Identifier: GPL-3.0-or-later
"""Standard streams that are closed, full, or whose reader has gone."""

import os
import sys
from typing import TextIO

_STREAMS = ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w"))


def open_standard_streams() -> None:
    """Give a closed stream (`>&-`) the null device, before another file gets its number."""
    for number, name, mode in _STREAMS:
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - lives as long as the process
        if mode == "w":
            getattr(sys, name).reconfigure(errors="backslashreplace")


def discard_output(stream: TextIO | None = None) -> None:
    """Drop what is still buffered: the interpreter would fail with it at its end."""
    descriptor = os.open(os.devnull, os.O_WRONLY)
    os.dup2(descriptor, (stream or sys.stdout).fileno())
    os.close(descriptor)
