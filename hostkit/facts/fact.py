# SPDX-License-Identifier: GPL-3.0-or-later
"""How a fact is declared and gathered: once, on demand, never raising for a bad host."""

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, NoReturn, TypeVar

from hostkit import text
from hostkit.files import READ_LIMIT
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.host.base import Host
from hostkit.host.commands import Command

T = TypeVar("T")
S = TypeVar("S")


class Fact(Generic[T]):
    """One thing that can be known of a host.

    `waits`: gathering it waits for a program. `native`: gathers it from one of the
    libraries behind `Host.native`, for when `gather` has no answer or as asked for.
    """

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


class Facts:
    """The facts of one host, each gathered at most once; safe to use from several threads.

    `prefer_native`: ask the libraries first (`--source native`).
    """

    def __init__(
        self,
        host: Host,
        given: Mapping[Fact[Any], Answer[Any]] | None = None,
        *,
        prefer_native: bool = False,
    ) -> None:
        self.host = host
        self.prefer_native = prefer_native
        self._answers: dict[Fact[Any], Answer[Any]] = dict(given or {})
        self._locks: dict[Fact[Any], threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, fact: Fact[T]) -> Answer[T]:
        """The answer for a fact. A parser that fails makes it Unreadable."""
        with self._lock:
            if fact in self._answers:
                return self._answers[fact]
            lock = self._locks.setdefault(fact, threading.Lock())
        with lock:  # another thread may be gathering it
            with self._lock:
                if fact in self._answers:
                    return self._answers[fact]
            answer = self._gather(fact)
            with self._lock:
                self._answers[fact] = answer
            return answer

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
        """Gather those that wait for a program side by side."""
        threads = [
            threading.Thread(target=self.get, args=(fact,), daemon=True)
            for fact in dict.fromkeys(facts)
            if fact.waits and fact not in self._answers
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


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
