# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m benchmarks images [ROUNDS]`: images beside the real Docker, on one file system.

A file tree of 170 MB in 8,700 files is imported, saved and loaded by turns, in a host of its
own (tests/rig) whose disk is in memory. Ours are on the disk when they are done; Docker's
layers are not, so for both the time counts until sync(1) has ended. Of several rounds the
quickest counts: what else the machine does only makes one slower.
"""

import os
import random
import tarfile
import tempfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from benchmarks.measure import Sample, once
from tests.rig.sickhost import SYSTEM_PATH, SickHost
from tests.rig.tools import DOCKER, IPTABLES, ToolsUnavailableError, unpack

ROUNDS = 5
FILES = 8700
BYTES = 170 << 20
SHARE = 1 / 2  # of Docker's time
RSS = 80 << 20
_PLACE = "/var/lib/docker/bench"  # the same file system as Docker's


class Race(NamedTuple):
    """One job: what both run, and what undoes it before the next round."""

    name: str
    ours: str
    docker: str
    undo_ours: str
    undo_docker: str


def races(hostkit: str) -> tuple[Race, ...]:
    """The jobs, in an order in which each finds what it needs."""
    root = f"--root {_PLACE}/root --driver overlay2"
    undo = (f"{hostkit} image rm -f bench {root}", "docker rmi -f bench")
    return (
        Race(
            "import",
            f"{hostkit} image import {_PLACE}/tree.tar bench {root}",
            f"docker import {_PLACE}/tree.tar bench",
            *undo,
        ),
        Race(
            "save",
            f"{hostkit} image save bench -o {_PLACE}/ours.tar {root}",
            f"docker save bench -o {_PLACE}/docker.tar",
            f"rm -f {_PLACE}/ours.tar",
            f"rm -f {_PLACE}/docker.tar",
        ),
        Race(
            "load",
            f"{hostkit} image load -i {_PLACE}/saved.tar {root}",
            f"docker load -i {_PLACE}/saved.tar",
            *undo,
        ),
    )


def main(arguments: Sequence[str], hostkit: Sequence[str]) -> int:
    """Measure, print, and return 1 when a promise is not kept."""
    rounds = int(arguments[0]) if arguments else ROUNDS
    if os.geteuid() != 0:
        print("not measured: needs root for a host of its own")
        return 0
    try:
        tools = unpack(IPTABLES), unpack(DOCKER)
    except ToolsUnavailableError as error:
        print(f"not measured: {error}")
        return 0
    kept = True
    with SickHost(*tools) as host:
        _prepare(host)
        for race in races(" ".join(hostkit)):
            kept = _run(host, race, rounds) and kept
    return 0 if kept else 1


def _prepare(host: SickHost) -> None:
    host.start_dockerd("--storage-driver=overlay2")
    host.shell(f"mkdir {_PLACE}")
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree.tar")
        _write_tree(tree)
        with tree.open("rb") as file:
            _inside(host, f"cat > {_PLACE}/tree.tar", file.fileno())


def _run(host: SickHost, race: Race, rounds: int) -> bool:
    """One race; what it leaves is there for the next."""
    ours: list[Sample] = []
    docker: list[Sample] = []
    for turn in range(rounds + 1):
        host.shell(f"{race.undo_ours}; {race.undo_docker}", check=False)
        for command, samples in ((race.ours, ours), (race.docker, docker)):
            host.shell("sync")
            sample = once(_argv(host, command))
            if turn:
                samples.append(sample)
    if race.name == "save":
        host.shell(f"cp {_PLACE}/docker.tar {_PLACE}/saved.tar")
    return _told(race.name, ours, docker)


def _told(name: str, ours: Sequence[Sample], docker: Sequence[Sample]) -> bool:
    mine = min(sample.wall for sample in ours)
    theirs = min(sample.wall for sample in docker)
    cpu = min(sample.cpu for sample in ours)
    rss = max(sample.rss for sample in ours)
    kept = mine <= SHARE * theirs and rss <= RSS
    print(
        f"{'kept' if kept else 'BROKEN':<7}{name}: {mine:.2f} s ({cpu:.2f} computing), Docker {theirs:.2f} s:"
        f" {mine / theirs:.2f} (at most {SHARE}); {rss >> 20} MiB (at most {RSS >> 20})"
    )
    return kept


def _argv(host: SickHost, command: str) -> tuple[str, ...]:
    environment = ("env", "-i", f"PATH={SYSTEM_PATH}", "HOME=/root", "LC_ALL=C.UTF-8")
    return (*environment, *host.entering(), "sh", "-c", f"{command} && sync -f {_PLACE}")


def _inside(host: SickHost, script: str, stdin: int) -> None:
    child = os.posix_spawn(
        "/usr/bin/nsenter",
        [*host.entering(), "sh", "-c", script],
        {"PATH": SYSTEM_PATH},
        file_actions=[(os.POSIX_SPAWN_DUP2, stdin, 0)],
    )
    assert os.waitpid(child, 0)[1] == 0


def _write_tree(path: Path) -> None:
    """As a distribution's root: 13 files a folder, most small, a few hold most of the bytes."""
    chance = random.Random(1)
    sizes = [chance.lognormvariate(8, 1.8) for _ in range(FILES)]
    scale = BYTES / sum(sizes)
    text = chance.randbytes(1 << 16).hex().encode()
    with tarfile.open(path, "w") as tar:
        for number, size in enumerate(sizes):
            member = tarfile.TarInfo(f"usr/{number // 90}/{number // 13}/file-{number}")
            member.size, member.mtime = int(size * scale), 1_600_000_000 + number
            content = text * (member.size // len(text) + 1)
            tar.addfile(member, BytesIO(content[: member.size]))
