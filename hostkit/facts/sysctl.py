# SPDX-License-Identifier: GPL-3.0-or-later
"""Sysctls as they are now, and as the files of sysctl.d will set them at the next boot.

Both matter: dockerd sets net.ipv4.ip_forward itself, so a host can work until its next
reboot although a file of a hardening role says 0 (moby/moby#47966).
"""

from collections.abc import Iterator, Mapping
from functools import cache

from hostkit import text
from hostkit.facts.fact import Fact, Facts, file_fact
from hostkit.host.answer import Answer, Known, Unreadable
from hostkit.host.base import FileStat, Host
from hostkit.value import NamedTuple

# sysctl.d(5): a file hides those of the same name in later folders; all that remain are
# read in the order of their names, whatever their folder. The last one wins.
FOLDERS = (
    "/etc/sysctl.d",
    "/run/sysctl.d",
    "/usr/local/lib/sysctl.d",
    "/usr/lib/sysctl.d",
    "/lib/sysctl.d",
)
# Read last where an init script boots; systemd reads it only through a link in a folder
# above: 99-sysctl.conf on RHEL and on Debian to 12, none on Debian 13.
MAIN_FILE = "/etc/sysctl.conf"
# The kernel's other names for one switch (Documentation/networking/ip-sysctl.rst).
ALIASES: Mapping[str, str] = {"net.ipv4.conf.all.forwarding": "net.ipv4.ip_forward"}


class Assignment(NamedTuple):
    """`key = value` in a line (from 1) of a file; `ignores_errors`: a leading dash."""

    key: str
    value: str
    file: str
    line: int
    ignores_errors: bool = False


class Configured(NamedTuple):
    """Every assignment in the order in which boot makes them, and files not readable."""

    assignments: tuple[Assignment, ...]
    unreadable: tuple[Unreadable, ...] = ()

    def winner(self, key: str) -> Assignment | None:
        """The assignment that decides a key at the next boot, or None."""
        canonical = ALIASES.get(key, key)
        found = [a for a in self.assignments if ALIASES.get(a.key, a.key) == canonical]
        return found[-1] if found else None


@cache
def sysctl(key: str) -> Fact[str]:
    """The run-time value of one key, such as `net.ipv4.ip_forward`, without its newline."""
    return file_fact(f"sysctl {key}", proc_path(key), str.strip)


def proc_path(key: str) -> str:
    """The file of a key; a slash in a key stands for a dot in a name (eth0/100).

    >>> proc_path("net.ipv4.conf.eth0/100.forwarding")
    '/proc/sys/net/ipv4/conf/eth0.100/forwarding'
    """
    return "/proc/sys/" + key.translate(str.maketrans("./", "/."))


def canonical_key(written: str) -> str:
    """A key as files may write it; the first separator decides which one it is.

    >>> canonical_key("net/ipv4/ip_forward"), canonical_key("net.ipv4.ip_forward")
    ('net.ipv4.ip_forward', 'net.ipv4.ip_forward')
    """
    slash, dot = written.find("/"), written.find(".")
    if slash >= 0 and (dot < 0 or slash < dot):
        return written.translate(str.maketrans("./", "/."))
    return written


def parse_sysctl_conf(content: str, file: str) -> Iterator[Assignment]:
    r"""The assignments of one file (sysctl.d(5)).

    >>> [a[:2] for a in parse_sysctl_conf("# no\n-net.ipv4.ip_forward = 1\n;x=2\n", "f")]
    [('net.ipv4.ip_forward', '1')]
    """
    for number, raw in enumerate(content.splitlines(), 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        name, equals, value = line.partition("=")
        name = name.strip()
        if not equals or not name:
            continue  # `-key` alone only protects a key from globs
        key = canonical_key(name.lstrip("-").strip())
        yield Assignment(key, value.strip(), file, number, name.startswith("-"))


def _files(host: Host) -> tuple[tuple[str, ...], tuple[Unreadable, ...]]:
    """The files that boot reads, in that order, and the folders that could not be listed."""
    chosen: dict[str, str] = {}
    unreadable: list[Unreadable] = []
    for folder in FOLDERS:
        names = host.listdir(folder)
        if isinstance(names, Unreadable):
            unreadable.append(names)
        elif isinstance(names, Known):
            for name in names.value:
                if name.endswith(".conf"):
                    chosen.setdefault(name, f"{folder}/{name}")
    paths = [chosen[name] for name in sorted(chosen)]
    main = host.stat(MAIN_FILE)
    systemd = isinstance(host.stat("/run/systemd/system"), Known)
    if isinstance(main, Known) and not systemd and main.value not in _stats(host, paths):
        paths.append(MAIN_FILE)
    return tuple(paths), tuple(unreadable)


def _stats(host: Host, paths: list[str]) -> list[FileStat]:
    return [answer.value for answer in map(host.stat, paths) if isinstance(answer, Known)]


def _gather_configured(facts: Facts) -> Answer[Configured]:
    host = facts.host
    paths, skipped = _files(host)
    unreadable = list(skipped)
    assignments: list[Assignment] = []
    for path in paths:
        link = host.stat(path, follow=False)
        if isinstance(link, Known) and link.value.target == "/dev/null":
            continue  # masked (sysctl.d(5))
        answer = host.read(path)
        if isinstance(answer, Unreadable):
            unreadable.append(answer)
        elif isinstance(answer, Known):
            assignments.extend(parse_sysctl_conf(text.decode(answer.value), path))
    if unreadable and not assignments:
        return unreadable[0]
    return Known(Configured(tuple(assignments), tuple(unreadable)), "/etc/sysctl.d")


CONFIGURED: Fact[Configured] = Fact("sysctl.d", _gather_configured, waits=False)
