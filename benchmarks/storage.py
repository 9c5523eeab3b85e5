# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m benchmarks storage [ROUNDS] [FOLDER]`: layers beside GNU tar and a bare walk.

All in one run on the file system of FOLDER, round after round so that noise hits all alike;
the fastest round counts, for a shared machine only ever adds. Each tree is written into a new
folder and all are removed at the end: deleting between rounds slows ext4 tenfold.
"""

import os
import random
import resource
import subprocess  # noqa: TID251 - GNU tar is what it is measured against
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from hostkit.storage import treediff
from hostkit.storage.compression import gunzipped, gzip_writer
from hostkit.storage.digest import HashingSource
from hostkit.storage.rooted import Tree
from hostkit.storage.tar.reader import CHUNK, TarReader, index
from hostkit.storage.tar.split import SplitWriter, reassemble
from hostkit.storage.treewalk import Copied
from hostkit.storage.unpack import Whiteouts, unpack
from hostkit.system.copy import copy_tree
from hostkit.system.tree import remove_tree

ROUNDS = 5
ENTRIES, FOLDERS, LINKS = 8_743, 900, 1_042  # of a Debian root file system of 170 MB
BYTES = 170 << 20
CHANGED = 10
APPLY, DIFF, MEMORY = 1.5, 2.0, 80 << 20  # what the project promises


class Result(NamedTuple):
    """The fastest round: wall and processor seconds."""

    wall: float
    cpu: float


def main(arguments: Sequence[str]) -> int:
    """Measure and print; the exit code is 1 when a promise is not kept."""
    rounds = int(arguments[0]) if arguments else ROUNDS
    top = tempfile.mkdtemp(prefix="hostkit-bench-", dir=arguments[1] if arguments[1:] else None)
    try:
        results = measured(top, rounds)
    finally:
        remove_tree(top)
    print(f"{'':<34}{'wall ms':>9}{'cpu ms':>9}{'ratio':>8}{'cpu ratio':>11}")
    kept = True
    for name, peer, most in (
        ("GNU tar, extract", "", 0.0),
        ("apply: unpack, diff-id, tar-split", "GNU tar, extract", APPLY),
        ("unpack alone", "GNU tar, extract", 0.0),
        ("GNU tar, create", "", 0.0),
        ("pack", "GNU tar, create", 0.0),
        ("put together from the tar-split", "GNU tar, create", 0.0),
        ("index", "GNU tar, create", 0.0),
        ("walk of both trees", "", 0.0),
        (f"diff of {CHANGED} files", "walk of both trees", DIFF),
    ):
        one = results[name]
        line = f"{name:<34}{one.wall * 1000:>9.0f}{one.cpu * 1000:>9.0f}"
        if peer:
            ratio = one.wall / results[peer].wall
            line += f"{ratio:>8.2f}{one.cpu / results[peer].cpu:>11.2f}"
            if most:
                line += f"  {'kept' if ratio <= most else 'BROKEN'}: at most {most}"
                kept = kept and ratio <= most
        print(line)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    print(f"peak memory {peak >> 20} MiB (at most {MEMORY >> 20}), on {top}")
    return 0 if kept and peak <= MEMORY else 1


def measured(top: str, rounds: int) -> dict[str, Result]:
    """Every contest, round after round."""
    plant(f"{top}/root")
    begin = time.time_ns()
    copy_tree(f"{top}/root", f"{top}/copy")
    copied = Copied(begin, time.time_ns())
    time.sleep(0.1)
    change(f"{top}/copy")
    layer, split = f"{top}/layer.tar", f"{top}/split.gz"
    subprocess.run(["tar", "-C", f"{top}/root", "-cf", layer, "."], check=True)
    apply(layer, f"{top}/tree", split)
    places = iter(range(10 * rounds))

    def fresh() -> str:
        place = f"{top}/{next(places)}"
        os.mkdir(place)
        return place

    contests: dict[str, Callable[[], object]] = {
        "GNU tar, extract": lambda: _tar("-C", fresh(), "-xpf", layer),
        "apply: unpack, diff-id, tar-split": lambda: apply(layer, fresh(), f"{top}/again.gz"),
        "unpack alone": lambda: unpack_alone(layer, fresh()),
        "GNU tar, create": lambda: _tar("-C", f"{top}/root", "-cf", f"{top}/out.tar", "."),
        "pack": lambda: pack(f"{top}/root", f"{top}/out.tar"),
        "put together from the tar-split": lambda: put_together(split, f"{top}/tree", top),
        "index": lambda: look(layer),
        "walk of both trees": lambda: walk(f"{top}/root") + walk(f"{top}/copy"),
        f"diff of {CHANGED} files": lambda: list(
            treediff.changes(f"{top}/root", f"{top}/copy", copied)
        ),
    }
    samples: dict[str, list[Result]] = {name: [] for name in contests}
    for _ in range(rounds):
        for name, contest in contests.items():
            samples[name].append(once(contest))
    return {
        name: Result(min(one.wall for one in found), min(one.cpu for one in found))
        for name, found in samples.items()
    }


def once(contest: Callable[[], object]) -> Result:
    """One run, with the children that it waited for."""
    wall, cpu = time.perf_counter(), _cpu()
    contest()
    return Result(time.perf_counter() - wall, _cpu() - cpu)


def _cpu() -> float:
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def plant(root: str) -> None:
    """A tree with as many entries and bytes as a small Debian, the same every time."""
    chance = random.Random(7)
    os.mkdir(root)
    folders = [""]
    for number in range(FOLDERS - 1):
        near = [one for one in folders[-60:] if one.count("/") < 7] or [""]
        folders.append(f"{chance.choice(near)}/dir{number}")
        os.mkdir(root + folders[-1])
    files = ENTRIES - FOLDERS - LINKS
    sizes = [min(int(chance.lognormvariate(7.6, 2.1)), 8 << 20) for _ in range(files)]
    scale = BYTES / sum(sizes)
    data = chance.randbytes(1 << 20)
    for number, size in enumerate(sizes):
        left = int(size * scale)
        with open(f"{root}{chance.choice(folders)}/file-{number}.so", "wb") as file:
            while left > 0:
                left -= file.write(data[number % 4096 :][:left])
    for number in range(LINKS):
        os.symlink(f"../lib/x{number}", f"{root}{chance.choice(folders)}/link{number}")


def change(root: str) -> None:
    """Touch a few files of a tree."""
    files = sorted(
        os.path.join(folder, name)
        for folder, _, names in os.walk(root)
        for name in names
        if name.startswith("file")
    )
    for path in files[:: len(files) // CHANGED][:CHANGED]:
        with open(path, "ab") as file:
            file.write(b"changed")


def apply(layer: str, target: str, split: str) -> str:
    """What registering a layer does, without the records of a driver."""
    os.makedirs(target, exist_ok=True)
    with (
        open(layer, "rb", buffering=0) as source,
        open(split, "wb") as packed,
        gzip_writer(packed) as lines,
        HashingSource(source) as hashing,
    ):
        recorder = SplitWriter(lines.write)
        unpack(TarReader(hashing, recorder=recorder), target, Whiteouts.REMOVE)
        recorder.close()
        return hashing.digest()


def unpack_alone(layer: str, target: str) -> None:
    """Without diff-id and tar-split."""
    with open(layer, "rb", buffering=0) as source:
        unpack(TarReader(source), target, Whiteouts.REMOVE)


def pack(tree: str, target: str) -> None:
    """A tree as a layer tar."""
    with open(target, "wb") as sink:
        treediff.write_diff(None, tree, sink)


def put_together(split: str, tree: str, top: str) -> None:
    """The tar that was unpacked, as it was."""
    with (
        open(split, "rb") as packed,
        gunzipped(packed) as lines,
        Tree(tree) as files,
        open(f"{top}/out.tar", "wb", buffering=CHUNK) as sink,
    ):
        sink.writelines(reassemble(lines, files.open))


def look(layer: str) -> None:
    """Where everything is in an archive."""
    with open(layer, "rb", buffering=0) as source:
        for _ in index(source):
            pass


def walk(root: str) -> int:
    """What any comparison must do at least; how many entries there are."""
    pending, count = [root], 0
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                entry.stat(follow_symlinks=False)
                count += 1
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
    return count


def _tar(*words: str) -> None:
    subprocess.run(["tar", *words], check=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
