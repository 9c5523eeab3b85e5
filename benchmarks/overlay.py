# SPDX-License-Identifier: GPL-3.0-or-later
"""What the overlay2 driver adds to the system calls that it makes: `python -m benchmarks overlay`.

Both sides make the same folders and files, sync the same of them and mount the same layers, on
one file system and in one run. Needs root; all of it happens in a mount namespace of its own.
"""

import os
import tempfile
import time
from collections.abc import Callable, Sequence

from hostkit import files
from hostkit.system import mounts
from hostkit.system.overlay import OverlaySpec
from hostkit.system.tree import remove_tree
from hostkit_drivers.overlay2.driver import Overlay2

_LAYERS = 20
_RUNS = 60
_PROMISED_MS = 2


def main(arguments: Sequence[str]) -> int:
    """Print what one container on 20 layers costs over the calls alone; 1 when it is too much."""
    runs = int(arguments[0]) if arguments else _RUNS
    mounts.enter_private_namespace()
    with tempfile.TemporaryDirectory(dir=".") as root, Overlay2(os.path.realpath(root)) as driver:
        parent: str | None = None
        for number in range(_LAYERS):
            driver.create(f"layer{number}", parent)
            driver.commit(f"layer{number}")
            parent = f"layer{number}"

        def ours() -> None:
            driver.create("container", parent, read_write=True)
            driver.mount("container").close()
            driver.remove("container")

        lower = tuple(f"l/{name}" for name in _shorts(driver))
        seen = {"driver": (ours, [9.0, 9.0]), "calls": (lambda: _bare(driver, lower), [9.0, 9.0])}
        for _ in range(runs):
            for action, best in seen.values():
                for at, value in enumerate(_taken(action)):
                    best[at] = min(best[at], value)
        for name, (_, best) in seen.items():
            print(f"{name:8} {best[0] * 1e3:6.2f} ms wall {best[1] * 1e3:6.2f} ms CPU")
        more = [(seen["driver"][1][at] - seen["calls"][1][at]) * 1e3 for at in (0, 1)]
        words = f"create + mount + unmount + remove on {_LAYERS} layers, best of {runs}"
        print(f"{words}: {more[0]:.2f} ms wall, {more[1]:.2f} ms CPU over the bare calls")
        kept = more[0] <= _PROMISED_MS
        print(
            f"{'kept' if kept else 'BROKEN':<7} at most {_PROMISED_MS} ms wall over the bare calls"
        )
        return 0 if kept else 1


def _shorts(driver: Overlay2) -> list[str]:
    """The short names of all layers, the topmost first."""
    found: list[str] = []
    for number in reversed(range(_LAYERS)):
        with open(f"{driver.home}/layer{number}/link", encoding="ascii") as link:
            found.append(link.read())
    return found


def _taken(action: Callable[[], None]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    return time.perf_counter() - wall, time.process_time() - cpu


def _bare(driver: Overlay2, lower: tuple[str, ...]) -> None:
    """The same life of a container with nothing but the calls."""
    home = driver.home
    folder = f"{home}/bare"
    record = os.open(f"{home}/bare.new", os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(record, b"x" * 120)
    for path in (folder, f"{folder}/diff", f"{folder}/work"):
        os.mkdir(path)
    os.symlink("../bare/diff", f"{home}/l/BARE")
    for name in ("link", "lower"):
        file = os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(file, ":".join(lower).encode())
        os.close(file)
    os.fsync(record)
    os.close(record)
    os.rename(f"{home}/bare.new", f"{home}/bare.record")
    files.sync_folder(home)
    os.mkdir(f"{folder}/merged")
    spec = OverlaySpec(home, lower, "bare/diff", "bare/work", ("index=off",))
    spec.apply(f"{folder}/merged")
    mounts.unmount(f"{folder}/merged")
    os.rmdir(f"{folder}/merged")
    os.rename(f"{home}/bare.record", f"{home}/bare.gone")
    files.sync_folder(home)
    os.unlink(f"{home}/l/BARE")
    remove_tree(folder)
    os.unlink(f"{home}/bare.gone")
