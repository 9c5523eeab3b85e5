# SPDX-License-Identifier: GPL-3.0-or-later
"""What an overlay of many layers needs: of the kernel, and of the file system below it."""

from enum import StrEnum

from hostkit.facts.kernel import KernelRelease

# Several lower folders came with Linux 4.0; Red Hat brought them to EL 7.3 and supports
# them from 7.4 on. moby's sources say -693, Docker's documentation says -514.
SINCE = "4.0"
EL7_SUPPORTED = "3.10.0-693"
EL7_POSSIBLE = "3.10.0-514"
_EL7 = 7
# Fine below an overlay, an xfs only with ftype=1.
GOOD = frozenset(("ext3", "ext4", "f2fs", "xfs"))
# The kernel or the engines refuse these as the upper file system, or they lose what an
# overlay needs of it (extended attributes, d_type, whiteouts).
_REFUSED = frozenset(
    (
        "9p",
        "aufs",
        "cifs",
        "ecryptfs",
        "exfat",
        "fuseblk",
        "msdos",
        "nfs",
        "nfs4",
        "ntfs",
        "ntfs3",
        "smb3",
        "squashfs",
        "vboxsf",
        "vfat",
    )
)


class OverlaySupport(StrEnum):
    """Whether a kernel mounts overlays of many layers."""

    YES = "yes"
    UNSUPPORTED = "may work, not supported"
    NO = "no"


def kernel_support(kernel: KernelRelease) -> OverlaySupport:
    """By the kernel's version, and for Red Hat's kernels by their release."""
    if kernel.el == _EL7:
        if kernel.el_at_least(EL7_SUPPORTED):
            return OverlaySupport.YES
        possible = kernel.el_at_least(EL7_POSSIBLE)
        return OverlaySupport.UNSUPPORTED if possible else OverlaySupport.NO
    return OverlaySupport.YES if kernel.at_least(SINCE) else OverlaySupport.NO


def refuses_overlay(fstype: str) -> bool:
    """Whether nothing can be overlaid on this file system; not knowing it is no refusal.

    >>> refuses_overlay("nfs4"), refuses_overlay("fuse.sshfs"), refuses_overlay("ext4")
    (True, True, False)
    """
    return fstype in _REFUSED or fstype.startswith("fuse.")
