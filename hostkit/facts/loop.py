# SPDX-License-Identifier: GPL-3.0-or-later
"""Loop devices and the files behind them, from /sys; losetup is not needed and not run."""

from hostkit import text
from hostkit.facts.fact import Fact, Facts, parsed
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.host.base import Host
from hostkit.value import NamedTuple

FOLDER = "/sys/block"
CONTROL = "/dev/loop-control"
MAX_LOOP = "/sys/module/loop/parameters/max_loop"
_DELETED = " (deleted)"


class Loop(NamedTuple):
    """A loop device with a file behind it.

    `apparent` and `allocated` are the file's bytes, as `ls` and as `du` count them; None
    when it cannot be looked at (deleted, or in another mount namespace).
    """

    name: str
    backing_file: str
    size: int
    offset: int = 0
    size_limit: int = 0
    autoclear: bool = False
    read_only: bool = False
    deleted: bool = False
    apparent: int | None = None
    allocated: int | None = None


class LoopSupport(NamedTuple):
    """What the kernel offers. `control`: free devices can be asked for (Linux 3.1).

    `limit` is the parameter max_loop, 0 when devices are made on demand; `nodes` are the
    loop devices that exist, `used` those with a file behind them.
    """

    registered: bool
    control: bool
    limit: int
    nodes: int
    used: int


def parse_backing_file(content: str) -> tuple[str, bool]:
    r"""The path in loop/backing_file, and whether the kernel says that it was deleted.

    >>> parse_backing_file("/var/tmp/a b.img (deleted)\n")
    ('/var/tmp/a b.img', True)
    """
    path = content.removesuffix("\n")
    return path.removesuffix(_DELETED), path.endswith(_DELETED)


def _gather(facts: Facts) -> Answer[tuple[Loop, ...]]:
    names = facts.host.listdir(FOLDER)
    if not isinstance(names, Known):
        return names
    loops: list[Loop] = []
    for name in names.value:
        if not name.startswith("loop"):
            continue
        loop = _loop(facts.host, name)
        if isinstance(loop, Unreadable):
            return loop
        if isinstance(loop, Known):
            loops.append(loop.value)
    return Known(tuple(loops), f"{FOLDER}/loop*/loop")


def _loop(host: Host, name: str) -> Answer[Loop]:
    folder = f"{FOLDER}/{name}"
    backing = host.read(f"{folder}/loop/backing_file")
    if not isinstance(backing, Known):
        return backing  # Absent: no file behind it

    def build(said: bytes) -> Loop:
        written = text.decode(said)
        path, deleted = parse_backing_file(written)
        if deleted:  # unless a file really bears such a name
            literal = host.stat(written.removesuffix("\n"))
            path, deleted = (literal.source, False) if isinstance(literal, Known) else (path, True)
        stat = Absent(path) if deleted else host.stat(path)
        return Loop(
            name=name,
            backing_file=path,
            size=_number(host, f"{folder}/size") * 512,
            offset=_number(host, f"{folder}/loop/offset"),
            size_limit=_number(host, f"{folder}/loop/sizelimit"),
            autoclear=_number(host, f"{folder}/loop/autoclear") == 1,
            read_only=_number(host, f"{folder}/ro") == 1,
            deleted=deleted,
            apparent=stat.value.size if isinstance(stat, Known) else None,
            allocated=stat.value.allocated if isinstance(stat, Known) else None,
        )

    return parsed(backing.value, folder, build)


def _number(host: Host, path: str) -> int:
    """The number in a file of /sys; 0 when this kernel does not have the file."""
    answer = host.read(path)
    return int(answer.value) if isinstance(answer, Known) else 0


def parse_block_majors(content: str) -> dict[str, int]:
    r"""The block half of /proc/devices, by the driver's name.

    >>> parse_block_majors("Character devices:\n  7 vcs\n\nBlock devices:\n  7 loop\n")
    {'loop': 7}
    """
    _, heading, block = content.partition("Block devices:")
    if not heading:
        raise ValueError("no line `Block devices:`")
    words = (line.split(None, 1) for line in block.splitlines() if line.strip())
    return {name.strip(): int(major) for major, name in words}


def _gather_support(facts: Facts) -> Answer[LoopSupport]:
    host = facts.host
    devices = host.read("/proc/devices")
    if not isinstance(devices, Known):
        return devices
    names = host.listdir(FOLDER)
    loops = facts.value(LOOPS)
    control = host.stat(CONTROL)

    def build(said: bytes) -> LoopSupport:
        return LoopSupport(
            registered="loop" in parse_block_majors(text.decode(said)),
            control=isinstance(control, Known),
            limit=_number(host, MAX_LOOP),
            nodes=sum(n.startswith("loop") for n in names.value) if isinstance(names, Known) else 0,
            used=len(loops),
        )

    return parsed(devices.value, devices.source, build)


LOOPS: Fact[tuple[Loop, ...]] = Fact("loop devices", _gather, waits=False)
LOOP_SUPPORT: Fact[LoopSupport] = Fact("loop support", _gather_support, waits=False)
