# SPDX-License-Identifier: GPL-3.0-or-later
"""Reasons that several drivers share: the engine, the kernel, the volume below.

A fact that is not known becomes a reason of weight UNKNOWN, never a silence.
"""

from collections.abc import Iterator

from hostkit.facts.dataroot import VOLUME
from hostkit.facts.fact import Fact, Facts
from hostkit.facts.filesystems import KERNEL_FILESYSTEMS, Volume
from hostkit.facts.fitness import Reason, Weight
from hostkit.facts.graphdrivers import DOCKER_VERSION, LIVES, has_driver, written
from hostkit.facts.modules import MODULES, ModuleState
from hostkit.facts.programs import program
from hostkit.facts.target import TARGET
from hostkit.host.answer import Absent, Known, Unreadable

_HERE = {
    ModuleState.LOADED: "is loaded",
    ModuleState.BUILTIN: "is built in",
    ModuleState.LOADABLE: "can be loaded",
}


def unknown(what: str, answer: Absent | Unreadable, problem: str = "") -> Reason:
    """What could not be learnt, and why."""
    return Reason(Weight.UNKNOWN, f"{what}: {answer.reason}", answer.source, problem)


def engine(facts: Facts, driver: str, problem: str) -> Iterator[Reason]:
    """Whether the Docker that is to be served has the driver. Other engines are not judged."""
    target = facts.known(TARGET)
    if target is not None and target.engine != "docker":
        return
    answer = facts.get(DOCKER_VERSION)
    gone = LIVES[driver].gone
    if isinstance(answer, Known):
        version = written(answer.value)
        if not has_driver(answer.value, driver):
            why = f"removed in {written(gone)}" if gone else "not yet in it"
            text = f"Docker {version} has no {driver} driver ({why})"
            yield Reason(Weight.BLOCKS, text, answer.source, problem)
        elif gone:
            text = f"Docker {version} has the {driver} driver; {written(gone)} and later have not"
            yield Reason(Weight.FAVOURS, text, answer.source, problem)
    elif gone:
        text = (
            f"Docker {written(gone)} and later have no {driver} driver,"
            f" and which Docker is to run is not known ({answer.reason})"
        )
        yield Reason(Weight.UNKNOWN, text, "--for docker@VERSION", problem)


def kernel_has(facts: Facts, filesystem: str, problem: str) -> Reason:
    """Whether the running kernel knows a file system, or can load the module that does."""
    listed = facts.get(KERNEL_FILESYSTEMS)
    if isinstance(listed, Known) and filesystem in listed.value:
        return Reason(Weight.FAVOURS, f"the kernel knows {filesystem}", listed.source)
    return module(facts, filesystem, problem)


def module(facts: Facts, name: str, problem: str) -> Reason:
    """Whether a kernel module is here or can be had; nothing is loaded."""
    answer = facts.get(MODULES)
    if not isinstance(answer, Known):
        return unknown(f"whether the kernel has {name}", answer, problem)
    state = answer.value.state(name)
    if state is ModuleState.MISSING:
        text = f"the running kernel has no {name} module"
        if answer.value.directory_missing:
            text += ": its modules are gone from the disk (updated and not rebooted?)"
        blocked = answer.value.blocked_by(name)
        if blocked is not None:
            text = f"{blocked.file} forbids to load {name} (line {blocked.line})"
        return Reason(Weight.BLOCKS, text, answer.source, problem)
    if state is ModuleState.UNKNOWN:
        text = f"no source says whether the kernel has {name}"
        return Reason(Weight.UNKNOWN, text, answer.source, problem)
    if state is ModuleState.LOADABLE and answer.value.loading_disabled:
        text = f"{name} is not loaded, and kernel.modules_disabled forbids to load it"
        return Reason(Weight.BLOCKS, text, answer.source, problem)
    return Reason(Weight.FAVOURS, f"the kernel module {name} {_HERE[state]}", answer.source)


def installed(facts: Facts, name: str, package: str) -> Reason:
    """Whether a program that the driver calls is there."""
    answer = facts.get(program(name))
    if isinstance(answer, Known):
        return Reason(Weight.FAVOURS, f"{name} is installed", answer.source)
    if isinstance(answer, Absent):
        text = f"the program {name} is not installed (package {package})"
        return Reason(Weight.BLOCKS, text, answer.source)
    return unknown(f"whether {name} is installed", answer)


def lies_on(facts: Facts, filesystem: str) -> Iterator[Reason]:
    """For a driver that is part of one file system: the data root must lie on it."""
    answer = facts.get(VOLUME)
    if not isinstance(answer, Known):
        yield unknown("what the data root lies on", answer)
        return
    found = answer.value.mount.fstype
    where = f"{answer.value.path} lies on {found}"
    if found == filesystem:
        yield Reason(Weight.FAVOURS, where, answer.value.mount.target)
    else:
        text = f"{where}, and the driver needs {filesystem}"
        yield Reason(Weight.BLOCKS, text, answer.value.mount.target, "backing-fs-unsupported")


def writable(volume: Volume) -> Iterator[Reason]:
    """A volume that is mounted read-only serves no driver."""
    if volume.mount.read_only:
        text = f"{volume.mount.target} is mounted read-only"
        yield Reason(Weight.BLOCKS, text, "/proc/self/mountinfo")


def needs(facts: Facts, fact: Fact[Volume], what: str) -> Volume | Reason:
    """The volume, or the reason why it is not known."""
    answer = facts.get(fact)
    return answer.value if isinstance(answer, Known) else unknown(what, answer)
