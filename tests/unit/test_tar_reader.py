# SPDX-License-Identifier: GPL-3.0-or-later
"""Tars of every dialect are read as GNU tar and Python read them; damaged ones are refused."""

import io
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.storage.errors import BadArchive
from hostkit.storage.tar import acl
from hostkit.storage.tar.member import FOLDER, Member, parse_pax
from hostkit.storage.tar.reader import Limits, TarReader, index
from tests.tars import file, folder, tar

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def members(data: bytes, limits: Limits | None = None) -> list[tuple[Member, bytes]]:
    reader = TarReader(io.BytesIO(data), limits=limits or Limits())
    return [(one, b"".join(map(bytes, reader.chunks()))) for one in reader]


def names(data: bytes) -> list[bytes]:
    return [one.name for one, _ in members(data)]


def python_tar(
    fmt: int, *infos: tuple[tarfile.TarInfo, bytes], pax_headers: dict[str, str] | None = None
) -> bytes:
    sink = io.BytesIO()
    with tarfile.TarFile(fileobj=sink, mode="w", format=fmt, pax_headers=pax_headers) as archive:
        for info, data in infos:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def info_of(name: str, **fields: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(made, key, value)
    return made


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
def test_what_python_writes_is_read(fmt: int) -> None:
    wide = {} if fmt == tarfile.USTAR_FORMAT else {"uid": 3_000_000, "mtime": -5}
    long = "d" * 90 + "/" + "f" * 90
    data = python_tar(
        fmt,
        (info_of("a/b", mode=0o4755, **wide), b"x" * 1000),
        (info_of(long), b""),
        (info_of("dev", type=tarfile.CHRTYPE, devmajor=4, devminor=64), b""),
        (info_of("link", type=tarfile.SYMTYPE, linkname="t" * 99), b""),
    )
    one, two, dev, link = (found for found, _ in members(data))
    assert (one.name, one.mode, one.size) == (b"a/b", 0o4755, 1000)
    assert two.name == long.encode()
    assert (dev.devmajor, dev.devminor, link.linkname) == (4, 64, b"t" * 99)
    if wide:
        assert (one.uid, one.mtime_ns) == (3_000_000, -5_000_000_000)


def test_a_long_name_cut_at_a_slash_is_no_folder() -> None:
    name = "d" * 99 + "/" + "f" * 120
    data = python_tar(tarfile.GNU_FORMAT, (info_of(name), b"content"))
    ((one, content),) = members(data)
    assert (one.name, one.type, content) == (name.encode(), b"0", b"content")


def test_a_name_with_a_slash_is_a_folder_even_where_old_tars_say_file() -> None:
    data = python_tar(tarfile.USTAR_FORMAT, (info_of("old/", type=tarfile.AREGTYPE), b""))
    assert members(data)[0][0].type == FOLDER


def test_a_global_pax_header_is_for_all_that_follow() -> None:
    data = python_tar(
        tarfile.PAX_FORMAT,
        (info_of("a"), b"1"),
        (info_of("b"), b"2"),
        pax_headers={"mtime": "5.5", "comment": "of git"},
    )
    assert [one.mtime_ns for one, _ in members(data)] == [5_500_000_000] * 2


def test_a_global_name_is_refused() -> None:
    data = python_tar(tarfile.PAX_FORMAT, (info_of("a"), b""), pax_headers={"path": "x"})
    with pytest.raises(BadArchive, match="byte"):
        members(data)


def test_star_has_two_times_behind_a_shorter_prefix() -> None:
    block = bytearray(tar(file("name"))[:512])
    block[345:500] = b"p" * 131 + b"00000000001 00000000002 "
    block[508:512] = b"tar\0"
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    assert names(bytes(block)) == [b"p" * 131 + b"/name"]


def test_signed_checksums_of_old_tars_are_right() -> None:
    block = bytearray(tar(file(b"n"))[:512])
    block[:2] = b"\xe9\0"
    block[148:156] = b"        "
    signed = sum(byte - 256 if byte > 127 else byte for byte in block)
    block[148:156] = b"%06o\0 " % signed
    assert names(bytes(block)) == [b"\xe9"]


def test_pax_xattrs_are_read_with_the_names_that_gnu_tar_escapes() -> None:
    made, _ = file("a")
    made.xattrs = {b"user.a=b%": b"\0=\n", b"user.empty": b""}
    data = tar((made, b""))
    assert b"user.a%3Db%25=" in data
    assert members(data)[0][0].xattrs == made.xattrs


@pytest.mark.parametrize("version", ["old", "0.0", "0.1", "1.0"])
def test_every_sparse_format_of_gnu_tar_is_read(version: str, tmp_path: Path) -> None:
    with (tmp_path / "holes").open("wb") as opened:
        for at in range(40):
            opened.seek(at << 16)
            opened.write(b"%d" % at)
        opened.truncate(5 << 30)
    kind = ["--format=gnu"] if version == "old" else ["--format=pax", f"--sparse-version={version}"]
    data = subprocess.run(
        ["tar", "-cS", *kind, "-C", tmp_path, "holes"], check=True, capture_output=True
    ).stdout
    assert len(data) < 1 << 20
    ((one, content),) = members(data)
    assert one.name == b"holes"
    assert one.sparse is not None
    assert one.sparse.size == 5 << 30
    at = 0
    for offset, length in one.sparse.pieces:
        if length:
            assert content[at : at + 2].rstrip(b"\0") == b"%d" % (offset >> 16)
        at += length
    assert at == len(content)


def test_members_are_found_without_reading_their_contents() -> None:
    data = tar(file("a", b"1" * 70_000), folder("d/"), file("d/b", b"2" * 3_000_000), file("c"))

    class Counting(io.BytesIO):
        seen = 0

        def read(self, size: int | None = -1, /) -> bytes:
            found = super().read(size)
            self.seen += len(found)
            return found

    archive = Counting(data)
    placed = list(index(archive))
    assert [one.member.name for one in placed] == [b"a", b"d/", b"d/b", b"c"]
    assert data[placed[2].offset :][: placed[2].member.size] == b"2" * 3_000_000
    assert archive.seen < 200_000


def test_an_archive_that_ends_in_a_content_is_refused_by_the_index_too() -> None:
    data = tar(file("a", b"1" * 3_000_000))[:1_000_000]
    with pytest.raises(BadArchive, match="middle of a file"):
        list(index(io.BytesIO(data)))


@pytest.mark.parametrize("kept", [512, 700, 1024 + 511])
def test_a_stream_that_ends_early_is_an_error_and_says_where(kept: int) -> None:
    data = tar(file("a", b"x" * 600), file("b"))[:kept]
    with pytest.raises(BadArchive, match=r"at byte \d+"):
        members(data)


def test_missing_end_blocks_and_garbage_after_the_end_are_no_error() -> None:
    data = tar(file("a", b"x" * 512))
    assert names(data[:1024]) == [b"a"]
    assert names(data[: 1024 + 512]) == [b"a"]
    assert names(data[:2048] + b"garbage" * 100) == [b"a"]
    assert names(data + bytes(50_000)) == [b"a"]
    assert names(b"") == []


def _wrong(change: Callable[[bytearray], None]) -> bytes:
    block = bytearray(tar(file("name"))[:512])
    change(block)
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def _field(at: int, value: bytes) -> Callable[[bytearray], None]:
    def change(block: bytearray) -> None:
        block[at : at + len(value)] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _field(124, b"\xff" * 12),
        _field(124, b"\x80" + b"\xff" * 11),
        _field(124, b"0x12"),
        _field(124, b"-1\0"),
        _field(108, b"\x80" + b"\xff" * 7),
        _field(108, b"\xff" * 8),
        _field(136, b"\x80\x7f" + b"\xff" * 10),
        _field(0, b"\0" * 4),
        _field(100, b"9999999"),
    ],
)
def test_numbers_that_no_file_has_are_refused(change: Callable[[bytearray], None]) -> None:
    with pytest.raises(BadArchive):
        members(_wrong(change))


def test_limits_end_a_bomb_of_headers() -> None:
    with pytest.raises(BadArchive, match="more than 100 members"):
        members(tar(*(file(f"{at}") for at in range(101))), Limits(members=100))
    big = Member(b"x" * 200)
    big.xattrs = {b"user.x": bytes(2 << 20)}
    with pytest.raises(BadArchive, match="extended header of"):
        members(tar((big, b"")))
    with pytest.raises(BadArchive, match="longer than any path"):
        members(tar(file("a/" * 40_000)))


def test_a_file_larger_than_any_is_refused() -> None:
    huge, _ = file("huge")
    huge.size = 9 << 40
    with pytest.raises(BadArchive, match="a file of"):
        members(tar((huge, b"")))


@given(st.binary(max_size=200))
def test_any_pax_header_parses_or_raises_value_error(data: bytes) -> None:
    try:
        parse_pax(data)
    except ValueError:
        return


@given(st.one_of(st.binary(max_size=60), st.text("usergopmaskth:,-rwx017\n#", max_size=60)))
def test_any_access_control_list_is_read_or_raises_value_error(text: bytes | str) -> None:
    try:
        acl.from_text(text.encode() if isinstance(text, str) else text)
    except ValueError:
        return


SAMPLES = [
    python_tar(
        fmt,
        (info_of("n" * length, uid=7, mtime=11), os.urandom(700)),
        (info_of("l", type=tarfile.SYMTYPE, linkname="m" * length), b""),
        (info_of("e"), b""),
    )
    for fmt in FORMATS.values()
    for length in ((3,) if fmt == tarfile.USTAR_FORMAT else (3, 150))
]


@given(st.sampled_from(SAMPLES), st.data())
def test_any_damage_gives_members_or_bad_archive(sample: bytes, data: st.DataObject) -> None:
    changed = bytearray(sample[: data.draw(st.integers(0, len(sample)))])
    for _ in range(data.draw(st.integers(0, 4))):
        if changed:
            at = data.draw(st.integers(0, min(len(changed) - 1, 4096)))
            changed[at] = data.draw(st.integers(0, 255))
            block = at - at % 512
            header = changed[block : block + 512]
            if len(header) == 512 and data.draw(st.booleans()):
                header[148:156] = b"        "
                changed[block + 148 : block + 156] = b"%06o\0 " % sum(header)
    try:
        members(bytes(changed))
    except BadArchive:
        return
