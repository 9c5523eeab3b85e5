# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in a guest: a thin pool with a history, on /dev/ubda (data) and /dev/ubdb (metadata).

0  ext4 with files, some changed after each snapshot, one removed and discarded
1  snapshot of 0, never written
2  snapshot of 1, written
3  never written: no mappings
4  removed again
7  written in a few single blocks far apart; the last one at its very end
"""

import hashlib
import json
import os
import sys
from pathlib import Path

from tests.lab.faults import SECTOR, Mapped, command, mounted, sectors

DATA, METADATA = "/dev/ubda", "/dev/ubdb"
BLOCK = 64 << 10
SIZES = {0: 32 << 20, 1: 32 << 20, 2: 32 << 20, 3: 1 << 40, 4: 8 << 20, 7: (128 << 20) + 4096}
FAR = (0, 1, 5, 1000, SIZES[7] // BLOCK - 1)


def thin(pool: Mapped, device: int) -> Mapped:
    return Mapped(f"thin{device}", f"0 {SIZES[device] // SECTOR} thin {pool.path} {device}")


def fill(folder: Path, name: str, blocks: int) -> None:
    (folder / name).write_bytes(hashlib.sha256(name.encode()).digest() * (blocks * 2048))


def make(pool: Mapped, scratch: Path) -> None:
    pool.message("create_thin 0")
    with thin(pool, 0) as origin:
        command("mkfs.ext4", "-q", "-O", "^has_journal", origin.path)
        for number, changed in ((1, "first"), (3, "second")):
            with mounted(origin.path, scratch, "discard") as place:
                fill(place, changed, 40)
                fill(place, "common", number)
                if changed == "second":
                    (place / "first").unlink()
            command("dmsetup", "suspend", origin.name)
            if changed == "first":
                pool.message("create_snap 1 0")
                pool.message("create_snap 2 1")
            command("dmsetup", "resume", origin.name)
    with thin(pool, 2) as snapshot, mounted(snapshot.path, scratch) as place:
        fill(place, "of the second snapshot", 3)
    for device in (3, 4, 7):
        pool.message(f"create_thin {device}")
    with thin(pool, 4) as removed:
        Path(removed.path).write_bytes(b"gone" * 65536)
    pool.message("delete 4")
    with thin(pool, 7) as scattered:
        file = os.open(scattered.path, os.O_WRONLY)
        for block in FAR:
            os.pwrite(file, b"block %8d" % block * 256, block * BLOCK)
        os.fsync(file)
        os.close(file)


def digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(share: Path) -> None:
    scratch = share.parent / "scratch"
    table = (
        f"0 {sectors(DATA)} thin-pool {METADATA} {DATA} {BLOCK // SECTOR} 0 1 skip_block_zeroing"
    )
    devices: dict[int, dict[str, object]] = {}
    with Mapped("pool", table) as pool:
        make(pool, scratch)
        pool.message("set_transaction_id 0 7")
        for device in (0, 1, 2, 7):
            with thin(pool, device) as volume:
                devices[device] = {"size": SIZES[device], "sha256": digest(volume.path)}
        status = pool.status()
    command("thin_check", METADATA)
    (share / "metadata.xml").write_text(command("thin_dump", METADATA))
    (share / "expected.json").write_text(json.dumps({"status": status, "devices": devices}))


main(Path(sys.argv[1]))
