# SPDX-License-Identifier: GPL-3.0-or-later
"""A sysctl put right, now and for every boot to come."""

import os
import stat

from hostkit import text
from hostkit.diagnosis.finding import Finding
from hostkit.diagnosis.problem import Remedy
from hostkit.errors import Refused
from hostkit.facts.fact import Facts
from hostkit.facts.sysctl import (
    ALIASES,
    CONFIGURED,
    FOLDERS,
    MAIN_FILE,
    Assignment,
    parse_sysctl_conf,
    sysctl,
)
from hostkit.host.answer import Absent, Known
from hostkit.plan.plan import Plan, new_plan
from hostkit.plan.step import Step
from hostkit.repair.sysctl_conf import append_line, same_key, set_in_line
from hostkit.system.file import FileState, WriteFile
from hostkit.system.machine import Machine
from hostkit.system.sysctl import Reset, SetSysctl

# The first that sorts after the file that decides now; what sorts after all of them is
# edited instead.
DROP_INS = ("99-hostkit.conf", "99-zzz-hostkit.conf", "zzz-hostkit.conf")
_LINKS = 8
_IP_FORWARD = "net.ipv4.ip_forward"
# The kernel copies these to every interface, in ways that hostkit cannot yet undo.
_SPREADING = ("net.ipv4.conf.all.", "net.ipv4.conf.default.", "net.ipv6.conf.")


def plan_sysctl(facts: Facts, remedy: Remedy, finding: Finding) -> Plan[Machine]:
    """Set `key` to `value` of the remedy's parameters; no step for what is right already."""
    key = ALIASES.get(remedy.parameters["key"], remedy.parameters["key"])
    value = remedy.parameters["value"]
    steps = (*_now(facts, key, value), *_at_boot(facts, key, value))
    return new_plan(f"{finding.problem}: {key} = {value}", steps)


def _now(facts: Facts, key: str, value: str) -> tuple[Step[Machine], ...]:
    before = _value(facts, key)
    if before == value:
        return ()
    if key.startswith(_SPREADING):
        raise Refused(f"hostkit cannot undo what setting {key} does to every interface")
    return (SetSysctl(key, value, before, _resets(facts, key, value)),)


def _resets(facts: Facts, key: str, value: str) -> tuple[Reset, ...]:
    """What the kernel sets by itself when ip_forward changes (net/ipv4/devinet.c).

    It sets forwarding of every interface and of those to come to the same value, and
    accept_redirects of `all` to the opposite; turned back, it does not remember.
    """
    if key != _IP_FORWARD:
        return ()
    names = facts.host.listdir("/proc/sys/net/ipv4/conf")
    if not isinstance(names, Known):
        raise Refused(f"the interfaces cannot be listed: {names.reason}")
    redirects = "net.ipv4.conf.all.accept_redirects"
    keys = [
        f"net.ipv4.conf.{name.replace('.', '/')}.forwarding"
        for name in names.value
        if name != "all"
    ]
    opposite = "0" if value == "1" else "1"
    return (
        Reset(redirects, _value(facts, redirects), opposite),
        *(Reset(one, _value(facts, one), value) for one in keys),
    )


def _value(facts: Facts, key: str) -> str:
    answer = facts.get(sysctl(key))
    if not isinstance(answer, Known):
        raise Refused(f"{key} cannot be read: {answer.reason}")
    return " ".join(answer.value.split())


def _at_boot(facts: Facts, key: str, value: str) -> tuple[Step[Machine], ...]:
    answer = facts.get(CONFIGURED)
    if not isinstance(answer, Known):
        raise Refused(f"what the next boot sets cannot be read: {answer.reason}")
    if answer.value.unreadable:
        first = answer.value.unreadable[0]
        raise Refused(f"{first.source} cannot be read, and may decide: {first.reason}")
    every = [one for one in answer.value.assignments if same_key(one.key, key)]
    # systemd reads /etc/sysctl.conf in the place of its link, procps once more at the end:
    # what it says must be right whichever of them runs.
    main = [one for one in every if _resolve(facts, one.file) == MAIN_FILE]
    steps: list[Step[Machine]] = []
    if main and main[-1].value != value:
        steps.append(_edit(facts, main[-1], key, value))
    winner = every[-1] if every else None
    if winner is None or (winner.value != value and winner not in main):
        steps.append(_outrank(facts, winner, key, value))
    return tuple(steps)


def _outrank(facts: Facts, winner: Assignment | None, key: str, value: str) -> Step[Machine]:
    """A drop-in read after the file that decides now, or else an edit of that very file."""
    last = os.path.basename(winner.file) if winner else ""
    for name in DROP_INS:
        if name > last and _is_free(facts, name):
            return _drop_in(facts, f"{FOLDERS[0]}/{name}", key, value)
    assert winner is not None
    if not winner.file.startswith("/etc/"):
        raise Refused(
            f"{winner.file} sets {key} to {winner.value}, is read last and belongs to a package",
            f"copy it to {FOLDERS[0]} and change the line there",
        )
    return _edit(facts, winner, key, value)


def _is_free(facts: Facts, name: str) -> bool:
    """Whether our file may have this name: it would hide one in a later folder."""
    others = (facts.host.stat(f"{folder}/{name}", follow=False) for folder in FOLDERS[1:])
    own = facts.host.stat(f"{FOLDERS[0]}/{name}", follow=False)
    usable = isinstance(own, Absent) or (isinstance(own, Known) and own.value.kind == "file")
    return usable and all(isinstance(other, Absent) for other in others)


def _drop_in(facts: Facts, path: str, key: str, value: str) -> Step[Machine]:
    if not isinstance(facts.host.stat(FOLDERS[0]), Known):
        raise Refused(f"there is no folder {FOLDERS[0]}", f"mkdir -m 755 {FOLDERS[0]}")
    before = _state(facts, path)
    content = before.content if before else b"# Written by hostkit fix; hostkit undo removes it.\n"
    if _assigned(content, path, key):  # else it would have been the file that decides
        raise Refused(f"{path} was changed while hostkit looked", "run it again")
    return WriteFile(path, append_line(content, f"{key} = {value}"), 0o644, before)


def _edit(facts: Facts, assignment: Assignment, key: str, value: str) -> Step[Machine]:
    path = _resolve(facts, assignment.file)
    before = _state(facts, path)
    if before is None:
        raise Refused(f"{path} has gone")
    try:
        content = set_in_line(before.content, key, value)
    except ValueError as error:
        raise Refused(f"{path}: {error}") from None
    if _assigned(content, path, key)[-1:] != [value]:
        raise Refused(f"{path} cannot be edited safely: its lines are not separated as usual")
    return WriteFile(path, content, 0o644, before)


def _assigned(content: bytes, path: str, key: str) -> list[str]:
    every = parse_sysctl_conf(text.decode(content), path)
    return [one.value for one in every if same_key(one.key, key)]


def _state(facts: Facts, path: str) -> FileState | None:
    found = facts.host.stat(path, follow=False)
    if isinstance(found, Absent):
        return None
    content = facts.host.read(path)
    if not isinstance(found, Known) or not isinstance(content, Known):
        raise Refused(f"{path} cannot be read")
    about = found.value
    return FileState(content.value, stat.S_IMODE(about.mode), about.uid, about.gid)


def _resolve(facts: Facts, path: str) -> str:
    """The file that a symbolic link stands for."""
    for _ in range(_LINKS):
        found = facts.host.stat(path, follow=False)
        if not isinstance(found, Known) or found.value.kind != "link":
            return path
        path = os.path.normpath(os.path.join(os.path.dirname(path), found.value.target))
    raise Refused(f"{path}: too many symbolic links")
