# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to a host and their answers as JSON and bytes: the snapshot's vocabulary.

Format `hostkit.snapshot/1`: the first member, manifest.json, lists every question
(`ask`, `of`) with its outcome; the bytes of an answer are members of their own, which
the manifest names, so that no name in the archive is of the host's choosing. Whoever can
answer these six questions, a shell script's output or a support archive, can be a Host.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.host.base import FileKind, FileStat, Output, Space, Tail
from hostkit.value import NamedTuple

SCHEMA = "hostkit.snapshot/1"
MANIFEST = "manifest.json"
MANIFEST_BYTES = 16 << 20  # as JSON values it takes up to thirty times the memory
_KINDS = frozenset(get_args(FileKind))


class Question(NamedTuple):
    """`ask` is the name of a method of Host, `of` its words: a path, or an argv."""

    ask: str
    of: tuple[str, ...]


class Encoded(NamedTuple):
    """A value as plain JSON, and the parts of it that are bytes."""

    value: Any
    blobs: tuple[bytes, ...] = ()


class Codec(NamedTuple):
    """How the answers to one kind of question are kept.

    `decode` raises ValueError, TypeError or LookupError for what `encode` never gives.
    """

    encode: Callable[[Any], Encoded]
    decode: Callable[[Any, Sequence[bytes]], Any]
    blobs: int


def outcome(answer: Answer[Any]) -> dict[str, Any]:
    """The part of a manifest entry that says how a question ended."""
    if isinstance(answer, Known):
        return {"outcome": "known", "source": answer.source}
    if isinstance(answer, Absent):
        return {"outcome": "absent", "source": answer.source, "reason": answer.reason}
    return {
        "outcome": "unreadable",
        "source": answer.source,
        "reason": answer.reason,
        "needs_root": answer.needs_root,
    }


def unknown(entry: Mapping[str, Any]) -> Absent | Unreadable | None:
    """The answer of an entry that has no value, or None when it has one."""
    if entry["outcome"] == "known":
        return None
    source, reason = _text(entry["source"]), _text(entry["reason"])
    if entry["outcome"] == "absent":
        return Absent(source, reason)
    if entry["outcome"] == "unreadable":
        return Unreadable(source, reason, _flag(entry["needs_root"]))
    raise ValueError(f"outcome {entry['outcome']!r}")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a text was expected")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("true or false was expected")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("a whole number was expected")
    return value


def _decode_stat(value: Any, blobs: Sequence[bytes]) -> FileStat:
    del blobs
    if value["kind"] not in _KINDS:
        raise ValueError(f"a file of kind {value['kind']!r}")
    major, minor = value["rdev"]
    mtime = value["mtime"]
    if not isinstance(mtime, int | float):
        raise TypeError("a time was expected")
    return FileStat(
        kind=value["kind"],
        mode=_whole(value["mode"]),
        uid=_whole(value["uid"]),
        gid=_whole(value["gid"]),
        size=_whole(value["size"]),
        allocated=_whole(value["allocated"]),
        inode=_whole(value["inode"]),
        device=_whole(value["device"]),
        rdev=(_whole(major), _whole(minor)),
        mtime=float(mtime),
        target=_text(value["target"]),
    )


def _decode_space(value: Any, blobs: Sequence[bytes]) -> Space:
    del blobs
    return Space(**{name: _whole(value[name]) for name in Space._fields})


def _decode_names(value: Any, blobs: Sequence[bytes]) -> tuple[str, ...]:
    del blobs
    return tuple(_text(name) for name in value)


def _decode_output(value: Any, blobs: Sequence[bytes]) -> Output:
    return Output(blobs[0], blobs[1], _whole(value["status"]), _flag(value["truncated"]))


def _encode_output(output: Output) -> Encoded:
    kept = {"status": output.status, "truncated": output.truncated}
    return Encoded(kept, (output.stdout, output.stderr))


def _encode_bytes(data: bytes) -> Encoded:
    return Encoded(None, (data,))


def _decode_bytes(value: Any, blobs: Sequence[bytes]) -> bytes:
    del value
    return blobs[0]


def _encode_tail(tail: Tail) -> Encoded:
    return Encoded({"truncated": tail.truncated}, (tail.data,))


def _decode_tail(value: Any, blobs: Sequence[bytes]) -> Tail:
    return Tail(blobs[0], _flag(value["truncated"]))


def _encode_names(names: tuple[str, ...]) -> Encoded:
    return Encoded(list(names))


def _encode_fields(value: FileStat | Space) -> Encoded:
    return Encoded(value._asdict())


def _encode_json(value: Any) -> Encoded:
    return Encoded(value)


def _decode_json(value: Any, blobs: Sequence[bytes]) -> Any:
    del blobs
    return value


CODECS: Mapping[str, Codec] = {
    "read": Codec(_encode_bytes, _decode_bytes, 1),
    "tail": Codec(_encode_tail, _decode_tail, 1),
    "listdir": Codec(_encode_names, _decode_names, 0),
    "stat": Codec(_encode_fields, _decode_stat, 0),
    "lstat": Codec(_encode_fields, _decode_stat, 0),
    "space": Codec(_encode_fields, _decode_space, 0),
    "run": Codec(_encode_output, _decode_output, 2),
    "native": Codec(_encode_json, _decode_json, 0),
}
