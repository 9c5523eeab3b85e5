# SPDX-License-Identifier: GPL-3.0-or-later
"""Compressed, damaged and endless streams, and archives that want to be more than they are."""

import bz2
import gzip
import io
import lzma
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from hostkit.storage.errors import BadArchive, StorageError
from hostkit.storage.image import archive as archives
from hostkit.storage.image.archive import FolderArchive, TarArchive
from hostkit.storage.image.streams import Section, Sparing, spooled, unpacked
from hostkit.storage.tar.reader import Source

CONTENT = bytes(range(256)) * 9000
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
}


class Dribbling:
    """A pipe that gives a few bytes at a time."""

    def __init__(self, data: bytes, most: int = 1000) -> None:
        self._data = io.BytesIO(data)
        self._most = most

    def read(self, size: int, /) -> bytes:
        return self._data.read(min(size, self._most))


def all_of(source: Source) -> bytes:
    pieces: list[bytes] = []
    while piece := source.read(1 << 16):
        pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize("most", [1, 1000, 1 << 20])
def test_a_compressed_stream_is_told_by_its_first_bytes(kind: str, most: int) -> None:
    content = CONTENT[:5000] if most == 1 else CONTENT
    assert all_of(unpacked(Dribbling(PACKERS[kind](content), most))) == content


@pytest.mark.parametrize("kind", [kind for kind in PACKERS if kind != "plain"])
def test_several_members_are_one_stream(kind: str) -> None:
    packed = PACKERS[kind](b"one") + PACKERS[kind](CONTENT)
    assert all_of(unpacked(Dribbling(packed))) == b"one" + CONTENT


@pytest.mark.parametrize("kind", [kind for kind in PACKERS if kind != "plain"])
def test_a_stream_that_ends_early_or_is_damaged_is_refused(kind: str) -> None:
    packed = PACKERS[kind](os.urandom(100_000))
    for cut in (7, len(packed) // 2, len(packed) - 3):
        with pytest.raises(BadArchive, match=f"the {kind} stream is damaged"):
            all_of(unpacked(Dribbling(packed[:cut])))


@settings(max_examples=50)
@given(st.binary(max_size=200), st.sampled_from(sorted(PACKERS)), st.integers(0, 300))
def test_any_stream_is_read_or_refused(garbage: bytes, kind: str, at: int) -> None:
    packed = PACKERS[kind](CONTENT[:3000])
    data = packed[:at] + garbage + packed[at:]
    try:
        all_of(unpacked(Dribbling(data)))
    except BadArchive:
        return


def test_nothing_at_all_is_refused() -> None:
    with pytest.raises(BadArchive, match="empty"):
        unpacked(Dribbling(b""))


def test_a_spool_has_no_name(tmp_path: Path) -> None:
    descriptor = spooled(Dribbling(CONTENT, 1 << 20), str(tmp_path))
    try:
        assert os.listdir(tmp_path) == []
        assert os.pread(descriptor, len(CONTENT) + 1, 0) == CONTENT
    finally:
        os.close(descriptor)


def test_a_disk_is_not_filled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fields = list(os.statvfs(tmp_path))
    fields[4] = 1  # f_bavail
    full = os.statvfs_result(fields)

    def statvfs(_: str) -> os.statvfs_result:
        return full

    monkeypatch.setattr(os, "statvfs", statvfs)
    with pytest.raises(StorageError, match="free"):
        Sparing(Dribbling(CONTENT), str(tmp_path)).read(10)
    with pytest.raises(StorageError, match="free"):
        spooled(Dribbling(CONTENT), str(tmp_path))
    assert os.listdir(tmp_path) == []


def test_a_part_of_a_file_ends_where_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with path.open("rb") as file:
        assert all_of(Section(file.fileno(), 2, 3)) == b"234"
        with pytest.raises(BadArchive, match="shorter"):
            all_of(Section(file.fileno(), 8, 5))


# Archives.


def tar_of(*members: tuple[str, bytes | str, bytes]) -> bytes:
    """(name, content or target, type of tarfile)."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, content, kind in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            data = content if isinstance(content, bytes) else b""
            member.size = len(data)
            member.linkname = content if isinstance(content, str) else ""
            tar.addfile(member, io.BytesIO(data))
    return made.getvalue()


def opened(folder: Path, data: bytes) -> TarArchive:
    path = folder / "archive.tar"
    path.write_bytes(data)
    return TarArchive(os.open(path, os.O_RDONLY))


FILE, LINK, HARD = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


def test_files_are_found_by_plain_names_and_through_links(tmp_path: Path) -> None:
    archive = opened(
        tmp_path,
        tar_of(
            ("./a/layer.tar", b"one", FILE),
            ("b/layer.tar", "../a/layer.tar", LINK),
            ("c", "./a/layer.tar", HARD),
            ("manifest.json", b"[]", FILE),
        ),
    )
    for name in ("a/layer.tar", "./a//layer.tar", "b/layer.tar", "c"):
        assert archives.read(archive, name, 10) == b"one"
    assert archive.has("manifest.json")
    assert not archive.has("manifest")
    archive.close()


@pytest.mark.parametrize(
    ("members", "name", "said"),
    [
        ([("a", b"1", FILE), ("a", b"2", FILE)], "a", "more than once"),
        ([("a", b"1", FILE), ("./a", b"1", FILE)], "a", "more than once"),
        ([("a", b"1", FILE), ("a", "b", LINK), ("b", b"", FILE)], "a", "more than once"),
        ([("a", "b", LINK), ("a", "c", LINK)], "a", "more than once"),
        ([("a", "b", LINK), ("b", "a", LINK)], "a", "leads nowhere"),
        ([("a", "../../etc/passwd", LINK)], "a", "has no"),
        ([("a", "/etc/passwd", LINK)], "a", "has no"),
        ([], "../../etc/passwd", "has no"),
        ([], "/etc/passwd", "has no"),
        ([("a", b"x" * 11, FILE)], "a", "11 bytes where 10"),
        ([("a/b", b"1", FILE)], "a", "has no"),
    ],
)
def test_a_name_that_is_not_there_once_is_refused(
    tmp_path: Path, members: list[tuple[str, bytes | str, bytes]], name: str, said: str
) -> None:
    archive = opened(tmp_path, tar_of(*members))
    with pytest.raises(BadArchive, match=said):
        archives.read(archive, name, 10)
    archive.close()


def test_a_folder_gives_files_only_and_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs/x").write_bytes(b"one")
    (tmp_path / "out").symlink_to("/etc")
    (tmp_path / "link").symlink_to("blobs/x")
    os.mkfifo(tmp_path / "fifo")
    archive = FolderArchive(str(tmp_path))
    assert archives.read(archive, "blobs/x", 10) == b"one"
    for name in ("out/passwd", "link", "fifo", "blobs", "../x", "/etc/passwd", "x\0y", ""):
        with pytest.raises(BadArchive):
            archives.read(archive, name, 10)
    archive.close()


def test_an_archive_of_endless_members_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "LIMITS", archives.LIMITS._replace(members=10))
    data = tar_of(*((f"f{number}", b"", FILE) for number in range(11)))
    with pytest.raises(BadArchive, match="10 members"):
        opened(tmp_path, data)
