# SPDX-License-Identifier: GPL-3.0-or-later
"""Every stream that is unpacked is put together again, byte for byte."""

import io
import json
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.storage.errors import BadArchive, Damaged, StorageError
from hostkit.storage.tar.member import FILE, Member
from hostkit.storage.tar.reader import TarReader
from hostkit.storage.tar.split import SplitWriter, reassemble
from hostkit.storage.unpack import Whiteouts, unpack
from tests.tars import file, folder, hard_link, put_and_rebuild, rebuilt, symlink, tar

NAMES = st.sampled_from([b"a", b"b", b"d/a", b"d", b"./a", b"d/../b", b".wh.a", b"\xff", b'q"\\'])
CONTENTS = st.sampled_from([b"", b"x", b"y" * 513, bytes(70_000)])
MEMBERS = st.one_of(
    st.builds(file, NAMES, CONTENTS),
    st.builds(folder, NAMES),
    st.builds(symlink, NAMES, st.sampled_from([b"d", b"a", b"/d", b"../.."])),
    st.builds(hard_link, NAMES, NAMES),
)


def split_of(data: bytes) -> list[dict[str, object]]:
    lines: list[bytes] = []
    writer = SplitWriter(lines.append)
    for member in (reader := TarReader(io.BytesIO(data), recorder=writer)):
        if member.type == FILE:
            for _ in reader.chunks():
                pass
    writer.close()
    return [json.loads(line) for line in b"".join(lines).splitlines()]


def test_entries_are_as_docker_writes_them() -> None:
    header, one, end = split_of(tar(file("a/b", b"123456789")))
    assert (header["type"], header["position"]) == (2, 0)
    assert one == {"type": 1, "name": "a/b", "size": 9, "payload": "uQlWx3WkEAE=", "position": 1}
    assert (end["type"], end["position"]) == (2, 2)


def test_names_that_are_no_text_are_kept() -> None:
    found = split_of(tar(file(b"\xff", b"1"), file('quote"\u00e9', b"2")))
    assert found[1]["name_raw"] == "/w=="
    assert found[3]["name"] == 'quote"\u00e9'


def test_no_name_is_said_twice_because_docker_refuses_that() -> None:
    found = split_of(tar(folder("d/"), folder("./d"), file("f", b"1"), file("./f", b"2")))
    names = [one["name"] for one in found if one["type"] == 1]
    assert names == ["d/", "f"]


def test_a_content_that_nobody_unpacked_is_in_the_split_itself(tmp_path: Path) -> None:
    data = tar(file(".wh.a", b"content of a mark"), file(".wh..wh.aufs", b"z" * 5000))
    writer, back = put_and_rebuild(data, tmp_path / "t")
    assert back == data
    assert writer.is_exact


def test_a_file_that_a_later_one_replaced_is_told(tmp_path: Path) -> None:
    writer, _ = put_and_rebuild(tar(file("a", b"1"), file("a", b"1")), tmp_path / "same")
    assert not writer.is_exact
    with pytest.raises(Damaged, match="changed"):
        put_and_rebuild(tar(file("a", b"1"), file("a", b"2")), tmp_path / "other")


def test_files_behind_links_are_found_inside(tmp_path: Path) -> None:
    data = tar(folder("usr/lib/"), symlink("lib", b"/usr/lib"), file("lib/x", b"inside"))
    writer, back = put_and_rebuild(data, tmp_path / "t")
    assert back == data
    assert writer.is_exact
    assert (tmp_path / "t/usr/lib/x").read_bytes() == b"inside"


def test_a_damaged_tree_is_named(tmp_path: Path) -> None:
    lines: list[bytes] = []
    writer = SplitWriter(lines.append)
    (tmp_path / "t").mkdir()
    reader = TarReader(io.BytesIO(tar(file("a", b"12345"))), recorder=writer)
    unpack(reader, str(tmp_path / "t"), Whiteouts.REMOVE)
    writer.close()
    (tmp_path / "t/a").write_bytes(b"1234x")
    with pytest.raises(Damaged, match="'a' has changed"):
        rebuilt(b"".join(lines), tmp_path / "t")
    (tmp_path / "t/a").write_bytes(b"12")
    with pytest.raises(Damaged, match="'a' is shorter"):
        rebuilt(b"".join(lines), tmp_path / "t")


@given(st.binary(max_size=300))
def test_any_lines_give_bytes_or_damaged(data: bytes) -> None:
    try:
        for _ in reassemble(io.BytesIO(data), lambda _: io.BytesIO(b"")):
            pass
    except Damaged:
        return


@given(st.lists(MEMBERS, max_size=8), st.data())
def test_whatever_is_unpacked_is_put_together_again(
    members: list[tuple[Member, bytes]], data: st.DataObject
) -> None:
    stream = bytearray(tar(*members))
    if data.draw(st.booleans()):
        stream = stream[: data.draw(st.integers(0, len(stream)))]
    if stream and data.draw(st.booleans()):
        at = data.draw(st.integers(0, min(len(stream), 8192) - 1))
        stream[at] = data.draw(st.integers(0, 255))
    stream += data.draw(st.binary(max_size=600))
    folder_name = tempfile.mkdtemp()
    lines: list[bytes] = []
    writer = SplitWriter(lines.append)
    try:
        reader = TarReader(io.BytesIO(stream), recorder=writer)
        try:
            unpack(reader, folder_name, Whiteouts.REMOVE)
        except (BadArchive, StorageError, OSError):
            return
        writer.close()
        try:
            back = rebuilt(b"".join(lines), Path(folder_name))
        except (Damaged, OSError):
            assert not writer.is_exact
        else:
            assert back == bytes(stream) or not writer.is_exact
    finally:
        shutil.rmtree(folder_name)
