# SPDX-License-Identifier: GPL-3.0-or-later
"""The devices that fail do fail, and the log of writes replays to states that a cut leaves."""

import os
from pathlib import Path

import pytest

from tests.lab.faults import (
    Mapped,
    command,
    dust,
    flakey,
    healthy,
    log_writes,
    mounted,
    write_durably,
)
from tests.lab.writelog import MARK, read_log, replay

pytestmark = pytest.mark.lab(disks=("32M", "64M"), timeout=600)
STRIDE = 1 if os.environ.get("HOSTKIT_SOAK") else 10


def read(path: str, offset: int = 0, size: int = 4096) -> bytes:
    file = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        return os.pread(file, size, offset)
    finally:
        os.close(file)


def write(path: str, content: bytes) -> None:
    file = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(file, content, 0)
        os.fsync(file)
    finally:
        os.close(file)


def test_flakey_fails_every_read_until_it_is_well(disks: list[str]) -> None:
    with Mapped("sick", healthy(disks[0])) as sick:
        write(sick.path, b"1" * 4096)
        sick.load(flakey(disks[0]))
        with pytest.raises(OSError, match="Input/output error"):
            read(sick.path)
        sick.load(healthy(disks[0]))
        assert read(sick.path) == b"1" * 4096


def test_error_writes_are_told_at_fsync(disks: list[str]) -> None:
    failing = flakey(disks[0], "error_writes")
    told = pytest.raises(OSError, match="Input/output error")
    with Mapped("sick", failing) as sick, told:
        write(sick.path, b"2" * 4096)


def test_dropped_writes_are_told_by_nobody(disks: list[str]) -> None:
    write(disks[0], b"old!" * 1024)
    with Mapped("sick", flakey(disks[0], "drop_writes")) as sick:
        write(sick.path, b"new!" * 1024)
    assert read(disks[0]) == b"old!" * 1024


def test_dust_makes_one_block_bad_and_a_write_mends_it(disks: list[str]) -> None:
    with Mapped("dusty", dust(disks[0])) as dusty:
        write(dusty.path, bytes(8192))
        dusty.message("addbadblock", "8")
        dusty.message("enable")
        assert read(dusty.path, 0) == bytes(4096)
        with pytest.raises(OSError, match="Input/output error"):
            read(dusty.path, 4096)
        write(dusty.path, bytes(8192))
        assert read(dusty.path, 4096) == bytes(4096)


def test_every_prefix_of_the_log_is_a_file_system_with_what_was_synced(
    disks: list[str], tmp_path: Path
) -> None:
    with Mapped("logged", log_writes(*disks)) as logged:
        command("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,nodiscard", logged.path)
        logged.message("mark", "made")
        with mounted(logged.path, tmp_path / "live") as place:
            for number in range(8):
                write_durably(place / f"file{number}", f"content {number}\n".encode() * 1000)
                logged.message("mark", f"file{number}")
    log = Path(disks[1])
    marks = [entry.mark for entry in read_log(log) if entry.flags & MARK]
    assert marks == ["made", *(f"file{number}" for number in range(8))]
    image, copy = tmp_path / "image", tmp_path / "copy"
    image.touch()
    os.truncate(image, 32 << 20)
    durable: list[str] = []
    states = 0
    for count, entry in enumerate(replay(log, image)):
        durable += [entry.mark] if entry.mark else []
        if not durable or count % STRIDE:
            continue  # no file system yet, or one of those left out to save time
        command("cp", "--sparse=always", str(image), str(copy))
        with mounted(str(copy), tmp_path / "cut") as place:
            for name in durable[1:]:
                line = f"content {name.removeprefix('file')}\n"
                assert (place / name).read_text() == line * 1000
        states += 1
    assert durable == marks
    assert states * STRIDE > 40
