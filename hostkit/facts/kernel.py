# SPDX-License-Identifier: GPL-3.0-or-later
"""The running kernel: its release, as its distribution numbers it, and its boot arguments.

Red Hat backports without moving the first numbers: 3.10.0-327 and 3.10.0-1160 are worlds
apart, so those kernels are compared by the release part, in rpm's order.
"""

import re

from hostkit.facts.fact import Fact, Facts, parsed, read_text, refuse
from hostkit.facts.versions import rpm_key
from hostkit.host.answer import Answer, Known, Unreadable
from hostkit.value import NamedTuple

OSRELEASE = "/proc/sys/kernel/osrelease"
_VERSION_LINE = r"Linux version (\S+)"
_NUMBERS = r"\d{1,9}(?:\.\d{1,9})*"
_EL = r"[.\-_]el(\d{1,2})(?:[._]\d{1,3})*(?![a-z0-9])"
# Kernels built for an el distribution that are not Red Hat's: their numbers are upstream's.
_UPSTREAM_BASED = ("uek", "elrepo", ".ml.", ".lt.")


class KernelRelease(NamedTuple):
    """`uname -r`. `el`: the RHEL whose own kernel this is (7 for 3.10.0-693.el7), or None.

    `numbers` are upstream's, `release` is all that follows the first dash.
    """

    text: str
    numbers: tuple[int, ...]
    release: str
    el: int | None

    def at_least(self, version: str) -> bool:
        """Whether the upstream numbers are those of `version` or later.

        >>> parse_release("3.10.0-327.el7.x86_64").at_least("3.10")
        True
        """
        wanted = _numbers(version)
        width = max(len(wanted), len(self.numbers))
        return _padded(self.numbers, width) >= _padded(wanted, width)

    def el_at_least(self, version_release: str) -> bool:
        """Whether this is Red Hat's kernel, of that version and release or later.

        False for every other kernel: ask `at_least` for those.

        >>> parse_release("3.10.0-1160.el7.x86_64").el_at_least("3.10.0-693")
        True
        """
        if self.el is None:
            return False
        version, _, release = version_release.partition("-")
        mine = ".".join(str(number) for number in self.numbers)
        ours = (rpm_key(mine), rpm_key(self.release))
        return ours >= (rpm_key(version), rpm_key(release))


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(_NUMBERS, version)
    return tuple(int(number) for number in match[0].split(".")) if match else ()


def _padded(numbers: tuple[int, ...], width: int) -> tuple[int, ...]:
    return numbers + (0,) * (width - len(numbers))


def parse_release(text: str) -> KernelRelease:
    r"""The words of /proc/sys/kernel/osrelease.

    >>> parse_release("3.10.0-693.2.2.el7.x86_64\n")[1:]
    ((3, 10, 0), '693.2.2.el7.x86_64', 7)
    >>> parse_release("4.14.35-1902.300.11.el7uek.x86_64").el is None
    True
    """
    release = text.strip()
    numbers = _numbers(release)
    if len(numbers) < 2 or len(release.split()) != 1:  # noqa: PLR2004 - a major and a minor
        refuse(f"no kernel release: {release[:40]!r}")
    rest = release.partition("-")[2]
    el = re.search(_EL, release)
    foreign = any(word in release for word in _UPSTREAM_BASED)
    return KernelRelease(release, numbers, rest, int(el[1]) if el and not foreign else None)


def parse_version_line(text: str) -> KernelRelease:
    """The release out of /proc/version.

    >>> parse_version_line("Linux version 6.1.0-9-amd64 (debian-kernel@...) (gcc)").numbers
    (6, 1, 0)
    """
    match = re.match(_VERSION_LINE, text)
    if match is None:
        refuse("not the line of /proc/version")
    return parse_release(match[1])


def _gather(facts: Facts) -> Answer[KernelRelease]:
    answer = read_text(facts.host, OSRELEASE, parse_release)
    if isinstance(answer, Known):
        return answer
    fallback = read_text(facts.host, "/proc/version", parse_version_line)
    return fallback if isinstance(fallback, Known) else answer


KERNEL: Fact[KernelRelease] = Fact("kernel", _gather, waits=False)


class BootArguments(NamedTuple):
    """The kernel's command line, in order; a word without `=` has the value None."""

    words: tuple[tuple[str, str | None], ...]

    def get(self, name: str) -> str | None:
        """The last value given to a name, "" for a bare word, None when it is not there.

        The kernel takes dashes and underscores in names for the same.
        """
        wanted = name.replace("-", "_")
        found = [value or "" for word, value in self.words if word.replace("-", "_") == wanted]
        return found[-1] if found else None

    def all(self, name: str) -> tuple[str, ...]:
        """Every value given to a name, such as both of two `cgroup_disable=`."""
        wanted = name.replace("-", "_")
        return tuple(value or "" for word, value in self.words if word.replace("-", "_") == wanted)


_WORD = r"""(?:[^\s"]|"[^"]*"?)+"""


def parse_cmdline(text: str) -> BootArguments:
    r"""The words of /proc/cmdline; those after a lone `--` are for init and left out.

    >>> parse_cmdline('ro quiet dyndbg="file a +p" swapaccount=1 -- --init-flag\n').words
    (('ro', None), ('quiet', None), ('dyndbg', 'file a +p'), ('swapaccount', '1'))
    """
    words: list[tuple[str, str | None]] = []
    for match in re.finditer(_WORD, text):
        word = match[0].replace('"', "")
        if word == "--":
            break
        name, equals, value = word.partition("=")
        words.append((name, value if equals else None))
    return BootArguments(tuple(words))


def _gather_cmdline(facts: Facts) -> Answer[BootArguments]:
    answer = facts.host.read("/proc/cmdline")
    if not isinstance(answer, Known):
        return answer
    if b"\x00" in answer.value:
        return Unreadable(answer.source, "holds a zero byte")
    return parsed(answer.value.decode("utf-8", "replace"), answer.source, parse_cmdline)


CMDLINE: Fact[BootArguments] = Fact("boot arguments", _gather_cmdline, waits=False)
