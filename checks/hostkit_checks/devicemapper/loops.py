# SPDX-License-Identifier: GPL-3.0-or-later
"""loop-lvm: Docker's thin pool on two sparse files."""

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
from hostkit.facts.block import BLOCK_DEVICES, Kind
from hostkit.facts.dataroot import DATA_ROOTS, VOLUME
from hostkit.facts.fact import Facts
from hostkit.facts.loop import LOOPS, Loop
from hostkit.facts.mounts import lies_under
from hostkit.facts.osrelease import OS_RELEASE
from hostkit.facts.thinpool import THIN_POOLS, ThinPool
from hostkit.host.answer import Known, Unreadable
from hostkit.value import NamedTuple
from hostkit_checks.devicemapper.use import (
    DRIVER,
    NEEDED,
    driver_use,
    human,
    is_dockers_pool,
    pool_option,
)

DATA = "/devicemapper/devicemapper/data"
_GB = 10**9
_WASTE = 0.2  # of the data file: less is the pool's own slack
_NEARLY_FULL, _LITTLE = _GB, 10 * _GB


class _DataFile(NamedTuple):
    """The file `data` of loop-lvm: its size for `ls` and for `du`, and the device on it."""

    path: str
    apparent: int
    allocated: int
    device: str


def _data_loop(loops: tuple[Loop, ...]) -> Loop | None:
    return next((loop for loop in loops if loop.backing_file.endswith(DATA)), None)


def _data_file(facts: Facts) -> _DataFile | None:
    """The data file, whether or not dockerd runs; None where none is seen, or none is used."""
    loop = _data_loop(facts.known(LOOPS) or ())
    if loop is not None and loop.apparent is not None and loop.allocated is not None:
        return _DataFile(loop.backing_file, loop.apparent, loop.allocated, f"/dev/{loop.name}")
    if driver_use(facts).used is False:
        return None  # left behind: nothing writes to it any more
    for root in facts.known(DATA_ROOTS) or ():
        for file in root.loops:
            if file.path.endswith(DATA):
                return _DataFile(file.path, file.size, file.allocated, "")
    return None


@check(
    "loop-lvm",
    title="Does Docker's thin pool lie on loop files?",
    problems=("loop-lvm-in-use",),
    needs=(LOOPS, BLOCK_DEVICES),
    uses=(OS_RELEASE, *NEEDED),
    profiles=("docker",),
)
def loop_lvm(facts: Facts) -> Iterator[Outcome]:
    """Never in production, say Red Hat and CentOS: there it is an error, elsewhere a warning."""
    loops = facts.value(LOOPS)
    files = [loop for loop in loops if loop.backing_file.endswith(DATA)]
    seen = [Evidence(f"/sys/block/{one.name}/loop/backing_file", one.backing_file) for one in files]
    seen += _pools_on_loops(facts)
    release = facts.known(OS_RELEASE)
    severity = Severity.ERROR if release and release.family == "rhel" else Severity.WARNING
    if seen:
        where = seen[0].excerpt
        yield Finding(
            problem="loop-lvm-in-use",
            severity=severity,
            summary=f"Docker's layers lie on a loop file (loop-lvm): {where}",
            evidence=tuple(seen),
            params=(("data_file", where),),
        )
        return
    use = driver_use(facts)
    file = _data_file(facts)
    if use.used and file and not pool_option(facts):
        yield Finding(
            problem="loop-lvm-in-use",
            severity=severity,
            summary="dockerd is stopped; at its next start it uses loop files (loop-lvm)",
            evidence=(Evidence(file.path, f"{human(file.apparent)} sparse file"), *use.evidence),
            params=(("data_file", file.path),),
        )
    elif use.used is None:
        yield Unknown(use.reason)
    elif use.used:
        yield Passed("no thin pool of Docker's lies on loop files")
    else:
        yield Passed("no loop file of Docker's is in use")


def _pools_on_loops(facts: Facts) -> Iterator[Evidence]:
    devices = facts.value(BLOCK_DEVICES)
    for device in devices.devices:
        if is_dockers_pool(facts, device.dm_name):
            below = [one.name for one in devices.made_of(device) if one.kind is Kind.LOOP]
            if below:
                on = ", ".join(below)
                yield Evidence(
                    f"/sys/class/block/{device.name}/slaves", f"{device.dm_name} on {on}"
                )


@check(
    "loop-lvm-space",
    title="Does the loop file take more of the disk than the pool in it uses?",
    problems=("loop-lvm-space-not-reclaimed",),
    needs=(LOOPS,),
    uses=(THIN_POOLS, *NEEDED),
    profiles=("docker",),
)
def loop_lvm_space(facts: Facts) -> Iterator[Outcome]:
    """Three numbers tell: what the file pretends, what it takes, what the pool has given out."""
    file = _data_file(facts)
    if file is None:
        yield _without_file(facts)
        return
    pool = _pool_of(facts, file)
    shown = f"ls: {human(file.apparent)}, du: {human(file.allocated)}"
    emptied = _images_and_containers(facts) == 0
    used = pool.data_used_bytes if pool else None
    wasted = file.allocated - used if used is not None else 0
    if wasted > max(_GB, _WASTE * file.allocated):
        yield Finding(
            problem="loop-lvm-space-not-reclaimed",
            severity=Severity.WARNING,
            summary=f"the pool uses {human(used or 0)} of its {human(file.allocated)} on disk",
            evidence=(Evidence(file.path, shown), _pool_evidence(pool)),
            params=(("data_file", file.path), ("wasted", human(wasted))),
        )
    elif emptied and file.allocated > _GB:
        yield Finding(
            problem="loop-lvm-space-not-reclaimed",
            severity=Severity.WARNING,
            summary=f"no image or container is left, the loop file takes {human(file.allocated)}",
            evidence=(Evidence(file.path, shown), _pool_evidence(pool)),
            params=(("data_file", file.path), ("wasted", human(file.allocated))),
        )
    elif used is None:
        answer = facts.get(THIN_POOLS)
        root = isinstance(answer, Unreadable) and answer.needs_root
        yield Unknown(f"the pool on {file.path} is not active or cannot be asked", needs_root=root)
    else:
        yield Passed(f"the loop file takes {human(file.allocated)}, its pool uses {human(used)}")


def _pool_of(facts: Facts, file: _DataFile) -> ThinPool | None:
    pools = facts.known(THIN_POOLS) or ()
    return next((p for p in pools if file.device.removeprefix("/dev/") in p.loops), None)


def _pool_evidence(pool: ThinPool | None) -> Evidence:
    if pool is None:
        return Evidence("dmsetup status", "the pool is not active")
    used = f"{human(pool.data_used_bytes)} of {human(pool.data_bytes)}"
    return Evidence("dmsetup status --noflush --target thin-pool", f"{pool.name}: {used} used")


def _images_and_containers(facts: Facts) -> int | None:
    """How many there are of the driver's; None when they could not be counted."""
    counts: list[int | None] = []
    for root in facts.known(DATA_ROOTS) or ():
        store = root.store(DRIVER)
        if store is not None:
            counts += [store.images, store.containers]
    numbers = [count for count in counts if count is not None]
    return sum(numbers) if numbers and len(numbers) == len(counts) else None


def _without_file(facts: Facts) -> Outcome:
    loop = _data_loop(facts.known(LOOPS) or ())
    if loop is not None:
        return Unknown(f"{loop.backing_file} cannot be looked at", needs_root=True)
    roots = facts.get(DATA_ROOTS)
    if isinstance(roots, Unreadable):
        return Unknown(f"{roots.source}: {roots.reason}", needs_root=roots.needs_root)
    if driver_use(facts).used:
        return Passed("Docker's pool does not lie on loop files")
    return NotApplicable("there are no loop files of Docker's")


@check(
    "loop-lvm-backing",
    title="Can the loop file grow to the size it promises?",
    problems=("loop-lvm-backing-fs-full",),
    needs=(LOOPS,),
    uses=(VOLUME, *NEEDED),
    profiles=("docker",),
)
def loop_lvm_backing(facts: Facts) -> Iterator[Outcome]:
    """When the disk below is full the pool gets write errors, and file systems in it break."""
    file = _data_file(facts)
    if file is None:
        yield _without_file(facts)
        return
    answer = facts.get(VOLUME)
    if not isinstance(answer, Known):
        yield Unknown(f"{answer.source}: {answer.reason}")
        return
    volume = answer.value
    if file.device and not lies_under(file.path, volume.path):
        yield Unknown(f"{file.path} lies outside the data root {volume.path}")
        return
    missing = file.apparent - file.allocated
    free = volume.space.available
    if missing <= free:
        yield Passed(f"{human(free)} are free below the loop file, which may take {human(missing)}")
        return
    severity = Severity.INFO if free > _LITTLE else Severity.WARNING
    if free < _NEARLY_FULL:
        severity = Severity.ERROR
    yield Finding(
        problem="loop-lvm-backing-fs-full",
        severity=severity,
        summary=f"the loop file may grow by {human(missing)}, its disk has {human(free)} left",
        evidence=(
            Evidence(file.path, f"ls: {human(file.apparent)}, du: {human(file.allocated)}"),
            Evidence(f"df {volume.path}", f"{human(free)} available"),
        ),
        params=(("data_file", file.path),),
    )
