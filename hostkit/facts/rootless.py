# SPDX-License-Identifier: GPL-3.0-or-later
"""Users whose own Docker or podman runs, and the controllers that systemd gives to them."""

from hostkit.facts.cgroups import CGROUPS, CgroupVersion
from hostkit.facts.fact import Fact, Facts, read_text
from hostkit.host.answer import Absent, Answer, Known
from hostkit.value import NamedTuple

RUNTIME_FOLDER = "/run/user"
_SOCKETS = ("docker.sock", "podman/podman.sock")
_USERS_LIMIT = 64


class RootlessUser(NamedTuple):
    """`controllers` is None where they cannot be seen: v1 gives none, or the file is not there."""

    uid: int
    socket: str
    controllers: tuple[str, ...] | None
    source: str


def _gather(facts: Facts) -> Answer[tuple[RootlessUser, ...]]:
    v2 = facts.value(CGROUPS).version is CgroupVersion.V2
    names = facts.host.listdir(RUNTIME_FOLDER)
    if not isinstance(names, Known):
        return names
    found: list[RootlessUser] = []
    for name in names.value[:_USERS_LIMIT]:
        sockets = [f"{RUNTIME_FOLDER}/{name}/{socket}" for socket in _SOCKETS]
        used = [path for path in sockets if isinstance(facts.host.stat(path), Known)]
        if not (name.isascii() and name.isdigit() and used):
            continue
        group = f"/sys/fs/cgroup/user.slice/user-{name}.slice/user@{name}.service"
        path = f"{group}/cgroup.controllers"
        given = read_text(facts.host, path, lambda content: tuple(content.split())) if v2 else None
        controllers = given.value if isinstance(given, Known) else None
        found.append(RootlessUser(int(name), used[0], controllers, path))
    if not found:
        return Absent(RUNTIME_FOLDER, "no user runs an engine of his own")
    return Known(tuple(found), RUNTIME_FOLDER)


ROOTLESS: Fact[tuple[RootlessUser, ...]] = Fact("rootless engines", _gather, waits=False)
