# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused before LVM gets a disk, and what LVM says, with programs that only pretend."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit import process
from hostkit.errors import Refused
from hostkit.process import Completed
from hostkit.storage.errors import StorageError
from hostkit.system import blocks, lvm
from hostkit_drivers.devicemapper.options import read_options
from hostkit_drivers.devicemapper.setup import profile_text

Said = dict[str, tuple[int, bytes, bytes]]


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Said:
    """What each program says; one that is not named is not installed."""
    said: Said = {}

    def run(argv: Sequence[str], **_: object) -> Completed:
        if argv[0] not in said:
            raise FileNotFoundError(argv[0])
        status, out, err = said[argv[0]]
        return Completed(tuple(argv), status, out, err)

    monkeypatch.setattr(process, "run", run)
    return said


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> str:
    """A device that no kernel has, so that only the programs say something of it."""
    number: Callable[[str], tuple[int, int]] = lambda _: (4095, 7)  # noqa: E731
    monkeypatch.setattr(blocks, "device_number", number)
    kept: Callable[[str], tuple[str, ...]] = lambda _: ()  # noqa: E731
    monkeypatch.setattr(lvm, "_kept_by_kernel", kept)
    return "/dev/null"


def test_a_blank_disk_is_taken(programs: Said, disk: str) -> None:
    programs.update(blkid=(2, b"", b""), wipefs=(0, b"", b""))
    lvm.refuse_used(disk)


@pytest.mark.parametrize(
    ("blkid", "wipefs", "words"),
    [
        ((0, b"TYPE=ext4\nUUID=1\n", b""), (0, b"", b""), "blkid finds on it: TYPE=ext4"),
        ((2, b"", b""), (0, b"0x438 ext4\n", b""), "wipefs finds on it: 0x438 ext4"),
        ((8, b"", b"ambivalent"), (0, b"", b""), "blkid could not look at it"),
        ((0, b"PTTYPE=gpt\n", b""), (0, b"", b""), "PTTYPE=gpt"),
    ],
)
def test_any_sign_of_use_is_told(
    programs: Said,
    disk: str,
    blkid: tuple[int, bytes, bytes],
    wipefs: tuple[int, bytes, bytes],
    words: str,
) -> None:
    programs.update(blkid=blkid, wipefs=wipefs)
    with pytest.raises(Refused, match="is not blank") as error:
        lvm.refuse_used(disk)
    assert words in str(error.value)


def test_what_cannot_be_looked_at_is_not_called_blank(programs: Said, disk: str) -> None:
    assert programs == {}
    with pytest.raises(Refused, match="neither blkid nor wipefs"):
        lvm.refuse_used(disk)


def test_what_is_no_disk_is_refused() -> None:
    with pytest.raises(Refused, match="no block device"):
        lvm.refuse_used("/dev/null")


def test_lvms_own_words_are_in_the_error(programs: Said) -> None:
    programs["vgcreate"] = (5, b"", b"  A volume group called docker already exists.\n")
    with pytest.raises(lvm.LvmFailed, match="already exists"):
        lvm.run("vgcreate", "docker", "/dev/x")
    with pytest.raises(lvm.LvmFailed, match="not installed"):
        lvm.run("pvcreate", "/dev/x")


def test_an_lvm_without_json_is_asked_for_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(argv: Sequence[str], **_: object) -> Completed:
        if "--reportformat" in argv:
            return Completed(tuple(argv), 3, b"", b"lvs: unrecognized option '--reportformat'")
        return Completed(tuple(argv), 0, b"  pool|4096\n", b"")

    monkeypatch.setattr(process, "run", run)
    fields = ("lv_name", "lv_size")
    assert lvm.report("lvs", fields) == [{"lv_name": "pool", "lv_size": "4096"}]


@given(st.text())
def test_any_report_is_read_or_refused(content: str) -> None:
    try:
        lvm.rows_of_json(content, "lvs")
    except ValueError:
        pass
    try:
        lvm.rows_of_columns(content, ("lv_name", "lv_size"))
    except lvm.LvmFailed:
        pass


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dm.blocksize", "65K"),
        ("dm.blocksize", "2G"),
        ("dm.fs", "btrfs"),
        ("dm.basesize", "1K"),
        ("dm.min_free_space", "100%"),
        ("dm.min_free_space", "-1"),
        ("dm.use_deferred_removal", "maybe"),
        ("dm.thinp_percent", "٩"),
        ("dm.datadev", "/dev/x"),
        ("dm.unheard", "1"),
    ],
)
def test_options_out_of_bounds_are_refused(name: str, value: str) -> None:
    with pytest.raises(StorageError):
        read_options({name: value})


def test_options_are_read_as_docker_reads_them() -> None:
    asked = read_options(
        {"dm.min_free_space": "5%", "dm.blocksize": "128k", "dm.blkdiscard": "False"}
    )
    assert (asked.min_free, asked.block_size, asked.discard) == (5, 128 << 10, False)
    assert "thin_pool_autoextend_threshold=80" in profile_text(asked)
