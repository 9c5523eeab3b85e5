# SPDX-License-Identifier: GPL-3.0-or-later
"""How far something is that takes longer than a person likes to wait: one line on a terminal."""

import sys
import time
from typing import TextIO

from hostkit.text import printable

QUIET_S = 2.0  # what takes no longer needs no word
_BETWEEN_S = 0.2
_CLEAR = "\r\x1b[K"


class Progress:
    """Counts bytes of `total` (0: not known) and says so on stderr, if that is a terminal."""

    def __init__(self, what: str, total: int = 0, stream: TextIO | None = None) -> None:
        self._what = printable(what)
        self._total = total
        self._stream = stream or sys.stderr
        self._done = 0
        self._began = time.monotonic()
        self._next = self._began + QUIET_S if self._stream.isatty() else float("inf")
        self._shown = False

    def add(self, size: int) -> None:
        """So many bytes more are done."""
        self._done += size
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _BETWEEN_S
            self._shown = True
            self._stream.write(f"{_CLEAR}{self._what}: {self._figures(now - self._began)}")
            self._stream.flush()

    def _figures(self, seconds: float) -> str:
        """What is done, how quickly, and how long the rest will take.

        >>> progress = Progress("x", 300 << 20)
        >>> progress.add(100 << 20)
        >>> progress._figures(4.0)
        '100 of 300 MiB, 25 MiB/s, 8 s left'
        """
        rate = self._done / seconds
        if self._total <= self._done:
            return f"{self._done >> 20} MiB, {int(rate) >> 20} MiB/s"
        done = f"{self._done >> 20} of {self._total >> 20} MiB, {int(rate) >> 20} MiB/s"
        return f"{done}, {(self._total - self._done) / rate:.0f} s left"

    def close(self) -> None:
        """Take the line away."""
        if self._shown:
            self._stream.write(_CLEAR)
            self._stream.flush()
