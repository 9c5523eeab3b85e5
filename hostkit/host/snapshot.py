# SPDX-License-Identifier: GPL-3.0-or-later
"""A host as it was when a snapshot was taken. The file may come from anybody."""

import hashlib
from collections.abc import Mapping
from typing import Any, cast

from hostkit import text
from hostkit.data import load_json
from hostkit.files import READ_LIMIT
from hostkit.host import archive
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.host.base import FileStat, Output, SourceKind, Space, Tail
from hostkit.host.commands import Command
from hostkit.host.questions import CODECS, MANIFEST, MANIFEST_BYTES, SCHEMA, Question, unknown
from hostkit.value import NamedTuple

_YEAR_5138 = 1e11
NOT_COLLECTED = "not collected in this snapshot"


class _Kept(NamedTuple):
    """An answer that is decoded when it is asked for."""

    source: str
    value: Any
    blobs: tuple[archive.Blob, ...]


class SnapshotHost:
    """Answers as the recorded host did; what it was not asked then is Unreadable."""

    kind: SourceKind = "snapshot"

    def __init__(self, path: str) -> None:
        """Read and check the whole file. Raises InputError."""
        self.path = path
        members = archive.unpack(path)
        first = next(members, None)
        if first is None or first.name != MANIFEST:
            raise archive.refuse(path, f"{MANIFEST} is not its first member")
        if len(first.data) > MANIFEST_BYTES:
            raise archive.refuse(path, f"{MANIFEST} is larger than {MANIFEST_BYTES >> 20} MiB")
        manifest = _parse(path, first.data)
        blobs = {member.name: (archive.Blob(member.data), _digest(member)) for member in members}
        try:
            self.name = text.shorten(text.printable(str(manifest["hostname"])), 64)
            self.taken_at = _moment(manifest["taken_at"])
            self.privileged = manifest["privileged"] is True
            self._answers = dict(_entry(entry, blobs) for entry in manifest["questions"])
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
            reason = text.shorten(text.printable(f"{type(error).__name__}: {error}"), 100)
            raise archive.refuse(path, f"its manifest is damaged ({reason})") from error

    def read(self, path: str, limit: int = READ_LIMIT) -> Answer[bytes]:
        answer: Answer[bytes] = self._get("read", path)
        if isinstance(answer, Known) and len(answer.value) > limit:
            return Unreadable(path, f"larger than {limit} bytes")
        return answer

    def tail(self, path: str, limit: int) -> Answer[Tail]:
        answer: Answer[Tail] = self._get("tail", path)
        if isinstance(answer, Known) and len(answer.value.data) > limit:
            return Known(Tail(answer.value.data[-limit:], truncated=True), answer.source)
        return answer

    def listdir(self, path: str) -> Answer[tuple[str, ...]]:
        return self._get("listdir", path)

    def stat(self, path: str, *, follow: bool = True) -> Answer[FileStat]:
        return self._get("stat" if follow else "lstat", path)

    def space(self, path: str) -> Answer[Space]:
        return self._get("space", path)

    def run(self, command: Command, *args: str) -> Answer[Output]:
        return self._get("run", *command.argv, *args)

    def native(self, source: str) -> Answer[Any]:
        return self._get("native", source)

    def _get(self, ask: str, *of: str) -> Answer[Any]:
        kept = self._answers.get(Question(ask, of))
        if kept is None:
            return Unreadable(" ".join(of), NOT_COLLECTED)
        if not isinstance(kept, _Kept):
            return kept
        blobs = [blob.get() for blob in kept.blobs]
        try:
            return Known(CODECS[ask].decode(kept.value, blobs), kept.source)
        except (ValueError, TypeError, LookupError, OverflowError) as error:
            return Unreadable(kept.source, f"damaged in this snapshot: {error}")


def _parse(path: str, data: bytes) -> Mapping[str, Any]:
    try:
        said: object = load_json(data)
    except ValueError as error:
        raise archive.refuse(path, "its manifest is not JSON") from error
    if not isinstance(said, dict):
        raise archive.refuse(path, "its manifest is not an object")
    manifest = cast("dict[str, Any]", said)
    schema = manifest.get("schema")
    if schema != SCHEMA:
        named = text.shorten(text.printable(str(schema)), 40)
        raise archive.refuse(path, f"its schema is {named}, this hostkit reads {SCHEMA}")
    return manifest


def _moment(value: Any) -> float:
    moment = float(value)
    if not 0.0 <= moment < _YEAR_5138:  # also refuses what is no number
        raise ValueError("taken_at is no time")
    return moment


def _digest(member: archive.Member) -> str:
    return hashlib.sha256(member.data).hexdigest()


def _entry(
    entry: Mapping[str, Any], blobs: Mapping[str, tuple[archive.Blob, str]]
) -> tuple[Question, "_Kept | Absent | Unreadable"]:
    ask, of = entry["ask"], entry["of"]
    if ask not in CODECS or not of or not all(isinstance(word, str) for word in of):
        raise ValueError(f"question {ask!r}")
    question = Question(ask, tuple(of))
    failed = unknown(entry)
    if failed is not None:
        return question, failed
    found: list[archive.Blob] = []
    for member in entry["members"]:
        name = member["name"]
        if name not in blobs:
            raise LookupError(f"{name} is missing")
        blob, digest = blobs[name]
        if digest != member["sha256"]:
            raise ValueError(f"{name} is not what was recorded")
        found.append(blob)
    if len(found) != CODECS[ask].blobs:
        raise ValueError(f"{ask} has {len(found)} members")
    return question, _Kept(str(entry["source"]), entry["value"], tuple(found))
