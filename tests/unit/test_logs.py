# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs: only what is of now, and whatever a journal may hold."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hostkit.facts import logs
from hostkit.facts.logs import LOGS, Log
from hostkit.host.answer import Absent, Known
from hostkit.host.commands import DMESG, JOURNAL_KERNEL, JOURNAL_UNITS
from tests.fakes import Said, make_facts

UNITS = " ".join(JOURNAL_UNITS.argv)
KERNEL = " ".join(JOURNAL_KERNEL.argv)
RING = " ".join(DMESG.argv)
BOOT = 1_699_990_000


def entry(message: object, unit: str = "docker.service", **fields: Any) -> str:
    """One line of `journalctl -o json`, of a minute after the boot."""
    base = {
        "__REALTIME_TIMESTAMP": str((BOOT + 60) * 1_000_000),
        "_SYSTEMD_UNIT": unit,
        "SYSLOG_IDENTIFIER": unit.partition(".")[0],
        "_PID": "7",
        "MESSAGE": message,
    }
    return json.dumps({**base, **fields}) + "\n"


def starting(unit: str) -> str:
    return entry("Starting", "init.scope", UNIT=unit, MESSAGE_ID="7d4958e842da4a758f6c1cdc7b36dcc5")


def gathered(
    commands: dict[str, Said], files: dict[str, str] | None = None, **host: Any
) -> tuple[Log, ...]:
    stat = {"/proc/stat": f"cpu 1 2\nbtime {BOOT}\n"}
    facts = make_facts({**stat, **(files or {})}, commands=commands, **host)
    answer = facts.get(LOGS)
    return answer.value if isinstance(answer, Known) else ()


def test_the_journal_is_read_oldest_first() -> None:
    (log,) = gathered({UNITS: entry("second") + entry("first")})
    assert log.lines == (
        "2023-11-14T19:27:40Z docker[7]: first",
        "2023-11-14T19:27:40Z docker[7]: second",
    )


def test_blobs_lines_and_odd_fields() -> None:
    (log,) = gathered(
        {
            UNITS: entry(list(b"\xffblob\x1b[2J"))
            + entry("two\nlines")
            + entry(None)
            + entry(["first", "second"])
            + entry("x", __REALTIME_TIMESTAMP="9" * 400)
            + "-- No entries --\n{broken\n"
        }
    )
    words = [line.partition(": ")[2] for line in log.lines]
    assert words == ["x", "first", "two", "lines", "\ufffdblob\x1b[2J"]
    assert log.lines[0].startswith("- ")


def test_what_a_unit_said_before_its_last_start_is_past() -> None:
    journal = "".join(
        (
            entry("now"),
            starting("docker.service"),
            entry("zone", "firewalld.service"),
            entry("before"),
            starting("docker.service"),
            entry("long before"),
        )
    )
    (log,) = gathered({UNITS: journal})
    assert [line.partition(": ")[2] for line in log.lines] == ["zone", "Starting", "now"]


def test_an_ordinary_user_sees_no_journal_and_is_told() -> None:
    found = gathered({UNITS: "", RING: ("", 1)}, privileged=False)
    assert found[0].lines == ()
    assert "root" in found[0].reason
    assert found[1].source == RING
    assert found[1].reason


def test_without_a_journal_files_are_read() -> None:
    old = 'time="2023-11-14T10:00:00Z" level=error msg="of the boot before"\n'
    before = 'time="2023-11-14T19:27:00Z" level=error msg="before the start"\n'
    start = 'time="2023-11-14T19:28:00Z" level=info msg="Starting up"\n'
    new = 'time="2023-11-14T19:28:01Z" level=error msg="now"\n'
    (log,) = gathered({}, {"/var/log/docker.log": old + before + start + new})
    assert [line.partition("msg=")[2] for line in log.lines] == ['"Starting up"', '"now"']


def test_syslog_is_cut_at_the_boot_and_sifted() -> None:
    content = (
        "Nov 14 19:00:00 h kernel: old one\n"
        "Nov 14 19:26:40 h kernel: [    0.000000] Linux version 3.10.0\n"
        "Nov 14 19:27:00 h cron[1]: nothing of ours\n"
        "Nov 14 19:27:01 h dockerd: ours\n"
    )
    (log,) = gathered({}, {"/var/log/messages": content})
    assert [line[16:] for line in log.lines] == [
        "h kernel: [    0.000000] Linux version 3.10.0",
        "h dockerd: ours",
    ]


def test_lines_of_last_year_are_past() -> None:
    (log,) = gathered({}, {"/var/log/syslog": "Dec 30 10:00:00 h dockerd: old\n"})
    assert log.lines == ()


def test_the_ring_comes_first_and_the_journal_instead() -> None:
    assert gathered({RING: "[1.0] a\n"})[0] == Log("dmesg", ("[1.0] a",))
    (log,) = gathered({RING: ("", 1), KERNEL: entry("from the journal", "")})
    assert log.lines[0].endswith("from the journal")


def test_denials_are_read_from_audit() -> None:
    avc = f"type=AVC msg=audit({BOOT + 5}.1:1): avc:  denied  {{ read }} for pid=1\n"
    old = f"type=AVC msg=audit({BOOT - 5000}.1:1): avc:  denied  {{ read }} for pid=1\n"
    other = f"type=USER msg=audit({BOOT + 5}.1:1): pid=1\n"
    (log,) = gathered({}, {"/var/log/audit/audit.log": old + avc + other})
    assert log.lines == (avc.strip(),)


def test_every_source_is_bounded() -> None:
    (log,) = gathered({RING: "".join(f"[{n}] x\n" for n in range(5000))})
    assert len(log.lines) == logs.LINE_COUNT
    assert log.lines[-1] == "[4999] x"
    assert log.truncated
    (log,) = gathered({RING: ("x" * 30_000 + "\n") * 100})
    assert sum(map(len, log.lines)) <= logs.BYTES
    assert max(map(len, log.lines)) == logs.LINE_BYTES
    (log,) = gathered({}, {"/var/log/docker.log": "y" * (logs.BYTES + 5) + "\nlast\n"})
    assert log.lines == ("last",)
    assert log.truncated


def test_a_file_that_cannot_be_read_is_said() -> None:
    (log,) = gathered({}, {}, unreadable={"/var/log/messages": "Permission denied"})
    assert (log.source, log.reason) == ("/var/log/messages", "Permission denied")


def test_no_log_at_all() -> None:
    assert isinstance(make_facts({}).get(LOGS), Absent)


@given(st.text(max_size=500), st.floats(0, 4e9))
def test_any_line_has_a_time_or_none(line: str, now: float) -> None:
    logs.written_at(line, now)


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["MESSAGE", "_PID", "UNIT", "__REALTIME_TIMESTAMP", "MESSAGE_ID"]),
            st.none() | st.text() | st.integers() | st.lists(st.integers() | st.text()),
        ),
        max_size=5,
    )
)
def test_any_journal_parses(entries: list[dict[str, Any]]) -> None:
    logs.parse_journal("\n".join(json.dumps(one) for one in entries))
