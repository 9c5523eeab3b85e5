# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether dockerd takes the values it is given, and which of them its info warns of."""

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
from hostkit.facts.cgroups import CGROUPS, CgroupVersion
from hostkit.facts.daemonconfig import DAEMON_CONFIG, DaemonConfig
from hostkit.facts.daemonfiles import DAEMON_FILES
from hostkit.facts.daemonjson import Setting
from hostkit.facts.dataroot import VOLUME
from hostkit.facts.engine import parse_version_numbers
from hostkit.facts.fact import Facts
from hostkit.facts.graphdrivers import DOCKER_VERSION, written
from hostkit.facts.links import LINKS
from hostkit.facts.packages import PACKAGES
from hostkit.facts.unitfiles import DOCKER_SERVICE
from hostkit.facts.units import UNITS
from hostkit.host.answer import Absent, Known
from hostkit_checks.daemon.values import Refused, refused_values

# The first versions of an API and the oldest API that a dockerd still answers.
_API_OF_CLIENT: tuple[tuple[tuple[int, ...], tuple[int, int]], ...] = (
    ((29,), (1, 52)),
    ((28,), (1, 48)),
    ((27,), (1, 46)),
    ((26,), (1, 45)),
    ((25,), (1, 44)),
    ((24,), (1, 43)),
    ((23,), (1, 42)),
    ((20, 10), (1, 41)),
    ((19, 3), (1, 40)),
    ((18, 9), (1, 39)),
    ((18, 6), (1, 38)),
    ((17, 12), (1, 35)),
    ((17, 6), (1, 30)),
)
# 29.0 and 29.1 print 1.44 as their minimum, 29.7 has 1.40: between, the stricter is taken.
# 26 to 28 have 1.24.
_MINIMUM_API: tuple[tuple[tuple[int, ...], tuple[int, int]], ...] = (
    ((29, 7), (1, 40)),
    ((29,), (1, 44)),
)
_CLIENTS = ("docker-ce-cli", "docker-cli", "docker-client", "docker.io")
_NO_RAW = "DOCKER_INSECURE_NO_IPTABLES_RAW"
_NO_RAW_SINCE = (28, 0, 2)
_BROKEN_ATTRIBUTES = "vfs.xattrs=i_want_broken_containers"


@check(
    "daemon-values",
    title="Does dockerd take the values of its settings?",
    problems=("daemon-json-invalid",),
    needs=(DAEMON_CONFIG,),
    uses=(DOCKER_VERSION, DAEMON_FILES, VOLUME, LINKS, CGROUPS, UNITS),
    profiles=("docker",),
    settles=False,  # what is no JSON is another check's to find
)
def daemon_values(facts: Facts) -> Iterator[Outcome]:
    """Keys and types are right, and it still does not start."""
    config = facts.value(DAEMON_CONFIG)
    version = facts.known(DOCKER_VERSION)
    refused = refused_values(config, version or (), systemd_v2=_systemd_v2(facts))
    found = [*refused, *_by_host(facts, config)]
    for one in found:
        yield _refused(one, config.running)
    if not found:
        yield Passed("no value is known to be refused")


def _systemd_v2(facts: Facts) -> bool:
    """Whether Docker 20.10 and later leave the control groups to systemd unasked."""
    cgroups = facts.known(CGROUPS)
    v2 = cgroups is not None and cgroups.version is CgroupVersion.V2
    return v2 and facts.known(UNITS) is not None


def _by_host(facts: Facts, config: DaemonConfig) -> Iterator[Refused]:
    """Values that this host makes wrong."""
    files = facts.known(DAEMON_FILES)
    for setting in files.missing if files else ():
        yield Refused(setting, f'"{setting.key}": {setting.value} does not exist')
    links, bridge = facts.known(LINKS), config.get("bridge")
    named = bridge.value if bridge and isinstance(bridge.value, str) else ""
    if bridge and links and named not in ("", "none", "docker0") and not links.get(named):
        yield Refused(bridge, f'"bridge": there is no link {named}')
    volume = facts.known(VOLUME)
    options = config.get("storage-opts")
    sized = any(word.startswith("overlay2.size=") for word in config.words("storage-opts"))
    if options and sized and volume and volume.mount.fstype != "xfs":
        reason = f"overlay2.size needs xfs, and the images lie on {volume.mount.fstype}"
        yield Refused(options, reason)


def _refused(one: Refused, running: bool) -> Finding:
    setting = one.setting
    return Finding(
        problem="daemon-json-invalid",
        severity=Severity.WARNING if running else Severity.ERROR,
        summary=f"dockerd will not start: {one.text}"[:100],
        evidence=(_where(setting),),
        later=running,
    )


def _where(setting: Setting) -> Evidence:
    value = setting.value
    shown = f'"{setting.key}": {value}' if isinstance(value, str | bool | int) else setting.key
    return Evidence(setting.source, shown[:160], setting.line)


@check(
    "seccomp-profile",
    title="Do containers run with Docker's own seccomp profile?",
    problems=("seccomp-profile-changed",),
    needs=(DAEMON_CONFIG,),
    profiles=("docker",),
)
def seccomp_profile(facts: Facts) -> Iterator[Outcome]:
    """A profile of one's own may be what refuses a call, or lets it through."""
    setting = facts.value(DAEMON_CONFIG).get("seccomp-profile")
    if setting is None or setting.value in ("", "builtin", "default"):
        yield Passed("the profile is Docker's own")
        return
    off = setting.value == "unconfined"
    what = "no system call is refused" if off else f"the profile is {setting.value}"
    yield Finding(
        problem="seccomp-profile-changed",
        severity=Severity.WARNING if off else Severity.INFO,
        summary=f"containers do not run with Docker's seccomp profile: {what}"[:100],
        evidence=(_where(setting),),
    )


@check(
    "direct-access",
    title="Does Docker keep others from reaching containers past their published ports?",
    problems=("direct-access-unprotected",),
    uses=(DOCKER_SERVICE, DOCKER_VERSION),
    profiles=("docker",),
)
def direct_access(facts: Facts) -> Iterator[Outcome]:
    """28.0.2 and later can be told to leave out the rules in the raw table."""
    service = facts.get(DOCKER_SERVICE)
    if not isinstance(service, Known):
        reason = f"{service.source}: {service.reason}"
        yield NotApplicable(reason) if isinstance(service, Absent) else Unknown(reason)
        return
    word = service.value.variable(_NO_RAW)
    version = facts.known(DOCKER_VERSION)
    if word is None or word.text != "1":
        yield Passed("its rules are not switched off")
    elif version is not None and version < _NO_RAW_SINCE:
        yield NotApplicable(f"Docker {written(version)} does not know {_NO_RAW}")
    else:
        yield Finding(
            problem="direct-access-unprotected",
            severity=Severity.WARNING,
            summary=f"{_NO_RAW}=1: neighbours reach ports that were published to loopback",
            evidence=(Evidence(word.source, f"{_NO_RAW}={word.text}", word.line),),
        )


@check(
    "file-attributes",
    title="Do images keep the extended attributes of their files?",
    problems=("file-attributes-discarded",),
    needs=(DAEMON_CONFIG,),
    profiles=("docker",),
)
def file_attributes(facts: Facts) -> Iterator[Outcome]:
    """The driver vfs can be told to lose them without a word."""
    config = facts.value(DAEMON_CONFIG)
    options = config.get("storage-opts")
    if options is None or _BROKEN_ATTRIBUTES not in config.words("storage-opts"):
        yield Passed("none are discarded on purpose")
        return
    yield Finding(
        problem="file-attributes-discarded",
        severity=Severity.WARNING,
        summary="vfs is told to discard extended attributes: file capabilities are lost",
        evidence=(Evidence(options.source, _BROKEN_ATTRIBUTES, options.line),),
    )


@check(
    "api-minimum",
    title="Does this Docker still answer the clients of the host?",
    problems=("api-version-too-old",),
    uses=(DOCKER_VERSION, PACKAGES, DAEMON_CONFIG),
    profiles=("docker",),
    settles=False,  # clients on other machines and in containers are not seen
)
def api_minimum(facts: Facts) -> Iterator[Outcome]:
    """29 refuses what 28 answered; a client of the same age as the daemon is never refused."""
    if isinstance(facts.get(DOCKER_VERSION), Absent):
        yield NotApplicable("no Docker is installed or asked for")
        return
    version = facts.value(DOCKER_VERSION)
    config = facts.known(DAEMON_CONFIG)
    lowered = config.text("min-api-version") if config else ""
    least = _first(_MINIMUM_API, version)
    if least is None or lowered:
        yield Passed(f"the oldest API is {lowered}" if lowered else "it answers API 1.24 and later")
        return
    packages = facts.known(PACKAGES)
    client = packages.first(*_CLIENTS) if packages else None
    numbers = parse_version_numbers(client.version.version) if client else ()
    spoken = _first(_API_OF_CLIENT, numbers) if numbers else None
    if spoken is None or spoken >= least or client is None:
        yield Passed(f"it answers API {_dotted(least)} and later")
        return
    yield Finding(
        problem="api-version-too-old",
        severity=Severity.WARNING,
        certainty=Certainty.LIKELY,
        summary=f"Docker {written(version)} refuses clients as old as {client.name}'s",
        evidence=(
            Evidence("--for", f"Docker {written(version)} answers API {_dotted(least)} and later"),
            Evidence(str(client), f"speaks API {_dotted(spoken)} at most"),
        ),
    )


def _first(
    table: tuple[tuple[tuple[int, ...], tuple[int, int]], ...], version: tuple[int, ...]
) -> tuple[int, int] | None:
    return next((api for first, api in table if version >= first), None)


def _dotted(api: tuple[int, int]) -> str:
    return f"{api[0]}.{api[1]}"


STARTUP_CHECKS: tuple[Check, ...] = (
    daemon_values,
    seccomp_profile,
    direct_access,
    file_attributes,
    api_minimum,
)
