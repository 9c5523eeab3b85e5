# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m benchmarks log [MB]`: how quickly a long log is searched, and with what memory.

Of its lines 30 % are of messages that hostkit knows: a few of them make up most, as in the
log of a host in trouble, and every one of the corpus is there. The others are healthy
outputs. Beside it run `wc -l` and `grep`, which looks for the same words and no more.
"""

import os
import random
import tempfile
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path

from benchmarks.measure import Contestant, Measured, hostkit_command, race
from hostkit import plugins
from tests.corpus.reading import healthy, messages

MB = 1_000_000
USUAL_MB, FULL_MB = 50, 200  # the speed is promised of the larger: what is new takes longer
ROUNDS = 3
TROUBLE = 0.30
PROMISED_MB_S = 100
RSS = 100 << 20
OURS = "hostkit doctor"
GREP = 'LC_ALL=C grep -cF -f "$1" "$2" | cat'  # with its output to /dev/null it stops at once
CAPTURED = Path(__file__).resolve().parent.parent / "tests/captures/healthy/texts.txt"
# What stands before a message in the journal: of dockerd, which has its own form, and of others.
PLAIN = "May {day:02} {time} web{host} {program}[{pid}]: "
LOGFMT = 'time="2024-05-{day:02}T{time}.{pid:09}+02:00" level=error msg='
PROGRAMS = ("kubelet", "containerd", "systemd", "podman")


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and return 1 when the promise is not kept."""
    size = int(arguments[0]) if arguments else USUAL_MB
    with tempfile.TemporaryDirectory() as folder:
        log, words = os.path.join(folder, "host.log"), os.path.join(folder, "words")
        lines = write(log, size * MB)
        anchors = {one.anchors[0] for one in plugins.load().signatures()}
        Path(words).write_text("\n".join(sorted(anchors)) + "\n", encoding="utf-8")
        contestants = (
            Contestant("wc -l", ("wc", "-l", log)),
            Contestant("grep -cF -f anchors", ("sh", "-c", GREP, "sh", words, log)),
            Contestant(OURS, (*hostkit_command(), "doctor", "--text", log, "--host", "none")),
        )
        measured = race(contestants, ROUNDS)
    print(f"a log of {size} MB, {lines} lines, {TROUBLE:.0%} of them of known messages:")
    for one in measured:
        print(
            f"  {one.contestant.name:<22}{speed(one, size):>8.0f} MB/s"
            f" {one.wall * 1000:>7.0f} ms, {one.cpu * 1000:>6.0f} of them computing,"
            f" {one.rss >> 20:>4} MiB"
        )
    ours = measured[-1]
    kept = ours.rss <= RSS and (size < FULL_MB or speed(ours, size) >= PROMISED_MB_S)
    print(
        f"{'kept' if kept else 'BROKEN':<7} a log is searched at {speed(ours, size):.0f} MB/s"
        f" (from {FULL_MB} MB on at least {PROMISED_MB_S})"
        f" within {ours.rss >> 20} MiB (at most {RSS >> 20})"
    )
    return 0 if kept else 1


def speed(one: Measured, size: int) -> float:
    """The megabytes a second of the fastest run: the others waited for somebody."""
    return size / min(sample.wall for sample in one.samples)


def write(path: str, size: int) -> int:
    """Write a log of so many bytes; return the number of its lines."""
    chance = random.Random(7)
    trouble = _lines(chance, [one.text for one in messages()])
    well = _lines(chance, [*(one.text for one in healthy()), *_captured()])
    count = written = 0
    with open(path, "w", encoding="utf-8") as file:
        while written < size:
            line = next(trouble) if chance.random() < TROUBLE else next(well)
            written += file.write(f"{line}\n")
            count += 1
    return count


def _lines(chance: random.Random, texts: Sequence[str]) -> Iterator[str]:
    """The lines of texts without end, each with a prefix; a text is rarer than the one before."""
    often = [1 / rank for rank in range(1, len(texts) + 1)]
    order = chance.sample(texts, len(texts))
    every = cycle(order)
    while True:
        for text in (next(every), *chance.choices(order, often, k=50)):
            program = chance.choice((*PROGRAMS, "dockerd"))
            for line in filter(str.strip, text.splitlines()):
                yield _prefixed(chance, program, line)


def _prefixed(chance: random.Random, program: str, line: str) -> str:
    moment = chance.randrange(86_400)
    dockerd = program == "dockerd"
    head = (PLAIN + LOGFMT if dockerd else PLAIN).format(
        day=moment % 28 + 1,
        time=f"{moment // 3600:02}:{moment // 60 % 60:02}:{moment % 60:02}",
        host=moment % 7,
        pid=chance.randrange(99_999),
        program=program,
    )
    escaped = line.replace("\\", "\\\\").replace('"', '\\"')
    return f'{head}"{escaped}"' if dockerd else head + line


def _captured() -> list[str]:
    return CAPTURED.read_text(encoding="utf-8").split("\n=== ")
