# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a check, a fact or a plug-in does: it is reported as crashed, and the run goes on."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from hostkit import plugins
from hostkit.diagnosis.check import Check, CheckFunction
from hostkit.diagnosis.finding import Outcome, Passed, Unknown
from hostkit.diagnosis.runner import run_checks
from hostkit.facts.fact import Fact, Facts
from hostkit.host.answer import Answer, Unreadable
from tests.fakes import FakeHost

ENOUGH = threading.Event()  # ends what hangs


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    ENOUGH.clear()
    yield
    ENOUGH.set()


def one_check(run: CheckFunction = lambda _: ()) -> Check:
    return Check("one", "One?", run, ("a",))


def deep(facts: Facts) -> tuple[Outcome, ...]:
    return deep(facts)


def without_end(facts: Facts) -> Iterator[Outcome]:
    while True:
        yield Passed()


def hanging(facts: Facts) -> Iterator[Outcome]:
    yield Passed("half")
    while not ENOUGH.is_set():
        pass


def memory(facts: Facts) -> Iterator[Outcome]:
    yield Passed()
    raise MemoryError


def leaving(facts: Facts) -> Iterator[Outcome]:
    yield Passed()
    sys.exit(0)


def silent(facts: Facts) -> Iterator[Outcome]:
    return cast("Iterator[Outcome]", None)


def saying(what: object) -> CheckFunction:
    def run(facts: Facts) -> list[Outcome]:
        return [cast("Outcome", what)]

    return run


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (deep, "RecursionError"),
        (memory, "MemoryError"),
        (leaving, "SystemExit"),
        (silent, "TypeError"),
        (saying("fine"), "TypeError: it said 'fine'"),
        (saying(None), "TypeError: it said None"),
        (without_end, "it said more than 10000 things"),
        (hanging, "no end within 0 s"),
    ],
)
def test_whatever_a_check_does_the_others_are_asked(run: CheckFunction, said: str) -> None:
    broken, fine = one_check(run), one_check()
    results = run_checks(Facts(FakeHost()), [fine, broken, fine, broken, fine], check_s=0.3)
    assert [result.outcomes for result in results[::2]] == [(Passed(),)] * 3
    for result in results[1::2]:
        (crashed,) = result.outcomes
        assert isinstance(crashed, Unknown)
        assert crashed.crashed
        assert said in crashed.reason


def test_ctrl_c_ends_the_run_although_a_check_hangs() -> None:
    """The main thread waits for the checks, and waits so that it hears of a signal."""
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run_checks(Facts(FakeHost()), [one_check(hanging)], check_s=60)
    timer.join()


def test_a_fact_that_would_end_the_process_is_unreadable() -> None:
    def gather(facts: Facts) -> Answer[int]:
        sys.exit(0)

    answer = Facts(FakeHost()).get(Fact("ending", gather, waits=False))
    assert isinstance(answer, Unreadable)
    assert "SystemExit" in answer.reason


@pytest.mark.parametrize(
    ("module", "content", "said"),
    [
        ("__init__", "import sys\nsys.exit(0)\n", "SystemExit"),
        ("checks", "import sys\nsys.exit(0)\n", "SystemExit"),
        ("checks", "CHECKS = (Check('x', '?', print, ('p',), ('a fact',)),)\n", "no fact"),
        ("signatures", "raise MemoryError\n", "MemoryError"),
        (
            "signatures",
            "SIGNATURES = (Signature('x', ('long enough',), 's', pattern='('),)\n",
            "subpattern",
        ),
        ("signatures", "SIGNATURES = (Signature('x', (), 's'),)\n", "no anchor"),
        ("signatures", "SIGNATURES = (Signature('x', ('a', ''), 's'),)\n", "no anchor"),
    ],
)
def test_a_plug_in_that_is_broken_in_any_way_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, content: str, said: str
) -> None:
    name = f"broken_{tmp_path.name}"
    package = tmp_path / name
    package.mkdir()
    files = {
        "__init__": "from hostkit.diagnosis.check import CheckPlugin\n"
        "PLUGIN = CheckPlugin(1, 'theirs', 'Theirs', __name__)\n",
        "checks": "CHECKS = ()\n",
        "signatures": "SIGNATURES = ()\n",
    }
    files[module] = (
        "from hostkit.diagnosis.check import Check\n"
        "from hostkit.diagnosis.signature import Signature\n" + content
    )
    for file, written in files.items():
        (package / f"{file}.py").write_text(written)
    info = tmp_path / f"{name}-1.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text(f"[hostkit.checks]\ntheirs = {name}:PLUGIN\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    found = plugins.load()
    assert found.checks()
    assert found.signatures()
    (finding,) = found.broken
    assert said in finding.evidence[0].excerpt
