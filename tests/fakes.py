# SPDX-License-Identifier: GPL-3.0-or-later
"""A host made of values: what was not given is Absent, and nothing is ever asked outside."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from hostkit.facts.fact import Fact, Facts
from hostkit.files import READ_LIMIT
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.host.base import FileKind, FileStat, Output, SourceKind, Space, Tail
from hostkit.host.commands import Command

# What a command says: its stdout, or (stdout, status), or (stdout, status, stderr).
Said: TypeAlias = (
    str | bytes | tuple[str | bytes, int] | tuple[str | bytes, int, str | bytes] | Output
)
TAKEN_AT = 1_700_000_000.0
LINK_LIMIT = 40


def fake_stat(kind: FileKind = "file", **fields: Any) -> FileStat:
    """A FileStat of root's; give the fields that matter."""
    base = FileStat(
        kind=kind,
        mode=0o755 if kind == "folder" else 0o644,
        uid=0,
        gid=0,
        size=0,
        allocated=0,
        inode=1,
        device=1,
        rdev=(0, 0),
        mtime=TAKEN_AT,
    )
    return base._replace(**fields)


class FakeHost:
    """A host that says what it was given.

    `files`: path -> content; the folders above exist and list it. `folders`: path ->
    names in it. `links`: path -> target, followed. `stats` and `spaces` override; a path
    below one of `spaces` has that space. `commands`: "argv joined by blanks" -> what it
    says; a status the command's row does not allow is Unreadable. `native`: source ->
    value. `unreadable`: paths, joined argvs, `statvfs PATH` or native sources that cannot
    be asked, with the reason (or only their names); `needs_root` says that root could.
    `asked` collects every question, such as `read /etc/hosts`.
    """

    def __init__(
        self,
        files: Mapping[str, str | bytes] | None = None,
        *,
        folders: Mapping[str, Iterable[str]] | None = None,
        links: Mapping[str, str] | None = None,
        stats: Mapping[str, FileStat] | None = None,
        spaces: Mapping[str, Space] | None = None,
        commands: Mapping[str, Said] | None = None,
        native: Mapping[str, Any] | None = None,
        unreadable: Mapping[str, str] | tuple[str, ...] | list[str] = (),
        needs_root: bool = False,
        name: str = "fake",
        kind: SourceKind = "live",
        privileged: bool = True,
        taken_at: float = TAKEN_AT,
    ) -> None:
        self.name = name
        self.kind: SourceKind = kind
        self.privileged = privileged
        self.taken_at = taken_at
        self.asked: list[str] = []
        self.files = {path: _bytes(content) for path, content in (files or {}).items()}
        self._links = dict(links or {})
        self._stats = dict(stats or {})
        self._spaces = dict(spaces or {})
        self.commands = dict(commands or {})
        self._native = dict(native or {})
        self._needs_root = needs_root
        self._unreadable = (
            dict.fromkeys(unreadable, "Permission denied")
            if isinstance(unreadable, tuple | list)
            else dict(unreadable)
        )
        self._names: dict[str, set[str]] = {"/": set()}
        for path, names in (folders or {}).items():
            self._add(path)
            self._names.setdefault(path, set()).update(names)
        for path in (*self.files, *self._links, *self._stats, *self._unreadable):
            if path.startswith("/"):
                self._add(path)

    def add(self, files: Mapping[str, str | bytes], commands: Mapping[str, Said]) -> None:
        """Let it have these too."""
        self.files.update({path: _bytes(content) for path, content in files.items()})
        self.commands.update(commands)
        for path in files:
            self._add(path)

    def _add(self, path: str) -> None:
        """Make the folders above a path list it."""
        while path not in ("", "/"):
            parent, _, name = path.rpartition("/")
            self._names.setdefault(parent or "/", set()).add(name)
            path = parent

    def _followed(self, path: str) -> str:
        for _ in range(LINK_LIMIT):
            for link, target in self._links.items():
                if path == link or path.startswith(link + "/"):
                    folder = link.rpartition("/")[0]
                    base = target if target.startswith("/") else f"{folder}/{target}"
                    path = _normal(base + path[len(link) :])
                    break
            else:
                return path
        return path

    def _refused(self, source: str) -> Unreadable | None:
        reason = self._unreadable.get(source)
        return None if reason is None else Unreadable(source, reason, self._needs_root)

    def read(self, path: str, limit: int = READ_LIMIT) -> Answer[bytes]:
        self.asked.append(f"read {path}")
        real = self._followed(path)
        refused = self._refused(path) or self._refused(real)
        if refused:
            return refused
        if real in self.files:
            data = self.files[real]
            if len(data) > limit:
                return Unreadable(path, f"larger than {limit} bytes")
            return Known(data, path)
        return Unreadable(path, "Is a directory") if real in self._names else Absent(path)

    def tail(self, path: str, limit: int) -> Answer[Tail]:
        answer = self.read(path, 1 << 40)
        if not isinstance(answer, Known):
            return answer
        data = answer.value
        return Known(Tail(data[max(0, len(data) - limit) :], len(data) > limit), path)

    def listdir(self, path: str) -> Answer[tuple[str, ...]]:
        self.asked.append(f"listdir {path}")
        real = self._followed(path)
        refused = self._refused(path) or self._refused(real)
        if refused:
            return refused
        if real not in self._names:
            return Absent(path)
        return Known(tuple(sorted(self._names[real])), path)

    def stat(self, path: str, *, follow: bool = True) -> Answer[FileStat]:
        self.asked.append(f"stat {path}")
        if not follow and path in self._links:
            target = self._links[path]
            given = self._stats.get(path, fake_stat("link", mode=0o777, inode=_inode(path)))
            return Known(given._replace(kind="link", target=target), path)
        real = self._followed(path)
        if real in self._stats:
            return Known(self._stats[real], path)
        refused = self._refused(path) or self._refused(real)
        if refused:
            return refused
        if real in self.files:
            size = len(self.files[real])
            return Known(fake_stat(size=size, allocated=size, inode=_inode(real)), path)
        if real in self._names:
            return Known(fake_stat("folder", inode=_inode(real)), path)
        parent, _, name = real.rpartition("/")
        if name in self._names.get(parent or "/", ()):
            return Known(fake_stat(inode=_inode(real)), path)
        return Absent(path)

    def space(self, path: str) -> Answer[Space]:
        self.asked.append(f"space {path}")
        source = f"statvfs {path}"
        refused = self._refused(source)
        if refused:
            return refused
        above = [top for top in self._spaces if f"{path}/".startswith(top.rstrip("/") + "/")]
        return Known(self._spaces[max(above, key=len)], source) if above else Absent(path)

    def run(self, command: Command, *args: str) -> Answer[Output]:
        source = " ".join((*command.argv, *args))
        self.asked.append(f"run {source}")
        refused = self._refused(source)
        if refused:
            return refused
        if source not in self.commands:
            return Absent(source, f"{command.argv[0]} is not installed")
        output = _output(self.commands[source])
        if output.status not in command.ok:
            needs_root = command.root and not self.privileged
            return Unreadable(source, f"exit status {output.status}", needs_root)
        return Known(output, source)

    def native(self, source: str) -> Answer[Any]:
        self.asked.append(f"native {source}")
        refused = self._refused(source)
        if refused:
            return refused
        if source not in self._native:
            return Absent(source, "no such native source")
        return Known(self._native[source], source)


def make_facts(
    files: Mapping[str, str | bytes] | None = None,
    *,
    given: Mapping[Fact[Any], Any] | None = None,
    **host: Any,
) -> Facts:
    """The facts of a FakeHost. `given`: facts with their value, or with their answer."""
    answers: dict[Fact[Any], Answer[Any]] = {}
    for fact, value in (given or {}).items():
        answered = isinstance(value, Known | Absent | Unreadable)
        answers[fact] = value if answered else Known(value, "given")
    return Facts(FakeHost(files, **host), answers)


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def _output(said: Said) -> Output:
    if isinstance(said, Output):
        return said
    if isinstance(said, tuple):
        stdout, status, *rest = said
        return Output(_bytes(stdout), _bytes(rest[0] if rest else b""), status)
    return Output(_bytes(said), b"", 0)


def _inode(path: str) -> int:
    """A number that differs from path to path and not from run to run."""
    return int.from_bytes(path.encode()[-6:], "big") + len(path)


def _normal(path: str) -> str:
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)
