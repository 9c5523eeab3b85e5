# SPDX-License-Identifier: GPL-3.0-or-later
"""What the driver devicemapper stands on: the kernel's part, the library, loop devices."""

from collections.abc import Iterator

from hostkit.diagnosis.check import check
from hostkit.diagnosis.finding import (
    Evidence,
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Severity,
    Unknown,
)
from hostkit.facts.devicemapper import DEVICE_MAPPER, DM_TARGETS, MISC
from hostkit.facts.engine import DOCKER
from hostkit.facts.fact import Facts
from hostkit.facts.libdevmapper import BASE, DEFERRED_REMOVE, LIBDEVMAPPER, Library
from hostkit.facts.loop import LOOP_SUPPORT
from hostkit.facts.modules import MODULES, ModuleState, forbidden
from hostkit.host.answer import Absent, Known, Unreadable
from hostkit_checks.devicemapper.use import NEEDED, driver_use, pool_option

_PRESENT = (ModuleState.LOADED, ModuleState.BUILTIN)
# Whatever is compiled against a newer libdevmapper.h names the symbol: seen of 1.3 (EPEL) to
# 1.9; from 18.05 on docker looks it up at run time.
_LINKED_BEFORE = (18, 5)


@check(
    "device-mapper",
    title="Does the kernel have device-mapper and its thin pools?",
    problems=("dm-module-missing",),
    needs=(DEVICE_MAPPER,),
    uses=(MODULES, DM_TARGETS, *NEEDED),
    profiles=("docker", "podman", "hostkit"),
)
def device_mapper(facts: Facts) -> Iterator[Outcome]:
    """An error only where devicemapper is used; elsewhere it narrows the choice of drivers."""
    modules = facts.known(MODULES)
    use = driver_use(facts)
    targets = facts.known(DM_TARGETS) or ()
    registered = facts.value(DEVICE_MAPPER).registered
    states = {
        name: modules.state(name) if modules else ModuleState.UNKNOWN
        for name in ("dm_mod", "dm_thin_pool")
    }
    if registered:
        states["dm_mod"] = ModuleState.LOADED
    if any(target.name == "thin-pool" for target in targets):
        states["dm_thin_pool"] = ModuleState.LOADED
    missing = next((name for name, state in states.items() if state is ModuleState.MISSING), "")
    if missing:
        blocked = modules.blocked_by(missing) if modules else None
        what = "device-mapper" if missing == "dm_mod" else "thin pools (dm_thin_pool)"
        yield Finding(
            problem="dm-module-missing",
            severity=Severity.ERROR if use.used else Severity.INFO,
            summary=f"{what} is not in the kernel, and modprobe.d forbids to load it"
            if blocked
            else f"the running kernel has no {what}, and no module for it"
            + (": devicemapper cannot start" if use.used else ""),
            evidence=(
                Evidence(MISC, "" if registered else "no line device-mapper"),
                Evidence(blocked.file, blocked.words, blocked.line)
                if blocked
                else Evidence(
                    modules.folder if modules else "", f"no {missing}.ko, loaded or on disk"
                ),
                *(use.evidence if use.used else ()),
            ),
            params=(("module", missing), *forbidden(blocked)),
        )
    elif ModuleState.UNKNOWN in states.values():
        yield Unknown(f"cannot tell whether the kernel has {' and '.join(_unknown(states))}")
    elif all(state in _PRESENT for state in states.values()):
        yield Passed("device-mapper and thin pools are in the kernel")
    else:
        yield Passed("device-mapper and thin pools are there to be loaded")


def _unknown(states: dict[str, ModuleState]) -> list[str]:
    return [name for name, state in states.items() if state is ModuleState.UNKNOWN]


@check(
    "libdevmapper",
    title="Does libdevmapper have the symbols that docker is linked against?",
    problems=("libdevmapper-too-old",),
    uses=(LIBDEVMAPPER, DOCKER),
    profiles=("docker",),
)
def libdevmapper(facts: Facts) -> Iterator[Outcome]:
    """The library's own symbol table decides, not its package's version."""
    answer = facts.get(LIBDEVMAPPER)
    if isinstance(answer, Unreadable):
        yield Unknown(f"{answer.source}: {answer.reason}", needs_root=answer.needs_root)
        return
    if isinstance(answer, Absent):
        yield NotApplicable("libdevmapper is not installed; nothing asks for it")
        return
    wide = [library for library in answer.value if library.bits == 64] or answer.value  # noqa: PLR2004 - word size
    lacking = [library for library in wide if not library.exports(DEFERRED_REMOVE, BASE)]
    if not lacking:
        yield Passed(f"{wide[0].path} exports {DEFERRED_REMOVE} (version {BASE})")
        return
    docker = facts.get(DOCKER)
    version = docker.value.version if isinstance(docker, Known) else ()
    if version >= _LINKED_BEFORE:
        yield Passed("this docker looks the symbol up at run time and does without it")
    elif version:
        yield _too_old(lacking[0], Severity.ERROR, f"docker {docker_text(facts)} does not start")
    else:
        yield _too_old(lacking[0], Severity.INFO, "a docker before 18.05 would not start")


def docker_text(facts: Facts) -> str:
    """The version of the installed docker as it names itself."""
    engine = facts.known(DOCKER)
    return engine.version_text if engine else ""


def _too_old(library: Library, severity: Severity, effect: str) -> Finding:
    newest = library.versions[-1] if library.versions else "none"
    return Finding(
        problem="libdevmapper-too-old",
        severity=severity,
        summary=f"libdevmapper lacks {DEFERRED_REMOVE}: {effect}",
        evidence=(
            Evidence(library.path, f"no symbol {DEFERRED_REMOVE}@{BASE}; last version {newest}"),
        ),
        params=(("library", library.path),),
    )


@check(
    "loop-devices",
    title="Are there loop devices for the loop files of devicemapper?",
    problems=("no-loop-devices",),
    needs=(LOOP_SUPPORT,),
    uses=(MODULES, *NEEDED),
    profiles=("docker", "podman", "hostkit"),
)
def loop_devices(facts: Facts) -> Iterator[Outcome]:
    """Matters where dockerd would make loop-lvm; a free device refutes the old complaint."""
    support = facts.value(LOOP_SUPPORT)
    modules = facts.known(MODULES)
    free = support.nodes - support.used
    if support.registered and (free > 0 or (support.control and not support.limit)):
        yield Passed(f"{free} loop devices are free" if free > 0 else "more are made on demand")
        return
    use = driver_use(facts)
    if use.used is False or pool_option(facts):
        yield NotApplicable("nothing here needs loop devices for Docker")
    elif use.used is None:
        yield Unknown(use.reason)
    elif support.registered:
        yield Finding(
            problem="no-loop-devices",
            severity=Severity.ERROR,
            summary=f"all {support.nodes} loop devices are taken: loop-lvm cannot start",
            evidence=(Evidence("/sys/block", f"{support.used} of {support.nodes} have a file"),),
        )
    elif modules is None or modules.state("loop") is ModuleState.UNKNOWN:
        yield Unknown("the loop driver is not active, and whether it can be loaded is not known")
    else:
        loadable = modules.state("loop") is ModuleState.LOADABLE
        what = "is not loaded" if loadable else "is not in this kernel"
        yield Finding(
            problem="no-loop-devices",
            severity=Severity.ERROR,
            summary=f"the loop driver {what}: loop-lvm cannot start",
            evidence=(Evidence("/proc/devices", "no block driver named loop"), *use.evidence),
        )
