# SPDX-License-Identifier: GPL-3.0-or-later
"""The engines' API sockets: who may open them, and whether a daemon listens."""

from collections.abc import Mapping

from hostkit import text
from hostkit.facts.fact import Fact, Facts, read_text
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.host.base import FileKind
from hostkit.value import NamedTuple

DOCKER_SOCKET = "/run/docker.sock"
PATHS = (
    DOCKER_SOCKET,
    "/run/containerd/containerd.sock",
    "/run/docker/containerd/containerd.sock",
    "/run/docker/containerd/docker-containerd.sock",
    "/run/podman/podman.sock",
)
# /proc/net/unix: a socket on which accept(2) waits (include/linux/net.h).
_ACCEPTS = 1 << 16


class Socket(NamedTuple):
    """A path; `kind` is not "socket" when something else lies there.

    `group` is empty for a gid without a name; `listening` is None when it is not known.
    """

    path: str
    kind: FileKind
    mode: int
    uid: int
    gid: int
    group: str
    listening: bool | None


class Caller(NamedTuple):
    """Who asks: the user that hostkit runs as."""

    uid: int
    gids: tuple[int, ...]


class Sockets(NamedTuple):
    """The sockets that are there, and the group file's gid for `docker`, if any."""

    sockets: tuple[Socket, ...]
    docker_gid: int | None = None
    caller: Caller | None = None
    unreadable: tuple[Unreadable, ...] = ()

    def get(self, path: str) -> Socket | None:
        """The socket at a path; /var/run is /run."""
        wanted = real_path(path)
        return next((one for one in self.sockets if one.path == wanted), None)


def real_path(path: str) -> str:
    """The path with /var/run, a link everywhere since EL 7, resolved.

    >>> real_path("/var/run/docker.sock")
    '/run/docker.sock'
    """
    return path.removeprefix("/var") if path.startswith("/var/run/") else path


def parse_net_unix(content: str) -> frozenset[str]:
    r"""The paths on which somebody in this network namespace listens.

    >>> sorted(parse_net_unix("Num RefCount Protocol Flags Type St Inode Path\n"
    ... "0000: 00000002 00000000 00010000 0001 01 48204 /var/run/docker.sock\n"
    ... "0000: 00000003 00000000 00000000 0001 03 48205 /run/x.sock\n"))
    ['/run/docker.sock']
    """
    found: set[str] = set()
    for line in content.splitlines()[1:]:
        fields = line.split(None, 7)
        if len(fields) < 8:  # noqa: PLR2004 - a socket without a name
            continue
        try:
            flags = int(fields[3], 16)
        except ValueError:
            continue
        if flags & _ACCEPTS:
            found.add(real_path(fields[7].strip()))
    return frozenset(found)


def parse_caller(status: str) -> Caller:
    r"""Effective uid and all groups of a /proc/self/status.

    >>> parse_caller("Uid:\t1000\t1000\t1000\t1000\nGid:\t100\t100\t100\t100\nGroups:\t27 994\n")
    Caller(uid=1000, gids=(100, 27, 994))
    """
    fields = {
        name: [int(word) for word in rest.split()]
        for name, _, rest in (line.partition(":") for line in status.splitlines())
        if name in ("Uid", "Gid", "Groups")
    }
    effective = [fields.get(name, [])[1:2] for name in ("Uid", "Gid")]
    if not all(effective):
        raise ValueError("it names no effective user or group")
    (uid,), (gid,) = effective
    return Caller(uid, (gid, *fields.get("Groups", ())))


def parse_group_file(content: str) -> Mapping[int, str]:
    r"""The names of groups by gid (group(5)); the first name of a gid counts.

    >>> parse_group_file("root:x:0:\ndocker:x:994:ann,bob\n")[994]
    'docker'
    """
    names: dict[int, str] = {}
    for line in content.splitlines():
        fields = line.split(":")
        if len(fields) >= 3 and fields[2].isascii() and fields[2].isdigit():  # noqa: PLR2004 - name:x:gid
            names.setdefault(int(fields[2][:10]), fields[0])
    return names


def _gather(facts: Facts) -> Answer[Sockets]:
    host = facts.host
    group_file = host.read("/etc/group")
    groups = parse_group_file(
        text.decode(group_file.value) if isinstance(group_file, Known) else ""
    )
    unix = host.read("/proc/net/unix", 16 << 20)
    listening = parse_net_unix(text.decode(unix.value)) if isinstance(unix, Known) else None
    found: list[Socket] = []
    unreadable: list[Unreadable] = []
    for path in PATHS:
        answer = host.stat(path)
        if isinstance(answer, Absent) and path == DOCKER_SOCKET:
            answer = host.stat("/var" + path)  # where /var/run is a folder of its own
        if isinstance(answer, Unreadable):
            unreadable.append(answer)
        if not isinstance(answer, Known):
            continue
        stat = answer.value
        group = groups.get(stat.gid, "")
        heard = None if listening is None else path in listening
        found.append(Socket(path, stat.kind, stat.mode, stat.uid, stat.gid, group, heard))
    docker_gid = next((gid for gid, name in groups.items() if name == "docker"), None)
    caller = read_text(host, "/proc/self/status", parse_caller)
    who = caller.value if isinstance(caller, Known) else None
    return Known(Sockets(tuple(found), docker_gid, who, tuple(unreadable)), "/run")


SOCKETS: Fact[Sockets] = Fact("sockets", _gather, waits=False)
