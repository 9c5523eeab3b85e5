# SPDX-License-Identifier: GPL-3.0-or-later
"""What is collected here says elsewhere what this machine says itself."""

import json
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hostkit.facts.target import ENGINES
from tests.e2e.command import FORWARDING, HOSTKIT, PLAIN, hostkit, on_terminal


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("collected") / "here.tar.gz"
    ended = hostkit("collect", "-o", str(path))
    assert ended.code == 0
    assert str(path) in ended.out
    return path


def answers(*words: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(hostkit(*words, "--format", "json").out)
    return data


def test_only_its_owner_may_read_it(snapshot: Path) -> None:
    assert stat.S_IMODE(snapshot.stat().st_mode) == 0o600


@pytest.mark.parametrize("source", ["text", "native"])
def test_a_snapshot_gives_the_answers_of_its_host(snapshot: Path, source: str) -> None:
    live = answers("preflight", "--source", source)
    kept = answers("preflight", "--source", source, "--snapshot", str(snapshot))
    assert kept["source"] == "snapshot"
    assert kept["identity"][1:] == live["identity"][1:]
    assert kept["advice"] == live["advice"]
    assert codes(kept) == codes(live)
    assert {one["check"] for one in kept["unknown"]} == {one["check"] for one in live["unknown"]}


def codes(data: dict[str, Any]) -> list[tuple[str, str]]:
    return [(finding["problem"], finding["severity"]) for finding in data["findings"]]


def test_a_snapshot_judges_a_text(snapshot: Path) -> None:
    live = answers("preflight", "--select", "ipv4-forwarding-disabled")
    judged = answers("doctor", FORWARDING, "--snapshot", str(snapshot))
    (finding,) = [f for f in judged["findings"] if f["problem"] == "ipv4-forwarding-disabled"]
    assert judged["source"] == "snapshot"
    assert finding["past"] is not bool(codes(live))


def test_doctor_reads_the_logs_of_a_snapshot(snapshot: Path) -> None:
    assert hostkit("doctor", "--snapshot", str(snapshot)).code in (0, 1, 3)


def test_a_file_that_is_there_is_not_overwritten(snapshot: Path) -> None:
    before = snapshot.read_bytes()
    ended = hostkit("collect", "-o", str(snapshot))
    assert ended.code == 2
    assert "exists already" in ended.err
    assert snapshot.read_bytes() == before


@pytest.mark.parametrize("size", [0, 100, -10])
def test_a_truncated_snapshot_is_refused(snapshot: Path, tmp_path: Path, size: int) -> None:
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(snapshot.read_bytes()[:size])
    ended = hostkit("preflight", "--snapshot", str(cut))
    assert (ended.code, ended.out) == (2, "")
    assert "Traceback" not in ended.err


def test_a_snapshot_and_a_host_exclude_each_other(snapshot: Path) -> None:
    ended = hostkit("doctor", FORWARDING, "--host", "live", "--snapshot", str(snapshot))
    assert ended.code == 2


@pytest.mark.parametrize("target", ENGINES)
def test_a_snapshot_answers_for_every_engine(snapshot: Path, target: str) -> None:
    kept = hostkit("preflight", "--for", target, "--snapshot", str(snapshot), "--format", "json")
    assert "not collected" not in kept.out


def test_a_snapshot_can_be_piped_but_not_shown(tmp_path: Path) -> None:
    done = subprocess.run(
        [*HOSTKIT, "collect", "-o", "-"], capture_output=True, env=PLAIN, cwd=tmp_path, check=True
    )
    path = tmp_path / "piped.tar.gz"
    path.write_bytes(done.stdout)
    assert answers("preflight", "--snapshot", str(path))["source"] == "snapshot"
    assert b"secrets taken out" in done.stderr
    assert on_terminal("collect", "-o", "-") == ""
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_a_paste_of_a_snapshot_is_that_of_its_host(snapshot: Path) -> None:
    live = hostkit("doctor", "--paste").out
    kept = hostkit("doctor", "--paste", "--snapshot", str(snapshot)).out
    assert kept.startswith("### hostkit ")
    assert "Linux" in kept
    assert "not collected" not in kept
    assert set(re.findall(r"^`(.*)`$", kept, re.MULTILINE)) == set(
        re.findall(r"^`(.*)`$", live, re.MULTILINE)
    )
    assert max(len(live.encode()), len(kept.encode())) <= 65536


@pytest.mark.parametrize("words", [("a text",), ("--format", "json"), ("-",)])
def test_a_paste_is_about_a_host(words: tuple[str, ...]) -> None:
    assert hostkit("doctor", "--paste", *words).code == 2
