# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin pools: how full, how healthy, and whether anything extends them."""

from collections.abc import Iterator

from hostkit.diagnosis.check import check
from hostkit.diagnosis.finding import (
    Evidence,
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Severity,
    Unknown,
)
from hostkit.facts.block import BLOCK_DEVICES
from hostkit.facts.daemonconfig import DAEMON_CONFIG
from hostkit.facts.fact import Facts
from hostkit.facts.lvm import LVM, LogicalVolume, Lvm, Setting
from hostkit.facts.thinpool import THIN_POOLS, Mode, ThinPool
from hostkit.host.answer import Absent, Known, Unreadable
from hostkit_checks.devicemapper.use import (
    NEEDED,
    dm_name,
    driver_use,
    human,
    is_dockers_pool,
    pool_option,
    storage_option,
)

_FULL, _FILLING = 90.0, 80.0
_MIN_FREE = 10.0  # dm.min_free_space of dockerd when it is not configured
_THRESHOLD = "activation/thin_pool_autoextend_threshold"
_MONITORING = "activation/monitoring"
_NEVER = 100  # a threshold of 100 switches automatic extension off (lvm.conf(5))
_STATUS = "dmsetup status --noflush --target thin-pool"


def _no_pools(facts: Facts) -> Outcome | None:
    """What to say when there is no pool to look at, or none can be seen."""
    answer = facts.get(THIN_POOLS)
    if isinstance(answer, Unreadable):
        return Unknown(f"{answer.source}: {answer.reason}", needs_root=answer.needs_root)
    if isinstance(answer, Absent):
        return NotApplicable(f"no thin pool is active: {answer.reason}")
    return None if answer.value else NotApplicable("no thin pool is active")


def _status_evidence(pool: ThinPool) -> Evidence:
    status = pool.status
    words = (
        f"{pool.name}: data {status.data_used}/{status.data_total} ({pool.data_percent:.1f} %), "
        f"metadata {status.metadata_used}/{status.metadata_total} "
        f"({pool.metadata_percent:.1f} %), {status.mode.value}"
    )
    return Evidence(_STATUS, words + (", needs_check" if status.needs_check else ""))


@check(
    "thin-pool-space",
    title="Is there room in the thin pools, for data and for metadata?",
    problems=("thinpool-full",),
    uses=(THIN_POOLS,),
)
def thin_pool_space(facts: Facts) -> Iterator[Outcome]:
    """Nothing of this shows in df: the file systems in a pool do not know that it is full."""
    none = _no_pools(facts)
    if none:
        yield none
        return
    for pool in facts.value(THIN_POOLS):
        if pool.status.mode is Mode.FAILED:
            yield Unknown(f"{pool.name} has failed and no longer says how full it is")
            continue
        full = max(pool.data_percent, pool.metadata_percent)
        what = "data" if pool.data_percent >= pool.metadata_percent else "metadata"
        if pool.status.mode is Mode.OUT_OF_DATA_SPACE:
            summary = f"the thin pool {pool.name} is out of data space: writes stall, then fail"
        elif full >= _FILLING:
            summary = f"the {what} of the thin pool {pool.name} is {full:.1f} % full"
        else:
            yield Passed(f"{pool.name}: {what} {full:.1f} % full")
            continue
        full = 100.0 if pool.status.mode is Mode.OUT_OF_DATA_SPACE else full
        yield Finding(
            problem="thinpool-full",
            severity=Severity.ERROR if full >= _FULL else Severity.WARNING,
            summary=summary,
            evidence=(_status_evidence(pool),),
            params=(("pool", pool.name), ("percent", f"{full:.0f}")),
        )


@check(
    "thin-pool-min-free",
    title="Does Docker's guard against a full pool let containers start?",
    problems=("thinpool-min-free-space",),
    uses=(THIN_POOLS, *NEEDED),
    profiles=("docker",),
)
def thin_pool_min_free(facts: Facts) -> Iterator[Outcome]:
    """Below dm.min_free_space, by default 10 % of either kind, dockerd makes no new device."""
    none = _no_pools(facts)
    if none:
        yield none
        return
    pools = [pool for pool in facts.value(THIN_POOLS) if is_dockers_pool(facts, pool.name)]
    if not pools:
        yield NotApplicable("no active thin pool is Docker's")
        return
    written = storage_option(facts, "dm.min_free_space")
    digits = written.removesuffix("%")
    percent = float(digits) if digits.isdigit() else _MIN_FREE
    for pool in pools:
        status = pool.status
        for what, used, total in (
            ("data", status.data_used, status.data_total),
            ("metadata", status.metadata_used, status.metadata_total),
        ):
            least = int(total * percent / 100)
            if status.mode is not Mode.FAILED and total - used < least:
                yield Finding(
                    problem="thinpool-min-free-space",
                    severity=Severity.ERROR,
                    summary=f"{total - used} {what} blocks free, Docker wants {least}: "
                    "no container starts",
                    evidence=(_status_evidence(pool),),
                    params=(("pool", pool.name),),
                )
                break
        else:
            yield Passed(f"{pool.name}: more than {percent:.0f} % are free")


@check(
    "thin-pool-health",
    title="Are the thin pools writable and their metadata sound?",
    problems=("thinpool-metadata-damaged",),
    uses=(THIN_POOLS,),
)
def thin_pool_health(facts: Facts) -> Iterator[Outcome]:
    """needs_check and ro are set by the kernel after an error in the metadata."""
    none = _no_pools(facts)
    if none:
        yield none
        return
    for pool in facts.value(THIN_POOLS):
        status = pool.status
        deliberate = "read_only" in pool.table.features
        if status.mode is Mode.FAILED:
            what = "has failed: every read and write gives an error"
        elif status.needs_check:
            what = "needs a check: its metadata met an error"
        elif status.mode is Mode.READ_ONLY and not deliberate:
            what = "has been made read-only by the kernel"
        else:
            yield Passed(f"{pool.name} is {status.mode.value}")
            continue
        yield Finding(
            problem="thinpool-metadata-damaged",
            severity=Severity.ERROR,
            summary=f"the thin pool {pool.name} {what}",
            evidence=(_status_evidence(pool),),
            params=(("pool", pool.name),),
        )


@check(
    "thin-pool-active",
    title="Is the thin pool that dockerd is told to use active?",
    problems=("thinpool-inactive",),
    needs=(BLOCK_DEVICES,),
    uses=NEEDED,
    profiles=("docker",),
)
def thin_pool_active(facts: Facts) -> Iterator[Outcome]:
    """The device named by dm.thinpooldev must be in the kernel before dockerd starts."""
    option = pool_option(facts)
    if option is None or option[0] != "dm.thinpooldev" or driver_use(facts).used is False:
        yield NotApplicable("dockerd is not told to use a thin pool")
        return
    name = dm_name(option[1])
    if facts.value(BLOCK_DEVICES).named(name):
        yield Passed(f"{option[1]} is active")
        return
    config = facts.value(DAEMON_CONFIG)
    setting = config.get("storage-opts")
    where = Evidence(setting.source, f"{option[0]}={option[1]}", setting.line) if setting else None
    yield Finding(
        problem="thinpool-inactive",
        severity=Severity.ERROR,
        summary=f"dockerd is told to use {option[1]}, and no such device is active",
        evidence=(
            Evidence("/sys/class/block", f"no device named {name}"),
            *((where,) if where else ()),
        ),
        params=(("pool", name),),
    )


@check(
    "thin-pool-monitored",
    title="Is a thin pool that is to be extended by itself also watched?",
    problems=("thinpool-not-monitored",),
    uses=(LVM,),
)
def thin_pool_monitored(facts: Facts) -> Iterator[Outcome]:
    """A threshold does nothing by itself: dmeventd extends, and only what it monitors."""
    answer = facts.get(LVM)
    if isinstance(answer, Unreadable):
        yield Unknown(f"{answer.source}: {answer.reason}", needs_root=answer.needs_root)
        return
    pools = (
        [pool for pool in answer.value.thin_pools() if pool.active]
        if isinstance(answer, Known)
        else []
    )
    if not pools or not isinstance(answer, Known):
        yield NotApplicable("LVM has no active thin pool")
        return
    for pool in pools:
        yield _watched(answer.value, pool)


def _watched(lvm: Lvm, pool: LogicalVolume) -> Outcome:
    threshold = lvm.setting(_THRESHOLD, pool.profile)
    percent = int(threshold.value) if threshold.value.isdigit() else _NEVER
    if percent >= _NEVER:
        return Passed(f"{pool.full_name} is not meant to be extended by itself")
    if pool.monitored is None:
        return Unknown(f"lvs does not say whether {pool.full_name} is monitored")
    if pool.monitored:
        room = f", {human(pool.group_free)} left to extend it with"
        return Passed(f"{pool.full_name} is extended at {percent} %{room}")
    return Finding(
        problem="thinpool-not-monitored",
        severity=Severity.WARNING,
        summary=f"{pool.full_name} is to be extended at {percent} %, but nothing monitors it",
        evidence=(
            _written(_THRESHOLD, threshold),
            Evidence("lvs -o seg_monitor", "not monitored")
            if lvm.dmeventd
            else Evidence("/run/dmeventd.pid", "dmeventd does not run"),
            *_switched_off(lvm, pool),
        ),
        params=(("pool", pool.full_name),),
    )


def _switched_off(lvm: Lvm, pool: LogicalVolume) -> tuple[Evidence, ...]:
    monitoring = lvm.setting(_MONITORING, pool.profile)
    return () if monitoring.value == "1" else (_written(_MONITORING, monitoring),)


def _written(key: str, setting: Setting) -> Evidence:
    return Evidence(setting.file, f"{key.rpartition('/')[2]} = {setting.value}", setting.line)
