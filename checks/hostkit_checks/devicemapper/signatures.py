# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages about device-mapper and Docker's driver; loop files and pools are imported."""

from hostkit.diagnosis.finding import Certainty, Severity
from hostkit.diagnosis.signature import Signature
from hostkit_checks.devicemapper.loop_messages import LOOP
from hostkit_checks.devicemapper.pool_messages import POOL

_KERNEL: tuple[Signature, ...] = (
    # The dynamic linker (glibc) for docker before 18.05 from an rpm; systemd shortens the
    # line in the middle, so the end is not asked for.
    Signature(
        "libdevmapper-too-old",
        ("symbol dm_",),
        "the installed libdevmapper lacks {symbol}, which this docker needs",
        pattern=r"symbol (?P<symbol>dm_\w+), version \w+ not defined",
    ),
    # `systemctl status` without -l leaves out the middle, with it the symbol.
    Signature(
        "libdevmapper-too-old",
        ("/docker: relocation error:",),
        "a library lacks a symbol that this docker needs: mostly it is libdevmapper",
        unless=(" symbol ",),
        reach=120,
    ),
    Signature(
        "libdevmapper-too-old",
        ("undefined symbol: dm_",),
        "the installed libdevmapper lacks {symbol}",
        pattern=r"undefined symbol: (?P<symbol>dm_\w+)",
    ),
    Signature(
        "libdevmapper-too-old",
        ("libdevmapper.so.1.02", "not found (required by"),
        "a program needs a newer libdevmapper: version {wanted} is missing",
        pattern=r"version .?(?P<wanted>DM_\w+|Base).? not found \(required by",
    ),
    Signature(
        "libdevmapper-too-old",
        ("libdevmapper.so.1.02", "cannot open shared object file"),
        "libdevmapper is not installed, or under another name than docker expects",
        certainty=Certainty.POSSIBLE,
    ),
    # dockerd 1.8 and later with dm.use_deferred_removal or dm.use_deferred_deletion.
    Signature(
        "libdevmapper-too-old",
        ("can not be enabled as libdm does not support it",),
        "libdevmapper is too old for deferred removal",
    ),
    # dmsetup and the LVM tools, all versions.
    Signature(
        "dm-module-missing",
        ("Check that device-mapper is available in the kernel",),
        "device-mapper was not available in the running kernel",
    ),
    Signature(
        "dm-module-missing",
        ("/dev/mapper/control: open failed: No such device",),
        "device-mapper was not available in the running kernel",
    ),
    # Programs written in Go that open it themselves.
    Signature(
        "dm-module-missing",
        ("open /dev/mapper/control: no such file or directory",),
        "device-mapper was not available in the running kernel",
    ),
    Signature(
        "dm-module-missing",
        ("and kernel driver (unknown version)",),
        "device-mapper was not available in the running kernel",
    ),
    # The kernel, when the module of a target cannot be loaded; then dmsetup and LVM.
    Signature(
        "dm-module-missing",
        ("device-mapper: table:", "unknown target type"),
        "the kernel has no target {target}",
        pattern=r"device-mapper: table: [\w:. ()-]*?(?P<target>thin(?:-pool)?): unknown target",
    ),
    Signature(
        "dm-module-missing",
        ("Can't process LV", "target support missing from kernel"),
        "the kernel has no thin-pool target",
        pattern=r"thin(-pool)? target support missing from kernel",
    ),
    # lvcreate and lvconvert.
    Signature(
        "dm-module-missing",
        ("Required device-mapper target(s) not detected in your kernel",),
        "LVM found no {target} target in the kernel",
        pattern=r"(?P<target>thin(?:-pool)?): Required device-mapper target",
        reach=120,
    ),
    # libdevmapper in dockerd's log, any version.
    Signature(
        "dm-module-missing",
        ("s device-mapper driver missing from kernel?",),
        "device-mapper was not available in the running kernel",
    ),
    Signature(
        "dm-module-missing",
        ("odule dm", "not found"),
        "the module {module} is not there for the running kernel",
        pattern=r"(?:FATAL|ERROR)[^.]{0,20}: Module (?P<module>dm[-_](?:thin.pool|mod)) not found",
        reach=120,
        says=(("blocked", "no"),),
    ),
    # dockerd up to 24 chosen or found devicemapper, and libdm got no driver version.
    Signature(
        "dm-module-missing",
        ("devicemapper", "driver not supported"),
        "dockerd found no usable device-mapper in the kernel",
        pattern=r"devicemapper\"? failed: driver not supported",
        unless=("Udev sync is not supported",),
        certainty=Certainty.POSSIBLE,
    ),
    Signature(
        "dm-module-missing",
        ("device-mapper: reload ioctl on docker-",),
        "the kernel refused to make Docker's thin pool",
        pattern=r"on docker-\S*pool\S* (?:\(\d+:\d+\) )?failed: Invalid argument",
        certainty=Certainty.POSSIBLE,
        reach=120,
    ),
    Signature(
        "dm-module-missing",
        ("Error running deviceCreate (CreatePool) dm_task_run failed",),
        "the kernel refused to make Docker's thin pool",
        certainty=Certainty.POSSIBLE,
        unless=("READ_ONLY or FAIL",),
    ),
)

_DRIVER: tuple[Signature, ...] = (
    # dockerd at its start, when metadata directory and pool do not belong together.
    Signature(
        "devmapper-base-device-mismatch",
        ("Base Device UUID",),
        "Docker's records and the thin pool do not belong together",
        pattern=r"Base Device UUID (?:and Fil\w+ )?verification failed"
        r"|Base Device UUID.{0,120}does not match",
    ),
    # dockerd, of a layer that its records of this pool do not have.
    Signature(
        "devmapper-base-device-mismatch",
        ("devmapper: Unknown device ",),
        "Docker's records and the thin pool do not belong together: a layer is unknown",
        certainty=Certainty.POSSIBLE,
    ),
    Signature(
        "thinpool-metadata-damaged",
        ("Error mounting '/dev/mapper/docker-",),
        "a layer's file system cannot be mounted: it is damaged or not what Docker expects",
        pattern=r"Error mounting '/dev/mapper/docker-\S+' on '\S+': "
        r"(?:invalid argument|structure needs cleaning|input/output error)",
        certainty=Certainty.POSSIBLE,
    ),
    Signature(
        "thinpool-already-used",
        ("Unable to take ownership of thin-pool",),
        "the thin pool {pool} already holds data of another installation",
        pattern=r"thin-pool \((?P<pool>[^)]+)\) (?:that already has used data|with non-zero trans)",
    ),
    Signature(
        "direct-lvm-misconfigured",
        ("is not a thin pool",),
        "the device that dockerd is told to use is no thin pool",
        pattern=r"devmapper: Device \S+ is not a thin pool",
    ),
    Signature(
        "direct-lvm-misconfigured",
        ("changing direct-lvm config is not supported",),
        "the dm.directlvm options were changed after the first start",
    ),
    Signature(
        "direct-lvm-misconfigured",
        ("cannot setup direct-lvm when",),
        "dm.thinpooldev and dm.directlvm_device are both given",
    ),
    Signature(
        "direct-lvm-misconfigured",
        ("must remove this device from any volume group or provide a different device",),
        "the device for direct-lvm already belongs to the volume group {group}",
        pattern=r"part of a volume group \W*(?P<group>[\w.+-]+)",
    ),
    Signature(
        "direct-lvm-misconfigured",
        ("is not available for use with devicemapper",),
        "LVM does not see {device}, which dockerd is told to use",
        pattern=r"(?P<device>/dev/\S+) is not available for use with devicemapper",
    ),
    Signature(
        "direct-lvm-misconfigured",
        ("while setting up direct lvm",),
        "the command {command}, which direct-lvm needs, is not installed",
        pattern=r"looking up command \W(?P<command>\w+)\W while setting up direct lvm",
    ),
    Signature(
        "direct-lvm-misconfigured",
        ("dm.directlvm_device_force=true",),
        "{device} holds a file system, so dockerd does not make a pool of it",
        pattern=r"(?P<device>/dev/\S+) has a filesystem already, use dm\.directlvm_device_force",
    ),
    # The same without the name that the journal puts before it.
    Signature(
        "direct-lvm-misconfigured",
        ("Docker has been previously configured for use with devicemapper",),
        "docker-storage-setup found records of an earlier pool and made no new one",
    ),
    Signature(
        "direct-lvm-misconfigured",
        ("to create data volume of size MIN_DATA_SIZE",),
        "the volume group {group} has no room for Docker's pool",
        pattern=r"free space in volume group (?P<group>\S+) to create",
        reach=160,
    ),
    # lvcreate, under the storage set-up or by hand.
    Signature(
        "direct-lvm-misconfigured",
        ("has insufficient free space",),
        "the volume group {group} has no room for Docker's pool",
        pattern=r"(?:storage-setup|docker|thin).{0,500}group \"(?P<group>[^\"]+)\" has insufficient"
        r"|group \"(?P<other>[^\"]*docker[^\"]*)\" has insufficient"
        r"|has insufficient free space.{0,300}(?:storage-setup|docker|thin)",
        reach=500,
    ),
    # docker-storage-setup and container-storage-setup (RHEL, CentOS, Fedora).
    Signature(
        "direct-lvm-misconfigured",
        ("storage-setup", "allocatable extents"),
        "the volume group has no room for Docker's pool",
        pattern=r"Insufficient suitable (?:contiguous )?allocatable extents",
        reach=900,
    ),
    Signature(
        "direct-lvm-misconfigured",
        ("storage-setup", "ERROR"),
        "docker-storage-setup refused its configuration",
        pattern=r"storage-setup(?:\[\d+\])?: ERROR: (?!.{0,30}mounted)",
        reach=200,
    ),
    # dockerd: a layer's device is mounted in another mount namespace.
    Signature(
        "devmapper-device-busy",
        ("failed to remove root filesystem",),
        "a layer's device cannot be removed: something still has it mounted",
        pattern=r"[Dd]river \"?devicemapper\"? failed to remove root filesystem",
        unless=("READ_ONLY or FAIL",),
    ),
    Signature(
        "devmapper-device-busy",
        ("/devicemapper/mnt/", "evice or resource busy"),
        "a layer's mount point cannot be removed: something still has it mounted",
        reach=250,
    ),
    Signature(
        "devmapper-device-busy",
        ("Device is Busy",),
        "a layer's device cannot be removed: something still has it mounted",
        pattern=r"(?:devmapper|devicemapper|mapper/docker-|remove device).{0,300}Device is Busy",
    ),
    # dockerd, of any driver's mount that leaked into another namespace (EL 7 above all).
    Signature(
        "devmapper-device-busy",
        ("evice or resource busy",),
        "a container's mount point cannot be removed: something still has it mounted",
        pattern=r"(?:remove|unlinkat|rmdir) /\S*/(?:containers/[0-9a-f]+/(?:shm|mounts)"
        r"|overlay2?/[0-9a-z]+(?:-init)?/|aufs/(?:mnt|diff)/)\S*: device or resource busy",
        certainty=Certainty.POSSIBLE,
        reach=300,
    ),
    # libdevmapper's own words in dockerd's log.
    Signature(
        "devmapper-device-busy",
        ("device-mapper: remove ioctl on docker-", "evice or resource busy"),
        "a layer's device cannot be removed: something still holds it",
        reach=240,
    ),
    # df: a container's file system, 10 GB unless dm.basesize says otherwise, is full.
    Signature(
        "devmapper-base-size-reached",
        ("/dev/mapper/docker-",),
        "a container's file system on devicemapper is {percent} % full",
        pattern=r"/dev/mapper/docker-\d+:\d+-\d+-[0-9a-f]{12,64} (?:[\d.]+[KMGT]? ){3,4}"
        r"(?P<percent>9[5-9]|100)%",
        reach=240,
    ),
    # dockerd 1.8 and later, docker info: a static binary or a libdevmapper without udev.
    Signature(
        "udev-sync-unsupported",
        ("Udev sync is not supported",),
        "dockerd cannot wait for udev: devices appear too late or vanish too early",
    ),
    Signature(
        "udev-sync-unsupported",
        ("Udev Sync Supported: false",),
        "docker info: dockerd cannot wait for udev",
        severity=Severity.WARNING,
    ),
    Signature(
        "udev-sync-unsupported",
        ("Error mounting '/dev/mapper/docker-", "no such file or directory"),
        "a node in /dev/mapper was not there when dockerd needed it",
        certainty=Certainty.POSSIBLE,
    ),
    # dm_task_set_name fails when the node in /dev/mapper is not there.
    Signature(
        "udev-sync-unsupported",
        ("Can't set task name /dev/mapper/",),
        "a node in /dev/mapper was not there when dockerd needed it",
        certainty=Certainty.POSSIBLE,
    ),
)

SIGNATURES: tuple[Signature, ...] = (*_KERNEL, *LOOP, *POOL, *_DRIVER)
