# SPDX-License-Identifier: GPL-3.0-or-later
"""LVM: volumes and pools, who extends them, and by which profile.

Asking for seg_monitor starts dmeventd when it does not run, so it is asked for only when it
does; without dmeventd nothing is monitored anyway. The tools are run only when device-mapper
is awake (hostkit.facts.devicemapper) and their socket would not start lvmetad (EL 7).
"""

import re
from functools import partial

from hostkit.facts.devicemapper import asleep
from hostkit.facts.fact import Fact, Facts, read_text, refuse, run_text
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.host.base import Host
from hostkit.host.commands import LVS, PVS, VGS
from hostkit.value import NamedTuple

CONFIG = "/etc/lvm/lvm.conf"
LOCAL_CONFIG = "/etc/lvm/lvmlocal.conf"  # read after lvm.conf and stronger (lvm.conf(5))
PROFILES = "/etc/lvm/profile"
PID_FOLDERS = ("/run", "/var/run")  # one folder but on EL 6
LVMETAD_SOCKET = "/run/lvm/lvmetad.socket"
# lv_health_status, lv_active and others came later than what EL 6 has; lv_attr says it all.
FIELDS = (
    "vg_name,lv_name,lv_attr,lv_size,pool_lv,data_percent,metadata_percent,"
    "lv_profile,chunk_size,vg_size,vg_free"
)
_ATTRIBUTES = 8  # lvs(8): at least so many characters; health, the ninth, came with 2.02.99
_ACTIVE, _HEALTH = 4, 8
_MONITORED = "monitored"
# What matters here of lvm.conf; the values are LVM's defaults.
DEFAULTS = {
    "activation/thin_pool_autoextend_threshold": "100",
    "activation/thin_pool_autoextend_percent": "20",
    "activation/monitoring": "1",
}


class LogicalVolume(NamedTuple):
    """One line of `lvs -a`. Percentages are None for what has none or is not active.

    `monitored` is None when lvs could not say; sizes are bytes.
    """

    group: str
    name: str
    attributes: str
    size: int
    pool: str
    data_percent: float | None
    metadata_percent: float | None
    profile: str
    chunk_size: int
    group_size: int
    group_free: int
    monitored: bool | None = None

    @property
    def is_thin_pool(self) -> bool:
        """Whether it is a thin pool."""
        return self.attributes.startswith("t")

    @property
    def active(self) -> bool:
        """Whether the kernel has it."""
        return self.attributes[_ACTIVE] == "a"

    @property
    def health(self) -> str:
        """One letter, - for good: F failed, D out of data space, M metadata read-only."""
        return self.attributes[_HEALTH : _HEALTH + 1] or "-"

    @property
    def full_name(self) -> str:
        """As lvm(8) tools take it: docker/thinpool."""
        return f"{self.group}/{self.name}"

    @property
    def dm_name(self) -> str:
        """As dmsetup(8) has it: every dash of either name doubled.

        >>> parse_lvs("rootvg|docker-pool|twi-a-t---|512||0.00|0.04||64|512|0")[0].dm_name
        'rootvg-docker--pool'
        """
        return f"{self.group.replace('-', '--')}-{self.name.replace('-', '--')}"


class VolumeGroup(NamedTuple):
    """One line of `vgs`; bytes."""

    name: str
    size: int
    free: int
    extent_size: int
    attributes: str


class PhysicalVolume(NamedTuple):
    """One line of `pvs`; bytes. `group` is empty for one that no group uses."""

    path: str
    group: str
    size: int
    free: int
    attributes: str


class Setting(NamedTuple):
    """A key of lvm.conf or of a profile, and the line that sets it (0: LVM's default)."""

    value: str
    file: str
    line: int


class Lvm(NamedTuple):
    """Volumes, and what would extend a pool. `dmeventd`: the daemon that does it runs."""

    volumes: tuple[LogicalVolume, ...]
    dmeventd: bool
    settings: tuple[tuple[str, str, Setting], ...] = ()  # (profile or "", key, setting)

    def thin_pools(self) -> tuple[LogicalVolume, ...]:
        """The thin pools among the volumes."""
        return tuple(volume for volume in self.volumes if volume.is_thin_pool)

    def setting(self, key: str, profile: str = "") -> Setting:
        """A key as it holds for a volume with this profile: the profile wins."""
        found = {(where, name): setting for where, name, setting in self.settings}
        default = Setting(DEFAULTS[key], "the default of LVM", 0)
        return found.get((profile, key)) or found.get(("", key)) or default


def parse_lvs(content: str) -> tuple[LogicalVolume, ...]:
    r"""What `lvs` prints for FIELDS, with or without seg_monitor as the last field.

    >>> pool = parse_lvs("  docker|thinpool|twi-a-t---|4072669184||2.86|10.15|docker-thinpool|"
    ...     "524288|4290772992|134217728|monitored\n")[0]
    >>> pool.data_percent, pool.monitored, pool.active, pool.is_thin_pool
    (2.86, True, True, True)
    """
    width = len(FIELDS.split(","))
    found: dict[str, LogicalVolume] = {}
    for fields in _rows(content, width, width + 1):  # a row for each segment of a volume
        volume = _volume(fields, width)
        found.setdefault(volume.full_name, volume)
    return tuple(found.values())


def _volume(fields: list[str], width: int) -> LogicalVolume:
    if len(fields[2]) < _ATTRIBUTES:
        refuse(f"not the attributes of a volume: {fields[2][:20]!r}")
    return LogicalVolume(
        group=fields[0],
        name=fields[1].strip("[]"),  # lvs -a marks hidden volumes so
        attributes=fields[2],
        size=int(fields[3]),
        pool=fields[4].strip("[]"),
        data_percent=_percent(fields[5]),
        metadata_percent=_percent(fields[6]),
        profile=fields[7],
        chunk_size=int(fields[8] or 0),
        group_size=int(fields[9]),
        group_free=int(fields[10]),
        monitored=fields[width] == _MONITORED if fields[width:] and fields[width] else None,
    )


def _percent(written: str) -> float | None:
    """A percentage, or None; some locales' lvs print a comma."""
    return float(written.replace(",", ".")) if written else None


def parse_vgs(content: str) -> tuple[VolumeGroup, ...]:
    r"""What `vgs` prints for the fields in the command table.

    >>> parse_vgs("  docker|4290772992|134217728|4194304|wz--n-\n")[0].free
    134217728
    """
    rows = _rows(content, 5, 5)
    return tuple(VolumeGroup(r[0], int(r[1]), int(r[2]), int(r[3]), r[4]) for r in rows)


def parse_pvs(content: str) -> tuple[PhysicalVolume, ...]:
    r"""What `pvs` prints for the fields in the command table.

    >>> parse_pvs("  /dev/vdb|docker|4290772992|134217728|a--\n")[0].group
    'docker'
    """
    rows = _rows(content, 5, 5)
    return tuple(PhysicalVolume(r[0], r[1], int(r[2]), int(r[3]), r[4]) for r in rows)


def _rows(content: str, least: int, most: int) -> list[list[str]]:
    """The rows of a report; warnings and notes that LVM mixes in have no separators."""
    rows: list[list[str]] = []
    for line in content.split("\n"):
        if "|" not in line:
            continue
        fields = [field.strip() for field in line.split("|")]
        if not least <= len(fields) <= most:
            refuse(f"{len(fields)} fields instead of {least}: {line.strip()[:40]!r}")
        rows.append(fields)
    return rows


# Of lvm.conf(5): a section opens, a key gets a value, a section closes; a comment is none.
_LEXEME = (
    r"""\s*(?:(?P<section>[\w-]+)\s*\{|(?P<close>\})"""
    r"""|(?P<key>[\w/-]+)\s*=\s*(?P<value>"[^"]*"|\[[^\]]*\]|[^\s#{}]+))"""
)
_DEPTH_LIMIT = 8


def parse_config(content: str, file: str) -> dict[str, Setting]:
    r"""The assignments of an lvm.conf or profile, by `section/key` (lvm.conf(5)).

    >>> parse_config("activation {\n  # no\n  thin_pool_autoextend_threshold=80\n}\n", "f")
    {'activation/thin_pool_autoextend_threshold': Setting(value='80', file='f', line=3)}
    """
    found: dict[str, Setting] = {}
    sections: list[str] = []
    for number, line in enumerate(content.split("\n"), 1):
        at = 0
        while token := re.compile(_LEXEME).match(line, at):
            at = token.end()
            if token["section"]:
                sections.append(token["section"])
                if len(sections) > _DEPTH_LIMIT:
                    refuse("sections in sections without end")
            elif token["close"]:
                del sections[-1:]
            else:
                key = "/".join((*sections, token["key"]))
                found[key] = Setting(token["value"].strip('"'), file, number)
    return found


def _settings(host: Host) -> tuple[tuple[str, str, Setting], ...]:
    names = host.listdir(PROFILES)
    profiles = (
        [n for n in names.value if n.endswith(".profile")] if isinstance(names, Known) else []
    )
    files = [("", CONFIG), ("", LOCAL_CONFIG)]
    files += [(name.removesuffix(".profile"), f"{PROFILES}/{name}") for name in profiles]
    found: list[tuple[str, str, Setting]] = []
    for profile, path in files:
        config = read_text(host, path, partial(parse_config, file=path))
        if isinstance(config, Known):
            given = config.value
            found += [(profile, key, given[key]) for key in DEFAULTS if key in given]
    return tuple(found)


def _runs(host: Host, name: str) -> bool:
    """Whether the process that a daemon's pid file names is that daemon."""
    for folder in PID_FOLDERS:
        pid = host.read(f"{folder}/{name}.pid", 64)
        if isinstance(pid, Known) and pid.value.strip().isdigit():
            comm = host.read(f"/proc/{int(pid.value)}/comm")
            return isinstance(comm, Known) and comm.value.strip() == name.encode()
    return False


def _asleep(facts: Facts) -> Absent | Unreadable | None:
    """Why LVM may not be asked; None when asking wakes nothing."""
    socket = facts.host.stat(LVMETAD_SOCKET)
    if isinstance(socket, Known) and not _runs(facts.host, "lvmetad"):
        return Unreadable(LVMETAD_SOCKET, "asking would start lvmetad")
    return asleep(facts)


def _gather(facts: Facts) -> Answer[Lvm]:
    refused = _asleep(facts)
    if refused:
        return refused
    dmeventd = _runs(facts.host, "dmeventd")
    volumes = run_text(facts.host, LVS, parse_lvs, FIELDS + ",seg_monitor" * dmeventd)
    if not isinstance(volumes, Known):
        return volumes
    found = [one if dmeventd else one._replace(monitored=False) for one in volumes.value]
    return Known(Lvm(tuple(found), dmeventd, _settings(facts.host)), volumes.source)


def _gather_groups(facts: Facts) -> Answer[tuple[VolumeGroup, ...]]:
    return _asleep(facts) or run_text(facts.host, VGS, parse_vgs)


def _gather_physical(facts: Facts) -> Answer[tuple[PhysicalVolume, ...]]:
    return _asleep(facts) or run_text(facts.host, PVS, parse_pvs)


LVM: Fact[Lvm] = Fact("lvm", _gather, waits=True)
VOLUME_GROUPS: Fact[tuple[VolumeGroup, ...]] = Fact("volume groups", _gather_groups, waits=True)
PHYSICAL_VOLUMES: Fact[tuple[PhysicalVolume, ...]] = Fact(
    "physical volumes", _gather_physical, waits=True
)
