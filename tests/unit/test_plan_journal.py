# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal survives a cut anywhere, and shows every other damage."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.errors import InputError, Refused
from hostkit.plan.codec import to_json
from hostkit.plan.journal import Event, Header, Journals, Status, parse_journal
from hostkit.system.file import WriteFile

RUN = "20261121T022814-3f9c"
STEPS = (
    to_json(WriteFile("/etc/a", b"a\n", 0o644, None)),
    to_json(WriteFile("/etc/b", b"\xff", 0o644, None)),
)
HEADER = Header(RUN, "a title", "2026-11-21T02:28:14Z", STEPS)
EVENTS = (
    (Event.APPLYING, 0),
    (Event.APPLIED, 0),
    (Event.APPLYING, 1),
    (Event.APPLIED, 1),
    (Event.FINISHED, None),
)


@pytest.fixture
def journals(tmp_path: Path) -> Journals:
    kept = Journals(str(tmp_path / "state"))
    with kept.lock(), kept.create(HEADER) as journal:
        for event, step in EVENTS:
            journal.append(event, step)
    return kept


@pytest.fixture
def path(journals: Journals) -> Path:
    return Path(journals.folder) / f"{RUN}.jsonl"


def test_it_is_private(journals: Journals, path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    assert Path(journals.folder).stat().st_mode & 0o777 == 0o700


def test_what_was_written_is_read(journals: Journals) -> None:
    written = journals.read(RUN)
    assert written.header == HEADER
    assert [(entry.event, entry.step) for entry in written.entries] == list(EVENTS)
    assert journals.runs()[0].status is Status.APPLIED


def test_cut_at_any_byte_it_says_how_far_the_run_came(path: Path) -> None:
    data = path.read_bytes()
    ends = [at + 1 for at, byte in enumerate(data) if byte == ord("\n")]
    for size in range(len(data)):
        written = parse_journal(data[:size], RUN)
        whole = sum(end <= size for end in ends)
        assert (written.header is None) == (whole == 0)
        assert len(written.entries) == max(0, whole - 1)
        assert written.size == (ends[whole - 1] if whole else 0)


def test_after_a_cut_the_next_line_stands_alone(journals: Journals, path: Path) -> None:
    data = path.read_bytes()
    for size in range(len(data) - 150, len(data) - 1):
        path.write_bytes(data[:size])
        with journals.open(RUN) as journal:
            journal.append(Event.UNDO, note="again")
        assert journals.read(RUN).entries[-1].note == "again"


def test_a_block_never_written_is_a_torn_line(path: Path) -> None:
    data = path.read_bytes()
    last = data.rindex(b"\n", 0, -1) + 1
    torn = data[:last] + b"\0" * 30 + data[last + 30 :]
    assert len(parse_journal(torn, RUN).entries) == len(EVENTS) - 1


def test_a_changed_byte_anywhere_is_damage(path: Path) -> None:
    data = path.read_bytes()
    for at in range(len(data) - 1):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(ValueError, match=r"."):
            parse_journal(changed, RUN)


def test_a_lost_or_moved_line_is_damage(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    for at in range(len(lines) - 1):
        with pytest.raises(ValueError, match="not what was written"):
            parse_journal(b"".join(lines[:at] + lines[at + 1 :]), RUN)
    lines[2], lines[3] = lines[3], lines[2]
    with pytest.raises(ValueError, match="not what was written"):
        parse_journal(b"".join(lines), RUN)


def test_the_journal_of_another_run_is_damage(path: Path) -> None:
    with pytest.raises(ValueError, match="not what was written"):
        parse_journal(path.read_bytes(), "20261121T022814-ffff")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        parse_journal(data, RUN)
    except ValueError:
        pass


def test_damage_is_an_input_error_and_is_listed(journals: Journals, path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"/etc/a", b"/etc/z"))
    with pytest.raises(InputError, match="damaged"):
        journals.open(RUN)
    assert "damaged" in journals.runs()[0].damage


@pytest.mark.parametrize("run", ["../../etc/passwd", "", "lock", RUN + "\n", "a\x1b[2J"])
def test_a_name_that_is_no_run_is_refused(journals: Journals, run: str) -> None:
    with pytest.raises(InputError, match="not the name of a run"):
        journals.read(run)


def test_a_run_that_is_not_there_is_said(journals: Journals) -> None:
    with pytest.raises(InputError, match="there is no run"):
        journals.read("20200101T000000-0000")


def test_a_journal_that_others_may_write_is_not_used(journals: Journals, path: Path) -> None:
    path.chmod(0o620)
    with pytest.raises(InputError, match="another user"):
        journals.read(RUN)
    path.chmod(0o600)
    os.chmod(journals.folder, 0o770)
    with pytest.raises(InputError, match="another user"):
        journals.read(RUN)


def test_a_folder_above_that_others_may_rename_is_not_used(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    kept = Journals(str(shared / "state"))
    with pytest.raises(InputError, match=f"{shared} can be written"), kept.lock():
        raise AssertionError
    shared.chmod(0o1777)
    with kept.lock():
        pass


def test_a_file_system_without_locks_is_refused(
    journals: Journals, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with pytest.raises(Refused, match="No locks available"), journals.lock():
        raise AssertionError


def test_an_error_of_the_work_is_not_taken_for_another_hostkit(journals: Journals) -> None:
    with pytest.raises(BlockingIOError), journals.lock():
        raise BlockingIOError(11, "Resource temporarily unavailable")


def test_a_link_or_fifo_in_place_of_a_journal_is_not_used(journals: Journals, path: Path) -> None:
    path.rename(path.with_name("real"))
    path.symlink_to("real")
    with pytest.raises(InputError, match="link"):
        journals.read(RUN)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InputError, match="plain file"):
        journals.read(RUN)


def test_only_one_may_hold_the_lock(journals: Journals) -> None:
    with (
        journals.lock(),
        pytest.raises(Refused, match="another hostkit"),
        Journals(os.path.dirname(journals.folder)).lock(),
    ):
        raise AssertionError("both hold it")
    with journals.lock():
        pass


def test_a_full_disk_leaves_no_half_line(
    journals: Journals, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = path.read_bytes()
    real = os.write

    def full(descriptor: int, line: bytes) -> int:
        real(descriptor, line[:10])
        raise OSError(28, "No space left on device")

    with journals.open(RUN) as journal:
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            with pytest.raises(OSError, match="No space"):
                journal.append(Event.UNDO)
        assert path.read_bytes() == data
        journal.append(Event.UNDO)
    assert journals.runs()[0].status is Status.UNDO_CUT_OFF


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match="cannot be used"), Journals(f"{tmp_path}/file/x").lock():
        raise AssertionError
