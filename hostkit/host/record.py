# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that remembers everything it was asked, and the file that keeps it."""

import errno
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

from hostkit import __version__, files, text
from hostkit.errors import InputError
from hostkit.host import archive
from hostkit.host.answer import Answer, Known, Unreadable
from hostkit.host.base import FileStat, Host, Output, SourceKind, Space, Tail
from hostkit.host.commands import Command
from hostkit.host.questions import CODECS, MANIFEST, MANIFEST_BYTES, SCHEMA, Question, outcome
from hostkit.host.redact import redact, redact_json, redact_text

TOTAL_BYTES = 256 << 20  # far below what a reader accepts
_HEAD_BYTES = 1000  # the manifest's own fields
_COMMA = 2  # between two entries
_LEFT_OUT = "left out: the snapshot would be too large"


class Recorder:
    """Asks another host and keeps each answer; safe to use from several threads.

    The same question has the same answer for the whole recording, as it will have for
    whoever reads the snapshot.
    """

    kind: SourceKind = "live"

    def __init__(self, host: Host) -> None:
        self.host = host
        self.name = host.name
        self.taken_at = host.taken_at
        self.privileged = host.privileged
        self._answers: dict[Question, Answer[Any]] = {}
        self._lock = threading.Lock()

    def answers(self) -> tuple[tuple[Question, Answer[Any]], ...]:
        """Every question with its answer, in a fixed order."""
        with self._lock:
            return tuple(sorted(self._answers.items(), key=lambda item: item[0]))

    def read(self, path: str, limit: int = files.READ_LIMIT) -> Answer[bytes]:
        answer = self._keep("read", (path,), lambda: self.host.read(path, limit))
        if isinstance(answer, Known) and len(answer.value) > limit:
            return Unreadable(path, f"larger than {limit} bytes")
        return answer

    def tail(self, path: str, limit: int) -> Answer[Tail]:
        return self._keep("tail", (path,), lambda: self.host.tail(path, limit))

    def listdir(self, path: str) -> Answer[tuple[str, ...]]:
        return self._keep("listdir", (path,), lambda: self.host.listdir(path))

    def stat(self, path: str, *, follow: bool = True) -> Answer[FileStat]:
        ask = "stat" if follow else "lstat"
        return self._keep(ask, (path,), lambda: self.host.stat(path, follow=follow))

    def space(self, path: str) -> Answer[Space]:
        return self._keep("space", (path,), lambda: self.host.space(path))

    def run(self, command: Command, *args: str) -> Answer[Output]:
        return self._keep("run", (*command.argv, *args), lambda: self.host.run(command, *args))

    def native(self, source: str) -> Answer[Any]:
        return self._keep("native", (source,), lambda: self.host.native(source))

    def _keep(self, ask: str, of: tuple[str, ...], get: Callable[[], Answer[Any]]) -> Answer[Any]:
        """The answer kept, else a new one; a failure is asked again (the limit may be larger)."""
        question = Question(ask, of)
        with self._lock:
            kept = self._answers.get(question)
        if isinstance(kept, Known):
            return kept
        answer = get()
        with self._lock:
            before = self._answers.get(question)
            if isinstance(before, Known):  # another thread was faster
                return before
            self._answers[question] = answer
        return answer


def write_snapshot(recorder: Recorder, path: str) -> int:
    """Write what was recorded to a new file that only its owner may read.

    Secrets are taken out. Returns how many. Raises InputError: a file that is there
    already is not touched, for its mode might let others read.
    """
    if os.path.lexists(path):
        raise InputError(f"{text.printable(path)} exists already", "name another file: -o FILE")
    data, secrets = pack(recorder)
    try:
        files.write_atomic(path, data, mode=0o600)
    except OSError as error:
        reason = error.strerror or str(error)
        hint = "free some space or name another file: -o FILE"
        if error.errno in (errno.ENOENT, errno.EACCES, errno.EROFS, errno.EPERM):
            hint = "name a file in a folder that you may write to: -o FILE"
        raise InputError(f"cannot write {text.printable(path)}: {reason}", hint) from error
    return secrets


def pack(recorder: Recorder) -> tuple[bytes, int]:
    """The snapshot's bytes without secrets, and how many were taken out."""
    manifest, members = _encode(recorder)
    head = archive.Member(MANIFEST, json.dumps(manifest).encode())
    data = archive.pack((head, *members), int(recorder.taken_at))
    return data, sum(entry["redactions"] for entry in manifest["questions"])


def _encode(recorder: Recorder) -> tuple[dict[str, Any], list[archive.Member]]:
    members: list[archive.Member] = []
    entries = list(_entries(recorder, members))
    manifest = {
        "schema": SCHEMA,
        "hostkit": __version__,
        "hostname": recorder.name,
        "taken_at": recorder.taken_at,
        "privileged": recorder.privileged,
        "questions": entries,
    }
    return manifest, members


def _entries(recorder: Recorder, members: list[archive.Member]) -> Iterator[dict[str, Any]]:
    """What a reader will take of the answers; a question left out was not asked, to it."""
    room, places = TOTAL_BYTES, MANIFEST_BYTES - _HEAD_BYTES
    for question, answer in sorted(recorder.answers(), key=lambda kept: _of_devices(kept[0])):
        entry, blobs = _encoded(question, answer)
        room -= sum(map(len, blobs))
        full = room < 0 or len(members) + len(blobs) >= archive.MEMBER_COUNT
        if full or any(len(blob) > archive.MEMBER_BYTES for blob in blobs):
            entry, blobs = _encoded(question, Unreadable(answer.source, _LEFT_OUT))
        kept = [_member(entry["source"], blob, len(members) + at) for at, blob in enumerate(blobs)]
        if blobs:
            entry["members"] = [said for said, _ in kept]
            entry["redactions"] += sum(said["redactions"] for said, _ in kept)
        places -= len(json.dumps(entry)) + _COMMA
        if places >= 0:
            members += [member for _, member in kept]
            yield entry


def _of_devices(question: Question) -> bool:
    """Whether it is one of the many about single devices, which are the last to get room."""
    return question.of[0].startswith(("/sys/block/", "/sys/class/"))


def _encoded(question: Question, answer: Answer[Any]) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """The entry of the manifest, but for what is said of the bytes; and these."""
    entry: dict[str, Any] = {"ask": question.ask, "of": question.of, "redactions": 0}
    blobs: tuple[bytes, ...] = ()
    if isinstance(answer, Known):
        value, blobs = CODECS[question.ask].encode(answer.value)
        entry["value"], entry["redactions"] = _without_secrets(question, value)
        entry["members"] = []
    entry.update(outcome(answer))
    if "reason" in entry:  # may repeat what a program said
        entry["reason"], entry["redactions"] = redact_text(entry["source"], entry["reason"])
    return entry, blobs


def _without_secrets(question: Question, value: Any) -> tuple[Any, int]:
    return redact_json(question.of[0], value) if question.ask == "native" else (value, 0)


def _member(source: str, blob: bytes, at: int) -> tuple[dict[str, Any], archive.Member]:
    data, redactions = redact(source, blob)
    name = f"answers/{at:06d}"
    digest = hashlib.sha256(data).hexdigest()
    said = {"name": name, "bytes": len(data), "sha256": digest, "redactions": redactions}
    return said, archive.Member(name, data)
