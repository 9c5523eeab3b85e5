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

from benchmarks.measure import Sample, hostkit_command, once
from tests.rig.sickhost import SYSTEM_PATH, SickHost
from tests.rig.tools import DOCKER, IPTABLES, ToolsUnavailableError, unpack

ROUNDS = 2  # the disk has room for no more
FILES = 8700
BYTES = 170 << 20
SHARE = 1 / 2  # of Docker's time
RSS = 80 << 20
_PLACE = "/var/lib/docker/bench"  # the same file system as Docker's
_TARS = "/tmp/bench"  # in memory


class Race(NamedTuple):
    """One job: what both run in each round, `{}` being its number."""

    name: str
    ours: str
    docker: str


def races(hostkit: str) -> tuple[Race, ...]:
    """The jobs, in an order in which each finds what it needs.

    Nothing is removed in between: what ext4 does after that makes the next job slower, many
    times and by chance.
    """
    root = f"--root {_PLACE}/root{{}} --driver overlay2"
    loaded = f"--root {_PLACE}/loaded{{}} --driver overlay2"
    return (
        Race(
            "import",
            f"{hostkit} image import {_TARS}/tree{{}}.tar bench:{{}} {root}",
            f"docker import {_TARS}/tree{{}}.tar bench:{{}}",
        ),
        Race(
            "save",
            f"{hostkit} image save bench:{{}} -o {_TARS}/ours{{}}.tar {root}",
            f"docker save bench:{{}} -o {_TARS}/docker{{}}.tar",
        ),
        Race(
            "load",
            f"{hostkit} image load -i {_TARS}/new{{}}.tar {loaded}",
            f"docker load -i {_TARS}/new{{}}.tar",
        ),
    )


def main(arguments: Sequence[str]) -> int:
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
    program = " ".join(hostkit_command())
    kept = True
    with SickHost(*tools) as host:
        _prepare(host, program, rounds)
        for race in races(program):
            kept = _run(host, race, rounds) and kept
    return 0 if kept else 1


def _prepare(host: SickHost, hostkit: str, rounds: int) -> None:
    """Other trees in each round, so that nobody has their layers; archives of others still."""
    host.start_dockerd("--storage-driver=overlay2")
    host.shell(f"mkdir {_PLACE} {_TARS}")
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(2 * rounds):
            tree = Path(folder, "tree.tar")
            _write_tree(tree, seed)
            with tree.open("rb") as file:
                _inside(host, f"cat > {_TARS}/tree{seed}.tar", file.fileno())
    for number in range(rounds):
        root = f"--root {_TARS}/prepared{number}"
        name = f"new:{number}"
        host.shell(
            f"{hostkit} image import {_TARS}/tree{rounds + number}.tar {name} {root} &&"
            f" {hostkit} image save {name} -o {_TARS}/new{number}.tar {root} &&"
            f" rm -r {_TARS}/prepared{number} {_TARS}/tree{rounds + number}.tar"
        )


def _run(host: SickHost, race: Race, rounds: int) -> bool:
    ours: list[Sample] = []
    docker: list[Sample] = []
    for number in range(rounds):
        for command, samples in ((race.ours, ours), (race.docker, docker)):
            host.shell("sync")
            samples.append(once(_argv(host, command.replace("{}", str(number)))))
    return _told(race.name, ours, docker)


def _told(name: str, ours: Sequence[Sample], docker: Sequence[Sample]) -> bool:
    mine = min(sample.wall for sample in ours)
    theirs = min(sample.wall for sample in docker)
    cpu = min(sample.cpu for sample in ours)
    rss = max(sample.rss for sample in ours)
    kept = mine <= SHARE * theirs and rss <= RSS
    print(
        f"{'kept' if kept else 'BROKEN':<7}{name}: {mine:.2f} s ({cpu:.2f} computing),"
        f" Docker {theirs:.2f} s: {mine / theirs:.2f} (at most {SHARE});"
        f" {rss >> 20} MiB (at most {RSS >> 20})"
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


def _write_tree(path: Path, seed: int) -> None:
    """As a distribution's root: 13 files a folder, most small, a few hold most of the bytes."""
    chance = random.Random(seed)
    sizes = [chance.lognormvariate(8, 1.8) for _ in range(FILES)]
    scale = BYTES / sum(sizes)
    text = chance.randbytes(1 << 16).hex().encode()
    with tarfile.open(path, "w") as tar:
        for number, size in enumerate(sizes):
            member = tarfile.TarInfo(f"usr/{number // 90}/{number // 13}/file-{number}")
            member.size, member.mtime = int(size * scale), 1_600_000_000 + number
            content = text * (member.size // len(text) + 1)
            tar.addfile(member, BytesIO(content[: member.size]))
