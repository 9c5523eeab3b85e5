# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether overlay2 can serve a host."""

from collections.abc import Iterator

from hostkit.facts.dataroot import PLACE, VOLUME
from hostkit.facts.fact import Facts
from hostkit.facts.filesystems import DType, Volume, xfs_ftype
from hostkit.facts.fitness import Fitness, Reason, Weight
from hostkit.facts.graphdrivers import DOCKER_VERSION
from hostkit.facts.kernel import KERNEL, OSRELEASE, KernelRelease
from hostkit.facts.overlay import (
    EL7_SUPPORTED,
    GOOD,
    SINCE,
    OverlaySupport,
    kernel_support,
    refuses_overlay,
)
from hostkit.host.answer import Known
from hostkit.storage import reasons

ROOTLESS_SINCE = "5.11"
# To Docker 17.11 dockerd refuses them by name, later it tries a mount.
REFUSED_ONCE = frozenset(("btrfs", "zfs"))
TRIAL_MOUNT_SINCE = (17, 12)


def fitness(facts: Facts) -> Fitness:
    """All that speaks for and against overlay2 on this host."""
    return Fitness(
        "overlay2",
        (
            *reasons.engine(facts, "overlay2", "storage-driver-mismatch"),
            _kernel(facts),
            reasons.kernel_has(facts, "overlay", "overlay-module-missing"),
            *_below(facts),
        ),
    )


def _kernel(facts: Facts) -> Reason:
    answer = facts.get(KERNEL)
    if not isinstance(answer, Known):
        return reasons.unknown("which kernel runs", answer, "overlay-kernel-too-old")
    return _judged(answer.value)


def _judged(kernel: KernelRelease) -> Reason:
    support = kernel_support(kernel)
    if support is OverlaySupport.UNSUPPORTED:
        text = (
            f"kernel {kernel.text}: overlay2 may work and is not supported before"
            f" {EL7_SUPPORTED} (7.4); Docker to 17.11 wants overlay2.override_kernel_check"
        )
        return Reason(Weight.ADVISES_AGAINST, text, OSRELEASE, "overlay-kernel-too-old")
    if support is OverlaySupport.NO:
        wanted = f"{EL7_SUPPORTED} (7.4)" if kernel.el else SINCE
        text = f"the overlay of kernel {kernel.text} is too early: overlay2 needs {wanted}"
        return Reason(Weight.BLOCKS, text, OSRELEASE, "overlay-kernel-too-old")
    text = f"kernel {kernel.text} joins as many layers as images have"
    if kernel.el is None and not kernel.at_least(ROOTLESS_SINCE):
        text += f" (rootless: {ROOTLESS_SINCE}, a distribution's patch or fuse-overlayfs)"
    return Reason(Weight.FAVOURS, text, OSRELEASE)


def _below(facts: Facts) -> Iterator[Reason]:
    """What the data root lies on."""
    volume = reasons.needs(facts, VOLUME, "what the data root lies on")
    if isinstance(volume, Reason):
        yield volume
        return
    yield from reasons.writable(volume)
    fstype = volume.mount.fstype
    where = f"{volume.path} lies on {fstype}"
    source = volume.mount.target
    if fstype == "overlay":
        text = f"{where}: an overlay on an overlay is refused, or stacks two deep at most"
        yield Reason(Weight.BLOCKS, text, source, "nested-overlay")
    elif refuses_overlay(fstype):
        text = f"{where}, which cannot hold the upper folder of an overlay"
        yield Reason(Weight.BLOCKS, text, source, "backing-fs-unsupported")
    elif fstype in REFUSED_ONCE:
        yield _tried(facts, where, source)
    elif fstype == "tmpfs":
        text = f"{where}: images and containers are gone at the next boot"
        yield Reason(Weight.ADVISES_AGAINST, text, source)
    elif fstype in GOOD:
        yield _d_type(facts, volume, where)
    else:
        text = f"{where}: whether an overlay works on it is not known to hostkit"
        yield Reason(Weight.UNKNOWN, text, source, "backing-fs-unsupported")


def _tried(facts: Facts, where: str, source: str) -> Reason:
    version = facts.known(DOCKER_VERSION)
    if version is not None and version < TRIAL_MOUNT_SINCE:
        text = f"{where}, which Docker before 17.12 refuses below overlay2"
        return Reason(Weight.BLOCKS, text, source, "backing-fs-unsupported")
    text = f"{where}: dockerd decides by a trial mount, which hostkit does not make"
    return Reason(Weight.UNKNOWN, text, source, "backing-fs-unsupported")


def _d_type(facts: Facts, volume: Volume, where: str) -> Reason:
    if volume.d_type is DType.YES:
        ftype = " with ftype=1" if volume.mount.fstype == "xfs" else ""
        return Reason(Weight.FAVOURS, f"{where}{ftype}", volume.mount.target)
    if volume.d_type is DType.NO:
        text = f"{where} made with ftype=0, so without d_type; it must be made anew"
        return Reason(Weight.BLOCKS, text, volume.mount.target, "xfs-ftype0-no-dtype")
    place = facts.known(PLACE)
    answer = facts.get(xfs_ftype(place.path if place else volume.path))
    if isinstance(answer, Known):
        weight = Weight.FAVOURS if answer.value else Weight.BLOCKS
        return Reason(weight, f"{where} made with ftype={answer.value:d}", answer.source)
    return reasons.unknown(f"{where}, with ftype unknown", answer, "xfs-ftype0-no-dtype")
