# SPDX-License-Identifier: GPL-3.0-or-later
"""Control groups: which version is mounted where, with which controllers, and swap limits."""

from enum import StrEnum

from hostkit import text
from hostkit.facts.fact import Fact, Facts, read_text, refuse
from hostkit.facts.kernel import CMDLINE, KERNEL
from hostkit.facts.mounts import MOUNTS, Mount, Mounts, lies_under
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.value import NamedTuple

PROC_CGROUPS = "/proc/cgroups"
MOUNTS_FILE = "/proc/self/mounts"
ROOT = "/sys/fs/cgroup"
_FSTYPES = ("cgroup", "cgroup2")


class CgroupVersion(StrEnum):
    """V2: one hierarchy at /sys/fs/cgroup. HYBRID: controllers of v1, and v2 beside them."""

    NONE = "none"
    V1 = "v1"
    HYBRID = "hybrid"
    V2 = "v2"


class Controller(NamedTuple):
    """A line of /proc/cgroups; hierarchy 0 is cgroup v2 or not mounted at all."""

    name: str
    hierarchy: int
    enabled: bool


class CgroupMount(NamedTuple):
    """Where a hierarchy is mounted. v1 has `controllers`, or only a `name` (systemd's)."""

    path: str
    version: int
    controllers: tuple[str, ...] = ()
    name: str = ""

    @property
    def fstype(self) -> str:
        """The file system's name in mount tables."""
        return _FSTYPES[self.version - 1]


class Cgroups(NamedTuple):
    """`controllers`: what the kernel has (None: /proc/cgroups is not there or not readable).

    `mounts`: every cgroup mount that is seen. `unified`: the controllers that v2's root
    offers, None when v2 is not mounted or does not say. `covers`: mounts of other file
    systems that lie over cgroup mounts of /sys/fs/cgroup and hide them.
    """

    version: CgroupVersion
    controllers: tuple[Controller, ...] | None
    mounts: tuple[CgroupMount, ...]
    unified: tuple[str, ...] | None
    covers: tuple[Mount, ...] = ()

    def controller(self, name: str) -> Controller | None:
        """What /proc/cgroups says of one controller."""
        return next((c for c in self.controllers or () if c.name == name), None)

    def mounted_v1(self) -> frozenset[str]:
        """The controllers that a v1 hierarchy gives."""
        return frozenset(c for mount in self.mounts for c in mount.controllers)

    def mount_of(self, controller: str) -> CgroupMount | None:
        """The v1 mount that has a controller."""
        return next((m for m in self.mounts if controller in m.controllers), None)

    def usable(self, controller: str) -> bool | None:
        """Whether containers can be limited by a controller; None when that is not known."""
        if controller in self.mounted_v1() or controller in (self.unified or ()):
            return True
        return None if self.version in _WITH_V2 and self.unified is None else False


_WITH_V2 = (CgroupVersion.V2, CgroupVersion.HYBRID)
# Options of a v1 mount that are neither controllers nor a name.
_OPTIONS = frozenset(
    ("rw", "ro", "relatime", "noatime", "nodiratime", "strictatime", "nosuid", "nodev", "noexec",
     "sync", "dirsync", "seclabel", "xattr", "noprefix", "clone_children", "none", "all",
     "cpuset_v2_mode", "favordynmods", "lazytime", "nosymfollow", "sane_behavior",
     "__DEVEL__sane_behavior", "mand")
)  # fmt: skip


def parse_proc_cgroups(content: str) -> tuple[Controller, ...]:
    r"""The controllers of the kernel.

    >>> parse_proc_cgroups("#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t0\t1\t0\n")
    (Controller(name='memory', hierarchy=0, enabled=False),)
    """
    found: list[Controller] = []
    for line in content.splitlines():
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if len(words) != 4 or not all(w.isascii() and w.isdigit() for w in words[1:]):  # noqa: PLR2004 - the columns
            refuse(f"not a line of /proc/cgroups: {line[:60]!r}")
        found.append(Controller(words[0], int(words[1][:9]), words[3] != "0"))
    return tuple(found)


def parse_cgroup_mounts(content: str) -> tuple[CgroupMount, ...]:
    r"""The cgroup lines of /proc/self/mounts.

    >>> parse_cgroup_mounts("cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu,cpuacct 0 0\n")
    (CgroupMount(path='/sys/fs/cgroup/cpu', version=1, controllers=('cpu', 'cpuacct'), name=''),)
    """
    found: list[CgroupMount] = []
    for line in content.splitlines():
        words = line.split(" ")
        if len(words) < 4 or words[2] not in _FSTYPES:  # noqa: PLR2004 - up to the options
            continue
        path = words[1].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
        if words[2] == "cgroup2":
            found.append(CgroupMount(path, 2))
            continue
        options = words[3].split(",")
        name = next((o[5:] for o in options if o.startswith("name=")), "")
        controllers = tuple(o for o in options if o not in _OPTIONS and "=" not in o)
        found.append(CgroupMount(path, 1, controllers, name))
    return tuple(found)


def _version(mounts: tuple[CgroupMount, ...]) -> CgroupVersion:
    # The engines ask what /sys/fs/cgroup itself is; a later mount covers an earlier one.
    if any(mount.path == ROOT and mount.version == 2 for mount in mounts):  # noqa: PLR2004 - cgroup2
        return CgroupVersion.V2
    first = any(mount.controllers for mount in mounts)
    second = any(mount.version == 2 for mount in mounts)  # noqa: PLR2004 - cgroup2
    if first:
        return CgroupVersion.HYBRID if second else CgroupVersion.V1
    return CgroupVersion.V2 if second else CgroupVersion.NONE


def _seen(
    mounts: tuple[CgroupMount, ...], table: Mounts
) -> tuple[tuple[CgroupMount, ...], tuple[Mount, ...]]:
    """The cgroup mounts that no later mount covers, and those that cover the others."""
    # On a host with thousands of mounts all others are none of our business.
    near = Mounts(
        tuple(m for m in table.table if lies_under(m.target, ROOT) or lies_under(ROOT, m.target))
    )
    listed = {(m.target, m.fstype) for m in near.table}
    seen: list[CgroupMount] = []
    covers: list[Mount] = []
    for mount in mounts:
        own = (mount.path, mount.fstype)
        above = near.holding(mount.path) if own in listed else None
        if above is None or (above.target, above.fstype) == own:
            seen.append(mount)
        elif above not in covers:
            covers.append(above)
    return tuple(seen), tuple(covers)


def _gather(facts: Facts) -> Answer[Cgroups]:
    mounts = read_text(facts.host, MOUNTS_FILE, parse_cgroup_mounts)
    if not isinstance(mounts, Known):
        return mounts
    table = facts.known(MOUNTS)
    seen, covers = _seen(mounts.value, table) if table is not None else (mounts.value, ())
    controllers = read_text(facts.host, PROC_CGROUPS, parse_proc_cgroups)
    version = _version(seen)
    unified: tuple[str, ...] | None = None
    second = [mount.path for mount in seen if mount.version == 2]  # noqa: PLR2004 - cgroup2
    if second:
        top = ROOT if ROOT in second else second[0]
        answer = read_text(facts.host, f"{top}/cgroup.controllers", lambda t: tuple(t.split()))
        unified = answer.value if isinstance(answer, Known) else None
    known = controllers.value if isinstance(controllers, Known) else None
    return Known(Cgroups(version, known, seen, unified, covers), MOUNTS_FILE)


CGROUPS: Fact[Cgroups] = Fact("cgroups", _gather, waits=False)


def own_group(content: str) -> str | None:
    r"""The path of a process in cgroup v2, out of /proc/self/cgroup.

    >>> own_group("4:memory:/a\n0::/user.slice/user-0.slice\n")
    '/user.slice/user-0.slice'
    """
    for line in content.splitlines():
        if line.startswith("0::/"):
            return line[3:]
    return None


# Groups that systemd makes on every host, where we ourselves run in v2's root group, which
# has no limits (docker/cli#5776 is the false warning that comes of looking there).
_COMMON_GROUPS = ("/system.slice", "/user.slice", "/init.scope", "/docker")
_SWAP_BY_DEFAULT = "5.8"  # before, Debian and Ubuntu kernels wanted swapaccount=1


def _gather_swap(facts: Facts) -> Answer[bool]:
    """Whether the swap of a container can be limited: by the file that would set it."""
    cgroups = facts.value(CGROUPS)
    host = facts.host
    if isinstance(host.stat("/proc/swaps"), Absent):
        return Absent("/proc/swaps", "the kernel was built without swap")
    memory = cgroups.mount_of("memory")
    if memory is not None:
        path = f"{memory.path}/memory.memsw.limit_in_bytes"
        return _exists(facts, path)
    if "memory" not in (cgroups.unified or ()):
        return Absent(PROC_CGROUPS, "the memory controller is not in use")
    top = next(mount.path for mount in cgroups.mounts if mount.version == 2)  # noqa: PLR2004 - cgroup2
    mine = host.read("/proc/self/cgroup")
    group = own_group(text.decode(mine.value)) if isinstance(mine, Known) else None
    for path in (*((group,) if group and group != "/" else ()), *_COMMON_GROUPS):
        limit = f"{top}{path}/memory.max"
        if isinstance(host.stat(limit), Known):  # the controller is given to this group
            return _exists(facts, f"{top}{path}/memory.swap.max")
    return _swap_by_kernel(facts)


def _exists(facts: Facts, path: str) -> Answer[bool]:
    answer = facts.host.stat(path)
    if isinstance(answer, Unreadable):
        return answer
    return Known(isinstance(answer, Known), path)


def _swap_by_kernel(facts: Facts) -> Answer[bool]:
    """Where no group shows it, the kernel's version and the boot arguments do."""
    arguments = facts.value(CMDLINE)
    asked = arguments.get("swapaccount")
    if asked is not None:
        return Known(asked not in ("0", "off", "n", "no"), "/proc/cmdline")
    kernel = facts.value(KERNEL)
    if kernel.at_least(_SWAP_BY_DEFAULT):
        return Known(True, "/proc/sys/kernel/osrelease")
    return Unreadable("/proc/self/cgroup", "no group here has the memory controller")


SWAP_LIMIT: Fact[bool] = Fact("swap limit", _gather_swap, waits=False)
