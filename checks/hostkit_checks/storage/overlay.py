# SPDX-License-Identifier: GPL-3.0-or-later
"""What overlay2 needs of the kernel and of the file system below the images."""

from collections.abc import Iterator

from hostkit.diagnosis.check import Check, check
from hostkit.diagnosis.finding import (
    Evidence,
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Severity,
    Unknown,
)
from hostkit.facts.dataroot import VOLUME
from hostkit.facts.fact import Facts
from hostkit.facts.filesystems import KERNEL_FILESYSTEMS, DType
from hostkit.facts.graphdrivers import DOCKER_VERSION, has_driver, written
from hostkit.facts.kernel import KERNEL, OSRELEASE
from hostkit.facts.modules import MODULES, Modules, ModuleState, forbidden
from hostkit.facts.overlay import (
    EL7_SUPPORTED,
    GOOD,
    SINCE,
    OverlaySupport,
    kernel_support,
    refuses_overlay,
)
from hostkit.host.answer import Known
from hostkit_checks.storage.choice import CHOICE_FACTS, Choice, choice

# Below 23.0 dockerd goes on with a data root that it made before it looked for d_type.
D_TYPE_ALWAYS_REFUSED = (23,)
# Drivers that are part of one file system.
_OWN_FILE_SYSTEM = ("btrfs", "zfs")
OLDEST = "3.10"  # of all that run containers
_MOUNTINFO = "/proc/self/mountinfo"


@check(
    "overlay-kernel",
    title="Is the kernel new enough for the overlay driver?",
    problems=("overlay-kernel-too-old",),
    needs=(KERNEL,),
    uses=CHOICE_FACTS,
)
def overlay_kernel(facts: Facts) -> Iterator[Outcome]:
    """EL 7 before 7.4 has an early overlay; elsewhere overlay2 needs Linux 4.0."""
    kernel = facts.value(KERNEL)
    support = kernel_support(kernel)
    if support is OverlaySupport.YES:
        yield Passed(f"kernel {kernel.text} mounts overlays of many layers")
        return
    chosen = choice(facts)
    if not chosen.overlay:
        yield NotApplicable(_another(chosen))
        return
    if not kernel.at_least(OLDEST):
        yield NotApplicable(f"kernel {kernel.text} is too old for containers altogether")
        return
    wanted = f"{EL7_SUPPORTED} (CentOS/RHEL 7.4)" if kernel.el else SINCE
    hopeless = chosen.driver == "overlay2" and support is OverlaySupport.NO
    name = chosen.driver or "overlay2"
    yield Finding(
        problem="overlay-kernel-too-old",
        severity=Severity.ERROR if hopeless else Severity.WARNING,
        summary=f"kernel {kernel.text} has an early overlay; {name} needs {wanted}",
        evidence=(Evidence(OSRELEASE, kernel.text), *chosen.evidence),
        params=(("driver", name), ("kernel", kernel.text)),
    )


@check(
    "overlay-module",
    title="Does the kernel have the overlay file system?",
    problems=("overlay-module-missing",),
    uses=(KERNEL_FILESYSTEMS, MODULES, KERNEL, *CHOICE_FACTS),
    required=("docker", "hostkit"),
)
def overlay_module(facts: Facts) -> Iterator[Outcome]:
    """Registered, built in or loadable; asked without loading anything."""
    listed = facts.get(KERNEL_FILESYSTEMS)
    if isinstance(listed, Known) and "overlay" in listed.value:
        yield Passed("the kernel knows overlay")
        return
    kernel = facts.known(KERNEL)
    if kernel is not None and kernel_support(kernel) is OverlaySupport.NO:
        yield NotApplicable(f"kernel {kernel.text} is too old for overlay2, with the module or not")
        return
    modules = facts.value(MODULES)
    state = modules.state("overlay")
    if state is ModuleState.UNKNOWN:
        yield Unknown("no source says whether the kernel can load overlay")
    elif state is not ModuleState.MISSING and not modules.loading_disabled:
        yield Passed(f"overlay is {state}")
    else:
        yield from _missing(facts, modules)


def _another(chosen: Choice) -> str:
    return f"the storage driver is {chosen.driver or 'not yet chosen, and no overlay'}"


def _missing(facts: Facts, modules: Modules) -> Iterator[Outcome]:
    chosen = choice(facts)
    if not chosen.overlay:
        yield NotApplicable(_another(chosen))
        return
    blocked = modules.blocked_by("overlay")
    if blocked is not None:
        why = f"and {blocked.file} forbids to load it"
        seen = Evidence(blocked.file, blocked.words, blocked.line)
    elif modules.directory_missing:
        why = "and its modules are gone from the disk"
        seen = Evidence(modules.folder, "does not exist")
    else:
        why, seen = "nor can it be loaded", Evidence(modules.folder, "no overlay.ko in it")
    yield Finding(
        problem="overlay-module-missing",
        severity=Severity.ERROR,
        summary=f"the running kernel knows no overlay, {why}"[:100],
        evidence=(
            Evidence("/proc/filesystems", "no line `nodev overlay`"),
            seen,
            *chosen.evidence,
        ),
        params=forbidden(blocked),
    )


@check(
    "backing-filesystem",
    title="Can the file system below the images serve the storage driver?",
    problems=("nested-overlay", "backing-fs-unsupported"),
    needs=(VOLUME,),
    uses=CHOICE_FACTS,
    required=("docker", "hostkit"),
)
def backing_filesystem(facts: Facts) -> Iterator[Outcome]:
    """No overlay on an overlay, no network or Windows file system, btrfs and zfs on their own."""
    volume = facts.value(VOLUME)
    fstype = volume.mount.fstype
    chosen = choice(facts)
    evidence = (
        Evidence(_MOUNTINFO, f"{volume.mount.target} {fstype} {volume.mount.source}"),
        *chosen.evidence,
    )
    params = (("fstype", fstype), ("mount", volume.mount.target), ("path", volume.path))
    if chosen.driver in _OWN_FILE_SYSTEM and fstype != chosen.driver:
        summary = f"{volume.path} lies on {fstype}, and the driver {chosen.driver} needs its own"
        yield Finding("backing-fs-unsupported", Severity.ERROR, summary, evidence, params=params)
    elif not chosen.overlay:
        yield NotApplicable(_another(chosen))
    elif fstype == "overlay":
        summary = f"{volume.path} lies on an overlay: overlay2 cannot be stacked on it"
        yield Finding("nested-overlay", Severity.ERROR, summary, evidence, params=params)
    elif refuses_overlay(fstype):
        summary = f"{volume.path} lies on {fstype}, on which overlay2 cannot work"
        yield Finding("backing-fs-unsupported", Severity.ERROR, summary, evidence, params=params)
    elif fstype in GOOD:
        yield Passed(f"{volume.path} lies on {fstype}")
    else:
        yield Unknown(f"{volume.path} lies on {fstype}: only a trial mount could tell")


@check(
    "d-type",
    title="Does the file system below the images tell the type of its entries (d_type)?",
    problems=("xfs-ftype0-no-dtype",),
    needs=(VOLUME,),
    uses=CHOICE_FACTS,
)
def d_type(facts: Facts) -> Iterator[Outcome]:
    """An xfs made with ftype=0 cannot carry an overlay, and must be made anew."""
    volume = facts.value(VOLUME)
    mount = volume.mount
    if volume.d_type is DType.YES:
        yield Passed(f"{volume.path} lies on {mount.fstype}, which has d_type")
        return
    if volume.d_type is DType.UNKNOWN:
        if mount.fstype == "xfs":
            yield Unknown(f"xfs_info {mount.target} could not say whether ftype is 1")
        else:
            yield Unknown(f"whether {mount.fstype} has d_type is not known to hostkit")
        return
    chosen = choice(facts)
    version = facts.known(DOCKER_VERSION)
    if not chosen.overlay and version is not None and not has_driver(version, "overlay2"):
        yield NotApplicable(f"Docker {written(version)} has no overlay2")
        return
    if not chosen.overlay:
        severity = Severity.INFO
        effect = f"no overlay2 here; {chosen.driver or 'devicemapper'} does not mind"
    elif version is not None and version >= D_TYPE_ALWAYS_REFUSED:
        severity, effect = Severity.ERROR, f"Docker {written(version)} refuses overlay2 on it"
    else:
        severity, effect = Severity.ERROR, "overlay2 loses or keeps files wrongly on it"
    yield Finding(
        problem="xfs-ftype0-no-dtype",
        severity=severity,
        summary=f"the xfs on {mount.target} was made with ftype=0: {effect}",
        evidence=(Evidence(f"xfs_info {mount.target}", "ftype=0"), *chosen.evidence),
        params=(("device", mount.source), ("mount", mount.target), ("path", volume.path)),
    )


OVERLAY_CHECKS: tuple[Check, ...] = (overlay_kernel, overlay_module, backing_filesystem, d_type)
