# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages about thin pools: from the kernel, LVM, dmeventd, docker info and dockerd."""

from hostkit.diagnosis.finding import Certainty, Severity
from hostkit.diagnosis.signature import Signature

POOL: tuple[Signature, ...] = (
    # lvs -a: a thin pool (t) whose Data% is 90 or more, or whose health letter is D.
    Signature(
        "thinpool-full",
        (" twi-",),
        "lvs shows a thin pool that is {percent} % full",
        pattern=r" twi-\S{4,6} [*<]*[\d.,]+[a-zA-Z]?\** \**(?P<percent>9\d|100)[.,]\d\d\b",
        reach=160,
    ),
    Signature(
        "thinpool-full",
        (" twi-",),
        "lvs shows a thin pool without data space (health D)",
        pattern=r" twi-[\w-]{4}D",
        reach=40,
    ),
    Signature(
        "thinpool-full",
        (" thin-pool ", "out_of_data_space"),
        "dmsetup shows a thin pool without data space",
        reach=160,
    ),
    # The kernel (dm-thin.c).
    Signature(
        "thinpool-full",
        ("device-mapper: thin:", "out-of-data-space"),
        "the kernel found a thin pool without data space",
        pattern=r"switching pool to out-of-data-space",
        reach=200,
    ),
    Signature(
        "thinpool-full",
        ("device-mapper: thin:", "no free data space available"),
        "the kernel found a thin pool without data space",
        reach=200,
    ),
    Signature(
        "thinpool-full",
        ("device-mapper: thin:", "no free metadata space available"),
        "the kernel found a thin pool without metadata space",
        reach=200,
    ),
    Signature(
        "thinpool-full",
        ("device-mapper: space map metadata: unable to allocate new metadata block",),
        "the kernel found a thin pool without metadata space",
    ),
    Signature(
        "thinpool-full",
        ("unable to service pool target messages in READ_ONLY or FAIL mode",),
        "a thin pool went read-only or failed, as one does when it is full",
    ),
    # dockerd, when the pool takes no further device: mostly full, read-only or damaged.
    *(
        Signature(
            problem,
            ("dm_task_run failed",),
            "device-mapper refused a snapshot or its activation, as a full or failed pool does",
            pattern=r"Error running (?:device(?:Suspend|Resume)|[Ss]etTransactionI[dD]"
            r"|deviceCreate \(create(?:Snap)?Device\)) dm_task_run",
            certainty=Certainty.POSSIBLE,
            reach=100,
        )
        for problem in ("thinpool-full", "thinpool-metadata-damaged")
    ),
    # lvm2 when it makes or extends volumes.
    Signature(
        "thinpool-full",
        ("free space in", "thin pool"),
        "LVM found too little free in the thin pool {pool}",
        pattern=r"[Ff]ree space in (?:(?:meta)?data of )?thin pool (?P<pool>\S+) "
        r"(?:is too low|reached threshold)",
        reach=200,
    ),
    # dmeventd and lvm2 (thin plug-in), to 2.02.170 and later.
    Signature(
        "thinpool-full",
        ("hin", "is now", "full"),
        "dmeventd saw a thin pool {percent} % full",
        pattern=r"[Tt]hin (?:pool )?\S+ (?:(?:meta)?data )?is now (?P<percent>9\d|100)[.\d]*% full",
        reach=160,
    ),
    # docker info with thin pool and nothing left.
    Signature(
        "thinpool-full",
        ("Data Space Available: 0", "Pool"),
        "docker info shows a thin pool without data space",
        pattern=r"Data Space Available: 0(?:\.0+)? ?B\b",
        unless=("Data file: /dev/loop",),
    ),
    # The same with next to nothing left.
    Signature(
        "thinpool-full",
        ("Data Space Total: ", "Pool"),
        "docker info shows a thin pool with {left} left",
        pattern=r"Data Space Total: [\d.]+ ?[GT]B (?:Data Space Used: \S+ ?\S* )?"
        r"Data Space Available: (?P<left>[\d.]+ ?[kM]?B)\b",
        unless=("Data file: /dev/loop", "loop file"),
    ),
    Signature(
        "thinpool-full",
        ("Metadata Space Total: ", "Pool"),
        "docker info shows a thin pool with {left} left for its metadata",
        pattern=r"Metadata Space Total: [\d.]+ ?[MG]B "
        r"Metadata Space Available: (?P<left>[\d.]+ ?k?B)\b",
        unless=("Data file: /dev/loop", "loop file"),
    ),
    # ext4 above a pool without space (ENOSPC, BLK_STS_NOSPC).
    Signature(
        "thinpool-full",
        ("ext4_end_bio:",),
        "writes to a device-mapper device fail for lack of space below it",
        pattern=r"\(device dm-\d+\): ext4_end_bio:\d+: I/O error (?:-28|3) writing",
        certainty=Certainty.POSSIBLE,
        reach=120,
    ),
    # dockerd (deviceset.go) 1.11 and later.
    Signature(
        "thinpool-min-free-space",
        ("which is less than minimum required",),
        "the pool has {free} free {what} blocks, Docker wants {minimum}",
        pattern=r"(?P<free>\d+) free (?P<what>data|metadata) blocks which is less than minimum "
        r"required (?P<minimum>\d+)",
    ),
    # The kernel again, after an error in a pool's metadata.
    Signature(
        "thinpool-metadata-damaged",
        ("unable to service pool target messages in READ_ONLY or FAIL mode",),
        "a thin pool went read-only or failed",
        certainty=Certainty.POSSIBLE,
    ),
    Signature(
        "thinpool-metadata-damaged",
        ("device-mapper: thin:", "metadata operation", "failed: error ="),
        "the kernel could not write a thin pool's metadata",
        reach=300,
    ),
    Signature(
        "thinpool-metadata-damaged",
        ("device-mapper: thin:", "switching pool to"),
        "the kernel switched a thin pool to {mode} mode",
        pattern=r"switching pool to (?P<mode>read-only|failure|fail) mode",
        reach=200,
    ),
    Signature(
        "thinpool-metadata-damaged",
        (" twi-",),
        "lvs shows a thin pool that failed or whose metadata is read-only (health {health})",
        pattern=r" twi-[\w-]{4}(?P<health>[MF])",
        reach=40,
    ),
    Signature(
        "thinpool-metadata-damaged",
        (" thin-pool ", " needs_check"),
        "dmsetup shows a thin pool that needs a check",
        reach=160,
    ),
    Signature(
        "thinpool-metadata-damaged",
        ("pool ", "failed (status:", "Manual repair required"),
        "LVM refuses a thin pool whose metadata failed the check",
        pattern=r"Check (?:of|for) (?:thin )?pool \S+ failed \(status:\d+\)",
        unless=("execvp failed",),
        reach=200,
    ),
    # The kernel when it opens a pool (dm-thin-metadata.c, persistent-data).
    Signature(
        "thinpool-metadata-damaged",
        ("device-mapper: thin metadata: ",),
        "the kernel could not read a thin pool's metadata",
        pattern=r"thin metadata: (?:sb_check failed|couldn't read superblock|\w[\w ]* failed)",
        reach=120,
    ),
    Signature(
        "thinpool-metadata-damaged",
        ("device-mapper: ", "validator check failed for block"),
        "the kernel found damaged metadata of a thin pool",
        reach=160,
    ),
    # thin_check of thin-provisioning-tools, to 0.9; 1.0 says much the same.
    Signature(
        "thinpool-metadata-damaged",
        ("examining superblock", "examining"),
        "thin_check found damage in a thin pool's metadata",
        pattern=r"superblock is corrupt|missing mappings|bad checksum in|value size mismatch"
        r"|metadata contains errors",
        reach=1200,
    ),
    # thin_check of thin-provisioning-tools 1.0 and later.
    Signature(
        "thinpool-metadata-damaged",
        ("mapping tree contain errors",),
        "thin_check found damage in a thin pool's metadata",
    ),
    Signature(
        "thinpool-metadata-damaged",
        ("Check of mappings failed",),
        "thin_check found damage in a thin pool's metadata",
    ),
    # lvs: the fifth letter of a pool's attributes is a for an active one.
    Signature(
        "thinpool-inactive",
        (" twi---",),
        "lvs shows a thin pool that is not active",
        pattern=r" twi---[a-zA-Z-]{3,5} ",
        certainty=Certainty.POSSIBLE,
        reach=80,
    ),
    # lvscan.
    Signature(
        "thinpool-inactive",
        ("inactive '/dev/",),
        "lvscan shows the pool {pool} not active",
        pattern=r"inactive '/dev/(?P<pool>[\w.+-]+/(?:[\w.+-]*thin|docker)[\w.+-]*)'",
        certainty=Certainty.POSSIBLE,
        reach=120,
    ),
    # dockerd, asking for the status of the pool that its options name.
    Signature(
        "thinpool-inactive",
        ("evicemapper: Non existing device",),
        "the thin pool {pool} was not there when dockerd asked for it",
        pattern=r"Non existing device (?P<pool>[\w./+-]+)",
        reach=120,
    ),
    # LVM at activation; 2.02.111 and earlier compare with Docker's count and refuse.
    Signature(
        "thinpool-inactive",
        ("ransaction_id is", "while expected"),
        "LVM does not activate the pool: transaction {found}, expected {expected}",
        pattern=r"[Tt]hin pool .{0,80}?transaction_id is (?P<found>\d+), "
        r"while expected (?P<expected>\d+)",
        reach=200,
    ),
    Signature(
        "thinpool-inactive",
        ("thin_check", "No such file or directory"),
        "LVM does not activate the pool: thin_check is not installed",
        pattern=r"thin_check: execvp failed: No such file",
        reach=160,
    ),
    # lvs -o +seg_monitor.
    Signature(
        "thinpool-not-monitored",
        (" twi-", "not monitored"),
        "lvs shows a thin pool that nothing monitors",
        pattern=r" twi-\S{5,6} [<\d.,]+[a-zA-Z]? [\d., ]*?not monitored",
        severity=Severity.WARNING,
        reach=160,
    ),
    Signature(
        "thinpool-not-monitored",
        ("seg_monitor", "not monitored"),
        "lvs shows a thin pool that nothing monitors",
        pattern=r"(?i)(?:thin|docker)\S* .{0,60}?not monitored",
        severity=Severity.WARNING,
        reach=400,
    ),
    # lvcreate and lvconvert from 2.02.171 on, and vgchange or lvchange --monitor n.
    Signature(
        "thinpool-not-monitored",
        ("not turned on protection against thin pools running out of space",),
        "LVM is not set to extend thin pools that fill up",
        severity=Severity.WARNING,
    ),
    Signature(
        "thinpool-not-monitored",
        ("logical volume(s) in volume group", "unmonitored"),
        "monitoring was switched off for the volumes of {group}",
        pattern=r"volume group \"(?P<group>[^\"]+)\" unmonitored",
        severity=Severity.WARNING,
        certainty=Certainty.POSSIBLE,
        reach=120,
    ),
)
