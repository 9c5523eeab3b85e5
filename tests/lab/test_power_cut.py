# SPDX-License-Identifier: GPL-3.0-or-later
"""What a power cut takes and what it leaves, on a kernel that really loses its memory."""

import sys

from tests.lab.uml import ROOT, Disk, Guest, Lab

_SYNCED = "mount /dev/ubda /media; echo kept > /media/synced; sync; echo lost > /media/unsynced"


def made(guest: Guest, file_system: str) -> None:
    guest.shell(f"mkfs.{file_system} -q /dev/ubda; {_SYNCED}")


def after_the_cut(lab: Lab, disk: Disk) -> dict[str, str]:
    """The files that a second boot finds, with their contents."""
    with lab.boot([disk]) as guest:
        guest.shell("mount /dev/ubda /media")
        found = guest.shell("cd /media; grep -H . *synced* ||:")
        guest.shell("umount /media")
        return dict(line.split(":") for line in found.splitlines())


def test_ext4_keeps_what_was_synced_and_loses_the_rest(lab: Lab) -> None:
    disk = lab.disk("64M")
    with lab.boot([disk]) as guest:
        made(guest, "ext4")
        guest.cut()
    assert after_the_cut(lab, disk) == {"synced": "kept"}


def test_xfs_keeps_what_was_synced_and_loses_the_rest(lab: Lab) -> None:
    disk = lab.disk("320M")  # mkfs.xfs makes none smaller
    with lab.boot([disk]) as guest:
        made(guest, "xfs")
        guest.cut()
    assert after_the_cut(lab, disk) == {"synced": "kept"}


def test_a_clean_power_off_loses_nothing(lab: Lab) -> None:
    disk = lab.disk("64M")
    with lab.boot([disk]) as guest:
        made(guest, "ext4")
        guest.poweroff()
    assert after_the_cut(lab, disk) == {"synced": "kept", "unsynced": "lost"}


# A folder made in the shared one is on this machine at once.
_WRITER = """
import os, sys
from pathlib import Path
from tests.lab.faults import write_durably
for number in range(10**6):
    write_durably(Path(f"/media/{number}"), b"%d" % number * 2000)
    os.mkdir(f"{sys.argv[1]}/confirmed-{number}")
"""


def test_a_cut_in_the_middle_of_writing_leaves_all_that_was_confirmed(lab: Lab) -> None:
    disk = lab.disk("64M")
    with lab.boot([disk]) as guest:
        guest.shell("mkfs.ext4 -q /dev/ubda; mount /dev/ubda /media")
        guest.start(sys.executable, "-c", _WRITER, str(guest.share), cwd=str(ROOT))
        guest.cut_after_writes(disk, 3 << 20)
        confirmed = [path.name.split("-")[1] for path in guest.share.glob("confirmed-*")]
    assert len(confirmed) > 10
    check = "import sys; [open(f'/media/{n}').read() == n * 2000 or sys.exit(n) for n in sys.argv]"
    with lab.boot([disk]) as guest:
        guest.shell("mount /dev/ubda /media")
        guest.run("python3", "-c", check.replace("argv", "argv[1:]"), *confirmed)
        guest.shell("umount /media; e2fsck -fn /dev/ubda")
