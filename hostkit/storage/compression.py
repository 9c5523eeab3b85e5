# SPDX-License-Identifier: GPL-3.0-or-later
"""Compressed streams, through isal: ten times as fast as zlib at about its size."""

import gzip
import zlib
from collections.abc import Callable
from typing import BinaryIO, cast

from isal.igzip import IGzipFile
from isal.igzip_lib import IsalError

from hostkit.storage.tar.reader import Source

_LEVEL = 2  # about the size of zlib -3
GZIP_DAMAGE: tuple[type[Exception], ...] = (
    cast("type[Exception]", IsalError),
    zlib.error,
    gzip.BadGzipFile,
    EOFError,
)
_open = cast("Callable[..., BinaryIO]", IGzipFile)  # it has no types


def gzip_writer(target: BinaryIO) -> BinaryIO:
    """Packs what is written, without a time or name: the same bytes for the same input."""
    return _open(filename="", mode="wb", compresslevel=_LEVEL, fileobj=target, mtime=0)


def gunzipped(source: Source) -> BinaryIO:
    """Unpacks a gzip while it is read, which raises one of GZIP_DAMAGE for a damaged one."""
    return _open(fileobj=source, mode="rb")
