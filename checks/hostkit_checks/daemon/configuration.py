# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether this dockerd, or the next, takes daemon.json and its command line."""

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
from hostkit.facts.daemonconfig import DAEMON_CONFIG, DAEMON_JSON
from hostkit.facts.daemonjson import DaemonJson, Fault, Setting
from hostkit.facts.engine import DOCKER
from hostkit.facts.fact import Facts
from hostkit.facts.target import TARGET
from hostkit.facts.units import UNITS
from hostkit.host.answer import Absent, Known
from hostkit_checks.daemon.keys import (
    WITHOUT_EFFECT,
    Trouble,
    early_keys,
    removed_keys,
    unknown_keys,
    wrong_types,
)

_LOOPBACK = ("tcp://127.", "tcp://localhost", "tcp://[::1]")
_TAKES_EMPTY = (23,)  # the first Docker that starts with an empty daemon.json


@check(
    "daemon-json",
    title="Does dockerd understand daemon.json, in this version and in the one asked for?",
    problems=(
        "daemon-json-invalid",
        "daemon-json-unknown-key",
        "daemon-json-key-without-effect",
    ),
    uses=(DAEMON_JSON, DOCKER, TARGET),
    profiles=("docker",),
)
def daemon_json(facts: Facts) -> Iterator[Outcome]:
    """The file is judged also where no engine is installed yet."""
    answer = facts.get(DAEMON_JSON)
    if isinstance(answer, Absent):
        yield Passed(f"there is no {answer.source}")
        return
    if not isinstance(answer, Known):
        yield Unknown(f"{answer.source}: {answer.reason}", needs_root=answer.needs_root)
        return
    found = tuple(_judge(answer.value, _version(facts)))
    yield from found
    if not any(one.severity is not Severity.INFO for one in found):
        yield Passed(f"{answer.value.path} is valid")


def _version(facts: Facts) -> tuple[int, ...]:
    """The version asked for, else the installed one, else ()."""
    target = facts.known(TARGET)
    if target is not None and target.engine == "docker" and target.version:
        return target.version
    engine = facts.known(DOCKER)
    return engine.version if engine is not None else ()


def _judge(file: DaemonJson, version: tuple[int, ...]) -> Iterator[Finding]:
    if file.fault is not None:
        yield _faulty(file.path, file.fault)
        return
    if file.empty and version < _TAKES_EMPTY:
        severity = Severity.ERROR if version else Severity.INFO
        yield Finding(
            problem="daemon-json-invalid",
            severity=severity,
            summary=f"{file.path} is empty, which Docker before 23.0 refuses (EOF)",
            evidence=(Evidence(file.path, "(empty)"),),
        )
    for trouble in wrong_types(file.settings):
        yield _refused("daemon-json-invalid", trouble, trouble.text)
    for trouble in unknown_keys(file.settings):
        yield _refused("daemon-json-unknown-key", trouble, trouble.text, Certainty.LIKELY)
    for trouble in early_keys(file.settings, version):
        yield _refused("daemon-json-unknown-key", trouble, trouble.text)
    yield from _removed(removed_keys(file.settings), version)
    for setting in file.settings:
        if setting.key in WITHOUT_EFFECT:
            yield _without_effect(setting)
    for setting in file.duplicates:
        yield Finding(
            problem="daemon-json-invalid",
            severity=Severity.INFO,
            summary=f'"{setting.key}" stands twice; dockerd takes the last one',
            evidence=(Evidence(setting.source, f'"{setting.key}"', setting.line),),
        )


def _faulty(path: str, fault: Fault) -> Finding:
    where = f" (line {fault.line}, column {fault.column})" if fault.line else ""
    return Finding(
        problem="daemon-json-invalid",
        severity=Severity.ERROR,
        summary=f"{path}: {fault.message}{where}",
        evidence=(Evidence(path, fault.excerpt, fault.line),),
    )


def _refused(
    problem: str, trouble: Trouble, summary: str, certainty: Certainty = Certainty.CONFIRMED
) -> Finding:
    setting = trouble.setting
    return Finding(
        problem=problem,
        severity=Severity.ERROR,
        summary=summary,
        evidence=(Evidence(setting.source, f'"{setting.key}"', setting.line),),
        certainty=certainty,
    )


def _removed(gone: tuple[Trouble, ...], version: tuple[int, ...]) -> Iterator[Finding]:
    for trouble in gone:
        if version >= trouble.version:
            text = f"{trouble.text}: removed in {_release(trouble.version)}"
            yield _refused("daemon-json-unknown-key", trouble, text)
    for later in dict.fromkeys(one.version for one in gone if version < one.version):
        yield _removed_later([one for one in gone if one.version == later], known=bool(version))


def _release(version: tuple[int, ...]) -> str:
    return f"Docker {'.'.join(map(str, version))}.0"


def _removed_later(troubles: list[Trouble], *, known: bool) -> Finding:
    """One line for all that one later version refuses: the four dm.* options go together."""
    first, rest = troubles[0], len(troubles) - 1
    more = f" and {rest} more" if rest else ""
    summary = (
        f"{first.text}{more}: {_release(first.version)} and later refuse {'them' if rest else 'it'}"
    )
    warned = _refused("daemon-json-unknown-key", first, summary)
    lines = dict.fromkeys(Evidence(t.setting.source, t.text, t.setting.line) for t in troubles)
    return warned._replace(severity=Severity.INFO, evidence=tuple(lines), later=known)


def _without_effect(setting: Setting) -> Finding:
    return Finding(
        problem="daemon-json-key-without-effect",
        severity=Severity.WARNING,
        summary=f'"{setting.key}" does nothing; the key is "{WITHOUT_EFFECT[setting.key]}"',
        evidence=(Evidence(setting.source, f'"{setting.key}"', setting.line),),
        params=(
            ("key", setting.key),
            ("line", str(setting.line)),
            ("right", WITHOUT_EFFECT[setting.key]),
        ),
    )


@check(
    "daemon-flags",
    title="Is any option set both in daemon.json and on dockerd's command line?",
    problems=("daemon-json-flag-conflict",),
    needs=(DAEMON_CONFIG,),
    profiles=("docker",),
)
def daemon_flags(facts: Facts) -> Iterator[Outcome]:
    """With one, dockerd refuses to start, whatever the two values are."""
    config = facts.value(DAEMON_CONFIG)
    conflicts = config.conflicts()
    for flag, setting in conflicts:
        when = "dockerd will not start again" if config.running else "dockerd does not start"
        yield Finding(
            problem="daemon-json-flag-conflict",
            severity=Severity.WARNING if config.running else Severity.ERROR,
            summary=f'"{setting.key}" is set twice: {when}',
            evidence=(
                Evidence(setting.source, f'"{setting.key}"', setting.line),
                Evidence(flag.source, f"flag for {flag.key}", flag.line),
            ),
            params=(("key", setting.key),),
            later=config.running,
        )
    if not conflicts:
        yield Passed("no option is set twice")


@check(
    "socket-activation",
    title="If dockerd takes its socket from systemd, is there one?",
    problems=("systemd-socket-activation-missing",),
    needs=(DAEMON_CONFIG,),
    uses=(UNITS,),
    profiles=("docker",),
)
def socket_activation(facts: Facts) -> Iterator[Outcome]:
    """-H fd:// without docker.socket ends dockerd at its start."""
    config = facts.value(DAEMON_CONFIG)
    hosts = config.get("hosts")
    if hosts is None or not any(host.startswith("fd:") for host in config.words("hosts")):
        yield NotApplicable("dockerd opens its socket itself")
        return
    units = facts.get(UNITS)
    if isinstance(units, Absent):
        yield NotApplicable(units.reason)
        return
    if not isinstance(units, Known):
        yield Unknown(f"{units.source}: {units.reason}", needs_root=units.needs_root)
        return
    socket = units.value.get("docker.socket")
    if socket is not None and socket.load != "masked":
        yield Passed("docker.socket is there")
        return
    state = "masked" if socket is not None else "not there"
    yield Finding(
        problem="systemd-socket-activation-missing",
        severity=Severity.ERROR,
        summary=f"dockerd is started with -H fd://, and docker.socket is {state}",
        evidence=(
            Evidence(hosts.source, "-H fd://", hosts.line),
            Evidence(units.source, f"docker.socket: {state}"),
        ),
    )


@check(
    "daemon-hosts",
    title="Does dockerd listen where this host's clients look for it?",
    problems=("docker-host-mismatch",),
    needs=(DAEMON_CONFIG,),
    uses=(DOCKER,),
    profiles=("docker",),
    settles=False,  # a user's DOCKER_HOST is in that user's environment
)
def daemon_hosts(facts: Facts) -> Iterator[Outcome]:
    """With TCP alone, a client without -H finds nobody."""
    if isinstance(facts.get(DOCKER), Absent):
        yield NotApplicable("Docker is not installed")
        return
    config = facts.value(DAEMON_CONFIG)
    hosts = config.get("hosts")
    words = config.words("hosts")
    if hosts is None or any(word.startswith(("unix:", "fd:", "/")) for word in words):
        yield Passed("dockerd listens on a local socket")
        return
    yield Finding(
        problem="docker-host-mismatch",
        severity=Severity.WARNING,
        summary=f"dockerd listens only on {', '.join(words)}: local clients need -H",
        evidence=(Evidence(hosts.source, " ".join(words), hosts.line),),
    )


@check(
    "daemon-api",
    title="Is dockerd's API on the network only for those with a certificate?",
    problems=("docker-api-unprotected",),
    needs=(DAEMON_CONFIG,),
    profiles=("docker",),
)
def daemon_api(facts: Facts) -> Iterator[Outcome]:
    """`tls` alone encrypts and lets everybody in; only `tlsverify` asks who is there."""
    config = facts.value(DAEMON_CONFIG)
    hosts = config.get("hosts")
    tcp = [word for word in config.words("hosts") if word.startswith("tcp:")]
    if hosts is None or not tcp:
        yield Passed("dockerd's API is on no network")
        return
    open_to_all = [word for word in tcp if not word.startswith(_LOOPBACK)]
    if config.switch("tlsverify", False) or not open_to_all:
        yield Passed(f"{tcp[0]} asks for a certificate, or is this host's own")
        return
    yield Finding(
        problem="docker-api-unprotected",
        severity=Severity.WARNING,
        summary=f"whoever reaches {open_to_all[0]} is root here: it asks for no certificate",
        evidence=(Evidence(hosts.source, " ".join(open_to_all), hosts.line),),
    )


CONFIGURATION_CHECKS: tuple[Check, ...] = (
    daemon_json,
    daemon_flags,
    socket_activation,
    daemon_hosts,
    daemon_api,
)
