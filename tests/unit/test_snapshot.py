# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot says what the host said, and a hostile one says one clear error."""

import gzip
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostkit.errors import InputError
from hostkit.host import archive
from hostkit.host.answer import Absent, Known, Unreadable
from hostkit.host.base import Host, Space
from hostkit.host.commands import Command
from hostkit.host.record import Recorder, write_snapshot
from hostkit.host.snapshot import SnapshotHost
from hostkit.host.textonly import TextHost
from tests.fakes import FakeHost

TOOL = Command(("tool",), ok=(0, 3), root=True)


def fake() -> FakeHost:
    return FakeHost(
        {"/etc/a": "one", "/bin/data": bytes(range(256)) * 8000, "/log": "1\n2\n3\n"},
        links={"/l": "/etc/a"},
        spaces={"/": Space(9, 8, 7, 6, 5)},
        commands={"tool": ("out", 3, "err"), "tool bad": ("", 1)},
        native={"lib.topic": {"a": [1, 2.5, None, "x"]}},
        unreadable={"/etc/shadow": "Permission denied"},
        needs_root=True,
        name="h1",
        privileged=False,
    )


def everything(host: Host) -> list[Any]:
    return [
        host.read("/etc/a"),
        host.read("/bin/data"),
        host.read("/none"),
        host.read("/etc/shadow"),
        host.tail("/log", 4),
        host.listdir("/etc"),
        host.listdir("/none"),
        host.stat("/l"),
        host.stat("/l", follow=False),
        host.space("/etc"),
        host.run(TOOL),
        host.run(TOOL, "bad"),
        host.run(Command(("missing",))),
        host.native("lib.topic"),
        host.native("lib.none"),
        (host.name, host.taken_at, host.privileged),
    ]


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    recorder = Recorder(fake())
    everything(recorder)
    path = tmp_path / "snap.tar.gz"
    write_snapshot(recorder, str(path))
    return path


def test_it_answers_as_the_host_did(snapshot: Path) -> None:
    assert everything(SnapshotHost(str(snapshot))) == everything(fake())


def test_what_was_not_asked_is_unreadable(snapshot: Path) -> None:
    host = SnapshotHost(str(snapshot))
    assert host.read("/etc/b") == Unreadable("/etc/b", "not collected in this snapshot")
    assert isinstance(host.run(TOOL, "x"), Unreadable)
    assert isinstance(host.read("/etc/a", 1), Unreadable)


def test_only_its_owner_may_read_it_and_nothing_is_overwritten(snapshot: Path) -> None:
    assert snapshot.stat().st_mode & 0o777 == 0o600
    with pytest.raises(InputError, match="exists already"):
        write_snapshot(Recorder(fake()), str(snapshot))
    with pytest.raises(InputError, match="cannot write"):
        write_snapshot(Recorder(fake()), str(snapshot.parent / "none" / "x"))


def test_the_same_answers_give_the_same_bytes(snapshot: Path) -> None:
    recorder = Recorder(fake())
    everything(recorder)
    again = snapshot.with_name("again")
    write_snapshot(recorder, str(again))
    assert again.read_bytes() == snapshot.read_bytes()


def test_secrets_stay_at_home(tmp_path: Path) -> None:
    host = FakeHost(
        {"/etc/proxy": "HTTP_PROXY=http://me:hunter2@proxy:3128\n"},
        commands={"tool": ('{"splunk-token": "hunter2"}', 0, "token=hunter2")},
        native={"lib": [{"x": "https://hunter2@h/"}]},
        unreadable={"/x": "bad url http://a:hunter2@h"},
    )
    recorder = Recorder(host)
    recorder.read("/etc/proxy")
    recorder.run(TOOL)
    recorder.native("lib")
    recorder.read("/x")
    path = tmp_path / "s"
    assert write_snapshot(recorder, str(path)) == 5
    assert b"hunter2" not in gzip.decompress(path.read_bytes())
    assert SnapshotHost(str(path)).read("/etc/proxy") == Known(
        b"HTTP_PROXY=http://REDACTED:REDACTED@proxy:3128\n", "/etc/proxy"
    )


def test_a_question_asked_twice_has_one_answer() -> None:
    host = fake()
    recorder = Recorder(host)
    assert recorder.read("/etc/a") == recorder.read("/etc/a") == Known(b"one", "/etc/a")
    assert isinstance(recorder.read("/etc/a", 1), Unreadable)
    assert host.asked == ["read /etc/a"]
    assert isinstance(recorder.read("/log", 1), Unreadable)
    assert isinstance(recorder.read("/log"), Known)


def test_too_much_is_left_out_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hostkit.host.record.TOTAL_BYTES", 10)
    recorder = Recorder(FakeHost({"/a": "x" * 8, "/b": "y" * 8}))
    recorder.read("/a")
    recorder.read("/b")
    write_snapshot(recorder, str(tmp_path / "s"))
    host = SnapshotHost(str(tmp_path / "s"))
    assert isinstance(host.read("/a"), Known)
    answer = host.read("/b")
    assert isinstance(answer, Unreadable)
    assert "too large" in answer.reason


def test_folders_of_many_names_leave_a_manifest_that_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hostkit.host.record.MANIFEST_BYTES", 2000)
    recorder = Recorder(FakeHost(folders={"/a": ["x"], "/b": map(str, range(9999))}))
    recorder.listdir("/a")
    recorder.listdir("/b")
    write_snapshot(recorder, str(tmp_path / "s"))
    host = SnapshotHost(str(tmp_path / "s"))
    assert isinstance(host.listdir("/a"), Known)
    assert isinstance(host.listdir("/b"), Unreadable)


def test_a_manifest_as_large_as_a_bomb_is_refused(snapshot: Path) -> None:
    _rewrite(snapshot, [archive.Member("manifest.json", b"[[]," + b"[]," * (6 << 20))])
    _refused(snapshot, "larger than 16 MiB")


def test_a_text_answers_nothing() -> None:
    answers = everything(TextHost())[:-1]
    assert all(isinstance(answer, Unreadable) for answer in answers)


def _refused(path: Path, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        SnapshotHost(str(path))
    assert str(path) in caught.value.message
    assert caught.value.hint
    assert "\n" not in caught.value.message


def _members(path: Path) -> list[archive.Member]:
    return list(archive.unpack(str(path)))


def _rewrite(path: Path, members: list[archive.Member]) -> None:
    path.write_bytes(archive.pack(members, 0))


def _tar(path: Path, *infos: tuple[tarfile.TarInfo, bytes]) -> None:
    manifest = _members(path)[0].data
    head = tarfile.TarInfo("manifest.json")
    head.size = len(manifest)
    with tarfile.open(path, "w:gz") as made:
        made.addfile(head, io.BytesIO(manifest))
        for info, data in infos:
            info.size = len(data) if info.isreg() else 0
            made.addfile(info, io.BytesIO(data))


def _named(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = "/etc/passwd"
    return info


@pytest.mark.parametrize("name", ["/etc/cron.d/x", "../x", "a/../../x", "a\x1b[2Jb"])
def test_names_that_point_out_are_refused(snapshot: Path, name: str) -> None:
    _tar(snapshot, (_named(name), b"x"))
    _refused(snapshot, "points out of it")


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE,
     tarfile.DIRTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_SPARSE],
)  # fmt: skip
def test_other_things_than_files_are_refused(snapshot: Path, kind: bytes) -> None:
    _tar(snapshot, (_named("a", kind), b""))
    _refused(snapshot, "not a regular file")


def test_twice_the_same_name_is_refused(snapshot: Path) -> None:
    _tar(snapshot, (_named("a"), b"x"), (_named("a"), b"y"))
    _refused(snapshot, "twice")


def test_counts_and_sizes_are_bounded(snapshot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MEMBER_COUNT", 3)
    _refused(snapshot, "more than 3 members")
    monkeypatch.setattr(archive, "MEMBER_COUNT", 50)
    monkeypatch.setattr(archive, "TOTAL_BYTES", 1 << 20)
    _refused(snapshot, "more than 1 MiB")
    monkeypatch.setattr(archive, "MEMBER_BYTES", 1 << 20)
    _refused(snapshot, "larger than 1 MiB")


def test_a_bomb_is_stopped_by_its_header(snapshot: Path) -> None:
    info = tarfile.TarInfo("manifest.json")
    info.size = 1 << 40
    snapshot.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20)))
    _refused(snapshot, "larger than 64 MiB")


def test_truncated_and_corrupted_files(snapshot: Path) -> None:
    whole = snapshot.read_bytes()
    for cut in (0, 1, 9, 10, 40, len(whole) // 2, len(whole) - 9):
        snapshot.write_bytes(whole[:cut])
        _refused(snapshot, "not a usable snapshot")
    snapshot.write_bytes(b"hello\n")
    _refused(snapshot, "cannot be unpacked: it is no gzip file")
    snapshot.write_bytes(gzip.compress(b"hello\n" * 1000))
    _refused(snapshot, "not a tar archive")


def test_what_is_no_file_at_all(tmp_path: Path) -> None:
    _refused(tmp_path, "Is a directory")
    _refused(tmp_path / "none", "No such file")
    os.mkfifo(tmp_path / "fifo")
    _refused(tmp_path / "fifo", "not a regular file")


def _damage(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    head, *rest = _members(path)
    manifest = json.loads(head.data)
    changed = change(manifest)
    data = json.dumps(manifest if changed is None else changed).encode()
    _rewrite(path, [archive.Member("manifest.json", data), *rest])


DAMAGES: tuple[tuple[Callable[[dict[str, Any]], Any], str], ...] = (
    (lambda m: m.update(schema="hostkit.snapshot/9"), "its schema is hostkit.snapshot/9"),
    (lambda m: [*m], "not an object"),
    (lambda m: m.pop("schema") and None, "its schema is None"),
    (lambda m: m.pop("hostname") and None, "manifest is damaged"),
    (lambda m: m.update(taken_at="x"), "manifest is damaged"),
    (lambda m: m.update(taken_at=float("nan")), "no time"),
    (lambda m: m.update(taken_at=1e300), "no time"),
    (lambda m: m.update(questions=7), "manifest is damaged"),
    (lambda m: m["questions"].append(7), "manifest is damaged"),
    (lambda m: m["questions"][0].update(ask="delete"), "manifest is damaged"),
    (lambda m: m["questions"][0].update(of=[1]), "manifest is damaged"),
    (lambda m: m["questions"][0].update(outcome="maybe"), "manifest is damaged"),
    (lambda m: m["questions"][-1]["members"][0].update(name="x"), "x is missing"),
    (lambda m: m["questions"][-1]["members"][0].update(sha256="x"), "not what was recorded"),
    (lambda m: m["questions"][-1].update(members=[]), "has 0 members"),
)


@pytest.mark.parametrize(("change", "words"), DAMAGES)
def test_a_damaged_manifest(
    snapshot: Path, change: Callable[[dict[str, Any]], Any], words: str
) -> None:
    _damage(snapshot, change)
    _refused(snapshot, words)


def test_a_manifest_that_is_deep_or_no_json(snapshot: Path) -> None:
    rest = _members(snapshot)[1:]
    for data in (b"[" * 100_000, b"\xff", b"", b"1" * 10_000):
        _rewrite(snapshot, [archive.Member("manifest.json", data), *rest])
        _refused(snapshot, "not JSON")
    _rewrite(snapshot, rest)
    _refused(snapshot, "not its first member")


def test_a_damaged_value_is_unreadable_and_the_rest_stands(snapshot: Path) -> None:
    def change(manifest: dict[str, Any]) -> None:
        for entry in manifest["questions"]:
            if entry["ask"] in ("stat", "lstat", "space"):
                entry["value"] = {"kind": "dragon"}

    _damage(snapshot, change)
    host = SnapshotHost(str(snapshot))
    assert isinstance(host.stat("/l"), Unreadable)
    assert isinstance(host.space("/etc"), Unreadable)
    assert isinstance(host.read("/etc/a"), Known)
    assert host.read("/none") == Absent("/none")


@settings(max_examples=60, deadline=2000)
@given(data=st.binary(max_size=2000), at=st.integers(0, 5000), zipped=st.booleans())
def test_any_bytes_give_one_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, at: int, zipped: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed"
    plain = gzip.decompress(archive.pack([archive.Member("manifest.json", b"{}")], 0))
    mixed = plain[:at] + data
    path.write_bytes(gzip.compress(mixed) if zipped else mixed)
    with pytest.raises(InputError):
        SnapshotHost(str(path))


def test_more_answers_than_a_manifest_holds_leave_one_that_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is about the host itself is kept before what is about one device of thousands."""
    monkeypatch.setattr("hostkit.host.record.MANIFEST_BYTES", 20_000)
    monkeypatch.setattr(archive, "MEMBER_COUNT", 50)
    devices = {f"/sys/block/loop{n}/size": "0\n" for n in range(500)}
    recorder = Recorder(FakeHost({**devices, "/sys/kernel/x": "1\n", "/var/x": "2\n"}))
    for path in (*devices, "/sys/kernel/x", "/var/x"):
        recorder.read(path)
    write_snapshot(recorder, str(tmp_path / "s"))
    host = SnapshotHost(str(tmp_path / "s"))
    assert isinstance(host.read("/sys/kernel/x"), Known)
    assert isinstance(host.read("/var/x"), Known)
    kept = [path for path in devices if isinstance(host.read(path), Known)]
    assert 0 < len(kept) < 50
    assert isinstance(host.read("/sys/block/loop499/size"), Unreadable)
