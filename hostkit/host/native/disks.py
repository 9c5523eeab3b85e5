# SPDX-License-Identifier: GPL-3.0-or-later
# The library brings no types, so its one wrapper is checked less strictly.
# pyright: basic, reportMissingModuleSource=false
"""blkinfo: the tree of disks, with models and what lies on them.

It runs lsblk without a time-out, which a dead disk can hold for ever; so it runs in a
child process that can be killed.
"""

import json
import sys
from typing import Any

from hostkit import process

_TIMEOUT_S = 10.0
_FIELDS = ("name", "kname", "size", "type", "ro", "rota", "model", "fstype", "label", "mountpoint")


def disks() -> list[dict[str, Any]]:
    """Each disk with the names of its children. Raises ImportError or OSError."""
    done = process.run((sys.executable, "-I", "-m", __name__), timeout=_TIMEOUT_S)
    if done.timed_out:
        raise TimeoutError(f"lsblk did not answer within {_TIMEOUT_S:.0f} s")
    if done.status != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise OSError(said[-1] if said else f"exit status {done.status}")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def _main() -> None:
    """In the child: ask blkinfo and print JSON."""
    import blkinfo  # noqa: PLC0415 - only the child may wait for what it does

    found: list[dict[str, Any]] = blkinfo.BlkDiskInfo().get_disks()
    kept = [
        {**{field: one.get(field, "") for field in _FIELDS}, "children": one.get("children", [])}
        for one in found
    ]
    sys.stdout.write(json.dumps(kept))


if __name__ == "__main__":
    _main()
