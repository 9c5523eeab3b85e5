# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages about overlays and the file systems below them; the other groups are imported."""

from hostkit.diagnosis.finding import Certainty, Severity
from hostkit.diagnosis.signature import Signature
from hostkit_checks.storage.driver_signatures import DRIVER_SIGNATURES
from hostkit_checks.storage.mount_messages import MOUNT_SIGNATURES
from hostkit_checks.storage.run_messages import RUN_SIGNATURES
from hostkit_checks.storage.space_signatures import SPACE_SIGNATURES

_STATUS_REACH = 1500  # `docker info` is long

_DTYPE = (
    # dockerd and docker info (1.13 on), podman: warning on an old root, error on a new one.
    Signature(
        problem="xfs-ftype0-no-dtype",
        anchors=("formatted without d_type support",),
        summary="the engine found the file system below its images without d_type",
    ),
    # containerd's overlayfs snapshotter, also the one inside Docker 17.12 on.
    Signature(
        problem="xfs-ftype0-no-dtype",
        anchors=("does not support d_type. If the backing filesystem is xfs",),
        summary="containerd found the file system below its images without d_type",
    ),
    # The kernel's overlayfs (3.18 on), in dmesg.
    Signature(
        problem="xfs-ftype0-no-dtype",
        anchors=("upper fs needs to support d_type",),
        summary="the kernel's overlayfs found its upper file system without d_type",
    ),
    # docker info (1.13 on) and podman info with an overlay driver.
    Signature(
        problem="xfs-ftype0-no-dtype",
        anchors=("Supports d_type: false",),
        summary="the engine reports that the file system below does not support d_type",
    ),
    # container-storage-setup, called docker-storage-setup before.
    Signature(
        problem="xfs-ftype0-no-dtype",
        anchors=("has ftype=0",),
        pattern=r"(?i)xfs",
        summary="the storage set-up found an XFS made with ftype=0",
    ),
    # xfs_info and mkfs.xfs; which file system it is remains open.
    Signature(
        problem="xfs-ftype0-no-dtype",
        anchors=("naming =version", "ftype=0"),
        summary="an XFS made with ftype=0",
        certainty=Certainty.POSSIBLE,
    ),
)

_OVERLAY = (
    # docker run on the overlay of el7 before 7.3 (moby#10294, moby#12488).
    Signature(
        problem="overlay-kernel-too-old",
        anchors=("/merged/dev/shm: invalid argument",),
        summary="the kernel's overlay refused to make a folder in a container's root",
    ),
    # dockerd 1.12 to 19.03 with overlay2.override_kernel_check.
    Signature(
        problem="overlay-kernel-too-old",
        anchors=("Using pre-4.0.0 kernel for overlay2",),
        summary="dockerd uses overlay2 on a kernel that it takes for too old",
        severity=Severity.WARNING,
        certainty=Certainty.POSSIBLE,
    ),
    # docker info: overlay on el7 before 7.4.
    Signature(
        problem="overlay-kernel-too-old",
        anchors=("Storage Driver: overlay", "Kernel Version: 3.10.0-"),
        pattern=(
            r"Kernel Version: "
            r"(?P<kernel>3\.10\.0-(?:\d\d?|[1-5]\d\d|6[0-8]\d|69[0-2])\.\S*el7\S*)"
        ),
        summary="an overlay driver on kernel {kernel}, before CentOS/RHEL 7.4",
        severity=Severity.WARNING,
        reach=_STATUS_REACH,
    ),
    # A kernel of one lower folder takes a list of them for a path; in dmesg.
    Signature(
        problem="overlay-kernel-too-old",
        anchors=("overlayfs: failed to resolve",),
        pattern=r"overlayfs: failed to resolve '\S+:/\S+'",
        summary="the kernel's overlay does not take several lower folders",
        certainty=Certainty.POSSIBLE,
    ),
    # dockerd's overlay and overlay2, all versions.
    Signature(
        problem="overlay-kernel-too-old",
        anchors=("error creating overlay mount to", "invalid argument"),
        pattern=r"error creating overlay mount to \S+: invalid argument",
        summary="the kernel refused the options of an overlay mount",
        certainty=Certainty.POSSIBLE,
    ),
    # dockerd to 20.10.
    Signature(
        problem="overlay-module-missing",
        anchors=("not found as a supported filesystem on this host",),
        pattern=r"'overlay' not found as a supported filesystem",
        summary="dockerd found no overlay in the kernel's list of file systems",
    ),
    # podman: these carry an overlay well, so the kernel's own is what failed. Rootless
    # podman ends the line with the mount_program that it misses instead.
    Signature(
        problem="overlay-module-missing",
        anchors=("is not supported over",),
        pattern=r"'overlay2?' is not supported over (?:extfs|ext4|xfs|tmpfs)\b",
        unless=("mount_program",),
        summary="a trial overlay mount failed on a file system that carries overlays",
        certainty=Certainty.POSSIBLE,
    ),
    # kmod and busybox; k3s and containerd repeat it.
    Signature(
        problem="overlay-module-missing",
        anchors=("odule overlay not found",),
        summary="modprobe found no overlay module",
    ),
    Signature(
        problem="overlay-module-missing",
        anchors=("could not insert 'overlay'",),
        summary="the kernel refused to load the overlay module",
    ),
    # dockerd 20.10 on, containerd, podman: ENODEV from mount(2).
    Signature(
        problem="overlay-module-missing",
        anchors=("failed to mount overlay: no such device",),
        summary="the kernel knows no file system called overlay",
    ),
    Signature(
        problem="overlay-module-missing",
        anchors=("error creating overlay mount to", "no such device"),
        pattern=r"error creating overlay mount to \S+: no such device",
        summary="the kernel knows no file system called overlay",
    ),
    # containerd, when it starts a container.
    Signature(
        problem="overlay-module-missing",
        anchors=("failed to mount rootfs component", "overlay", "no such device"),
        summary="the kernel knows no file system called overlay",
    ),
    # mount(8).
    Signature(
        problem="overlay-module-missing",
        anchors=("unknown filesystem type 'overlay'",),
        summary="the kernel knows no file system called overlay",
    ),
    # dockerd: it worked before, so the kernel or its modules changed.
    Signature(
        problem="overlay-module-missing",
        anchors=("prior storage driver",),
        pattern=r'prior storage driver "?overlay2?"? failed: driver not supported',
        summary="the overlay driver used before is no longer supported by this kernel",
        certainty=Certainty.POSSIBLE,
    ),
    # dockerd to 17.11, podman.
    Signature(
        problem="nested-overlay",
        anchors=("is not supported over overlay",),
        summary="the engine's data lies on an overlay file system",
    ),
    # The kernel, in dmesg.
    Signature(
        problem="nested-overlay",
        anchors=("maximum fs stacking depth exceeded",),
        summary="an overlay on an overlay on an overlay: the kernel stacks two at most",
    ),
    Signature(
        problem="nested-overlay",
        anchors=("not supported as upperdir",),
        summary="the kernel does not take that file system as the upper one of an overlay",
        certainty=Certainty.POSSIBLE,
    ),
    # dockerd from 18.06, when it renames its folder of runtimes at start (EXDEV of overlay).
    Signature(
        problem="nested-overlay",
        anchors=("runtimes-old", "invalid cross-device link"),
        summary="a folder of the data root cannot be renamed, as on an overlay file system",
    ),
    # dockerd 20.10 on and containerd when they probe; docker in docker above all.
    Signature(
        problem="nested-overlay",
        anchors=("failed to mount overlay: invalid argument",),
        summary="the trial mount of an overlay was refused",
        certainty=Certainty.POSSIBLE,
    ),
    # BenchExec's own containers.
    Signature(
        problem="nested-overlay",
        anchors=("Creating overlay mount for", "failed: Invalid argument"),
        summary="an overlay mount was refused, as above another overlay",
        certainty=Certainty.POSSIBLE,
    ),
    # dockerd's layer store, containerd.
    Signature(
        problem="overlay-too-many-layers",
        anchors=("max depth exceeded",),
        pattern=r"(?i)layer|image|docker|daemon|overlay|snapshot|buildkit|pull|Step \d+/\d+ :"
        r"|^\W*max depth",
        unless=("JSON", "json", "ecursion", "GraphQL"),
        summary="the image has more layers than the storage driver stacks",
    ),
    Signature(
        problem="overlay-too-many-layers",
        anchors=("error creating overlay mount to", "no such file or directory"),
        pattern=r"error creating overlay mount to \S+/merged: no such file or directory",
        summary="the list of layers of a mount was cut off, or a layer is gone",
        certainty=Certainty.POSSIBLE,
    ),
    Signature(
        problem="overlay-too-many-layers",
        anchors=("cannot mount layer, mount",),
        pattern=r"mount (?:label|data) (?:\W*lowerdir=\S{0,200} )?too large",
        summary="the options of an overlay mount do not fit a page",
    ),
)

_BACKING = (
    # dockerd to 17.11: 'overlay2' is not supported over zfs; AUFS is not supported over btrfs.
    Signature(
        problem="backing-fs-unsupported",
        anchors=("is not supported over",),
        pattern=(
            r"(?:'(?:overlay2?|aufs)'|AUFS|aufs) is not supported over "
            r"(?!overlay|extfs|ext4|xfs|tmpfs)(?P<fs>\w+)"
        ),
        unless=("mount_program",),
        summary="the storage driver refuses a data root on {fs}",
    ),
    # dockerd and podman, any driver.
    Signature(
        problem="backing-fs-unsupported",
        anchors=("backing file system is unsupported for this graph driver",),
        unless=("mount_program", "over overlay", "over extfs", "over xfs", "over tmpfs"),
        summary="the storage driver refuses the file system of the data root",
    ),
    # dockerd and podman: the btrfs or zfs driver on another file system.
    Signature(
        problem="backing-fs-unsupported",
        anchors=("prerequisites for driver not satisfied (wrong filesystem?)",),
        summary="the storage driver needs the data root on its own file system",
    ),
    # podman's trial of the data root, mknod(2) of a whiteout.
    Signature(
        problem="backing-fs-unsupported",
        anchors=("unable to create kernel-style whiteout",),
        summary="the file system of the data root does not take an overlay's whiteouts",
        certainty=Certainty.POSSIBLE,
    ),
    # The kernel's overlayfs (5.8 on), in dmesg.
    Signature(
        problem="backing-fs-unsupported",
        anchors=("upper fs missing required features",),
        summary="the file system below lacks what an overlay needs of its upper one",
    ),
    # The same in earlier kernels, where it may do without.
    Signature(
        problem="backing-fs-unsupported",
        anchors=("overlayfs: upper fs does not support",),
        pattern=r"upper fs does not support (?:RENAME_WHITEOUT|xattr)",
        summary="the file system below lacks what an overlay needs of its upper one",
        severity=Severity.WARNING,
        certainty=Certainty.POSSIBLE,
    ),
)

SIGNATURES: tuple[Signature, ...] = (
    *_DTYPE,
    *_OVERLAY,
    *_BACKING,
    *DRIVER_SIGNATURES,
    *SPACE_SIGNATURES,
    *RUN_SIGNATURES,
    *MOUNT_SIGNATURES,
)
