# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts are gathered once, and a run ends whatever the host or the code behind a fact does."""

import threading
import time
from collections.abc import Iterator

import pytest

from hostkit.facts.fact import Fact, Facts
from hostkit.facts.processes import ENGINE_PROCESSES
from hostkit.facts.trace import ENGINE_TRACE
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.host.base import FileStat
from tests.fakes import FakeHost, fake_stat

_NEVER_S = 60.0


@pytest.fixture
def stuck() -> Iterator[threading.Event]:
    """Holds who waits for it, as a dead NFS server does, until the test is over."""
    event = threading.Event()
    yield event
    event.set()


def hanging(event: threading.Event, *, waits: bool) -> Fact[int]:
    def gather(facts: Facts) -> Answer[int]:
        del facts
        event.wait(_NEVER_S)
        return Known(1, "late")

    return Fact("stuck", gather, waits=waits)


def resting_on(fact: Fact[int]) -> Fact[int]:
    return Fact("above", lambda facts: Known(facts.value(fact) + 1, "above"), waits=False)


WELL: Fact[int] = Fact("well", lambda _: Known(7, "here"), waits=False)


@pytest.mark.parametrize("waits", [True, False])
def test_a_fact_that_hangs_is_unreadable_and_the_others_are_known(
    stuck: threading.Event, waits: bool
) -> None:
    held = hanging(stuck, waits=waits)
    above = resting_on(held)
    facts = Facts(FakeHost(), fact_s=0.3)
    started = time.monotonic()
    facts.prefetch((held, above, WELL))
    assert facts.get(WELL) == Known(7, "here")
    for fact in (held, above):
        answer = facts.get(fact)
        assert isinstance(answer, Unreadable)
        assert "no answer within" in answer.reason
    assert time.monotonic() - started < 2


def test_all_facts_together_have_a_budget(stuck: threading.Event) -> None:
    facts = Facts(FakeHost(), fact_s=0.3, total_s=0.5)
    started = time.monotonic()
    answers = [facts.get(hanging(stuck, waits=False)) for _ in range(20)]
    assert time.monotonic() - started < 2
    last = answers[-1]
    assert isinstance(last, Unreadable)
    assert "used up" in last.reason


def test_an_answer_that_comes_late_does_not_change_what_was_said(stuck: threading.Event) -> None:
    held = hanging(stuck, waits=True)
    facts = Facts(FakeHost(), fact_s=0.1)
    said = facts.get(held)
    stuck.set()
    time.sleep(0.1)
    assert facts.get(held) is said


def test_facts_that_rest_on_each_other_end() -> None:
    below: list[Fact[int]] = []
    one: Fact[int] = Fact("one", lambda facts: Known(facts.value(below[0]), "x"), waits=True)
    below.append(resting_on(one))
    assert isinstance(Facts(FakeHost(), fact_s=0.2).get(one), Unreadable)


def test_a_fault_of_ours_in_one_fact_is_an_unknown() -> None:
    def gather(facts: Facts) -> Answer[int]:
        raise AttributeError("no\x1b such thing")

    answer = Facts(FakeHost()).get(Fact("faulty", gather, waits=False))
    assert isinstance(answer, Unreadable)
    assert "AttributeError" in answer.reason
    assert "\x1b" not in answer.reason


def test_many_threads_get_one_answer() -> None:
    asked: list[int] = []

    def gather(facts: Facts) -> Answer[int]:
        del facts
        asked.append(1)
        time.sleep(0.05)
        return Known(len(asked), "here")

    fact: Fact[int] = Fact("slow", gather, waits=True)
    facts = Facts(FakeHost())
    threads = [threading.Thread(target=facts.get, args=(fact,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asked == [1]


def test_a_folder_that_does_not_answer_is_a_trace_of_an_engine(stuck: threading.Event) -> None:
    class Stuck(FakeHost):
        def stat(self, path: str, *, follow: bool = True) -> Answer[FileStat]:
            if path == "/var/lib/docker":
                stuck.wait(_NEVER_S)
            return super().stat(path, follow=follow)

    assert isinstance(Facts(Stuck(), fact_s=0.1).get(ENGINE_TRACE), Unreadable)
    assert isinstance(Facts(FakeHost()).get(ENGINE_TRACE), Absent)


@pytest.mark.parametrize(
    ("stat", "trace"),
    [
        (fake_stat(size=4096, mode=0o755), Known),
        (fake_stat(size=0, mode=0o755), Absent),  # `touch dockerd`, an installation cut off
        (fake_stat(size=4096, mode=0o644), Absent),
        (fake_stat(kind="folder", mode=0o755, size=4096), Absent),
    ],
)
def test_only_a_program_that_can_run_is_a_trace_of_an_engine(
    stat: FileStat, trace: type[object]
) -> None:
    assert isinstance(Facts(FakeHost(stats={"/usr/sbin/dockerd": stat})).get(ENGINE_TRACE), trace)


def test_daemons_among_too_many_processes_are_not_known() -> None:
    host = FakeHost(folders={"/proc": map(str, range(2, 20_100))})
    assert isinstance(Facts(host).get(ENGINE_PROCESSES), Unreadable)
