# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages about full disks, exhausted inodes, and what could be given back."""

from hostkit.diagnosis.finding import Certainty, Severity
from hostkit.diagnosis.signature import Signature

# The kernel prints ENOSPC for much that is no full disk.
_NOT_A_DISK = (
    "inotify",
    "unshare",
    "file watchers",
    "fsnotify",
    "FSWatcher",
    "max_user_watches",
    "/sys/fs/cgroup",
    "cpuset",
    "semget",
    "semaphore",
    "/dev/shm",  # noqa: S108 - words of a message, no file is made
    "shared memory segment",
    "mkdir /run/",
    "write /run/",
    "Thin Pool has",
)
# The path that is named then lies in a layer, not on this host.
_IN_AN_IMAGE = (
    "failed to register layer",
    "failed to extract layer",
    "ApplyLayer",
    "rror processing tar file",
    "failed to solve",
)
# A line below the head of df: 95 % or more of where images lie ...
_FULL = (
    r" Mounted on(?:(?!Use% Mounted).)*? (?!/dev/mapper/docker-\d)\S+(?: [\d.,]+[KMGTP]?i?B?){3}"
    r" (?P<percent>9[5-9]|100)% "
    r"(?P<mount>/|/var|/var/lib|/var/lib/(?:docker|containerd|containers)\S*"
)
_OF_ENGINE = _FULL + r"|/\S*docker\S*) "
# ... or may lie: not what is full by nature (snaps, discs) or beside the point (/boot).
_ANYWHERE = (
    _FULL + r"|/(?!snap/|boot|media/|mnt/cdrom|cdrom|run/)\S*(?:docker|data|home|mnt|opt|srv)\S*) "
)

_READ_ONLY = "filesystem-read-only"

_WRITES: tuple[Signature, ...] = (
    # ext4 and btrfs, after an error; XFS stops altogether.
    *(
        Signature(
            problem=_READ_ONLY,
            anchors=(anchor,),
            pattern=pattern,
            summary="the kernel stopped all writing to {device} after an error",
            reach=160,
        )
        for anchor, pattern in (
            ("emounting filesystem read-only", r"\((?P<device>[\w!.-]{1,40})\): [Rr]emounting"),
            ("forced readonly", r"BTRFS.{0,40}\(device (?P<device>[\w!.-]{1,40}).{0,40}forced"),
            ("hutting down filesystem", r"XFS \((?P<device>[\w!.-]{1,40})\): .{0,120}[Ss]hutting"),
            ("Filesystem has been shut down", r"XFS \((?P<device>[\w!.-]{1,40})\)"),
        )
    ),
    # Engines. A container's own files may be read-only by wish, and so may a bind mount.
    Signature(
        problem=_READ_ONLY,
        anchors=("ead-only file system",),
        pattern=r"(?P<path>/[^\s:]*(?:/docker/(?:tmp|overlay2?|aufs|containers|image|network"
        r"|swarm|volumes|buildkit)|/containerd/|/containers/storage/|GetImageBlob"
        r"|docker-builder)[^\s:]*): read-only file system",
        unless=("/rootfs/", "mount source path"),
        summary="{path} cannot be written: its file system is read-only",
        reach=300,
    ),
    Signature(
        problem=_READ_ONLY,
        anchors=("mount to /", "ead-only file system"),
        pattern=r"error creating (?:aufs|overlay) mount to (?P<path>/[^\s:]+): read-only",
        summary="{path} cannot be written: its file system is read-only",
        reach=300,
    ),
)

SPACE_SIGNATURES: tuple[Signature, ...] = (
    *_WRITES,
    # Any program that writes below the root of an engine, and pulls.
    Signature(
        problem="docker-root-disk-full",
        anchors=("o space left on device",),
        pattern=(
            r"^(?!.*IUse% .{0,500} (?:99|100)% ).*?"  # else df -i says which of the two it is
            r"(?:/var/lib/(?:docker|containerd|containers)/|/docker/(?:overlay2?|aufs|tmp|containers)/"
            r"|failed to register layer|failed to extract layer|GetImageBlob"
            r"|ApplyLayer|overlay2?/[0-9a-z]{25,})"
        ),
        unless=_NOT_A_DISK,
        summary="a write below the engine's root failed: no space left on device",
        reach=300,
    ),
    Signature(
        problem="docker-root-disk-full",
        anchors=("o space left on device",),
        pattern=r"(?P<path>/[^\s:\"',;]+)[^/]{0,60}o space left on device",
        unless=(*_NOT_A_DISK, *_IN_AN_IMAGE),
        summary="a write to {path} failed: no space left on device (or no inodes left)",
        severity=Severity.WARNING,  # any program says so of any disk
        certainty=Certainty.POSSIBLE,
        reach=300,
    ),
    Signature(
        problem="docker-root-disk-full",
        anchors=("o space left on device",),
        unless=_NOT_A_DISK,
        summary="a write failed: no space left on device (or no inodes left)",
        severity=Severity.WARNING,
        certainty=Certainty.POSSIBLE,
        reach=300,
    ),
    # yum and dnf, before they install anything.
    Signature(
        problem="docker-root-disk-full",
        anchors=("more space needed on the",),
        pattern=r"more space needed on the (?P<mount>/\S*) filesystem",
        summary="a package does not fit: {mount} is full",
    ),
    Signature(
        problem="docker-root-disk-full",
        anchors=("installing package",),
        pattern=r"installing package \S+ needs \d+ ?[KMG]?B on the (?P<mount>/\S*) filesystem",
        summary="a package does not fit: {mount} is full",
    ),
    # apt.
    Signature(
        problem="docker-root-disk-full",
        anchors=("have enough free space in /",),
        pattern=r"enough free space in (?P<mount>/[\w/.-]*\w)",
        summary="packages do not fit into {mount}",
        reach=120,
    ),
    # df.
    Signature(
        problem="docker-root-disk-full",
        anchors=(" Use% Mounted on",),
        pattern=" Use%" + _OF_ENGINE,
        summary="df shows {mount} {percent} % full",
        reach=4000,
    ),
    Signature(
        problem="docker-root-disk-full",
        anchors=(" Use% Mounted on",),
        pattern=" Use%" + _ANYWHERE,
        summary="df shows {mount} {percent} % full; Docker's data may lie there",
        certainty=Certainty.POSSIBLE,
        reach=4000,
    ),
    # df -i.
    Signature(
        problem="inodes-exhausted",
        anchors=("IUse% Mounted on",),
        pattern="IUse%" + _OF_ENGINE,
        summary="df -i shows {percent} % of the inodes of {mount} taken",
        reach=4000,
    ),
    # The same in another language.
    Signature(
        problem="inodes-exhausted",
        anchors=(" IUse% ",),
        pattern=r" IUse% [^/%]{2,40}/.{0,300}? (?P<percent>9[5-9]|100)% "
        r"(?P<mount>/|/var|/var/lib|/var/lib/(?:docker|containerd|containers)\S*) ",
        unless=("IUse% Mounted on",),
        summary="df -i shows {percent} % of the inodes of {mount} taken",
        reach=400,
    ),
    # kubelet's eviction manager.
    Signature(
        problem="inodes-exhausted",
        anchors=("low on resource: inodes",),
        summary="kubelet found no inodes left on the node",
    ),
    # docker system df.
    Signature(
        problem="dangling-images-reclaimable",
        anchors=("RECLAIMABLE", "Images"),
        pattern=r"Images \d+ \d+ \S+ (?P<size>[\d.]+[GT]B) \((?P<percent>[5-9]\d|100)%\)",
        summary="images that no container uses take {size} ({percent} % of all images)",
        severity=Severity.INFO,
    ),
    Signature(
        problem="dangling-images-reclaimable",
        anchors=("RECLAIMABLE", "Build Cache"),
        pattern=r"Build Cache \d+ \d+ \S+ (?P<size>\d\d[\d.]*GB|[\d.]+TB)",
        summary="the build cache takes {size}",
        severity=Severity.INFO,
    ),
    # docker images, three or more of them.
    Signature(
        problem="dangling-images-reclaimable",
        anchors=("<none> <none>",),
        pattern=r"(?:<none> <none> [0-9a-f]{12}.{1,200}?){3}",
        summary="images without a name and tag pile up",
        severity=Severity.INFO,
        reach=1000,
    ),
)
