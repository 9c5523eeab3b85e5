# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives of images as files and standard streams: read from there, written to there."""

import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import BinaryIO

from hostkit import files
from hostkit.errors import InputError
from hostkit.storage.tar.writer import Sink

_BUFFER = 1 << 18


@contextmanager
def source(path: str) -> Generator[tuple[int, int]]:
    """A descriptor to read from, and how much will come, 0 when that is not known.

    `-` is standard input. Raises InputError.
    """
    try:
        descriptor = _standard_input() if path == "-" else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as problem:
        raise InputError(f"{path} cannot be read: {problem.strerror}") from None
    try:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise InputError(f"{path} is a folder")
        yield descriptor, os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def _standard_input() -> int:
    if sys.stdin.isatty():
        raise InputError("standard input is a terminal", "name a file, or pipe one in")
    return os.dup(sys.stdin.fileno())


@contextmanager
def sink(path: str) -> Generator[BinaryIO]:
    """Where an archive goes: a file, whole or not at all, or standard output for `-`.

    Raises InputError.
    """
    if path == "-" or (os.path.exists(path) and not os.path.isfile(path)):
        with _stream(path) as stream:
            yield stream
        return
    folder, name = os.path.split(os.path.abspath(path))
    temporary = f"{folder}/.{name}.{os.urandom(4).hex()}.tmp"
    try:
        made = open(temporary, "xb", buffering=_BUFFER)  # noqa: SIM115 - closed below, before it is renamed
    except OSError as problem:
        raise InputError(f"{path} cannot be written: {problem.strerror}") from None
    try:
        try:
            yield made
            made.flush()
            os.fsync(made.fileno())
        finally:
            made.close()
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    files.sync_folder(folder)


def _stream(path: str) -> BinaryIO:
    if path != "-":
        try:
            return open(path, "wb", buffering=_BUFFER)
        except OSError as problem:
            raise InputError(f"{path} cannot be written: {problem.strerror}") from None
    if sys.stdout.isatty():
        raise InputError("an archive is not for a terminal", "name a file with -o, or pipe it on")
    return open(os.dup(sys.stdout.fileno()), "wb", buffering=_BUFFER)


class Telling:
    """A sink that tells how much was written."""

    def __init__(self, target: Sink, tell: Callable[[int], object]) -> None:
        self._target = target
        self._tell = tell

    def write(self, data: bytes | memoryview, /) -> object:
        """As the target writes."""
        self._tell(len(data))
        return self._target.write(data)
