# SPDX-License-Identifier: GPL-3.0-or-later
"""How a fact is declared and gathered: once, on demand, never raising for a bad host."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from hostkit import text
from hostkit.files import READ_LIMIT
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.host.base import Host
from hostkit.host.commands import Command
from hostkit.value import NamedTuple

T = TypeVar("T")
S = TypeVar("S")


class Fact(Generic[T]):
    """One thing that can be known of a host.

    `waits`: gathering it waits for a program. `native`: gathers it from one of the
    libraries behind `Host.native`, for when `gather` has no answer or as asked for.
    """

    if not TYPE_CHECKING:  # `NAME: Fact[X] = ...` stands 80 times, and typing takes 0.01 ms each

        def __class_getitem__(cls, _value):
            return cls

    def __init__(
        self,
        name: str,
        gather: "Callable[[Facts], Answer[T]]",
        *,
        waits: bool,
        native: "Callable[[Facts], Answer[T]] | None" = None,
    ) -> None:
        self.name = name
        self.gather = gather
        self.waits = waits
        self.native = native

    def __repr__(self) -> str:
        return f"Fact({self.name})"


class FactUnknown(Exception):
    """Raised by `Facts.value`: the fact is not known. Never leaves the check runner."""

    def __init__(self, fact: Fact[Any], answer: Absent | Unreadable) -> None:
        super().__init__(f"{answer.source}: {answer.reason}")
        self.fact = fact
        self.answer = answer


class _Gathering(threading.Thread):
    """Gathers facts, one after the other, so that one that hangs holds nobody else."""

    def __init__(self, get: Callable[[Fact[Any]], object], facts: Iterable[Fact[Any]]) -> None:
        super().__init__(daemon=True)
        self._get = get
        self._wanted = tuple(facts)

    def run(self) -> None:
        for fact in self._wanted:
            self._get(fact)


class _Pending(NamedTuple):
    """A fact that a thread gathers: until when that is waited for, and whether it is done."""

    until: float
    done: threading.Event


class Facts:
    """The facts of one host, each gathered at most once; safe to use from several threads.

    Every question ends: a file system or a process that is stuck can hold a read for ever,
    so a fact that has no answer after `fact_s`, or when `total_s` are used up, is Unreadable
    and its thread is left behind. `prefer_native`: ask the libraries first (`--source native`).
    """

    def __init__(
        self,
        host: Host,
        given: Mapping[Fact[Any], Answer[Any]] | None = None,
        *,
        prefer_native: bool = False,
        fact_s: float = 20.0,
        total_s: float = 60.0,
    ) -> None:
        self.host = host
        self.prefer_native = prefer_native
        self._fact_s = fact_s
        self._deadline = time.monotonic() + total_s
        self._answers: dict[Fact[Any], Answer[Any]] = dict(given or {})
        self._pending: dict[Fact[Any], _Pending] = {}
        self._lock = threading.Lock()

    def get(self, fact: Fact[T]) -> Answer[T]:
        """The answer for a fact. Whatever fails or hangs makes it Unreadable."""
        with self._lock:
            if fact in self._answers:
                return self._answers[fact]
            pending = self._pending.get(fact)
            mine = pending is None and isinstance(threading.current_thread(), _Gathering)
            if mine:
                until = min(time.monotonic() + self._fact_s, self._deadline)
                pending = self._pending[fact] = _Pending(until, threading.Event())
        if mine and pending is not None:
            self._answer(fact, self._gather(fact))
            pending.done.set()
        else:
            self._wait(fact, pending)
        return self._answers[fact]

    def _wait(self, fact: Fact[Any], pending: _Pending | None) -> None:
        """Until another thread, made for it when there is none, has the answer."""
        left = self._deadline - time.monotonic()
        reason = f"no answer within {self._fact_s:.0f} s: what it is read from may be stuck"
        if pending is not None:
            pending.done.wait(max(0.0, pending.until - time.monotonic()))
        elif left > 0:
            thread = _Gathering(self.get, (fact,))
            thread.start()
            thread.join(min(left, self._fact_s))
        else:
            reason = "not asked: the time for the whole run was used up"
        self._answer(fact, Unreadable(fact.name, reason))

    def _answer(self, fact: Fact[Any], answer: Answer[Any]) -> None:
        """Keep the first answer: what comes after the time-out would change what was said."""
        with self._lock:
            self._answers.setdefault(fact, answer)

    def _gather(self, fact: Fact[T]) -> Answer[T]:
        """From the preferred source, else from the other; what the first said, else."""
        sources = [source for source in (fact.gather, fact.native) if source is not None]
        if self.prefer_native:
            sources.reverse()
        answers: list[Answer[T]] = []
        for source in sources:
            try:
                answers.append(source(self))
            except FactUnknown as unknown:  # it rests on another fact
                answers.append(unknown.answer)
            # Our fault, or another project's, and no reason to say nothing else.
            except (Exception, SystemExit) as error:  # noqa: BLE001
                said = text.shorten(text.printable(f"{type(error).__name__}: {error}"), 120)
                answers.append(Unreadable(fact.name, f"hostkit failed to read it ({said})"))
            if isinstance(answers[-1], Known):
                return answers[-1]
        return answers[0]

    def value(self, fact: Fact[T]) -> T:
        """The value of a fact, or raise FactUnknown."""
        answer = self.get(fact)
        if isinstance(answer, Known):
            value: T = answer.value  # named: mypy loses the type of a generic tuple's field
            return value
        raise FactUnknown(fact, answer)

    def known(self, fact: Fact[T]) -> T | None:
        """The value of a fact, or None when it is absent or unreadable."""
        answer = self.get(fact)
        return answer.value if isinstance(answer, Known) else None

    def prefetch(self, facts: Iterable[Fact[Any]]) -> None:
        """Gather those that wait for a program side by side, and the others meanwhile."""
        wanted = [fact for fact in dict.fromkeys(facts) if fact not in self._answers]
        groups = [[fact] for fact in wanted if fact.waits]
        groups.append([fact for fact in wanted if not fact.waits])
        threads = [_Gathering(self.get, group) for group in groups if group]
        until = min(time.monotonic() + self._fact_s, self._deadline)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))


def file_fact(name: str, path: str, parse: Callable[[str], T], limit: int = READ_LIMIT) -> Fact[T]:
    """A fact that one file states; `parse` gets its text and raises ValueError to refuse it."""
    return Fact(name, lambda facts: read_text(facts.host, path, parse, limit), waits=False)


def command_fact(name: str, command: Command, parse: Callable[[str], T]) -> Fact[T]:
    """A fact that one command states; `parse` gets its standard output."""
    return Fact(name, lambda facts: run_text(facts.host, command, parse), waits=True)


def read_text(
    host: Host, path: str, parse: Callable[[str], T], limit: int = READ_LIMIT
) -> Answer[T]:
    """Read and parse one file."""
    answer = host.read(path, limit)
    if not isinstance(answer, Known):
        return answer
    return parsed(text.decode(answer.value), answer.source, parse)


def run_text(host: Host, command: Command, parse: Callable[[str], T], *args: str) -> Answer[T]:
    """Run and parse one command; output that was cut off is Unreadable."""
    answer = host.run(command, *args)
    if not isinstance(answer, Known):
        return answer
    if answer.value.truncated:
        return Unreadable(answer.source, f"said more than {command.limit} bytes")
    return parsed(text.decode(answer.value.stdout), answer.source, parse)


def parsed(raw: S, source: str, parse: Callable[[S], T]) -> Answer[T]:
    """Parse what a source said; ValueError (with the reason) makes it Unreadable."""
    try:
        return Known(parse(raw), source)
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        reason = text.shorten(text.printable(str(error)), 120)
        return Unreadable(source, f"not understood: {reason}")


def refuse(reason: str) -> NoReturn:
    """Say in a parser that the text is not what it should be."""
    raise ValueError(reason)
