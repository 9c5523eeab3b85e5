# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m benchmarks [ROUNDS]`: a table of medians and ratios measured in one run.

`python -m benchmarks accuracy [-v]` measures how often the first finding is right,
`python -m benchmarks log [MB]` how quickly a long log is searched,
`python -m benchmarks thin [ROUNDS]` how fast thin pools are read,
`python -m benchmarks images [ROUNDS]` images beside Docker's own commands,
`python -m benchmarks overlay [ROUNDS]` what the overlay2 driver costs over its system calls,
`python -m benchmarks storage [ROUNDS] [FOLDER]` layers beside GNU tar and a bare walk.
"""

import compileall
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import import_module

from benchmarks.measure import Contestant, Measured, hostkit_command, own_rss, race
from benchmarks.peers import peers

ROUNDS = 11
NAMED = {"log": "logs"} | {one: one for one in ("accuracy", "images", "overlay", "storage", "thin")}
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PREFLIGHT = "hostkit preflight"
DOCTOR = "hostkit doctor, 50 lines"
BARE = "python -I -c pass"
# What the project promises; a ratio is more telling than a time on a shared machine.
PREFLIGHT_SHARE = 1 / 5  # of check-config.sh
PREFLIGHT_RSS = 60 << 20
DOCTOR_S = 0.120
LINE = (
    'level=info msg="API listen on /run/docker.sock" time="2024-05-01T10:00:{:02}Z" module=grpc\n'
)
MESSAGE = "WARNING: IPv4 forwarding is disabled. Networking will not work.\n"


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and exit with 1 when a promise is not kept."""
    for folder in ("hostkit", "drivers", "checks"):  # as installing a wheel does
        compileall.compile_dir(os.path.join(ROOT, folder), quiet=1)
    if arguments and arguments[0] in NAMED:
        return alone(arguments[0], arguments[1:])
    rounds = int(arguments[0]) if arguments else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "dockerd.log")
        with open(log, "w", encoding="utf-8") as file:
            file.writelines([*(LINE.format(second) for second in range(49)), MESSAGE])
        contestants = (*ours(log), *peers())
        measured = {one.contestant.name: one for one in race(contestants, rounds)}
    for line in table(measured):
        print(line)
    print(f"MiB is never below the {own_rss() >> 20} of this process, from which each is forked")
    for one in contestants:
        if one.missing:
            print(f"not measured: {one.name}: {one.missing}")
    kept = True
    for promise, holds in promises(measured):
        kept = kept and holds
        print(f"{'kept' if holds else 'BROKEN':<7} {promise}")
    return max(alone("log", ()), 0 if kept else 1)


def alone(name: str, arguments: Sequence[str]) -> int:
    """One benchmark by name, imported only now: who is timed is forked from a small process."""
    code: int = import_module(f"benchmarks.{NAMED[name]}").main(arguments)
    return code


def ours(log: str) -> tuple[Contestant, ...]:
    """What is measured of hostkit, and the floor under it."""
    command = hostkit_command()
    return (
        Contestant(BARE, (sys.executable, "-I", "-c", "pass")),
        Contestant("hostkit --version", (*command, "--version")),
        Contestant(PREFLIGHT, (*command, "preflight")),
        Contestant(DOCTOR, (*command, "doctor", "--text", log)),
    )


def table(measured: Mapping[str, Measured]) -> list[str]:
    """One line a contestant; the last column is wall time relative to preflight's."""
    base = measured[PREFLIGHT].wall
    lines = [f"{'':<26}{'wall ms':>8} {'min-max':>11} {'cpu ms':>8} {'MiB':>6} {'ratio':>7}"]
    for name, one in measured.items():
        lines.append(
            f"{name:<26}{one.wall * 1000:>8.0f} {one.spread:>11} {one.cpu * 1000:>8.0f}"
            f" {one.rss >> 20:>6} {one.wall / base:>7.2f}"
        )
    return lines


def promises(measured: Mapping[str, Measured]) -> list[tuple[str, bool]]:
    """Each promise that could be tested here, with its numbers, and whether it holds."""
    preflight, doctor, bare = measured[PREFLIGHT], measured[DOCTOR], measured[BARE]
    made = [
        (
            f"preflight holds {preflight.rss >> 20} MiB (at most {PREFLIGHT_RSS >> 20})",
            preflight.rss <= PREFLIGHT_RSS,
        ),
        (
            f"doctor takes {doctor.wall * 1000:.0f} ms, {doctor.cpu * 1000:.0f} of them computing"
            f" (at most {DOCTOR_S * 1000:.0f}), {doctor.wall / bare.wall:.1f} times a bare Python",
            doctor.wall <= DOCTOR_S,
        ),
    ]
    peer = measured.get("check-config.sh")
    if peer is not None:
        share = preflight.wall / peer.wall
        promise = f"preflight takes {share:.2f} of {peer.contestant.name} (at most 0.20)"
        made.append((promise, share <= PREFLIGHT_SHARE))
    return made


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
