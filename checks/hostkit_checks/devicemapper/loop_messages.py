# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages about pools on loop files: from dockerd, docker info, losetup and the kernel."""

from hostkit.diagnosis.finding import Certainty, Severity
from hostkit.diagnosis.signature import Signature

_SPACE = ("Data Space Used:", "Data Space Total: 107.4", "Data Space Available:")
# The 100 GiB of loop-lvm, at least a tenth of them not given out.
_PROMISED = (
    r"Data Space Used: (?:[\d.]+ ?[kM]?B|(?:\d|[1-8]\d)(?:\.\d+)? ?GB) "
    r"Data Space Total: 107\.4 ?GB "
)

LOOP: tuple[Signature, ...] = (
    # First: it says more than that there are loop files.
    # docker info of a daemon without images whose pool still holds gigabytes.
    # Half of the pool and more is what the disk below misses sooner or later.
    Signature(
        "loop-lvm-space-not-reclaimed",
        ("Data file: /dev/loop",),
        "nothing is left in Docker, its loop file still holds {used} GB",
        pattern=r"Containers: 0 (?:\w+: 0 )*Images: 0 .*?"
        r"Data Space Used: (?P<used>(?:[5-9]\d|\d{3})(?:\.\d+)?) ?GB",
    ),
    Signature(
        "loop-lvm-space-not-reclaimed",
        ("Data file: /dev/loop",),
        "nothing is left in Docker, its loop file still holds {used} GB",
        pattern=r"Containers: 0 (?:\w+: 0 )*Images: 0 .*?"
        r"Data Space Used: (?P<used>\d+(?:\.\d+)?) ?GB",
        severity=Severity.WARNING,
    ),
    # The same, from a person who deleted and looked again.
    Signature(
        "loop-lvm-space-not-reclaimed",
        ("Data file: /dev/loop",),
        "space that was used on the loop file is said not to come back",
        pattern=r"(?i)(?:not|n't|never) [\w ]{0,20}(?:free|reclaim|releas|return|give|shr[iu]nk)",
        severity=Severity.WARNING,
        reach=700,
    ),
    Signature(
        "loop-lvm-space-not-reclaimed",
        ("Data loop file: /",),
        "no image is left in Docker, its loop file still holds {used} GB",
        pattern=r"Images: 0 .{0,600}?Data Space Used: (?P<used>\d+(?:\.\d+)?) ?GB",
        severity=Severity.WARNING,
        reach=900,
    ),
    # dockerd's log to 17.05, docker info to 17.03 inside the block of the driver.
    Signature(
        "loop-lvm-in-use",
        ("sage of loopback devices is strongly discouraged",),
        "Docker warned that its thin pool lies on loop files",
        severity=Severity.WARNING,
    ),
    # docker info of every version with the driver; direct-lvm leaves the value empty.
    Signature(
        "loop-lvm-in-use",
        ("Data file: /dev/loop",),
        "docker info shows loop files below the thin pool ({device})",
        pattern=r"Data file: (?P<device>/dev/loop\d+)",
        severity=Severity.WARNING,
    ),
    Signature(
        "loop-lvm-in-use",
        ("Data loop file: /",),
        "docker info shows loop files below the thin pool ({file})",
        pattern=r"Data loop file: (?P<file>/\S+)",
        severity=Severity.WARNING,
    ),
    # docker info --format json; losetup -a, -l and -J; lsblk.
    Signature(
        "loop-lvm-in-use",
        ('["Data loop file",',),
        "docker info shows loop files below the thin pool",
        pattern=r"\[\"Data loop file\", ?\"/",
        severity=Severity.WARNING,
    ),
    Signature(
        "loop-lvm-in-use",
        ("/devicemapper/devicemapper/data",),
        "a loop device lies on Docker's file data",
        pattern=r"/dev/loop\d+\b.{0,200}?/devicemapper/devicemapper/data\b(?! ?[:\"]? ?No such)",
        severity=Severity.WARNING,
        reach=240,
    ),
    # docker info: what the disk below can still give is far less than what the pool promises.
    Signature(
        "loop-lvm-backing-fs-full",
        _SPACE,
        "the disk below the loop file has no more than {left} left",
        pattern=_PROMISED + r"Data Space Available: (?P<left>[\d.]+ ?[kM]?B)\b",
        reach=200,
    ),
    Signature(
        "loop-lvm-backing-fs-full",
        _SPACE,
        "the disk below the loop file has {left} left of the 107.4 GB it promises",
        pattern=_PROMISED + r"Data Space Available: (?P<left>\d(?:\.\d+)? ?GB)\b",
        severity=Severity.WARNING,
        reach=200,
    ),
    # The kernel's loop driver when the file system below gives an error, mostly ENOSPC.
    Signature(
        "loop-lvm-backing-fs-full",
        ("loop: Write error at byte offset",),
        "a write to a loop file failed",
        certainty=Certainty.POSSIBLE,
    ),
    # dockerd (attach_loopback.go), all versions with the driver; losetup of util-linux.
    Signature(
        "no-loop-devices",
        ("There are no more loopback devices available",),
        "dockerd found no free loop device",
    ),
    Signature(
        "no-loop-devices",
        ("loopback attach failed",),
        "dockerd could not attach a loop device",
    ),
    Signature(
        "no-loop-devices",
        ("loopback mounting failed",),
        "dockerd could not attach a loop device",
    ),
    Signature(
        "no-loop-devices",
        ("losetup:", "unused loop device"),
        "losetup found no free loop device",
        pattern=r"(?:cannot|could not|couldn't) find an(?:y)? unused loop device",
        reach=120,
    ),
    Signature(
        "no-loop-devices",
        ("oop device: ",),
        "losetup or mount could not set up a loop device",
        pattern=r"failed to set ?up loop device: (?:No such|Resource temp|Device or resource)",
        certainty=Certainty.POSSIBLE,
        reach=100,
    ),
    Signature(
        "no-loop-devices",
        ("find any free loop device",),
        "mount or losetup found no free loop device",
    ),
    # dockerd (and Docker's migrator) with records of a pool that lay on loop files.
    Signature(
        "devmapper-loop-file-missing",
        ("oopback ", "file not found"),
        "dockerd misses the {what} file of loop-lvm",
        pattern=r"[Ll]oopback (?P<what>data|metadata) file not found",
        reach=80,
    ),
    Signature(
        "devmapper-loop-file-missing",
        ("/devicemapper/devicemapper/", "no such file or directory"),
        "dockerd misses the {what} file of loop-lvm",
        pattern=r"(?:open|stat) /\S+/devicemapper/devicemapper/(?P<what>data|metadata): "
        r"no such file",
        reach=120,
    ),
    Signature(
        "devmapper-loop-file-missing",
        ("devmapper: Unable to find loopback mount for:",),
        "the active pool does not lie on the loop file of this data root",
        certainty=Certainty.POSSIBLE,
    ),
)
