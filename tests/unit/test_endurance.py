# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with too much of everything is judged in bounded time and memory, and nothing crashes.

`make soak` takes more of each.
"""

import gzip
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from hostkit.cli.collect import record
from hostkit.errors import InputError
from hostkit.host.record import Recorder, write_snapshot
from hostkit.host.snapshot import SnapshotHost
from tests import crowd, hosts

SCALE = 4 if os.environ.get("HOSTKIT_SOAK") else 1
SECONDS = 5.0 * SCALE  # of the processor; a tenth to a half of it on a quiet machine
MEMORY = 200 << 20
EL7, EL10, DEBIAN = "centos7-healthy", "rhel10-healthy", "ubuntu1204-aufs"
EVERYTHING = ("mounts=10000", "loops=5000", "links=5000", "settings=50000", "journal=50000")

Crowd = Callable[[int], crowd.More]


@pytest.mark.parametrize(
    ("name", "kind", "count"),
    [
        (EL7, crowd.mounts, 10_000),
        (EL7, crowd.rules, 50_000),
        (EL10, crowd.nft_rules, 50_000),
        (EL7, crowd.loops, 5_000),
        (EL7, crowd.links, 4_000),
        (EL7, crowd.settings, 100_000),
        (EL7, crowd.processes, 30_000),
        (DEBIAN, crowd.packages, 20_000),
        (EL7, crowd.daemon_json, 900_000),
        (EL7, crowd.daemon_json, 10_000_000),
        (EL10, crowd.deep_json, 100_000),
        (EL10, crowd.deep_toml, 100_000),
        (EL7, crowd.journal, 100_000),
        (EL7, crowd.names, 500),
    ],
)
def test_a_crowd_is_judged_in_time_and_nothing_crashes(name: str, kind: Crowd, count: int) -> None:
    examined = crowd.examine(crowd.host(name, kind(count * SCALE)))
    assert not examined.crashed
    assert examined.seconds < SECONDS


@pytest.mark.parametrize("kind", [crowd.mounts, crowd.loops, crowd.links, crowd.settings])
def test_a_crowd_of_what_is_well_is_no_trouble(kind: Crowd) -> None:
    alone, crowded = (crowd.examine(crowd.host(EL7, kind(count))) for count in (0, 3000))
    assert crowded.findings == alone.findings
    assert crowded.unknown == alone.unknown


@pytest.mark.parametrize("words", [EVERYTHING, ("rules=50000",)])
def test_all_of_it_together_takes_little_memory(words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.crowd", EL7, *words],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=True,
        timeout=120,
    )
    said = json.loads(done.stdout)
    assert said["bytes"] < MEMORY
    assert said["seconds"] < SECONDS
    assert not said["crashed"]


def test_the_snapshot_of_a_crowded_host_tells_the_same(tmp_path: Path) -> None:
    recorder = Recorder(crowd.host(EL7, crowd.loops(1500), crowd.mounts(3000)))
    record(recorder)
    path = str(tmp_path / "crowded.tar.gz")
    write_snapshot(recorder, path)
    examined = crowd.examine(SnapshotHost(path))
    assert examined.findings == crowd.examine(hosts.load(EL7)).findings
    assert not examined.unknown
    assert examined.seconds < SECONDS


def test_a_snapshot_that_unpacks_without_end_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tar.gz"
    with gzip.open(path, "wb", compresslevel=1) as bomb:
        for _ in range(16 * SCALE):
            bomb.write(bytes(16 << 20))
    assert path.stat().st_size < (8 << 20) * SCALE
    tracemalloc.start()
    with pytest.raises(InputError):
        SnapshotHost(str(path))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 32 << 20
