# SPDX-License-Identifier: GPL-3.0-or-later
"""What a power cut leaves of a thin pool: its last commit, and that is whole."""

import sys
from pathlib import Path

import pytest

from hostkit.storage.thin.check import check
from hostkit.storage.thin.dump import dump
from hostkit.storage.thin.metadata import open_metadata
from tests.lab.uml import ROOT, Lab
from tests.rig.thintools import ThinTools

# Snapshots without end, each written to before and after.
_WRITER = """
import os
from tests.lab.faults import SECTOR, Mapped, command, sectors
table = f"0 {sectors('/dev/ubda')} thin-pool /dev/ubdb /dev/ubda 128 0"
pool = Mapped("pool", table)
pool.message("create_thin 0")
thin = Mapped("thin", f"0 {(1 << 30) // SECTOR} thin {pool.path} 0")
file = os.open(thin.path, os.O_WRONLY)
for number in range(1, 1000):
    for block in range(number % 13):
        os.pwrite(file, b"%8d" % number * 512, (block * block * number % 16000) << 16)
    os.fsync(file)
    command("dmsetup", "suspend", "thin")
    pool.message(f"create_snap {number} 0")
    command("dmsetup", "resume", "thin")
    if number % 7 == 0:
        pool.message(f"delete {number - 3}")
"""


@pytest.mark.parametrize("mebibytes", [3, 20])
def test_the_metadata_of_a_pool_that_lost_its_power_is_whole(lab: Lab, mebibytes: int) -> None:
    data, metadata_disk = lab.disk("512M"), lab.disk("16M")
    with lab.boot([data, metadata_disk]) as guest:
        guest.start(sys.executable, "-c", _WRITER, cwd=str(ROOT))
        guest.cut_after_writes(data, mebibytes << 20)
    with open_metadata(str(metadata_disk.path)) as metadata:
        report = check(metadata)
        assert report.faults == ()
        assert report.devices > 1
        assert "".join(dump(metadata)) == ThinTools().dump(Path(metadata_disk.path))
    assert ThinTools().sound(metadata_disk.path)
