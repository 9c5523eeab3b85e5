# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether podman and containerd understand their configuration files and take what they say."""

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
from hostkit.facts.containerdconfig import CONTAINERD_LAYERS
from hostkit.facts.daemonjson import Setting, shown
from hostkit.facts.engine import CONTAINERD, Engine
from hostkit.facts.fact import Fact, Facts
from hostkit.facts.podmanconfig import (
    CONTAINERS_CONF,
    CONTAINERS_LAYERS,
    PODMAN_VERSION,
    STORAGE_CONF,
    STORAGE_LAYERS,
)
from hostkit.facts.podmanprograms import PODMAN_MISSING
from hostkit.facts.tomlfile import Layers
from hostkit.facts.units import UNITS
from hostkit.host.answer import Absent, Known, Unreadable

_PODMAN = "podman-config-invalid"
_CONTAINERD = "containerd-config-invalid"
_SECOND = 2  # from this version of config.toml on, plugins have long names
# The latest version of config.toml that a containerd knows.
_FORMATS = (((2, 3), 4), ((2,), 3), ((1, 3), 2))
_WITHOUT_CNI = (5,)  # netavark alone, unless whoever built it chose otherwise
_MANAGERS = ("systemd", "cgroupfs")
_BACKENDS = ("netavark", "cni")
_LOG_DRIVERS = ("k8s-file", "json-file", "journald", "none", "passthrough", "passthrough-tty")
_STORAGE_DRIVERS = ("overlay", "overlay2", "vfs", "btrfs", "zfs", "aufs", "devicemapper")


@check(
    "containers-conf",
    title="Does podman understand containers.conf and its drop-ins?",
    problems=(_PODMAN,),
    uses=(CONTAINERS_LAYERS,),
    profiles=("podman",),
    settles=False,  # what users have in their homes is not read
)
def containers_conf(facts: Facts) -> Iterator[Outcome]:
    """With a fault in one of them podman does nothing at all."""
    yield from _files(facts, CONTAINERS_LAYERS, _PODMAN, Severity.ERROR)


@check(
    "storage-conf",
    title="Does podman understand storage.conf?",
    problems=(_PODMAN,),
    uses=(STORAGE_LAYERS,),
    profiles=("podman",),
    settles=False,  # what users have in their homes is not read
)
def storage_conf(facts: Facts) -> Iterator[Outcome]:
    """With a fault in it podman goes on with its defaults, and images seem to be gone."""
    yield from _files(facts, STORAGE_LAYERS, _PODMAN, Severity.WARNING)


@check(
    "containerd-config",
    title="Does containerd understand config.toml and what that imports?",
    problems=(_CONTAINERD,),
    uses=(CONTAINERD_LAYERS, CONTAINERD),
    profiles=("docker", "kubernetes"),
)
def containerd_config(facts: Facts) -> Iterator[Outcome]:
    """One fault anywhere, and containerd does not start, nor does dockerd."""
    layers = facts.known(CONTAINERD_LAYERS)
    found: tuple[Finding, ...] = ()
    if layers is not None and not layers.flaws:
        found = (*_short_names(layers), *_too_new(layers, facts.known(CONTAINERD)))
    yield from found or _files(facts, CONTAINERD_LAYERS, _CONTAINERD, Severity.ERROR)


def _files(facts: Facts, fact: Fact[Layers], problem: str, severity: Severity) -> Iterator[Outcome]:
    answer = facts.get(fact)
    if isinstance(answer, Absent):
        yield Passed(f"there is no {answer.source}")
    elif isinstance(answer, Unreadable):
        yield Unknown(f"{answer.source}: {answer.reason}", needs_root=answer.needs_root)
    else:
        yield from _judge(answer.value, problem, severity)


def _judge(layers: Layers, problem: str, severity: Severity) -> Iterator[Outcome]:
    for path, fault in layers.flaws:
        where = f" (line {fault.line})" if fault.line else ""
        name = path.rpartition("/")[2]
        yield Finding(
            problem=problem,
            severity=severity,
            summary=f"{name}: {fault.message[:60]}{where}",
            evidence=(Evidence(path, fault.excerpt, fault.line),),
            params=(("file", path),),
        )
    for one in layers.unreadable:
        yield Unknown(f"{one.source}: {one.reason}", needs_root=one.needs_root)
    if not layers.flaws and not layers.unreadable:
        yield Passed(f"{', '.join(layers.files[:3])}: valid")


def _short_names(layers: Layers) -> Iterator[Finding]:
    """A file of the second version on must name plugins in full (containerd#10905)."""
    version = layers.get("version")
    if version is None or not isinstance(version.value, int) or version.value < _SECOND:
        return
    for key in ("disabled_plugins", "required_plugins"):
        setting = layers.get(key)
        names = setting.value if setting and isinstance(setting.value, tuple) else ()
        short = next((str(name) for name in names if "." not in str(name)), None)
        if setting is not None and short is not None:
            yield Finding(
                problem=_CONTAINERD,
                severity=Severity.ERROR,
                summary=f'{key} has "{short[:20]}", and version {version.value} wants full names',
                evidence=(
                    Evidence(setting.source, shown(setting), setting.line),
                    Evidence(version.source, shown(version), version.line),
                ),
                params=(("file", setting.source),),
            )


def _too_new(layers: Layers, engine: Engine | None) -> Iterator[Finding]:
    """A file that a later containerd wrote: "unsupported config version `3`"."""
    version = layers.get("version")
    if version is None or not isinstance(version.value, int) or not (engine and engine.version):
        return
    latest = next((format for since, format in _FORMATS if engine.version >= since), 1)
    if version.value > latest:
        yield Finding(
            problem=_CONTAINERD,
            severity=Severity.ERROR,
            summary=f"the file is of version {version.value}, containerd {engine.version_text[:20]}"
            f" knows {latest} at most",
            evidence=(Evidence(version.source, shown(version), version.line),),
            params=(("file", version.source),),
        )


@check(
    "podman-values",
    title="Can podman do what its configuration says?",
    problems=(_PODMAN,),
    uses=(CONTAINERS_CONF, STORAGE_CONF, PODMAN_VERSION, PODMAN_MISSING, UNITS),
    profiles=("podman",),
    settles=False,  # what users have in their homes is not read
)
def podman_values(facts: Facts) -> Iterator[Outcome]:
    """The storage driver and its program, the runtime, control groups, networks, logs."""
    answers = (facts.get(CONTAINERS_CONF), facts.get(STORAGE_CONF))
    for answer in answers:
        if isinstance(answer, Unreadable):
            yield Unknown(f"{answer.source}: {answer.reason}", needs_root=answer.needs_root)
            return
    if not any(isinstance(answer, Known) for answer in answers):
        yield NotApplicable("podman has its own defaults here")
        return
    found = (*_missing(facts), *_choices(facts), *_backend(facts), *_manager(facts))
    yield from found
    if not found:
        yield Passed("; ".join(map(_origin, _chosen(facts))) or "nothing of the kind is set")


def _setting(facts: Facts, *names: str) -> Setting | None:
    layers = facts.known(STORAGE_CONF if names[0] == "storage" else CONTAINERS_CONF)
    return layers.text(*names) if layers else None


_CHOICES = (
    (("storage", "driver"), _STORAGE_DRIVERS, Severity.ERROR),
    (("engine", "cgroup_manager"), _MANAGERS, Severity.ERROR),
    (("network", "network_backend"), _BACKENDS, Severity.ERROR),
    (("containers", "log_driver"), _LOG_DRIVERS, Severity.WARNING),
)
_SHOWN = (
    ("storage", "driver"),
    ("storage", "graphroot"),
    ("storage", "runroot"),
    ("engine", "runtime"),
    ("engine", "cgroup_manager"),
    ("network", "network_backend"),
    ("containers", "log_driver"),
)


def _chosen(facts: Facts) -> Iterator[Setting]:
    for names in _SHOWN:
        setting = _setting(facts, *names)
        if setting is not None:
            yield setting


def _origin(setting: Setting) -> str:
    name = setting.key.rpartition(".")[2]
    return f"{name} {setting.value} ({setting.source}:{setting.line})"


def _choices(facts: Facts) -> Iterator[Finding]:
    for names, allowed, severity in _CHOICES:
        setting = _setting(facts, *names)
        if setting is not None and setting.value not in allowed:
            known = ", ".join(allowed[:3])
            value = str(setting.value)[:20]
            yield _refused(setting, severity, f'{names[-1]} "{value}" is none of {known}, ...')


def _missing(facts: Facts) -> Iterator[Finding]:
    for setting in facts.known(PODMAN_MISSING) or ():
        name = setting.key.rpartition(".")[2]
        summary = f"{name} names {str(setting.value)[:50]}, which is not there"
        yield _refused(setting, Severity.ERROR, summary)


def _backend(facts: Facts) -> Iterator[Finding]:
    setting = _setting(facts, "network", "network_backend")
    version = facts.known(PODMAN_VERSION)
    if setting is not None and setting.value == "cni" and version and version >= _WITHOUT_CNI:
        summary = f"the network backend is cni, which podman {version[0]} is built without"
        yield _refused(setting, Severity.ERROR, summary)._replace(certainty=Certainty.LIKELY)


def _manager(facts: Facts) -> Iterator[Finding]:
    setting = _setting(facts, "engine", "cgroup_manager")
    if setting is None or setting.value != "systemd" or not isinstance(facts.get(UNITS), Absent):
        return
    yield _refused(
        setting, Severity.ERROR, "the cgroup manager is systemd, which does not run here"
    )


def _refused(setting: Setting, severity: Severity, summary: str) -> Finding:
    return Finding(
        problem=_PODMAN,
        severity=severity,
        summary=summary,
        evidence=(Evidence(setting.source, shown(setting), setting.line),),
        params=(("file", setting.source),),
    )


FILE_CHECKS: tuple[Check, ...] = (
    containers_conf,
    storage_conf,
    podman_values,
    containerd_config,
)
