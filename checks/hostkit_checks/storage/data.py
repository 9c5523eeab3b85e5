# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies in the data root, against what the configuration and the engine make of it."""

from collections.abc import Iterator

from hostkit.diagnosis.check import Check, check
from hostkit.diagnosis.finding import (
    Certainty,
    Evidence,
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Severity,
    Unknown,
)
from hostkit.facts.daemonconfig import DAEMON_CONFIG
from hostkit.facts.daemonjson import Table
from hostkit.facts.dataroot import DataRoot, Store
from hostkit.facts.fact import Facts
from hostkit.facts.filesystems import KERNEL_FILESYSTEMS
from hostkit.facts.graphdrivers import DOCKER_VERSION, LIVES, Version, has_driver, written
from hostkit.facts.kernel import KERNEL, OSRELEASE
from hostkit.facts.modules import MODULES, ModuleState
from hostkit.host.answer import Known, Unreadable
from hostkit_checks.storage.choice import CHOICE_FACTS, choice, holdings, roots_of, served

# Seen: docker info says false on 3.13 (Ubuntu 12.04), true on 4.4 (Ubuntu 16.04) and later.
DIRPERM1_MISSING = "3.14"
DIRPERM1_PRESENT = "4.4"
DEPRECATED_SINCE = (18, 9)
# What Docker 29 takes from containerd under the same key, and what only plug-ins' names hold.
SNAPSHOTTERS = ("overlayfs", "native", "nydus", "stargz", "soci", "erofs", "blockfile")
_PLUGIN_MARKS = frozenset("/:")


@check(
    "aufs",
    title="Can this kernel read what the aufs driver has stored?",
    problems=("aufs-not-in-kernel",),
    uses=(KERNEL_FILESYSTEMS, MODULES, *CHOICE_FACTS),
    profiles=("docker",),
)
def aufs(facts: Facts) -> Iterator[Outcome]:
    """It never was part of Linux: another kernel, and the images are out of reach."""
    chosen = choice(facts)
    for root in roots_of(facts):
        if isinstance(root, NotApplicable | Unknown):
            if chosen.driver != "aufs" or isinstance(root, Unknown):
                yield root
                continue
            store = Store("aufs", occupied=False)
        else:
            store = root.store("aufs") or Store("aufs", occupied=False)
        if not store.occupied and chosen.driver != "aufs":
            yield NotApplicable("aufs was never used")
            continue
        yield from _aufs_kernel(facts, store, chosen.driver == "aufs")


def _aufs_kernel(facts: Facts, store: Store, chosen: bool) -> Iterator[Outcome]:
    listed = facts.get(KERNEL_FILESYSTEMS)
    if isinstance(listed, Known) and "aufs" in listed.value:
        yield Passed("the kernel knows aufs")
        return
    modules = facts.value(MODULES)
    state = modules.state("aufs")
    if state is ModuleState.UNKNOWN:
        yield Unknown("no source says whether the kernel can load aufs")
    elif state is not ModuleState.MISSING:
        yield Passed(f"aufs is {state}")
    else:
        yield Finding(
            problem="aufs-not-in-kernel",
            severity=Severity.ERROR if chosen else Severity.WARNING,
            summary=f"the kernel has no aufs, and aufs holds {holdings(store)}",
            evidence=(
                Evidence("/proc/filesystems", "no line `nodev aufs`"),
                Evidence(modules.folder, "no aufs.ko in it"),
            ),
        )


@check(
    "aufs-dirperm1",
    title="Does the aufs in use know the option dirperm1?",
    problems=("aufs-dirperm1-unsupported",),
    needs=(KERNEL,),
    uses=(KERNEL_FILESYSTEMS, *CHOICE_FACTS),
    profiles=("docker",),
)
def aufs_dirperm1(facts: Facts) -> Iterator[Outcome]:
    """Only a trial mount tells; the kernel's age says when it surely is there."""
    listed = facts.get(KERNEL_FILESYSTEMS)
    chosen = choice(facts)
    if isinstance(listed, Known) and "aufs" not in listed.value:
        yield NotApplicable("the kernel has no aufs loaded")
        return
    if not chosen.driver and not chosen.certain:
        yield Unknown("which storage driver is in use could not be read")
        return
    if chosen.driver != "aufs":
        yield NotApplicable("the storage driver is not aufs")
        return
    kernel = facts.value(KERNEL)
    if kernel.at_least(DIRPERM1_PRESENT):
        yield Passed(f"the aufs of kernel {kernel.text} knows dirperm1")
    elif kernel.at_least(DIRPERM1_MISSING):
        yield Unknown("only `docker info` says whether this aufs knows dirperm1")
    else:
        yield Finding(
            problem="aufs-dirperm1-unsupported",
            severity=Severity.WARNING,
            certainty=Certainty.LIKELY,
            summary=f"the aufs of kernel {kernel.text} is likely too old for dirperm1",
            evidence=(Evidence(OSRELEASE, kernel.text), *chosen.evidence),
        )


@check(
    "several-drivers",
    title="Will dockerd know which storage driver to take?",
    problems=("several-graphdrivers-present",),
    uses=CHOICE_FACTS,
    profiles=("docker",),
)
def several_drivers(facts: Facts) -> Iterator[Outcome]:
    """Two folders that are not empty, and none named: dockerd refuses to start."""
    chosen = choice(facts)
    for root in roots_of(facts):
        if isinstance(root, NotApplicable | Unknown):
            yield root
            continue
        prior = served(facts, root.occupied())
        if len(prior) <= 1:
            yield Passed("one driver was used" if prior else "no driver was used")
        elif chosen.configured:
            yield Passed(f"{chosen.driver} is named in the configuration")
        elif not chosen.certain:
            yield Unknown("the configuration, which may name a driver, could not be read")
        else:
            names = ", ".join(store.driver for store in prior)
            known = isinstance(facts.get(DOCKER_VERSION), Known)
            yield Finding(
                problem="several-graphdrivers-present",
                severity=Severity.ERROR if known else Severity.WARNING,
                summary=f"{root.path} holds data of {names}, and no storage-driver is configured",
                evidence=_holds(root, prior),
                params=(("drivers", names), ("path", root.path)),
            )


@check(
    "configured-driver",
    title="Does the configured storage driver exist, and is it the one that holds the images?",
    problems=("storage-driver-mismatch", "devicemapper-deprecated"),
    uses=CHOICE_FACTS,
    profiles=("docker",),
    subject=("driver",),
)
def configured_driver(facts: Facts) -> Iterator[Outcome]:
    """Another driver's images are not deleted, only out of sight."""
    chosen = choice(facts)
    version = facts.known(DOCKER_VERSION)
    if not chosen.driver:
        if chosen.certain:
            yield NotApplicable("no storage driver is configured, and not one alone was used")
        else:
            yield Unknown("the configuration or the data root could not be read")
        return
    fault = _unserved(chosen.driver, version) if chosen.configured else None
    if fault is not None:
        yield fault._replace(evidence=(*chosen.evidence, *_version_evidence(facts)))
        return
    if chosen.driver == "devicemapper":
        yield from _devicemapper(facts, version, chosen.evidence)
    for root in roots_of(facts):
        if isinstance(root, Unknown):
            yield root
        elif isinstance(root, DataRoot) and chosen.configured:
            yield from _elsewhere(facts, root, chosen.driver, chosen.evidence)
    yield Passed(f"the storage driver is {chosen.driver}", (("driver", chosen.driver),))


def _unserved(driver: str, version: Version | None) -> Finding | None:
    """The configured driver is one that this Docker no longer has, or never had."""
    if driver in SNAPSHOTTERS or _PLUGIN_MARKS.intersection(driver):
        return None
    if driver not in LIVES:
        return Finding(
            problem="storage-driver-mismatch",
            severity=Severity.ERROR,
            summary=f"{driver} is configured, and no Docker has a storage driver of that name",
            evidence=(),
            params=(("driver", driver),),
        )
    if version is None or has_driver(version, driver):
        return None
    gone = LIVES[driver].gone
    problem = "devicemapper-deprecated" if driver == "devicemapper" else "storage-driver-mismatch"
    why = f"removed in {written(gone)}" if gone else "not yet in it"
    return Finding(
        problem=problem,
        severity=Severity.ERROR,
        summary=f"{driver} is configured, and Docker {written(version)} has no such driver ({why})",
        evidence=(),
        params=(("driver", driver),),
    )


def _devicemapper(
    facts: Facts, version: Version | None, evidence: tuple[Evidence, ...]
) -> Iterator[Outcome]:
    if version is None:
        yield Unknown("devicemapper is gone from Docker 25, and the version is not known")
        return
    warned = version >= DEPRECATED_SINCE
    yield Finding(
        problem="devicemapper-deprecated",
        severity=Severity.WARNING if warned else Severity.INFO,
        summary=f"devicemapper is in use; Docker {written(version)} is not the last, 25 has none",
        evidence=(*evidence, *_version_evidence(facts)),
        params=(("driver", "devicemapper"),),
    )


def _elsewhere(
    facts: Facts, root: DataRoot, driver: str, evidence: tuple[Evidence, ...]
) -> Iterator[Outcome]:
    """Images under a driver that this Docker has, but is told not to use."""
    mine = root.store(driver)
    others = tuple(
        store
        for store in served(facts, root.stores)
        if store.driver != driver and store.used and not (mine and mine.used)
    )
    if others:
        held = "; ".join(f"{store.driver} holds {holdings(store)}" for store in others)
        yield Finding(
            problem="storage-driver-mismatch",
            severity=Severity.WARNING,
            summary=f"{driver} is configured and holds nothing, while {held}",
            evidence=(*evidence, *_holds(root, others)),
            params=(("driver", driver), ("other", others[0].driver)),
        )


@check(
    "image-store",
    title="Do images lie unseen because Docker uses containerd's image store?",
    problems=("storage-driver-mismatch",),
    uses=CHOICE_FACTS,
    profiles=("docker",),
)
def image_store(facts: Facts) -> Iterator[Outcome]:
    """Switched on, it shows none of the images of a storage driver."""
    config = facts.get(DAEMON_CONFIG)
    if isinstance(config, Unreadable):
        yield Unknown(f"{config.source}: {config.reason}", config.needs_root)
        return
    features = config.value.get("features") if isinstance(config, Known) else None
    table = features.value if features else None
    on = isinstance(table, Table) and table.get("containerd-snapshotter") is True
    if features is None or not on:
        yield NotApplicable("containerd's image store is not switched on in the configuration")
        return
    evidence = Evidence(features.source, "features: containerd-snapshotter", features.line)
    for root in roots_of(facts):
        if isinstance(root, NotApplicable | Unknown):
            yield root
            continue
        hidden = tuple(store for store in root.stores if store.used)
        if hidden:
            held = "; ".join(f"{store.driver} holds {holdings(store)}" for store in hidden)
            yield Finding(
                problem="storage-driver-mismatch",
                severity=Severity.WARNING,
                summary=f"Docker uses containerd's image store, while {held}",
                evidence=(evidence, *_holds(root, hidden)),
                params=(("other", hidden[0].driver),),
            )
        else:
            yield Passed("no images lie outside containerd's image store")


@check(
    "orphaned-data",
    title="Does this Docker see all images and containers of its data root?",
    problems=("storage-data-orphaned",),
    uses=CHOICE_FACTS,
    profiles=("docker",),
)
def orphaned_data(facts: Facts) -> Iterator[Outcome]:
    """An engine without the driver starts empty, and says nothing."""
    version = facts.known(DOCKER_VERSION)
    for root in roots_of(facts):
        if isinstance(root, NotApplicable | Unknown):
            yield root
            continue
        removable = [store for store in root.stores if LIVES[store.driver].gone and store.occupied]
        if version is None:
            if removable:
                names = ", ".join(store.driver for store in removable)
                yield Unknown(f"there is data of {names}; which Docker is to run is not known")
            else:
                yield Passed("no data of a driver that was ever removed")
            continue
        lost = tuple(s for s in removable if not has_driver(version, s.driver) and s.used)
        unsure = [s for s in removable if not has_driver(version, s.driver) and s.used is None]
        if lost:
            held = " and ".join(f"{holdings(store)} of {store.driver}" for store in lost)
            yield Finding(
                problem="storage-data-orphaned",
                severity=Severity.ERROR,
                summary=f"{held} lie in {root.path}; Docker {written(version)} does not see them",
                evidence=(*_holds(root, lost), *_version_evidence(facts)),
                params=(("driver", lost[0].driver), ("path", root.path)),
            )
        elif unsure:
            yield Unknown(f"what {unsure[0].driver} holds in {root.path} could not be read")
        else:
            yield Passed("every driver that holds images is in this Docker")


def _holds(root: DataRoot, stores: tuple[Store, ...]) -> tuple[Evidence, ...]:
    return tuple(Evidence(f"{root.path}/{store.driver}", holdings(store)) for store in stores)


def _version_evidence(facts: Facts) -> tuple[Evidence, ...]:
    answer = facts.get(DOCKER_VERSION)
    if not isinstance(answer, Known):
        return ()
    return (Evidence(answer.source, f"Docker {written(answer.value)}"),)


DATA_CHECKS: tuple[Check, ...] = (
    aufs,
    aufs_dirperm1,
    several_drivers,
    configured_driver,
    image_store,
    orphaned_data,
)
