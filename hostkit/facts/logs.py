# SPDX-License-Identifier: GPL-3.0-or-later
"""What engines, firewalld, the kernel and audit said since this boot and their last start.

Older lines are dropped wherever their age can be told: a trouble that a restart has
mended is not a trouble of now. Every source is bounded.
"""

import calendar
import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from hostkit import text
from hostkit.data import load_json
from hostkit.facts.fact import Fact, Facts
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.host.base import Host, Output
from hostkit.host.commands import DMESG, JOURNAL_KERNEL, JOURNAL_UNITS
from hostkit.value import NamedTuple

LINE_COUNT = 2000
BYTES = 1 << 20
LINE_BYTES = 16384
# dockerd's own files: upstart (Ubuntu 14.04), sysvinit (Debian, EL6), OpenRC.
ENGINE_FILES = ("/var/log/upstart/docker.log", "/var/log/docker.log", "/var/log/docker")
SYSTEM_FILES = ("/var/log/messages", "/var/log/syslog")
AUDIT_FILE = "/var/log/audit/audit.log"
_OURS = ("docker", "containerd", "firewalld", "podman", "runc", "kernel:")
_STARTING = "7d4958e842da4a758f6c1cdc7b36dcc5"  # SD_MESSAGE_UNIT_STARTING (sd-messages.h)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ISO = r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,]\d{1,9})?(Z|[+-]\d\d:?\d\d)?"
_SYSLOG = r"([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d):(\d\d):(\d\d) "
_AUDIT = r"audit\((\d{9,11})\.\d+:\d+\)"
_BTIME = r"(?m)^btime (\d{1,11})$"
_BYTE = 256
_ZONE_S = 26 * 3600  # a time without a zone may be this far off, by any pair of zones
_SLACK_S = 120  # the clock is often set a little after boot


class Log(NamedTuple):
    """Lines of one source, oldest first. `truncated`: there was more before them.

    `reason`, when it could not be read: why; there are no lines then.
    """

    source: str
    lines: tuple[str, ...]
    truncated: bool = False
    reason: str = ""


class Entry(NamedTuple):
    """One message of the journal; `starting`: systemd begins to start `unit`."""

    unit: str
    starting: bool
    lines: tuple[str, ...]


def parse_journal(content: str) -> tuple[Entry, ...]:
    r"""Parse `journalctl -r -o json` into entries, oldest first; broken lines are left out.

    A message that is not plain text is an array of bytes (shown as `[35B blob data]`).

    >>> parse_journal('{"_SYSTEMD_UNIT":"a.service","SYSLOG_IDENTIFIER":"a",'
    ...     '"MESSAGE":[104,105],"__REALTIME_TIMESTAMP":"1000000"}\n')[0].lines
    ('1970-01-01T00:00:01Z a: hi',)
    """
    entries: list[Entry] = []
    for line in content.splitlines():
        if line.startswith("{"):  # not "-- No entries --"
            try:
                fields = load_json(line)
            except ValueError:
                continue  # the last one may be cut off
            entries.append(_entry(cast("dict[str, Any]", fields)))
    return tuple(reversed(entries))


def _entry(fields: dict[str, Any]) -> Entry:
    who = _field(fields, "SYSLOG_IDENTIFIER") or _field(fields, "_COMM")
    pid = _field(fields, "_PID") if who not in ("", "kernel") else ""
    stamp = _field(fields, "__REALTIME_TIMESTAMP")
    head = f"{_utc(stamp)} {who}{f'[{pid}]' if pid else ''}: "
    message = _field(fields, "MESSAGE")
    return Entry(
        unit=_field(fields, "UNIT") or _field(fields, "_SYSTEMD_UNIT"),
        starting=_field(fields, "MESSAGE_ID") == _STARTING,
        lines=tuple(head + line for line in message.splitlines()),
    )


def _field(fields: dict[str, Any], name: str) -> str:
    """A field as text: a string, an array of bytes, or an array of values (the first)."""
    value = fields.get(name)
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not value:
        return ""
    items = cast("list[object]", value)
    octets = [item for item in items if isinstance(item, int) and 0 <= item < _BYTE]
    if len(octets) == len(items):
        return text.decode(bytes(octets))
    return items[0] if isinstance(items[0], str) else ""


def _utc(microseconds: str) -> str:
    if not (microseconds.isascii() and microseconds.isdigit() and len(microseconds) < 18):  # noqa: PLR2004 - up to the year 5138
        return "-"
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(microseconds) // 1_000_000))


def since_last_start(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Without what a unit said before systemd last began to start it."""
    began = {entry.unit: at for at, entry in enumerate(entries) if entry.starting}
    return tuple(entry for at, entry in enumerate(entries) if at >= began.get(entry.unit, 0))


def written_at(line: str, now: float) -> tuple[float, float] | None:
    """When a line was written and by how much that may be wrong, in seconds; None: no time.

    A syslog time has no year: it is the latest that is not after `now`.

    >>> written_at('time="1970-01-02T00:00:00.5Z" level=info', 0.0)
    (86400.0, 120)
    >>> written_at("Jan  2 00:00:00 host dockerd[1]: x", 1e6)
    (86400.0, 93600)
    """
    head = line[:200]
    audit = re.search(_AUDIT, head)
    if audit:
        return float(audit[1]), _SLACK_S
    iso = re.search(_ISO, head)
    if iso:
        return _iso_time(iso)
    syslog = re.match(_SYSLOG, head)
    if not syslog or syslog[1] not in _MONTHS:
        return None
    month = _MONTHS.index(syslog[1]) + 1
    year = time.gmtime(now).tm_year
    clock = (month, int(syslog[2]), int(syslog[3]), int(syslog[4]), int(syslog[5]))
    moment = calendar.timegm((year, *clock))
    if moment > now + _ZONE_S:
        moment = calendar.timegm((year - 1, *clock))
    return float(moment), _ZONE_S


def _iso_time(iso: "re.Match[str]") -> tuple[float, float] | None:
    year, month, day, hour, minute, second = (int(iso[at]) for at in range(1, 7))
    if not (year >= 1970 and 1 <= month <= 12 and 1 <= day <= 31):  # noqa: PLR2004 - a calendar
        return None
    moment = float(calendar.timegm((year, month, day, hour, minute, second)))
    zone = iso[7]
    if zone is None:
        return moment, _ZONE_S
    if zone != "Z":
        digits = zone[1:].replace(":", "")
        offset = int(digits[:2]) * 3600 + int(digits[2:]) * 60
        moment -= offset if zone[0] == "+" else -offset
    return moment, _SLACK_S


def since_boot(lines: Iterable[str], boot: float | None, now: float) -> tuple[str, ...]:
    """Without the lines that were surely written before the kernel last started."""
    kept: list[str] = []
    for line in lines:
        if " kernel: " in line and "Linux version " in line:
            kept.clear()  # the first line of a boot
        at = written_at(line, now) if boot is not None else None
        if at is None or boot is None or at[0] + at[1] >= boot:
            kept.append(line)
    return tuple(kept)


def since_daemon_start(lines: Sequence[str]) -> tuple[str, ...]:
    """Without dockerd's lines before its last `Starting up` (18.09 and later print it)."""
    began = max((at for at, line in enumerate(lines) if 'msg="Starting up"' in line), default=0)
    return tuple(
        line
        for at, line in enumerate(lines)
        if at >= began or not ("level=" in line and "msg=" in line)
    )


def _capped(source: str, lines: Sequence[str], *, truncated: bool = False) -> Log:
    """The newest lines that fit."""
    kept: list[str] = []
    room = BYTES
    for line in reversed(lines[-LINE_COUNT:]):
        cut = line[:LINE_BYTES]
        room -= len(cut)
        if room < 0:
            break
        kept.append(cut)
    return Log(source, tuple(reversed(kept)), truncated or len(kept) < len(lines))


def _failed(answer: Absent | Unreadable) -> tuple[Log, ...]:
    """What is not there is no source; what cannot be read is said."""
    return (Log(answer.source, (), reason=answer.reason),) if isinstance(answer, Unreadable) else ()


def _journal(host: Host, answer: Answer[Output]) -> tuple[Log, ...]:
    if not isinstance(answer, Known):
        return _failed(answer)
    entries = since_last_start(parse_journal(text.decode(answer.value.stdout)))
    lines = [line for entry in entries for line in entry.lines]
    if not lines:
        # journalctl shows an ordinary user nothing, and says so on stderr only.
        reason = "" if host.privileged else "shows its lines to root and the group systemd-journal"
        return (Log(answer.source, (), reason=reason),)
    return (_capped(answer.source, lines, truncated=answer.value.truncated),)


def _kernel(host: Host) -> tuple[Log, ...]:
    ring = host.run(DMESG)
    if isinstance(ring, Known):
        lines = text.decode(ring.value.stdout).splitlines()
        return (_capped(ring.source, lines, truncated=ring.value.truncated),)
    journal = host.run(JOURNAL_KERNEL)
    return _journal(host, journal) if isinstance(journal, Known) else _failed(ring)


def _file(
    facts: Facts, path: str, boot: float | None, wanted: Callable[[str], bool]
) -> tuple[Log, ...]:
    answer = facts.host.tail(path, BYTES)
    if not isinstance(answer, Known):
        return _failed(answer)
    lines = text.decode(answer.value.data).splitlines()
    if answer.value.truncated:
        del lines[:1]  # begins in the middle
    chosen = since_boot(filter(wanted, lines), boot, facts.host.taken_at)
    return (_capped(path, since_daemon_start(chosen), truncated=answer.value.truncated),)


def _about_containers(line: str) -> bool:
    return any(word in line for word in _OURS)


def _denial(line: str) -> bool:
    return "avc:" in line or "apparmor=" in line


def _any(line: str) -> bool:
    return bool(line)


def _boot_time(host: Host) -> float | None:
    answer = host.read("/proc/stat")
    found = re.search(_BTIME, text.decode(answer.value)) if isinstance(answer, Known) else None
    return float(found[1]) if found else None


def _gather(facts: Facts) -> Answer[tuple[Log, ...]]:
    host = facts.host
    boot = _boot_time(host)
    logs = _journal(host, host.run(JOURNAL_UNITS))
    if not any(log.lines for log in logs):
        for path in ENGINE_FILES:
            logs += _file(facts, path, boot, _any)
        for path in SYSTEM_FILES:
            logs += _file(facts, path, boot, _about_containers)
    logs += _kernel(host)
    logs += _file(facts, AUDIT_FILE, boot, _denial)
    if not logs:
        return Absent("journalctl, dmesg, /var/log", "no log was found")
    return Known(logs, "logs")


LOGS: Fact[tuple[Log, ...]] = Fact("logs", _gather, waits=True)
