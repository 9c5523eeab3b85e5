# SPDX-License-Identifier: GPL-3.0-or-later
"""Namespaces of the kernel, who may make user namespaces, and the sub-ids to fill them."""

from hostkit import text
from hostkit.facts.fact import Fact, Facts, read_text
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.value import NamedTuple

FOLDER = "/proc/self/ns"
EL7_PARAMETER = "/sys/module/user_namespace/parameters/enable"
MAX_USER = "/proc/sys/user/max_user_namespaces"
UNPRIVILEGED_CLONE = "/proc/sys/kernel/unprivileged_userns_clone"
APPARMOR_RESTRICT = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
SUBUID, SUBGID = "/etc/subuid", "/etc/subgid"
SUBID_LINE_LIMIT = 100_000


class Namespaces(NamedTuple):
    """The kinds of namespace that are `present` (`mnt`, `user` ...), and the switches.

    A switch is None where this kernel has none: `max_user` (user.max_user_namespaces),
    `el7_enabled` (the parameter of RHEL 7.2 and 7.3), `unprivileged` (Debian's and Arch's),
    `apparmor_restricted` (Ubuntu).
    """

    present: frozenset[str]
    max_user: int | None = None
    el7_enabled: bool | None = None
    unprivileged: bool | None = None
    apparmor_restricted: bool | None = None


def parse_number(content: str) -> int:
    r"""One whole number, as most files of /proc/sys hold.

    >>> parse_number("28633\n")
    28633
    """
    return int(content.strip()[:20])


def parse_switch(content: str) -> bool:
    r"""A switch as modules and sysctls write it.

    >>> parse_switch("N\n"), parse_switch("1\n")
    (False, True)
    """
    word = content.strip()
    if word not in ("0", "1", "Y", "N"):
        raise ValueError(f"neither on nor off: {word[:20]!r}")
    return word in ("1", "Y")


def _gather(facts: Facts) -> Answer[Namespaces]:
    host = facts.host
    names = host.listdir(FOLDER)
    if isinstance(names, Unreadable):
        return names
    # Kernels before 3.0 have no such folder, and no way to enter a namespace either.
    if isinstance(names, Absent) and not isinstance(host.stat("/proc/self/status"), Known):
        return Absent(FOLDER)
    maximum = read_text(host, MAX_USER, parse_number)
    switches = [
        read_text(host, path, parse_switch)
        for path in (EL7_PARAMETER, UNPRIVILEGED_CLONE, APPARMOR_RESTRICT)
    ]
    for answer in (maximum, *switches):
        if isinstance(answer, Unreadable):
            return answer
    el7, unprivileged, apparmor = (s.value if isinstance(s, Known) else None for s in switches)
    present = names.value if isinstance(names, Known) else ()
    return Known(
        Namespaces(
            present=frozenset(name for name in present if not name.endswith("_for_children")),
            max_user=maximum.value if isinstance(maximum, Known) else None,
            el7_enabled=el7,
            unprivileged=unprivileged,
            apparmor_restricted=apparmor,
        ),
        FOLDER,
    )


NAMESPACES: Fact[Namespaces] = Fact("namespaces", _gather, waits=False)


class SubRange(NamedTuple):
    """`owner:start:count` in a line of /etc/subuid or /etc/subgid."""

    owner: str
    start: int
    size: int
    file: str
    line: int

    @property
    def end(self) -> int:
        """The last id of the range."""
        return self.start + self.size - 1


class SubIds(NamedTuple):
    """The ranges of both files; `missing`: the files that are not there."""

    uid: tuple[SubRange, ...]
    gid: tuple[SubRange, ...]
    missing: tuple[str, ...] = ()

    def overlaps(self) -> tuple[tuple[SubRange, SubRange], ...]:
        """Pairs of neighbours in one file that share ids though their owners differ."""
        pairs: list[tuple[SubRange, SubRange]] = []
        for ranges in (self.uid, self.gid):
            highest: SubRange | None = None
            for one in sorted(ranges, key=lambda r: r.start):
                if highest and one.start <= highest.end and one.owner != highest.owner:
                    pairs.append((highest, one))
                if highest is None or one.end > highest.end:
                    highest = one
        return tuple(pairs)


def parse_subids(content: str, file: str) -> tuple[SubRange, ...]:
    r"""The ranges of one file; lines that shadow-utils ignores are ignored.

    >>> parse_subids("alice:100000:65536\n", "/etc/subuid")[0].end
    165535
    """
    ranges: list[SubRange] = []
    for number, line in enumerate(content.splitlines()[:SUBID_LINE_LIMIT], 1):
        words = line.strip().split(":")
        if len(words) != 3 or line.startswith("#"):  # noqa: PLR2004 - owner, start, count
            continue
        owner, start, count = words
        if owner and _is_id(start) and _is_id(count) and int(count):
            ranges.append(SubRange(owner, int(start), int(count), file, number))
    return tuple(ranges)


def _is_id(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= 10  # noqa: PLR2004 - 32 bits


def _gather_subids(facts: Facts) -> Answer[SubIds]:
    found: list[tuple[SubRange, ...]] = []
    missing: list[str] = []
    for path in (SUBUID, SUBGID):
        answer = facts.host.read(path)
        if isinstance(answer, Unreadable):
            return answer
        if isinstance(answer, Absent):
            missing.append(path)
            found.append(())
        else:
            found.append(parse_subids(text.decode(answer.value), path))
    return Known(SubIds(found[0], found[1], tuple(missing)), SUBUID)


SUBIDS: Fact[SubIds] = Fact("sub-ids", _gather_subids, waits=False)
