# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages about aufs, about the choice of a driver, and about drivers that are gone."""

from hostkit.diagnosis.finding import Certainty, Severity
from hostkit.diagnosis.signature import Signature

_AUFS = (
    # docker info with the aufs driver, to 23.0.
    Signature(
        problem="aufs-dirperm1-unsupported",
        anchors=("Dirperm1 Supported: false",),
        summary="the kernel's aufs does not know the option dirperm1",
        severity=Severity.WARNING,
    ),
    # dockerd; 1.12 and older put the name in quotes.
    Signature(
        problem="aufs-not-in-kernel",
        anchors=("prior storage driver",),
        pattern=r'prior storage driver "?aufs"? failed',
        summary="images lie in the aufs driver's folder, and the kernel has no aufs",
    ),
    # dockerd to 23.0: alone it is a line of the search for a driver, and harmless.
    Signature(
        problem="aufs-not-in-kernel",
        anchors=("AUFS was not found in /proc/filesystems", "rror initializing graphdriver"),
        summary="dockerd was to use aufs, and the kernel has none",
        reach=3000,
    ),
    # podman and buildah, asked for it.
    Signature(
        problem="aufs-not-in-kernel",
        anchors=("aufs was not found in /proc/filesystems",),
        summary="aufs was to be used, and the kernel has none",
    ),
    Signature(
        problem="aufs-not-in-kernel",
        anchors=("odule aufs not found",),
        # containerd asks on every host
        unless=("skip loading plugin", "skip plugin", "failed to load plugin", "snapshotter.v1"),
        summary="modprobe found no aufs module",
    ),
    # mount(8).
    Signature(
        problem="aufs-not-in-kernel",
        anchors=("unknown filesystem type 'aufs'",),
        summary="the kernel knows no file system called aufs",
    ),
    # aufs itself, in dmesg, when dockerd tries the option.
    Signature(
        problem="aufs-dirperm1-unsupported",
        anchors=("unknown option ", "dirperm1"),
        pattern=r'unknown option "?dirperm1\b',
        reach=80,
        summary="the kernel's aufs does not know the option dirperm1",
        severity=Severity.WARNING,
    ),
    # get.docker.com on Ubuntu and Debian, to 2017.
    Signature(
        problem="aufs-not-in-kernel",
        anchors=(" no AUFS",),
        pattern=r"(?:still have no AUFS|have no AUFS support)",
        summary="Docker's installation script found no aufs for this kernel",
    ),
    # apt on Ubuntu, where aufs was in a package beside the kernel.
    Signature(
        problem="aufs-not-in-kernel",
        anchors=("Unable to locate package linux-image-extra",),
        summary="Ubuntu has no package of extra modules (aufs) for this kernel",
        certainty=Certainty.POSSIBLE,
    ),
)

_CHOICE = (
    # dockerd at start, all versions.
    Signature(
        problem="several-graphdrivers-present",
        anchors=("contains several valid graphdrivers",),
        pattern=r"several valid graphdrivers: (?P<drivers>[a-z0-9, -]*[a-z0-9])",
        summary="the data root holds folders of several drivers: {drivers}",
    ),
    # dockerd 1.6 to 1.8, which would not start; 1.4 and 1.5 only warned.
    Signature(
        problem="several-graphdrivers-present",
        anchors=("other graphdrivers: ",),
        pattern=r"(?:contains|managed by) other graphdrivers: (?P<drivers>[a-z0-9, -]*[a-z0-9])",
        summary="the data root holds folders of other drivers: {drivers}",
    ),
    # container-storage-setup, called docker-storage-setup before.
    Signature(
        problem="storage-driver-mismatch",
        anchors=("Storage is already configured with",),
        summary="the storage set-up found another driver configured already",
    ),
    # podman and buildah.
    Signature(
        problem="storage-driver-mismatch",
        anchors=("User-selected graph driver", "overwritten by graph driver"),
        summary="podman keeps to the driver in its database, not the one configured",
        severity=Severity.WARNING,
    ),
    Signature(
        problem="storage-driver-mismatch",
        anchors=("does not match our ", "graph driver"),
        pattern=r"database (?:storage )?graph driver .{1,60}? does not match our",
        reach=120,
        summary="podman's database names another storage driver than the configuration",
    ),
    # dockerd, whose options are devicemapper's and whose driver is another.
    Signature(
        problem="storage-driver-mismatch",
        anchors=("nknown option dm.",),
        pattern=r"(?<!devmapper: )(?<!devicemapper: )[Uu]nknown option dm\.(?P<option>\w+)",
        summary="dockerd was given devicemapper's option dm.{option} for another driver",
        reach=100,
    ),
    # dockerd 1.13 to 23.0: a name that this build does not know.
    Signature(
        problem="storage-driver-mismatch",
        anchors=("GetDriver graph",),
        pattern=(
            r"Failed to (?:built-in )?GetDriver graph\"? (?:driver=)?"
            r"(?P<driver>(?!devicemapper)[a-z0-9-]+)"
        ),
        summary="dockerd knows no storage driver called {driver}",
    ),
    Signature(
        problem="devicemapper-deprecated",
        anchors=("GetDriver graph",),
        pattern=r"GetDriver graph\"? (?:driver=)?devicemapper",
        summary="this build of dockerd has no devicemapper driver",
    ),
    # dockerd 1.13 to 20.10, of a name that it takes for a plug-in's.
    Signature(
        problem="storage-driver-mismatch",
        anchors=("graphdriver plugins are only supported with experimental mode",),
        summary="dockerd does not know the storage driver that is named",
    ),
    # dockerd 23.0: data of a driver that it no longer chooses by itself.
    Signature(
        problem="storage-driver-mismatch",
        anchors=("prior storage driver",),
        pattern=r"prior storage driver (?P<driver>aufs|overlay) is deprecated",
        summary="dockerd wants {driver} named explicitly before it uses it again",
    ),
    # dockerd 24.0 on.
    Signature(
        problem="storage-driver-mismatch",
        anchors=("storage-driver has been deprecated and removed",),
        pattern=r"the (?P<driver>aufs|overlay) storage-driver has been",
        summary="this Docker no longer has the driver {driver} that is configured",
    ),
    # dockerd, naming a driver that none of its versions has.
    Signature(
        problem="storage-driver-mismatch",
        anchors=("rror initializing graphdriver: driver not supported: ",),
        pattern=r"driver not supported: (?!(?:aufs|btrfs|devicemapper|fuse-overlayfs|overlay2?|vfs"
        r"|zfs)\b)(?P<driver>[a-z0-9-]+)",
        summary="dockerd was told to use {driver}, and there is no such driver",
        reach=80,
    ),
    # dockerd at start: the driver that was named, or used before, cannot be used.
    Signature(
        problem="storage-driver-mismatch",
        anchors=("error initializing graphdriver: driver not supported",),
        summary="the storage driver that was named or used before is not supported here",
        certainty=Certainty.POSSIBLE,
        generic=True,
    ),
    # dockerd 18.09 to 24, with devicemapper configured and a kernel without device-mapper.
    Signature(
        problem="dm-module-missing",
        anchors=(
            "devicemapper storage-driver is deprecated",
            "error initializing graphdriver: driver not supported",
        ),
        summary="dockerd was to use devicemapper, and this kernel does not support it",
        certainty=Certainty.POSSIBLE,
    ),
    # dockerd 24.0 on, with devicemapper configured.
    Signature(
        problem="devicemapper-deprecated",
        anchors=("devicemapper storage-driver has been deprecated and removed",),
        summary="this Docker no longer has the devicemapper driver",
    ),
    # dockerd 23.0 on: data of devicemapper, and no driver named.
    Signature(
        problem="devicemapper-deprecated",
        anchors=("prior storage driver devicemapper is deprecated",),
        summary="dockerd wants devicemapper named explicitly before it uses it again",
    ),
    # docker info and dockerd, 18.09 to 24.
    Signature(
        problem="devicemapper-deprecated",
        anchors=("devicemapper storage-driver is deprecated",),
        summary="the engine warns that devicemapper will be removed",
        severity=Severity.WARNING,
    ),
    # dockerd in debug mode, "graph driver" to 19.03.
    Signature(
        problem="storage-data-orphaned",
        anchors=("because it was created with another",),
        pattern=r"created with another (?:graph|storage) driver",
        summary="containers of another storage driver are left out",
    ),
)

# podman and buildah as an ordinary user.
_NETWORK_FS = Signature(
    problem="backing-fs-unsupported",
    anchors=("network file system with user namespaces is not supported",),
    summary="a user's images lie on a network file system, which takes no user namespaces",
)

DRIVER_SIGNATURES: tuple[Signature, ...] = (*_AUFS, *_CHOICE, _NETWORK_FS)
