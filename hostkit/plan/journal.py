# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run has done, on disk before and after each step: it survives a kill and a power cut.

One file a run, RUN.jsonl, only ever appended to. The first line is the plan, each other
line one event. The last field of a line, `sum`, is a checksum over the line and the `sum`
before it, so a line that is changed, lost or moved shows. A last line that was not wholly
written is dropped: what it was to announce had not begun.
"""

import fcntl
import hashlib
import json
import os
import re
import shlex
import signal
import stat
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from enum import StrEnum
from types import TracebackType

from hostkit import files, text
from hostkit.data import load_json
from hostkit.errors import InputError, Refused
from hostkit.plan.codec import Json, from_json, to_json
from hostkit.plan.plan import is_run_id
from hostkit.value import NamedTuple

FORMAT = "hostkit.journal/1"
LIMIT = 64 << 20
_LINE = rb'(?s)(\{.*),"sum":"([0-9a-f]{16})"\}'


class Event(StrEnum):
    """What a line says; with a step: of that step, else of the run."""

    APPLYING = "applying"  # intent: from here on the step may be half done
    APPLIED = "applied"
    FOUND = "found"  # it was so already, and is not ours to undo
    FINISHED = "finished"
    UNDO = "undo"  # the run is to be taken back; `note` says why
    UNDOING = "undoing"
    UNDONE = "undone"
    RESTORED = "restored"  # all is as it was before the run


class Entry(NamedTuple):
    """One event; `step` counts from 0, `at` is UTC."""

    event: str
    at: str
    step: int | None = None
    note: str = ""


class Header(NamedTuple):
    """The first line: the plan, its steps not yet decoded."""

    id: str
    title: str
    created: str
    steps: tuple[Json, ...]


class Status(StrEnum):
    """How far a run has come."""

    NOTHING_DONE = "nothing done"
    CUT_OFF = "cut off"
    APPLIED = "applied"
    UNDO_CUT_OFF = "undo cut off"
    UNDONE = "undone"

    @property
    def unfinished(self) -> bool:
        """Whether the machine is left between before and after."""
        return self in (Status.CUT_OFF, Status.UNDO_CUT_OFF)


class Progress:
    """What the events of a run add up to."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.steps: dict[int, Event] = {}
        self.run: Event | None = None
        for entry in entries:
            self.add(entry)

    def add(self, entry: Entry) -> None:
        """Take one more event into account."""
        event = Event(entry.event)
        if entry.step is None:
            self.run = event
        else:
            self.steps[entry.step] = event

    def to_undo(self) -> tuple[int, ...]:
        """The steps that were begun and are not undone, the last one first."""
        over = (Event.FOUND, Event.UNDONE)
        return tuple(n for n in sorted(self.steps, reverse=True) if self.steps[n] not in over)

    @property
    def status(self) -> Status:
        """Where the run stands."""
        if self.run is Event.FINISHED:
            return Status.APPLIED
        if self.run is Event.RESTORED:
            return Status.UNDONE
        if self.run is Event.UNDO:
            return Status.UNDO_CUT_OFF
        return Status.CUT_OFF if self.to_undo() else Status.NOTHING_DONE


class Written(NamedTuple):
    """A journal as read: `size` counts the bytes that are whole, `chain` is their last sum."""

    header: Header | None
    entries: tuple[Entry, ...]
    size: int
    chain: str


def parse_journal(data: bytes, run: str) -> Written:
    """Read a journal; `header` is None when not even the plan was written. Raises ValueError."""
    chain, size, lines = run, 0, list[Json]()
    while size < len(data):
        end = data.find(b"\n", size)
        line = data[size:end] if end >= 0 else data[size:]
        last = end in (-1, len(data) - 1)
        # A block that was not written reads as zeros; JSON never holds one.
        if last and (end < 0 or b"\0" in line):
            break
        body, given = _split(line, len(lines) + 1)
        chain = _checksum(chain, body)
        if chain != given:
            raise ValueError(f"line {len(lines) + 1} is not what was written")
        lines.append(load_json(body + b"}"))
        size = end + 1
    header = _header(lines[0], run) if lines else None
    entries = tuple(from_json(Entry, line) for line in lines[1:])
    for entry in entries:
        Event(entry.event)
        if header and entry.step is not None and not 0 <= entry.step < len(header.steps):
            raise ValueError(f"there is no step {entry.step}")
    return Written(header, entries, size, chain)


def _split(line: bytes, number: int) -> tuple[bytes, str]:
    found = re.fullmatch(_LINE, line)
    if found is None:
        raise ValueError(f"line {number} has no checksum")
    return found[1], found[2].decode()


def _header(line: Json, run: str) -> Header:
    fields = dict(line)
    if fields.pop("format", None) != FORMAT:
        raise ValueError(f"its format is not {FORMAT}")
    header = from_json(Header, fields)
    if header.id != run:
        raise ValueError(f"it is the journal of the run {text.printable(header.id)}")
    return header


def _checksum(chain: str, body: bytes) -> str:
    return hashlib.sha256(chain.encode() + body).hexdigest()[:16]


class Journal:
    """One run's journal, open for appending. Made by `Journals`, under its lock."""

    def __init__(self, descriptor: int, written: Written, run: str) -> None:
        assert written.header is not None
        self.header = written.header
        self.progress = Progress(written.entries)
        self._descriptor = descriptor
        self._size = written.size
        self._chain = written.chain
        self.run = run

    def append(self, event: Event, step: int | None = None, note: str = "") -> None:
        """Write one event; it is on disk when this returns. Raises OSError."""
        entry = Entry(event.value, _now(), step, note)
        with _ctrl_c_waits():  # else a line could be on disk that we do not know of
            self._chain, self._size = _append(
                self._descriptor, to_json(entry), self._chain, self._size
            )
            self.progress.add(entry)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._descriptor)


def _append(descriptor: int, fields: Json, chain: str, size: int) -> tuple[str, int]:
    body = json.dumps(fields, separators=(",", ":")).encode()[:-1]
    chain = _checksum(chain, body)
    line = body + f',"sum":"{chain}"}}\n'.encode()
    try:
        files.write_all(descriptor, line)
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)  # half a line must not stand before the next one
        raise
    return chain, size + len(line)


@contextmanager
def _ctrl_c_waits() -> Generator[None]:
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        signal.raise_signal(signal.SIGINT)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class Listed(NamedTuple):
    """One run in a list; `damage` says why its journal cannot be used."""

    id: str
    title: str = ""
    created: str = ""
    status: Status = Status.NOTHING_DONE
    damage: str = ""


class Journals:
    """The folder of journals. Only its owner may read or write it, else it is refused.

    `usual`: whether it is found again without being named.
    """

    def __init__(self, state_folder: str, *, usual: bool = True) -> None:
        self._state_folder = os.path.realpath(state_folder)
        self._usual = usual
        self.folder = os.path.join(self._state_folder, "journals")

    def command(self, *words: str) -> str:
        """The `hostkit undo` to type for a run that is kept here."""
        place = () if self._usual else ("--root", self._state_folder)
        return shlex.join(("hostkit", "undo", *place, *words))

    @contextmanager
    def lock(self) -> Generator[None]:
        """Keep every other hostkit from changing this machine. Raises Refused."""
        try:
            self._make_folder()
            descriptor = os.open(os.path.join(self.folder, "lock"), _LOCK, 0o600)
        except OSError as error:
            raise Refused(f"{self.folder} cannot be used: {error.strerror}") from None
        try:
            _lock(descriptor, self.folder)
            yield
        finally:
            os.close(descriptor)

    def create(self, header: Header) -> Journal:
        """Begin the journal of a run. Raises OSError, and nothing may be changed then."""
        path = self._path(header.id)
        descriptor = os.open(path, _WRITE | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fields = {"format": FORMAT, **to_json(header)}
            chain, size = _append(descriptor, fields, header.id, 0)
            files.sync_folder(self.folder)
        except BaseException:
            os.close(descriptor)
            raise
        return Journal(descriptor, Written(header, (), size, chain), header.id)

    def open(self, run: str) -> Journal:
        """Open the journal of a run to go on with it, without a half-written last line."""
        written = self.read(run)
        if written.header is None:
            raise InputError(f"the run {run} was cut off before it began: nothing was changed")
        descriptor = os.open(self._path(run), _WRITE)
        os.ftruncate(descriptor, written.size)
        return Journal(descriptor, written, run)

    def read(self, run: str) -> Written:
        """What a journal says. Raises InputError for one that is missing, foreign or damaged."""
        path = self._path(run)
        try:
            self._refuse_foreign_folders()
            _refuse_foreign(path, stat.S_ISREG)
            data, more = files.read_bounded(path, LIMIT)
        except FileNotFoundError:
            raise InputError(f"there is no run {run}", "`hostkit undo` lists the runs") from None
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from None
        try:
            if more:
                raise ValueError(f"it is larger than {LIMIT} bytes")
            return parse_journal(data, run)
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{path} is damaged: {text.printable(str(error))}",
                "it is not acted upon; its first line says what the run was to change",
            ) from None

    def runs(self) -> tuple[Listed, ...]:
        """Every run, the latest first."""
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise InputError(f"{self.folder} cannot be read: {error.strerror}") from None
        runs = (name.removesuffix(".jsonl") for name in names if name.endswith(".jsonl"))
        return tuple(self._listed(run) for run in sorted(filter(is_run_id, runs), reverse=True))

    def _listed(self, run: str) -> Listed:
        try:
            written = self.read(run)
        except InputError as error:
            return Listed(run, damage=error.message)
        if written.header is None:
            return Listed(run)
        header = written.header
        return Listed(run, header.title, header.created, Progress(written.entries).status)

    def _path(self, run: str) -> str:
        if not is_run_id(run):
            raise InputError(
                f"{text.printable(run)} is not the name of a run", "`hostkit undo` lists the runs"
            )
        return os.path.join(self.folder, f"{run}.jsonl")

    def _make_folder(self) -> None:
        for folder, mode in ((self._state_folder, 0o755), (self.folder, 0o700)):
            if not os.path.isdir(folder):
                os.makedirs(folder, mode, exist_ok=True)
                files.sync_folder(os.path.dirname(folder))
        self._refuse_foreign_folders()

    def _refuse_foreign_folders(self) -> None:
        """Whoever may rename a folder above may put another in its place."""
        _refuse_foreign(self.folder, stat.S_ISDIR)
        above = self._state_folder
        while above != "/":
            _refuse_foreign(above, stat.S_ISDIR, shared=stat.S_ISVTX)
            above = os.path.dirname(above)


def _refuse_foreign(path: str, is_kind: Callable[[int], bool], shared: int = 0) -> None:
    """Steps are done as root by what is written here: no other user may write it.

    A folder with the mode bit `shared` may be written by others: /tmp is no danger.
    """
    info = os.lstat(path)
    if not is_kind(info.st_mode):
        raise InputError(f"{path} is a link or no plain file or folder: not used")
    writable = info.st_mode & 0o022 and not info.st_mode & shared
    if info.st_uid not in (0, os.geteuid()) or writable:
        raise InputError(f"{path} can be written by another user: not used")


def _lock(descriptor: int, folder: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Refused(
            "another hostkit is changing this machine", "wait until it has ended"
        ) from None
    except OSError as error:  # a file system without locks
        raise Refused(f"{folder} cannot be locked: {error.strerror}") from None


_LOCK = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_WRITE = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
