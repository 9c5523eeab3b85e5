# SPDX-License-Identifier: GPL-3.0-or-later
"""How the running kernel was configured, from the first file that says so for its release.

The text is kept and searched for each symbol asked for: a dictionary of 10,000 symbols
would cost more than everything else in a run.
"""

import zlib
from collections.abc import Mapping
from typing import Literal

from hostkit.facts.fact import Fact, Facts, parsed, refuse
from hostkit.facts.kernel import KERNEL
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.value import NamedTuple

Setting = Literal["y", "m", "n"]
PROC_CONFIG = "/proc/config.gz"
# {release} is `uname -r`. /usr/src/linux/.config is left out: nothing says that it is the
# configuration of the kernel that runs.
PLACES = (
    "/boot/config-{release}",
    "/usr/lib/modules/{release}/config",
    "/lib/modules/{release}/config",
    "/usr/lib/ostree-boot/config-{release}",
    "/usr/lib/kernel/config-{release}",
    "/usr/src/linux-headers-{release}/.config",
    "/usr/src/linux-{release}/.config",
    "/lib/modules/{release}/build/.config",
)
_SETTINGS: Mapping[str, Setting] = {"y": "y", "m": "m"}
SIZE_LIMIT = 2 << 20  # the largest seen is 300 kB; bounds a hostile /proc/config.gz too
_GZIP = 31  # zlib's window bits for a gzip header


class KernelConfig(NamedTuple):
    """The text of a kernel configuration."""

    content: bytes

    def value(self, symbol: str) -> str | None:
        r"""What is written after `CONFIG_SYMBOL=`, quotes and all; None when it is not set.

        >>> KernelConfig(b"CONFIG_HZ=250\n").value("HZ")
        '250'
        """
        key = b"\nCONFIG_" + symbol.removeprefix("CONFIG_").encode() + b"="
        content = self.content
        if content.startswith(key[1:]):
            start = len(key) - 1
        else:
            at = content.find(key)
            if at < 0:
                return None
            start = at + len(key)
        end = content.find(b"\n", start)
        return content[start : end if end >= 0 else None].decode("utf-8", "replace").strip()

    def get(self, symbol: str) -> Setting:
        r"""`y` built in, `m` a module, `n` not there (or not a switch).

        >>> KernelConfig(b"# x\nCONFIG_OVERLAY_FS=m\n").get("OVERLAY_FS")
        'm'
        """
        return _SETTINGS.get(self.value(symbol) or "n", "n")

    def has(self, symbol: str) -> bool:
        """Built in or a module."""
        return self.get(symbol) != "n"


def parse_config(content: bytes) -> KernelConfig:
    """Accept the text of a configuration; refuse what is not one."""
    if b"CONFIG_" not in content:
        refuse("no line begins with CONFIG_")
    return KernelConfig(content)


def parse_config_gz(data: bytes) -> KernelConfig:
    """Unpack /proc/config.gz, at most SIZE_LIMIT bytes of it."""
    unpacker = zlib.decompressobj(_GZIP)
    try:
        content = unpacker.decompress(data, SIZE_LIMIT)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not unpacker.eof:
        refuse("cut off, or larger than any kernel configuration")
    return parse_config(content)


def _gather(facts: Facts) -> Answer[KernelConfig]:
    answer = facts.host.read(PROC_CONFIG, SIZE_LIMIT)
    if isinstance(answer, Known):
        unpacked = parsed(answer.value, answer.source, parse_config_gz)
        if isinstance(unpacked, Known):
            return unpacked
        failed: Unreadable | None = unpacked if isinstance(unpacked, Unreadable) else None
    else:
        failed = answer if isinstance(answer, Unreadable) else None
    release = facts.value(KERNEL).text
    if "/" in release:
        return Unreadable(PROC_CONFIG, "the kernel's release is no file name")
    for place in PLACES:
        found = facts.host.read(place.format(release=release), SIZE_LIMIT)
        if isinstance(found, Known):
            answered = parsed(found.value, found.source, parse_config)
            if isinstance(answered, Known):
                return answered
            found = answered
        if isinstance(found, Unreadable):
            failed = failed or found
    nowhere = Absent(PLACES[0].format(release=release), "no configuration of this kernel anywhere")
    return failed or nowhere


KERNEL_CONFIG: Fact[KernelConfig] = Fact("kernel config", _gather, waits=False)
