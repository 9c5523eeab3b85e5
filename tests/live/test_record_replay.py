# SPDX-License-Identifier: GPL-3.0-or-later
"""Every check says of a snapshot exactly what it said of the host, from the same answers."""

from pathlib import Path

import pytest

from hostkit import plugins
from hostkit.diagnosis.runner import Result, facts_of, run_checks
from hostkit.facts.fact import Facts
from hostkit.facts.logs import LOGS
from hostkit.host.local import LocalHost
from hostkit.host.record import Recorder, write_snapshot
from hostkit.host.snapshot import SnapshotHost


def _told(results: tuple[Result, ...]) -> dict[str, object]:
    return {result.check.name: result.outcomes for result in results}


@pytest.mark.parametrize("prefer_native", [False, True], ids=["text", "native"])
def test_outcomes_and_facts_are_the_same(tmp_path: Path, prefer_native: bool) -> None:
    loaded = plugins.load()
    checks = [one for _, one in loaded.checks()]
    recorder = Recorder(LocalHost())
    live = Facts(recorder, prefer_native=prefer_native)
    told = _told(run_checks(live, checks))
    fitness = loaded.fitness(live)
    facts = (*facts_of(checks), LOGS)
    answers = [live.get(fact) for fact in facts]
    path = tmp_path / "here.tar.gz"
    write_snapshot(recorder, str(path))
    kept = Facts(SnapshotHost(str(path)), prefer_native=prefer_native)
    assert _told(run_checks(kept, checks)) == told
    assert loaded.fitness(kept) == fitness
    for fact, answer in zip(facts, answers, strict=True):
        assert kept.get(fact) == answer, fact
