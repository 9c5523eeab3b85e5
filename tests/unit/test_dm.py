# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes into device-mapper's ioctls and comes out of them, without a kernel that has it."""

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.system import dm, loop, mkfs
from hostkit.system.dm import HEADER, TARGET, Target

names = st.text("abcABC019#+.:=@_-", min_size=1, max_size=127)


def test_the_structures_have_the_sizes_of_the_kernels_header() -> None:
    assert (HEADER.size, TARGET.size, loop.INFO.size) == (312, 40, 232)


@given(names, st.binary(max_size=64))
def test_a_request_reads_back_as_it_was_written(name: str, data: bytes) -> None:
    found = dm.unpack(dm.pack(name, "uuid-1", flags=5, data=data))
    assert (found.name, found.uuid, found.flags, found.data) == (name, "uuid-1", 5, data)


@pytest.mark.parametrize("name", ["a/b", "a b", "a\0b", "x" * 128, "../x", "a\n"])
def test_a_name_that_could_be_something_else_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name"):
        dm.pack(name)
    with pytest.raises(ValueError, match="cannot be the UUID"):
        dm.pack("fine", name + "x" * 10)


targets = st.builds(
    Target,
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
    st.text("abc-", min_size=1, max_size=15),
    st.text("0123 :abc", max_size=60),
)


@given(st.lists(targets, max_size=5))
def test_a_table_reads_back_when_its_steps_count_from_the_first(table: list[Target]) -> None:
    data = bytearray(dm.pack_targets(table))
    at = 0
    for _ in table:  # the kernel's answer counts from the first target, our request from the last
        start, length, status, step, kind = TARGET.unpack_from(data, at)
        TARGET.pack_into(data, at, start, length, status, at + step, kind)
        at += step
    assert dm.unpack_targets(bytes(data), len(table)) == table


def _three_targets(data: bytes) -> object:
    return dm.unpack_targets(data, 3)


@given(st.binary(max_size=400))
def test_any_answer_is_read_or_refused(data: bytes) -> None:
    readers: tuple[Callable[[bytes], object], ...] = (
        dm.unpack,
        dm.unpack_names,
        dm.unpack_versions,
        loop.unpack_info,
        _three_targets,
    )
    for read in readers:
        try:
            read(data)
        except ValueError:
            pass
    mkfs.look_at_head(data)


def test_names_and_versions_are_read() -> None:
    first = struct.pack("=QI", (254 << 8) | 1, 24) + b"one\0".ljust(12, b"\0")
    second = struct.pack("=QI", (254 << 8) | 2, 0) + b"two\0"
    assert dm.unpack_names(first + second) == [("one", (254, 1)), ("two", (254, 2))]
    assert dm.unpack_names(struct.pack("=QI", 0, 0) + bytes(16)) == []
    version = struct.pack("=4I", 0, 1, 22, 0) + b"thin-pool\0"
    assert dm.unpack_versions(version) == {"thin-pool": (1, 22, 0)}


def test_a_step_that_leads_nowhere_is_refused() -> None:
    with pytest.raises(ValueError, match="outside"):
        dm.unpack_names(struct.pack("=QI", 1, 5000) + bytes(16))


def test_file_systems_are_known_by_their_first_blocks() -> None:
    assert mkfs.look_at_head(bytes(70000)) is None
    xfs = bytearray(70000)
    xfs[:4] = b"XFSB"
    xfs[32:48] = bytes(range(16))
    found = mkfs.look_at_head(bytes(xfs))
    assert found == ("xfs", "00010203-0405-0607-0809-0a0b0c0d0e0f")
    ext = bytearray(70000)
    struct.pack_into("<H", ext, 1024 + 56, 0xEF53)
    struct.pack_into("<I", ext, 1024 + 96, 0x40)
    assert (mkfs.look_at_head(bytes(ext)) or ("",))[0] == "ext4"


def test_an_old_kernel_gets_an_xfs_that_it_can_mount() -> None:
    new = mkfs.make_command("xfs", "/dev/x", (6, 1), ["-i", "size=512"])
    assert new == ["mkfs.xfs", "-q", "-i", "size=512", "/dev/x"]
    with pytest.raises(mkfs.ProgramFailed):
        mkfs.make_command("ntfs", "/dev/x", (6, 1), [])
