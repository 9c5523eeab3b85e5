# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m benchmarks thin`: thin pools read by us and by the kernel's own tools, in one run.

The pool is as large as loop-lvm is by default, 100 GB in 64 KiB blocks, and in use as a whole:
once by devices that were written in order, once scattered over single blocks and short runs.
"""

import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.measure import Contestant, Measured, race
from tests.rig.thintools import ThinTools
from tests.rig.tools import ToolsUnavailableError

ROUNDS = 3
DATA_BLOCKS = 1_638_400  # of 64 KiB: 100 GiB
DEVICE_BLOCKS = 163_840  # 10 GiB
METADATA = 2 << 30
EXPORTED = 1 << 30
ROW = 8  # blocks that lie in a row; in a pool that Docker filled they are 6 on average
MEMORY = "/dev/shm"
ROOM = 4 << 30
# What is asked of it: seconds for a pool in full use, and a share of cp's rate.
MOST_SECONDS = 10.0
RATE = 0.7

_OURS = """
import os, sys
from hostkit.storage.thin.metadata import open_metadata
with open_metadata(sys.argv[1]) as metadata:
"""
_DUMP = """
    from hostkit.storage.thin.dump import dump
    sys.stdout.writelines(dump(metadata))
"""
_CHECK = """
    from hostkit.storage.thin.check import check
    sys.exit(not check(metadata).sound)
"""
_USAGE = """
    from hostkit.storage.thin.usage import usage
    usage(metadata)
"""
_EXPORT = """
    from hostkit.storage.thin.blocks import open_readable
    from hostkit.storage.thin.content import ThinReader, export
    reader = ThinReader(metadata, 1, open_readable(sys.argv[2]), int(sys.argv[3]))
    with open(sys.argv[4], "wb") as target:
        export(reader, target.fileno())
"""


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and return 1 when a promise is not kept."""
    rounds = int(arguments[0]) if arguments else ROUNDS
    try:
        thin = ThinTools()
    except ToolsUnavailableError as error:
        print(f"not measured: {error}")
        return 0
    os.environ.update(thin.environment)
    kept = True
    # In memory, where the disk that others write to as well is not what is measured.
    where = MEMORY if os.path.isdir(MEMORY) and shutil.disk_usage(MEMORY).free > ROOM else None
    with tempfile.TemporaryDirectory(dir=where) as name:
        folder = Path(name)
        for kind in ("in order", "scattered"):
            pool = folder / kind.replace(" ", "-")
            thin.restore("\n".join(pool_xml(scattered=kind == "scattered")), pool, METADATA)
            print(f"metadata of 100 GiB {kind}: {pool.stat().st_blocks * 512 >> 12} blocks")
            kept = show(race(readers(thin, str(pool)), rounds)) and kept
        print(f"a device of {EXPORTED >> 20} MiB, each {ROW * 64} KiB elsewhere, a quarter zeros")
        kept = show_export(race(copiers(thin, folder), 3 * rounds)) and kept
    return 0 if kept else 1


def pool_xml(scattered: bool) -> Iterator[str]:
    """Devices that use all data once, as thin_restore reads them."""
    dice = random.Random(1)
    lengths = (1, 1, 1, 2, 3, 8) if scattered else (50, 200, 500)
    pieces: list[tuple[int, int]] = []
    at = 0
    while at < DATA_BLOCKS:
        pieces.append((at, min(dice.choice(lengths), DATA_BLOCKS - at)))
        at += pieces[-1][1]
    dice.shuffle(pieces)
    yield (
        '<superblock uuid="" time="1" transaction="1" flags="0" version="2"'
        f' data_block_size="128" nr_data_blocks="{DATA_BLOCKS}">'
    )
    device, remaining = 0, iter(pieces)
    while lines := list(_device(remaining)):
        device += 1
        yield (
            f'<device dev_id="{device}" mapped_blocks="0" transaction="1"'
            ' creation_time="0" snap_time="0">'
        )
        yield from lines
        yield "</device>"
    yield "</superblock>"


def _device(pieces: Iterator[tuple[int, int]]) -> Iterator[str]:
    begin = 0
    for data, length in pieces:
        yield (
            f'<range_mapping origin_begin="{begin}" data_begin="{data}" length="{length}"'
            ' time="0"/>'
        )
        begin += length
        if begin >= DEVICE_BLOCKS:
            return


def readers(thin: ThinTools, pool: str) -> tuple[Contestant, ...]:
    """Each question to us and to the tool that answers it too."""
    ours = (sys.executable, "-c")
    return (
        Contestant("thin_dump", (thin.path("thin_dump"), pool)),
        Contestant("hostkit dump", (*ours, _OURS + _DUMP, pool)),
        Contestant("thin_check", (thin.path("thin_check"), "-q", pool)),
        Contestant("hostkit check", (*ours, _OURS + _CHECK, pool)),
        Contestant("thin_ls", (thin.path("thin_ls"), "-o", "DEV,EXCLUSIVE_BLOCKS", pool)),
        Contestant("hostkit usage", (*ours, _OURS + _USAGE, pool)),
    )


def copiers(thin: ThinTools, folder: Path) -> tuple[Contestant, ...]:
    """A device with its blocks in any order, and a plain file of the same bytes."""
    rows = (EXPORTED >> 16) // ROW
    order = random.Random(2).sample(range(rows), rows)
    places = [row * ROW + at for row in order for at in range(ROW)]
    metadata, data, plain = folder / "metadata", folder / "data", folder / "plain"
    lines = [
        f'<single_mapping origin_block="{at}" data_block="{place}" time="0"/>'
        for at, place in enumerate(places)
    ]
    head = next(pool_xml(scattered=True))
    device = '<device dev_id="1" mapped_blocks="0" transaction="1" creation_time="0" snap_time="0">'
    thin.restore("\n".join([head, device, *lines, "</device></superblock>"]), metadata, METADATA)
    pieces = [bytes(1 << 16) if at % 4 == 0 else os.urandom(1 << 16) for at in range(64)]
    with data.open("wb") as stored, plain.open("wb") as copied:
        for at, place in enumerate(places):
            os.pwrite(stored.fileno(), pieces[at % 64], place << 16)
            copied.write(pieces[at % 64])
    target = str(folder / "copy")
    words = (str(metadata), str(data), str(EXPORTED), target)
    return (
        Contestant(
            "cp --sparse=always",
            (shutil.which("cp") or "cp", "--sparse=always", str(plain), target),
        ),
        Contestant("hostkit export", (sys.executable, "-c", _OURS + _EXPORT, *words)),
    )


def show(measured: Sequence[Measured]) -> bool:
    """A line each, ours with its share of the tool's time; whether ours is quick enough."""
    kept = True
    for theirs, ours in zip(measured[::2], measured[1::2], strict=True):
        for one in (theirs, ours):
            print(_line(one))
        slowest = ours.cpu <= MOST_SECONDS
        kept = kept and slowest
        print(
            f"{'kept' if slowest else 'BROKEN':<7} {ours.contestant.name} computes for"
            f" {ours.cpu:.1f} s (at most {MOST_SECONDS:.0f}), {ours.cpu / theirs.cpu:.1f} times"
            f" {theirs.contestant.name}"
        )
    return kept


def show_export(measured: Sequence[Measured]) -> bool:
    """The same for copying, whose promise is a rate; the quickest runs, for disks are shared."""
    for one in measured:
        print(_line(one))
    theirs, ours = (min(sample.wall for sample in one.samples) for one in measured)
    rate = theirs / ours
    print(
        f"{'kept' if rate >= RATE else 'BROKEN':<7} {rate:.0%} of cp's rate (at least {RATE:.0%})"
    )
    return rate >= RATE


def _line(one: Measured) -> str:
    return (
        f"  {one.contestant.name:<20}{one.wall:>7.2f} s ({one.spread} ms),"
        f" computing {one.cpu:.2f} s, {one.rss >> 20} MiB"
    )
