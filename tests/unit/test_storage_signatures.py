# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages of the storage area, and texts that must not raise an alarm."""

import json
from pathlib import Path

import pytest

from hostkit import plugins
from hostkit.diagnosis.doctor import Text, suspects
from hostkit_checks.storage.checks import CHECKS
from hostkit_checks.storage.signatures import SIGNATURES

# A problem of another area, of which one of our messages is one sign among others.
FOREIGN = "dm-module-missing"
OURS = {signature.problem for signature in SIGNATURES} - {FOREIGN}
# What is in collected outputs and is indeed there.
TRUE_OF_OUTPUTS = {
    "dockerinfo-overlay-nodtype__for-linux-196.txt": "xfs-ftype0-no-dtype",
    "dockerinfo-overlay-rhel72-190__css-82.txt": "overlay-kernel-too-old",
}
# No words of ours could tell it: the text is only a package's failed start.
HOPELESS = {"ovlmod-moby-32688"}


def codes(text: str) -> list[str]:
    return [found.problem for found in suspects([Text("t", text.splitlines())], SIGNATURES)]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (
            "xfs-ftype0-no-dtype",
            "failed to start daemon: error initializing graphdriver: overlay2: the backing xfs"
            " filesystem is formatted without d_type support, which leads to incorrect behavior.",
        ),
        ("xfs-ftype0-no-dtype", "[ 12.3] overlayfs: upper fs needs to support d_type."),
        ("xfs-ftype0-no-dtype", "Storage Driver: overlay2\n Supports d_type: false\n"),
        ("xfs-ftype0-no-dtype", "naming   =version 2  bsize=4096   ascii-ci=0 ftype=0"),
        (
            "xfs-ftype0-no-dtype",
            "ERROR: XFS filesystem at /var has ftype=0, cannot use overlay backend;",
        ),
        (
            "overlay-kernel-too-old",
            "docker: Error response from daemon: mkdir /data/overlay/ab-init/merged/dev/shm:"
            " invalid argument.",
        ),
        (
            "overlay-kernel-too-old",
            'level=warning msg="Using pre-4.0.0 kernel for overlay2, mount failures may..."',
        ),
        (
            "overlay-kernel-too-old",
            "Storage Driver: overlay2\n Backing Filesystem: xfs\nKernel Version:"
            " 3.10.0-514.26.2.el7.x86_64\n",
        ),
        ("overlay-module-missing", "modprobe: FATAL: Module overlay not found in directory /lib"),
        (
            "overlay-module-missing",
            "failed to mount overlay: no such device storage-driver=overlay2",
        ),
        (
            "overlay-module-missing",
            "'overlay' not found as a supported filesystem on this host. Please ensure kernel"
            " is new enough and has overlay support loaded.",
        ),
        ("overlay-module-missing", "mount: /mnt: unknown filesystem type 'overlay'."),
        ("nested-overlay", "'overlay2' is not supported over overlayfs"),
        ("nested-overlay", "overlayfs: maximum fs stacking depth exceeded"),
        ("nested-overlay", 'level=error msg="failed to mount overlay: invalid argument"'),
        ("backing-fs-unsupported", "'overlay2' is not supported over nfs"),
        ("backing-fs-unsupported", 'level=error msg="AUFS is not supported over btrfs"'),
        (
            "backing-fs-unsupported",
            "error initializing graphdriver: prerequisites for driver not satisfied"
            " (wrong filesystem?)",
        ),
        (
            "backing-fs-unsupported",
            "error initializing graphdriver: backing file system is unsupported for this graph"
            " driver",
        ),
        ("overlay-too-many-layers", "failed to register layer: max depth exceeded"),
        ("aufs-dirperm1-unsupported", "Storage Driver: aufs\n Dirs: 3\n Dirperm1 Supported: false"),
        (
            "aufs-not-in-kernel",
            'msg="[graphdriver] prior storage driver aufs failed: driver not supported"',
        ),
        (
            "several-graphdrivers-present",
            "error initializing graphdriver: /var/lib/docker contains several valid graphdrivers:"
            " overlay2, aufs; Please cleanup or explicitly choose storage driver (-s <DRIVER>)",
        ),
        (
            "storage-driver-mismatch",
            "Storage is already configured with devicemapper driver. Can't configure it with"
            " overlay2 driver. To override, remove /etc/sysconfig/docker-storage and retry.",
        ),
        (
            "storage-driver-mismatch",
            "[graphdriver] ERROR: the aufs storage-driver has been deprecated and removed;",
        ),
        ("storage-driver-mismatch", "error initializing graphdriver: driver not supported"),
        (
            "devicemapper-deprecated",
            "WARNING: the devicemapper storage-driver is deprecated, and will be removed",
        ),
        (
            "devicemapper-deprecated",
            "the devicemapper storage-driver has been deprecated and removed; visit https://",
        ),
        (
            "storage-data-orphaned",
            "cannot load container because it was created with another storage driver",
        ),
        (
            "docker-root-disk-full",
            "failed to register layer: Error processing tar file(exit status 1): write"
            " /usr/lib/libx.so: no space left on device",
        ),
        ("docker-root-disk-full", "mkdir: cannot create directory '/x': No space left on device"),
        (
            "docker-root-disk-full",
            "Filesystem Size Used Avail Use% Mounted on\n/dev/sda1 50G 50G 20K 100% /\n",
        ),
        (
            "inodes-exhausted",
            "Filesystem Inodes IUsed IFree IUse% Mounted on\n/dev/sda1 10 10 0 100% /var/lib\n",
        ),
        (
            "storage-driver-mismatch",
            'Error: database graph driver name "overlay" does not match our graph driver name'
            ' "vfs": database configuration mismatch',
        ),
        ("storage-driver-mismatch", "Failed to built-in GetDriver graph acme /var/lib/docker"),
        (
            "storage-driver-mismatch",
            'level=error msg="Failed to GetDriver graph" driver=acme error="graphdriver plugins are'
            ' only supported with experimental mode" home-dir=/var/lib/docker',
        ),
        ("devicemapper-deprecated", "Failed to GetDriver graph devicemapper /var/lib/docker"),
        (
            "docker-root-disk-full",
            "Error Summary\nDisk Requirements:\n  At least 45MB more space needed on the /"
            " filesystem.",
        ),
        ("docker-root-disk-full", "java.io.IOException: No space left on device"),
        (
            "docker-root-disk-full",
            "Filesystem Size Used Avail Use% Mounted on\n/dev/sdb1 50G 49G 1G 98% /data/docker\n",
        ),
        ("overlay-kernel-too-old", "overlayfs: failed to resolve '/d/l/A:/d/l/B': -2"),
        ("backing-fs-unsupported", "overlayfs: upper fs does not support RENAME_WHITEOUT."),
        (
            "aufs-not-in-kernel",
            "Warning: tried to install linux-image-extra-4.4 linux-image-extra-virtual\n"
            " but we still have no AUFS.  Docker may not work. Proceeding anyways!",
        ),
        ("aufs-not-in-kernel", "mount: unknown filesystem type 'aufs'"),
        (
            "overlay-module-missing",
            "failed to mount rootfs component &{overlay overlay [lowerdir=/a]}: no such device",
        ),
        (
            "dangling-images-reclaimable",
            "TYPE TOTAL ACTIVE SIZE RECLAIMABLE\nImages 147 36 7.204GB 3.887GB (53%)\n",
        ),
        (
            "dangling-images-reclaimable",
            "\n".join(f"<none>  <none>  {n}123456789ab  2 weeks ago  1.2GB" for n in range(4)),
        ),
    ],
)
def test_a_message_names_its_problem(code: str, text: str) -> None:
    assert codes(text) == [code]


def test_devicemapper_on_a_kernel_without_it_is_more_than_deprecated() -> None:
    """As Docker 20.10.24 says it."""
    text = (
        'level=warning msg="[graphdriver] WARNING: the devicemapper storage-driver is deprecated,'
        ' and will be removed in a future release"\n'
        "failed to start daemon: error initializing graphdriver: driver not supported\n"
    )
    assert set(codes(text)) == {"devicemapper-deprecated", FOREIGN}


@pytest.mark.parametrize(
    "text",
    [
        "Storage Driver: overlay2\n Backing Filesystem: xfs\n Supports d_type: true\n"
        "Kernel Version: 3.10.0-1160.el7.x86_64\n",
        "Storage Driver: overlay2\nKernel Version: 5.4.0\n",
        "Storage Driver: aufs\n Dirs: 3\n Dirperm1 Supported: true\n",
        "Error: ENOSPC: System limit for number of file watchers reached, watch '/x'",
        "inotify_add_watch failed: No space left on device",
        "failed to write c 10:200 rwm to /sys/fs/cgroup/devices/x: no space left on device",
        "Not using native diff for overlay2, this may cause degraded performance",
        'level=error msg="AUFS was not found in /proc/filesystems" storage-driver=aufs\n'
        'level=info msg="Daemon has completed initialization"',
        "path /x/io.containerd.snapshotter.v1.btrfs (xfs) must be a btrfs filesystem to be used",
        "Filesystem Size Used Avail Use% Mounted on\n/dev/loop3 56M 56M 0 100% /snap/core18/1\n"
        "/dev/sda1 50G 20G 30G 40% /\n",
        "Filesystem Size Used Avail Use% Mounted on\n/dev/sr0 4G 4G 0 100% /run/media/disc\n",
        "overlayfs: upper fs does not support file handles, falling back to index=off.",
        "TYPE TOTAL ACTIVE SIZE RECLAIMABLE\nImages 3 3 1.2GB 0B (0%)\n",
        "REPOSITORY TAG IMAGE ID\n<none> <none> 0123456789ab 2 weeks ago 1GB\napp 1 aaaaaaaaaaaa\n",
        "naming =version 2 bsize=4096 ascii-ci=0, ftype=1 sparse=0",
    ],
)
def test_healthy_and_unrelated_texts_raise_no_alarm(text: str) -> None:
    assert codes(text) == []


def test_rootless_podman_without_a_mount_program_is_not_a_fault_of_the_file_system() -> None:
    text = (
        "'overlay' is not supported over extfs at \"/home/u/.local/share/containers\", a"
        " mount_program is required: backing file system is unsupported for this graph driver"
    )
    assert codes(text) == []


def test_every_code_is_explained_and_every_explanation_can_be_reached() -> None:
    explained = set(plugins.load().catalogue().codes())
    found = OURS | {code for one in CHECKS for code in one.problems}
    assert found <= explained
    ours = {code for code in explained if plugins.load().catalogue().get(code).area == "storage"}
    assert ours - found == {"no-storage-driver-fits"}  # advise finds that one


def test_reported_messages_name_their_topic(shared_data: Path) -> None:
    wrong: list[tuple[str, str, set[str]]] = []
    for line in (shared_data / "reports.jsonl").read_text().splitlines():
        row = json.loads(line)
        got = set(codes(row["text"]))
        right = {row["topic"], *row["also_acceptable"]}
        missed = row["topic"] in OURS and not got & right and row["id"] not in HOPELESS
        if missed or (got and not got & right):
            wrong.append((row["id"], row["topic"], got))
    assert wrong == []


def test_collected_outputs_raise_no_alarm_but_the_true_ones(shared_data: Path) -> None:
    for folder in ("outputs", "rhel-outputs"):
        for path in sorted((shared_data / folder).glob("*.txt")):
            expected = TRUE_OF_OUTPUTS.get(path.name)
            got = codes(path.read_text(errors="replace"))
            assert got == ([expected] if expected else []), path.name


def test_a_real_refusal_of_xfs_without_d_type(shared_data: Path) -> None:
    log = shared_data / "lab-captures" / "xfs-ftype0-overlay2-dockerd-log.txt"
    assert codes(log.read_text()) == ["xfs-ftype0-no-dtype"]


def test_logs_of_devicemapper_engines_say_only_that_it_is_deprecated(shared_data: Path) -> None:
    for path in sorted((shared_data / "lab-captures").glob("*log.txt")):
        if not path.name.startswith("xfs-"):
            assert set(codes(path.read_text())) <= {"devicemapper-deprecated"}, path.name
