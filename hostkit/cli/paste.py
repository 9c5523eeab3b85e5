# SPDX-License-Identifier: GPL-3.0-or-later
"""`hostkit doctor --paste`: one Markdown block with what maintainers ask for in a bug report.

Nothing is started to answer: dockerd and firewalld are asked only when they run, iptables and
LVM only when the kernel has them loaded. Secrets are taken out before anything is cut off.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from hostkit import __version__, text
from hostkit.facts.fact import Fact, Facts
from hostkit.facts.logs import LOGS
from hostkit.facts.lvm import FIELDS, LVM, VOLUME_GROUPS
from hostkit.facts.modules import MODULES
from hostkit.facts.netfilter import RULESET
from hostkit.facts.processes import ENGINE_PROCESSES
from hostkit.facts.units import UNITS
from hostkit.host import commands
from hostkit.host.answer import Answer, Known
from hostkit.host.commands import Command
from hostkit.host.redact import redact_text
from hostkit.report import lines
from hostkit.report.model import Report
from hostkit.value import NamedTuple

TOTAL_BYTES = 64 << 10
_PART_BYTES = 5 << 10
_LONG_BYTES = 12 << 10  # the packet filter, the logs, our own report
_LEFT_OUT_BYTES = 4 << 10
_BRIDGE = "/proc/sys/net/bridge"
_SYSCTL_FOLDER = "/etc/sysctl.d"
_STORAGE_FILES = ("/etc/sysconfig/docker-storage", "/etc/sysconfig/docker-storage-setup")
_DOCKER_LINE = r"docker|containerd"
_CUT = "... (cut off)"
_NONE = "(no such line)"


class Part(NamedTuple):
    """A command or file and what it says; or why it could not be read.

    `tail`: of too much, the end is what matters.
    """

    title: str
    words: str = ""
    reason: str = ""
    limit: int = _PART_BYTES
    tail: bool = False


def parts(facts: Facts) -> Iterator[Part]:
    """Ask the host for each, in the order of importance."""
    yield _command(facts, commands.UNAME_ALL)
    yield from _docker(facts)
    yield from _storage(facts)
    yield from _logs(facts)
    yield from _network(facts)


def _docker(facts: Facts) -> Iterator[Part]:
    processes = facts.get(ENGINE_PROCESSES)
    for command in (commands.DOCKER_VERSION, commands.DOCKER_INFO):
        title = " ".join(command.argv)
        if not isinstance(processes, Known):
            yield Part(title, reason=f"{processes.source}: {processes.reason}")
        elif not processes.value.running("dockerd"):
            yield Part(title, reason="dockerd does not run, and asking could start it")
        else:
            yield _command(facts, command)


def _storage(facts: Facts) -> Iterator[Part]:
    volumes = facts.get(LVM)
    if isinstance(volumes, Known):
        monitor = ",seg_monitor" * volumes.value.dmeventd  # else asking would start it
        yield _command(facts, commands.LVS, FIELDS + monitor)
    else:
        yield Part("lvs -a", reason=f"{volumes.source}: {volumes.reason}")
    yield _behind(facts, VOLUME_GROUPS, commands.VGS)
    for path in _STORAGE_FILES:
        yield _said(path, facts.host.read(path))
    yield _command(facts, commands.STORAGE_SETUP_STATUS)


def _logs(facts: Facts) -> Iterator[Part]:
    engines = "journalctl -u docker, or the log files, since this boot"
    firewalld = "COMMAND_FAILED of firewalld, since this boot"
    answer = facts.get(LOGS)
    if not isinstance(answer, Known):
        reason = f"{answer.source}: {answer.reason}"
        yield from (Part(title, reason=reason) for title in (engines, firewalld))
        return
    said = [line for log in answer.value for line in log.lines]
    engine = [line for line in said if re.search(_DOCKER_LINE, line)]
    failed = [line for line in said if "COMMAND_FAILED" in line]
    unread = [f"{log.source}: {log.reason}" for log in answer.value if log.reason]
    yield Part(engines, "\n".join(engine) or _NONE, "; ".join(unread), _LONG_BYTES, tail=True)
    yield Part(firewalld, "\n".join(failed) or _NONE, tail=True)


def _network(facts: Facts) -> Iterator[Part]:
    rules = facts.get(RULESET)
    title = " ".join(commands.IPTABLES_SAVE.argv)
    if not isinstance(rules, Known):
        yield Part(title, reason=f"{rules.source}: {rules.reason}")
    elif any(table.iptables for table in rules.value.tables):
        yield _command(facts, commands.IPTABLES_SAVE)._replace(limit=_LONG_BYTES)
    else:
        yield Part(title, "(iptables has no tables)")
    yield _zones(facts)
    yield _bridge(facts)
    modules = facts.get(MODULES)
    title = "lsmod | grep br_netfilter"
    if isinstance(modules, Known):
        yield Part(title, f"br_netfilter: {modules.value.state('br_netfilter')}")
    else:
        yield Part(title, reason=f"{modules.source}: {modules.reason}")
    yield _listed(_SYSCTL_FOLDER, facts.host.listdir(_SYSCTL_FOLDER))


def _zones(facts: Facts) -> Part:
    title = " ".join(commands.FIREWALL_ZONES.argv)
    units = facts.get(UNITS)
    if not isinstance(units, Known):
        return Part(title, reason=f"{units.source}: {units.reason}")
    firewalld = units.value.get("firewalld.service")
    if firewalld is not None and firewalld.state == "active":
        return _command(facts, commands.FIREWALL_ZONES)
    return Part(title, "(firewalld is not active)")


def _bridge(facts: Facts) -> Part:
    title = "sysctl -a | grep bridge"
    names = facts.host.listdir(_BRIDGE)
    if not isinstance(names, Known):
        return _listed(title, names)
    values = [(name, facts.host.read(f"{_BRIDGE}/{name}", 64)) for name in sorted(names.value)]
    said = [
        f"net.bridge.{name} = {text.decode(value.value).strip()}"
        for name, value in values
        if isinstance(value, Known)
    ]
    return Part(title, "\n".join(said))


def _behind(facts: Facts, fact: Fact[Any], command: Command) -> Part:
    """A command that may be run when the fact that guards it has been known."""
    answer = facts.get(fact)
    if isinstance(answer, Known):
        return _command(facts, command)
    return Part(command.argv[0], reason=f"{answer.source}: {answer.reason}")


def _command(facts: Facts, command: Command, *more: str) -> Part:
    title = " ".join((*command.argv, *more))
    answer = facts.host.run(command, *more)
    if not isinstance(answer, Known):
        return Part(title, reason=answer.reason)
    said = (answer.value.stdout, answer.value.stderr)  # docker info warns on the latter
    return Part(title, "\n".join(text.decode(one).rstrip("\n") for one in said if one))


def _said(title: str, answer: Answer[bytes]) -> Part:
    if isinstance(answer, Known):
        return Part(title, text.decode(answer.value))
    return Part(title, reason=answer.reason)


def _listed(title: str, answer: Answer[tuple[str, ...]]) -> Part:
    if isinstance(answer, Known):
        return Part(f"ls {title}", "\n".join(sorted(answer.value)))
    return Part(title, reason=answer.reason)


def render(report: Report, found: Iterable[Part]) -> str:
    """The whole block, at most TOTAL_BYTES of UTF-8."""
    heading = " | ".join((f"hostkit {__version__}", *map(text.printable, report.identity)))
    ours = Part("hostkit doctor", lines.render(report), limit=_LONG_BYTES)
    unread: list[str] = []
    pieces = [f"### {heading}\n"]
    room = TOTAL_BYTES - _LEFT_OUT_BYTES - _size(pieces)
    for part in (ours, *found):
        if part.reason:
            unread.append(f"- `{_line(part.title)}`: {_line(part.reason)}")
        if not part.words:
            continue
        piece = _section(part, min(part.limit, room))
        if _size([piece]) > room:
            unread.append(f"- `{_line(part.title)}`: left out, this would be too long")
            continue
        pieces.append(piece)
        room -= _size([piece])
    if unread:
        said = _bounded("\n".join(unread), _LEFT_OUT_BYTES - 64, tail=False)
        pieces.append(f"\nCould not be read:\n\n{said}\n")
    return "".join(pieces)


def _section(part: Part, limit: int) -> str:
    clean, _ = redact_text(part.title, part.words)
    said = "\n".join(map(text.printable, clean.rstrip().split("\n")))
    longest = max(map(len, re.findall(r"`+", said)), default=0)
    fence = "`" * max(3, longest + 1)
    head, foot = f"\n`{_line(part.title)}`\n\n{fence}text\n", f"\n{fence}\n"
    return head + _bounded(said, limit - _size([head, foot]), tail=part.tail) + foot


def _line(words: str) -> str:
    clean, _ = redact_text("", words)
    return text.shorten(text.printable(clean).replace("`", "'"), 200)


def _bounded(words: str, limit: int, *, tail: bool) -> str:
    """Whole lines from the beginning or the end, as many as fit; what is missing is said."""
    if _size([words]) <= limit:
        return words
    kept: list[str] = []
    room = limit - len(_CUT) - 1
    said = words.split("\n")
    for line in reversed(said) if tail else said:
        room -= _size([line]) + 1
        if room < 0:
            break
        kept.append(line)
    return "\n".join([_CUT, *reversed(kept)] if tail else [*kept, _CUT])


def _size(pieces: Sequence[str]) -> int:
    return sum(len(piece.encode("utf-8", "replace")) for piece in pieces)
