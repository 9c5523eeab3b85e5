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
from functools import partial
from typing import TYPE_CHECKING

from hostkit.diagnosis.doctor import Text
from hostkit.diagnosis.flat import LINE_LIMIT
from hostkit.errors import InputError
from hostkit.text import printable
from hostkit.value import NamedTuple

if TYPE_CHECKING:
    from hostkit.diagnosis.parts import Part
    from hostkit.report.progress import Progress

TOTAL_LIMIT = 8 << 30  # a minute or two
_CHUNK = 1 << 18
_LONG = 16 << 20  # takes long enough to say how far it is
_PART = 32 << 20  # is worth a process of its own
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
    parts = _parts(path, descriptor)
    if parts:
        os.close(descriptor)
        return Reading(Text(path, (), parts), parts[0].notes)
    return _reading(path, descriptor, close=True)


def spoken(lines: Iterable[str | bytes]) -> Iterator[str | bytes]:
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
    chunks = _utf8(source, _chunks(source, descriptor, notes.append))
    return Reading(Text(source, _lines(chunks, notes.append, descriptor if close else -1)), notes)


def _parts(path: str, descriptor: int) -> "tuple[Part, ...]":
    """A long file cut at ends of lines, as many parts as there are processors; () for others."""
    size = os.fstat(descriptor).st_size
    count = min(len(os.sched_getaffinity(0)), size // _PART)
    if count < 2 or size > TOTAL_LIMIT or os.pread(descriptor, 2, 0) in (*_UTF16, _GZIP, _XZ[:2]):  # noqa: PLR2004 - one part is none
        return ()
    from hostkit.diagnosis.parts import Part
    from hostkit.diagnosis.scan import AROUND_BYTES

    cuts = [0]
    for number in range(1, count):
        begin = size * number // count
        near = os.pread(descriptor, AROUND_BYTES, begin)
        if b"\n" not in near:
            return ()  # lines without end are read in order
        cuts.append(begin + near.index(b"\n") + 1)
    parts: list[Part] = []
    for begin, end in zip(cuts, (*cuts[1:], size), strict=True):
        before = os.pread(descriptor, min(begin, AROUND_BYTES), max(0, begin - AROUND_BYTES))
        notes: list[str] = []
        lines = partial(_part_lines, path, begin, end, notes)
        parts.append(Part(lines, notes, before, os.pread(descriptor, AROUND_BYTES, end)))
    return tuple(parts)


def _part_lines(path: str, begin: int, end: int, notes: list[str]) -> Iterator[bytes]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    os.lseek(descriptor, begin, os.SEEK_SET)
    chunks = _chunks(path, descriptor, notes.append, part=end - begin, quiet=begin > 0)
    return _lines(chunks, notes.append, descriptor)


def _lines(
    chunks: Iterable[bytes], note: Callable[[str], None], descriptor: int
) -> Iterator[bytes]:
    """Whole lines in UTF-8, many at once; of an endless line, what is looked at.

    Closes the descriptor at the end, unless it is negative.
    """
    held: list[bytes] = []
    size, cut = 0, False
    try:
        for chunk in chunks:
            whole, newline, begun = chunk.rpartition(b"\n")
            cut = cut or size + len(chunk.partition(b"\n")[0]) > LINE_LIMIT
            if newline:
                yield b"".join((*held, whole))
                held, size = [begun], len(begun)
            elif size <= LINE_LIMIT:
                held.append(begun)
                size += len(begun)
        if size:
            yield b"".join(held)
        if cut:
            note(f"of lines longer than {LINE_LIMIT >> 20} MiB only so much was searched")
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _utf8(source: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    first = next(chunks, b"")
    if first.startswith((_GZIP, _XZ)):
        tool = "zcat" if first.startswith(_GZIP) else "xzcat"
        raise InputError(f"{printable(source)} is compressed", f"{tool} FILE | hostkit doctor -")
    if not first.startswith(_UTF16):
        yield first.removeprefix(codecs.BOM_UTF8)
        yield from chunks
        return
    decoder = codecs.getincrementaldecoder("utf-16")("replace")
    yield decoder.decode(first).encode("utf-8", "replace")
    for chunk in chunks:
        yield decoder.decode(chunk).encode("utf-8", "replace")
    yield decoder.decode(b"", final=True).encode("utf-8", "replace")


def _chunks(
    source: str,
    descriptor: int,
    note: Callable[[str], None],
    *,
    part: int | None = None,
    quiet: bool = False,
) -> Iterator[bytes]:
    """The bytes of a `part`, or all; that there were more than TOTAL_LIMIT is noted."""
    left = TOTAL_LIMIT if part is None else part
    progress = None if quiet else _progress(source, descriptor, left)
    try:
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
            if progress:
                progress.add(len(data))
            if left <= 0 and part is not None:
                return
            if left <= 0:
                note(f"only the first {TOTAL_LIMIT >> 20} MiB of {source} were searched")
                return
    finally:
        if progress:
            progress.close()


def _progress(source: str, descriptor: int, most: int) -> "Progress | None":
    """What tells a person how far a long text was read; of a pipe the length is not known."""
    status = os.fstat(descriptor)
    if not sys.stderr.isatty() or (stat.S_ISREG(status.st_mode) and status.st_size < _LONG):
        return None
    from hostkit.report.progress import Progress

    return Progress(f"reading {source}", min(status.st_size, most))
