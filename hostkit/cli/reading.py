# SPDX-License-Identifier: GPL-3.0-or-later
"""Text from a person: a file, a pipe or the command line, as lines, bounded."""

import codecs
import errno
import fcntl
import os
import stat
import sys
import termios
from collections.abc import Callable, Iterable, Iterator

from hostkit.diagnosis.doctor import Text
from hostkit.errors import InputError
from hostkit.text import printable
from hostkit.value import NamedTuple

TOTAL_LIMIT = 256 << 20
LINE_LIMIT = 1 << 16  # a longer one goes on as the next line
_CHUNK = 1 << 18
_GZIP = b"\x1f\x8b"
_XZ = b"\xfd7zXZ"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# Where the shell's <(command) and /dev/stdin are: pipes that somebody does write to.
_PIPE_FOLDERS = ("/dev/fd/", "/proc/self/fd/", "/dev/stdin")


class Reading(NamedTuple):
    """A text that is read while it is searched; `notes` are complete once it was."""

    text: Text
    notes: list[str]


def from_words(words: str) -> Reading:
    """What stood on the command line."""
    return Reading(Text("text", words.splitlines()), [])


def from_stdin() -> Reading:
    """What is piped or pasted into us."""
    if sys.stdin.isatty():
        print("paste the text, then press Ctrl-D on a line of its own", file=sys.stderr)
    return _reading("stdin", sys.stdin.fileno(), close=False)


def from_file(path: str) -> Reading:
    """A file's text. Raises InputError when it is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise InputError(f"{printable(path)} cannot be read: {error.strerror}") from error
    except ValueError as error:  # a zero byte in the name
        raise InputError(f"{printable(path)} is no file name") from error
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISFIFO(mode) and path.startswith(_PIPE_FOLDERS):
        os.set_blocking(descriptor, True)
    elif not stat.S_ISREG(mode):
        os.close(descriptor)
        kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise InputError(f"{printable(path)} is {kind}", "`hostkit doctor -` reads from a pipe")
    return _reading(path, descriptor, close=True)


def spoken(lines: Iterable[str]) -> Iterator[str]:
    """The same lines. Raises InputError at their end when all were blank."""
    rest = iter(lines)
    for line in rest:
        yield line
        if line.strip():
            yield from rest
            return
    raise InputError("there is no text", 'such as: hostkit doctor "the error message"')


def stdin_waits() -> bool:
    """Whether there is something to read in a pipe or file that is our standard input."""
    descriptor = sys.stdin.fileno()
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.lseek(descriptor, 0, os.SEEK_CUR) < os.fstat(descriptor).st_size
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return False
    count = fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4))
    return any(count)


def _reading(source: str, descriptor: int, *, close: bool) -> Reading:
    notes: list[str] = []
    return Reading(Text(source, _lines(source, descriptor, notes.append, close=close)), notes)


def _lines(
    source: str, descriptor: int, note: Callable[[str], None], *, close: bool
) -> Iterator[str]:
    try:
        chunks = _chunks(source, descriptor, note)
        first = next(chunks, b"")
        if first.startswith((_GZIP, _XZ)):
            tool = "zcat" if first.startswith(_GZIP) else "xzcat"
            raise InputError(
                f"{printable(source)} is compressed", f"{tool} FILE | hostkit doctor -"
            )
        encoding = "utf-16" if first.startswith(_UTF16) else "utf-8-sig"
        decoder = codecs.getincrementaldecoder(encoding)("replace")
        rest = ""
        for chunk in _after(first, chunks):
            *whole, rest = (rest + decoder.decode(chunk)).split("\n")
            yield from whole
            while len(rest) > LINE_LIMIT:
                yield rest[:LINE_LIMIT]
                rest = rest[LINE_LIMIT:]
        rest += decoder.decode(b"", final=True)
        if rest:
            yield rest
    finally:
        if close:
            os.close(descriptor)


def _after(first: bytes, others: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from others


def _chunks(source: str, descriptor: int, note: Callable[[str], None]) -> Iterator[bytes]:
    left = TOTAL_LIMIT
    while True:
        try:
            data = os.read(descriptor, _CHUNK)
        except OSError as error:
            if error.errno == errno.EISDIR:
                raise InputError(f"{printable(source)} is a folder") from error
            raise InputError(f"{printable(source)} cannot be read: {error.strerror}") from error
        if not data:
            return
        yield data[:left]
        left -= len(data)
        if left <= 0:
            note(f"only the first {TOTAL_LIMIT >> 20} MiB of {source} were searched")
            return
