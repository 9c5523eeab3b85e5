# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be asked of any host. Read-only by construction."""

from typing import Any, Literal, Protocol

from hostkit.host.answer import Answer
from hostkit.host.commands import Command
from hostkit.value import NamedTuple

FileKind = Literal["file", "folder", "link", "socket", "fifo", "char", "block"]
SourceKind = Literal["live", "snapshot", "text"]


class FileStat(NamedTuple):
    """What stat(2) says; `allocated` is in bytes, `target` is where a link points."""

    kind: FileKind
    mode: int
    uid: int
    gid: int
    size: int
    allocated: int
    inode: int
    device: int
    rdev: tuple[int, int]
    mtime: float
    target: str = ""


class Space(NamedTuple):
    """What statvfs(3) says of the file system that holds a path; bytes and inodes."""

    total: int
    free: int
    available: int
    inodes: int
    inodes_free: int


class Tail(NamedTuple):
    """The end of a file. `truncated`: there was more before it."""

    data: bytes
    truncated: bool = False


class Output(NamedTuple):
    """What a command said. `truncated`: there was more than the command's limit."""

    stdout: bytes
    stderr: bytes
    status: int
    truncated: bool = False


class Host(Protocol):
    """A machine that can be asked; no method raises for what the machine is like.

    `path` and `args` are absolute paths or plain words. `taken_at` is the time of the
    answers in seconds since the epoch: now for a live host.
    """

    @property
    def kind(self) -> SourceKind: ...
    @property
    def name(self) -> str: ...
    @property
    def taken_at(self) -> float: ...
    @property
    def privileged(self) -> bool: ...

    def read(self, path: str, limit: int = ...) -> Answer[bytes]: ...
    def tail(self, path: str, limit: int) -> Answer[Tail]: ...
    def listdir(self, path: str) -> Answer[tuple[str, ...]]: ...
    def stat(self, path: str, *, follow: bool = True) -> Answer[FileStat]: ...
    def space(self, path: str) -> Answer[Space]: ...
    def run(self, command: Command, *args: str) -> Answer[Output]: ...
    def native(self, source: str) -> Answer[Any]: ...
