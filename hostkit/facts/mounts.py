# SPDX-License-Identifier: GPL-3.0-or-later
"""What is mounted where, as the kernel tells this process (proc_pid_mountinfo(5))."""

import re
from collections.abc import Iterable
from functools import lru_cache

from hostkit.facts.fact import Fact, file_fact, refuse
from hostkit.value import NamedTuple

PATH = "/proc/self/mountinfo"
LIMIT = 16 << 20  # some 80,000 mounts: a host that leaks them is one we must be able to read
_BEFORE_OPTIONAL = 6  # id, parent, device, root, mount point, options
_OCTAL = r"\\([0-7]{3})"


class Mount(NamedTuple):
    """One mount. `root` is the part of the file system that is seen at `target`.

    `shared` and `master` are peer groups, 0 for none: a slave receives what is mounted in
    its master; what receives and passes on is both. `options` are the mount's own,
    `super_options` those of the file system.
    """

    ident: int
    parent: int
    device: tuple[int, int]
    root: str
    target: str
    options: tuple[str, ...]
    fstype: str
    source: str
    super_options: tuple[str, ...]
    shared: int = 0
    master: int = 0
    unbindable: bool = False

    @property
    def propagation(self) -> str:
        """As mount(8) and findmnt(8) say it: shared, slave, private or unbindable."""
        words = [word for word, on in (("shared", self.shared), ("slave", self.master)) if on]
        if self.unbindable:
            words.append("unbindable")
        return ",".join(words) or "private"

    @property
    def read_only(self) -> bool:
        """Whether writing fails here: the mount or the whole file system is read-only."""
        return "ro" in self.options or "ro" in self.super_options


class Mounts(NamedTuple):
    """All mounts, in the order of the mount table."""

    table: tuple[Mount, ...]

    def at(self, path: str) -> Mount | None:
        """The mount on exactly this path that is seen there, or None."""
        mount = self.holding(path)
        return mount if mount is not None and mount.target == path else None

    def holding(self, path: str) -> Mount | None:
        """The mount that a path lies on; the path is absolute and free of links.

        Follows the tree as the kernel does, so a mount that another one covers is not
        taken for what is seen.
        """
        above = [mount for mount in self.table if lies_under(path, mount.target)]
        idents = {mount.ident for mount in above}
        tops = [m for m in above if m.parent not in idents or m.parent == m.ident]
        here = tops[-1] if tops else None
        for _ in above:
            children = [m for m in above if here and m.parent == here.ident != m.ident]
            if not children:
                break
            # On the way down the first mount point met is the shortest.
            nearest = min(len(m.target) for m in children)
            here = [m for m in children if len(m.target) == nearest][-1]
        return here

    def of_type(self, *fstypes: str) -> tuple[Mount, ...]:
        """The mounts of these file-system types."""
        return tuple(mount for mount in self.table if mount.fstype in fstypes)


def lies_under(path: str, folder: str) -> bool:
    """Whether a path is a folder or below it.

    >>> lies_under("/var/lib", "/var"), lies_under("/variable", "/var"), lies_under("/a", "/")
    (True, False, True)
    """
    return folder in ("/", path) or path.startswith(folder + "/")


def unescape(field: str) -> str:
    r"""A field with its octal escapes undone.

    >>> unescape(r"/mnt/a\040b\134c")
    '/mnt/a b\\c'
    """
    if "\\" not in field:
        return field
    return re.sub(_OCTAL, lambda match: chr(int(match[1], 8)), field)


def parse_mountinfo(content: str) -> Mounts:
    r"""The mounts of a mountinfo file.

    >>> mount = parse_mountinfo(
    ...     "65 39 253:19 / /data rw,relatime shared:44 - ext4 /dev/mapper/vg-data rw\n"
    ... ).table[0]
    >>> mount.target, mount.device, mount.fstype, mount.propagation
    ('/data', (253, 19), 'ext4', 'shared')
    """
    # Not splitlines(): the kernel escapes newlines only, a name may hold U+2028.
    return Mounts(tuple(_mount(line) for line in content.split("\n") if line))


def _mount(line: str) -> Mount:
    fields = line.split(" ")
    try:
        dash = fields.index("-", _BEFORE_OPTIONAL)
        fstype, source = fields[dash + 1 : dash + 3]
        tags = _tags(fields[_BEFORE_OPTIONAL:dash])
        return Mount(
            ident=int(fields[0]),
            parent=int(fields[1]),
            device=_number(fields[2]),
            root=unescape(fields[3]),
            target=unescape(fields[4]),
            options=_words(fields[5]),
            fstype=unescape(fstype),
            source=unescape(source),
            super_options=_words(",".join(fields[dash + 3 :])),
            shared=tags.get("shared", 0),
            master=tags.get("master", 0),
            unbindable="unbindable" in tags,
        )
    except ValueError:
        refuse(f"not a line of mountinfo: {line[:60]!r}")


def _number(written: str) -> tuple[int, int]:
    major, _, minor = written.partition(":")
    return int(major), int(minor)


@lru_cache(maxsize=256)
def _words(options: str) -> tuple[str, ...]:
    """Options, most of which thousands of mounts have in common."""
    return tuple(map(unescape, options.split(",")))


def _tags(optional: Iterable[str]) -> dict[str, int]:
    """The optional fields; readers ignore those they do not know (proc_pid_mountinfo(5))."""
    tags: dict[str, int] = {}
    for field in optional:
        name, _, group = field.partition(":")
        if name in ("shared", "master", "unbindable"):
            tags[name] = int(group) if group else 0
    return tags


MOUNTS: Fact[Mounts] = file_fact("mounts", PATH, parse_mountinfo, LIMIT)
