# SPDX-License-Identifier: GPL-3.0-or-later
"""A long file searched in parts, each by a process of its own, as if it were searched in one.

A part sees some text of its neighbours, so a message that lies across a cut is found too.
Lines that differ only in numbers are tried a few times in each part.
"""

import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

from hostkit.diagnosis.scan import Hit, scan
from hostkit.diagnosis.signature import Signature
from hostkit.value import NamedTuple


class Part(NamedTuple):
    """Some whole lines of a text: `lines()` begins to read them, `notes` is filled by it."""

    lines: Callable[[], Iterable[bytes]]
    notes: list[str]
    before: bytes = b""
    after: bytes = b""


class _Found(NamedTuple):
    """What one part holds; its hits count lines from the part's own first."""

    hits: tuple[Hit, ...]
    length: int  # in lines
    notes: tuple[str, ...]


def scan_parts(
    parts: Sequence[Part], signatures: Sequence[Signature], source: str
) -> tuple[Hit, ...]:
    """As `scan` of all parts one after the other."""
    # A process with other threads is not copied: what they hold would be held for ever.
    workers = [_Worker(part) for part in parts[1:] if threading.active_count() == 1]
    try:
        for worker in workers:
            worker.start(signatures, source)
        found = [_search(parts[0], signatures, source)]
        for part, worker in zip(parts[1:], workers, strict=False):
            found.append(worker.result() or _search(part, signatures, source))
        found += [_search(part, signatures, source) for part in parts[1 + len(workers) :]]
    finally:
        for worker in workers:
            worker.stop()
    return _joined(parts, found)


def _joined(parts: Sequence[Part], found: Sequence[_Found]) -> tuple[Hit, ...]:
    chosen: dict[tuple[str, str], Hit] = {}
    first_line = 0
    for one in found:
        for hit in one.hits:
            key = (hit.signature.problem, hit.signature.summary)
            chosen.setdefault(key, _moved(hit, first_line))
        first_line += one.length
        for note in one.notes:
            if note not in parts[0].notes:
                parts[0].notes.append(note)
    return tuple(chosen.values())


def _moved(hit: Hit, lines: int) -> Hit:
    (seen,) = hit.finding.evidence
    moved = seen._replace(line=(seen.line or 0) + lines)
    finding = hit.finding._replace(evidence=(moved,))
    return hit._replace(finding=finding, position=hit.position + lines)


def _search(part: Part, signatures: Sequence[Signature], source: str) -> _Found:
    count = 0

    def counted() -> Iterator[bytes]:
        nonlocal count
        for lines in part.lines():
            count += lines.count(b"\n") + 1
            yield lines

    hits = scan(counted(), signatures, source, before=part.before, after=part.after)
    return _Found(hits, count, tuple(part.notes))


class _Worker:
    """A process that searches one part and hands over what it found."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._process = 0
        self._pipe = -1

    def start(self, signatures: Sequence[Signature], source: str) -> None:
        """Begin; where no process can be had, `result` is None."""
        self._pipe, giving = os.pipe()
        try:
            self._process = os.fork()
        except OSError:
            os.close(giving)
            return
        if self._process == 0:
            status = 1
            try:
                with os.fdopen(giving, "wb") as pipe:
                    pickle.dump(_search(self._part, signatures, source), pipe)
                status = 0
            finally:
                os._exit(status)  # nothing of the parent is closed or written twice
        os.close(giving)

    def result(self) -> _Found | None:
        """What it found; None when it could not, and somebody else has to."""
        pieces: list[bytes] = []
        while piece := os.read(self._pipe, 1 << 16):
            pieces.append(piece)
        if not self._process:
            return None
        _, status = os.waitpid(self._process, 0)
        self._process = 0
        # Our own process, memory and code wrote it: nothing from outside is unpickled.
        return pickle.loads(b"".join(pieces)) if status == 0 else None  # noqa: S301 - see above

    def stop(self) -> None:
        """End it, whatever it does."""
        if self._process:
            os.kill(self._process, signal.SIGKILL)
            os.waitpid(self._process, 0)
            self._process = 0
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
