# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the daemons run, what keeps them from starting, who may talk to them."""

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
from hostkit.facts.engine import CONTAINERD, DOCKER
from hostkit.facts.fact import Facts
from hostkit.facts.processes import ENGINE_PROCESSES, PID_FILE
from hostkit.facts.sockets import DOCKER_SOCKET, SOCKETS, Caller, Socket
from hostkit.facts.units import UNITS, Unit
from hostkit.host.answer import Absent, Known, Unreadable

_OTHERS_WRITE = 0o002
_GROUP_WRITES = 0o020
_CRASHED = "auto-restart"  # systemd waits to start it again; the socket listens meanwhile


@check(
    "daemon-running",
    title="Does dockerd run?",
    problems=("daemon-not-running", "daemon-failed-generic"),
    uses=(DOCKER, UNITS, ENGINE_PROCESSES, SOCKETS),
    profiles=("docker",),
)
def daemon_running(facts: Facts) -> Iterator[Outcome]:
    """An engine that is not installed yet is no fault of the host."""
    engine = facts.get(DOCKER)
    processes = facts.get(ENGINE_PROCESSES)
    running = processes.value.running("dockerd") if isinstance(processes, Known) else ()
    if running:
        yield Passed(f"dockerd runs as process {running[0].pid}")
        return
    if isinstance(engine, Absent):
        yield NotApplicable("Docker is not installed", (("docker", "absent"),))
        return
    if isinstance(engine, Unreadable):
        yield Unknown(f"{engine.source}: {engine.reason}", needs_root=engine.needs_root)
        return
    units = facts.known(UNITS)
    unit = units.get("docker.service") if units else None
    socket_unit = units.get("docker.socket") if units else None
    sockets = facts.known(SOCKETS)
    socket = sockets.get(DOCKER_SOCKET) if sockets else None
    masked = unit is not None and unit.load == "masked"  # its socket may listen all the same
    if unit and (unit.state == "failed" or unit.sub == _CRASHED or (masked and not unit.active)):
        yield _not_running(unit)
    elif (unit and unit.active) or (socket_unit and socket_unit.active):
        yield Passed("systemd says that it runs, or starts it when the socket is used")
    elif socket is not None and socket.listening:
        yield Passed(f"a daemon listens on {socket.path}")
    elif not isinstance(processes, Known):
        yield Unknown(f"{processes.source}: {processes.reason}")
    else:
        yield _not_running(unit)


def _not_running(unit: Unit | None) -> Finding:
    if unit is None:
        return Finding(
            problem="daemon-not-running",
            severity=Severity.WARNING,
            summary="Docker is installed, and no dockerd runs",
            evidence=(Evidence("/proc", "no process is a dockerd"),),
            params=(("docker", "installed"),),
        )
    failed = unit.state == "failed" or unit.sub == _CRASHED
    said = f"{unit.name}: {unit.state} ({unit.sub})"
    if unit.load == "masked":
        why = "is masked, so nothing can start it"
    elif failed:
        why = f"has failed: {unit.result}, exit status {unit.exit_status}"
    else:
        why = f"is {unit.state or 'not active'}, and {unit.enabled or 'not enabled'} at boot"
    return Finding(
        problem="daemon-not-running",
        severity=Severity.ERROR if failed or unit.load == "masked" else Severity.WARNING,
        summary=f"{unit.name} {why}",
        evidence=(Evidence("systemctl show docker.service", said),),
        params=(("docker", "masked" if unit.load == "masked" else "installed"),),
    )


@check(
    "containerd-running",
    title="Does containerd run where dockerd needs it?",
    problems=("containerd-not-running",),
    uses=(CONTAINERD, UNITS, ENGINE_PROCESSES),
    profiles=("docker",),
)
def containerd_running(facts: Facts) -> Iterator[Outcome]:
    """docker.service starts it, so only a failed or a missing one is a fault."""
    if isinstance(facts.get(CONTAINERD), Absent):
        yield NotApplicable("containerd is not installed by itself")
        return
    processes = facts.get(ENGINE_PROCESSES)
    if not isinstance(processes, Known):
        yield Unknown(f"{processes.source}: {processes.reason}")
        return
    running = processes.value.running("containerd")
    if running:
        yield Passed(f"containerd runs as process {running[0].pid}")
        return
    units = facts.known(UNITS)
    unit = units.get("containerd.service") if units else None
    if unit is not None and (unit.state == "failed" or unit.load == "masked"):
        yield Finding(
            problem="containerd-not-running",
            severity=Severity.ERROR,
            summary=f"containerd.service is {unit.load if unit.load == 'masked' else unit.state}"
            f" ({unit.result or unit.sub})",
            evidence=(Evidence("systemctl show containerd.service", f"ActiveState={unit.state}"),),
        )
    elif processes.value.running("dockerd"):
        yield Finding(
            problem="containerd-not-running",
            severity=Severity.ERROR,
            summary="dockerd runs, and no containerd: no container can be started",
            evidence=(Evidence("/proc", "no process is a containerd"),),
        )
    else:
        yield NotApplicable("containerd is started together with dockerd")


@check(
    "stale-daemon",
    title="Is anything of an earlier dockerd in the way?",
    problems=("stale-docker-process",),
    uses=(PID_FILE, ENGINE_PROCESSES, UNITS),
    profiles=("docker",),
)
def stale_daemon(facts: Facts) -> Iterator[Outcome]:
    """A pid file of a dead process is overwritten; one of another program's is not."""
    file = facts.get(PID_FILE)
    if isinstance(file, Unreadable):
        yield Unknown(f"{file.source}: {file.reason}", needs_root=file.needs_root)
        return
    if isinstance(file, Known) and file.value.argv and not file.value.names_dockerd:
        name = file.value.argv[0].rpartition("/")[2]
        yield Finding(
            problem="stale-docker-process",
            severity=Severity.ERROR,
            summary=f"{file.value.path} names process {file.value.pid}, which is {name}",
            evidence=(
                Evidence(file.value.path, str(file.value.pid), 1),
                Evidence(f"/proc/{file.value.pid}/cmdline", name),
            ),
        )
        return
    processes = facts.known(ENGINE_PROCESSES)
    daemons = processes.running("dockerd") if processes else ()
    units = facts.known(UNITS)
    unit = units.get("docker.service") if units else None
    if daemons and unit is not None and unit.state == "failed":
        yield Finding(
            problem="stale-docker-process",
            severity=Severity.ERROR,
            summary=f"docker.service has failed, and a dockerd (process {daemons[0].pid}) runs",
            evidence=(
                Evidence("systemctl show docker.service", "ActiveState=failed"),
                Evidence(f"/proc/{daemons[0].pid}/cmdline", daemons[0].argv[0]),
            ),
        )
    elif processes is None:
        yield Unknown("the running processes are not known")
    else:
        yield Passed("nothing of an earlier dockerd is left")


@check(
    "docker-socket",
    title="Is Docker's socket a socket, and open to the right people only?",
    problems=("docker-sock-permission", "docker-sock-not-a-socket"),
    needs=(SOCKETS,),
    profiles=("docker",),
    settles=False,  # which user was refused is not known
)
def docker_socket(facts: Facts) -> Iterator[Outcome]:
    """Whoever may write to it is root on this host."""
    sockets = facts.value(SOCKETS)
    socket = sockets.get(DOCKER_SOCKET)
    if socket is None:
        refused = [one for one in sockets.unreadable if one.source.endswith("docker.sock")]
        for one in refused:
            yield Unknown(f"{one.source}: {one.reason}", needs_root=one.needs_root)
        if not refused:
            yield NotApplicable("there is no Docker socket")
        return
    shown = f"mode {socket.mode:o}, user {socket.uid}, group {socket.group or socket.gid}"
    evidence = (Evidence(socket.path, shown),)
    if socket.kind != "socket":
        yield Finding(
            problem="docker-sock-not-a-socket",
            severity=Severity.ERROR,
            summary=f"{socket.path} is a {socket.kind}: dockerd cannot make its socket",
            evidence=(Evidence(socket.path, f"a {socket.kind}, {shown}"),),
        )
    elif socket.mode & _OTHERS_WRITE:
        yield Finding(
            problem="docker-sock-permission",
            severity=Severity.WARNING,
            summary=f"{socket.path} is open to everybody, which makes everybody root",
            evidence=evidence,
        )
    elif sockets.docker_gid is not None and socket.gid != sockets.docker_gid:
        yield Finding(
            problem="docker-sock-permission",
            severity=Severity.INFO,
            summary=f"the group docker may not open {socket.path}: its group is "
            f"{socket.group or socket.gid}",
            evidence=evidence,
        )
    elif sockets.caller is not None and not _may_open(socket, sockets.caller):
        yield Finding(
            problem="docker-sock-permission",
            severity=Severity.INFO,
            summary=f"user {sockets.caller.uid}, who asks, may not open {socket.path}",
            evidence=evidence,
        )
    else:
        yield Passed(f"{socket.path}: {shown}")


def _may_open(socket: Socket, caller: Caller) -> bool:
    if caller.uid in (0, socket.uid):
        return True
    return socket.gid in caller.gids and bool(socket.mode & _GROUP_WRITES)


RUNNING_CHECKS: tuple[Check, ...] = (
    daemon_running,
    containerd_running,
    stale_daemon,
    docker_socket,
)
