# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder as a tar.gz whose bytes depend on the files alone: no times, no owners, in order."""

import gzip
import tarfile
from pathlib import Path

_TIME = 1_000_000_000  # long ago, and no tar warns of it


def pack(folder: Path, packed: Path) -> int:
    """Pack a folder under its own name; returns the bytes of its files."""
    size = 0
    fresh = packed.with_suffix(".new")
    with (
        fresh.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=raw, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in (folder, *sorted(folder.rglob("*"))):
            info = archive.gettarinfo(path, str(path.relative_to(folder.parent)))
            plain = _plain(info)
            if info.isreg():
                size += info.size
                with path.open("rb") as content:
                    archive.addfile(plain, content)
            else:
                archive.addfile(plain)
    fresh.rename(packed)
    return size


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mtime = _TIME
    runs = info.isdir() or info.issym() or info.mode & 0o100
    info.mode = 0o755 if runs else 0o644
    return info
