# SPDX-License-Identifier: GPL-3.0-or-later
"""Device-mapper's checks on made-up hosts, and its signatures on real messages."""

import json
from pathlib import Path
from typing import Any

import pytest

from hostkit import plugins
from hostkit.diagnosis.check import Check
from hostkit.diagnosis.finding import Finding, NotApplicable, Outcome, Passed, Severity, Unknown
from hostkit.diagnosis.runner import run_checks
from hostkit.diagnosis.scan import scan
from hostkit.facts.block import BLOCK_DEVICES, BlockDevice, BlockDevices, Kind
from hostkit.facts.daemonconfig import DAEMON_CONFIG, DaemonConfig
from hostkit.facts.daemonjson import Setting
from hostkit.facts.dataroot import DATA_ROOTS, VOLUME, DataRoot, LoopFile, Store
from hostkit.facts.devicemapper import DEVICE_MAPPER, DM_TARGETS, DeviceMapper, Target
from hostkit.facts.engine import DOCKER, Engine
from hostkit.facts.filesystems import DType, Volume
from hostkit.facts.graphdrivers import DOCKER_VERSION
from hostkit.facts.libdevmapper import BASE, DEFERRED_REMOVE, LIBDEVMAPPER, Library
from hostkit.facts.loop import LOOP_SUPPORT, LOOPS, Loop, LoopSupport
from hostkit.facts.lvm import LVM, Lvm, parse_lvs
from hostkit.facts.lvm import Setting as LvmSetting
from hostkit.facts.modules import MODULES, Blocked, Modules
from hostkit.facts.mounts import parse_mountinfo
from hostkit.facts.osrelease import OS_RELEASE, OsRelease
from hostkit.facts.thinpool import (
    THIN_POOLS,
    Mode,
    ThinPool,
    parse_pool_status,
    parse_pool_table,
)
from hostkit.host.answer import Absent, Unreadable
from hostkit.host.base import Space
from hostkit_checks.devicemapper import kernel_side, loops, pools
from hostkit_checks.devicemapper.checks import CHECKS
from hostkit_checks.devicemapper.signatures import SIGNATURES
from hostkit_checks.devicemapper.use import NEEDED, driver_use
from tests.fakes import make_facts

GB = 10**9
DATA = "/var/lib/docker/devicemapper/devicemapper/data"
MISSING = Modules(frozenset(), b"", b"", True, False, "/lib/modules/6.1")
LOADABLE = MISSING._replace(
    available=b"/md/dm_mod.ko: /md/dm_thin_pool.ko: /block/loop.ko:",
)
CENTOS = OsRelease("centos", ("rhel", "fedora"), "7", "CentOS Linux 7")
DEBIAN = OsRelease("debian", (), "12", "Debian 12")
OVERLAY = DaemonConfig((), (Setting("storage-driver", "overlay2", "/etc/docker/daemon.json", 2),))


def chosen(*options: str) -> DaemonConfig:
    settings = [Setting("storage-driver", "devicemapper", "/etc/docker/daemon.json", 2)]
    if options:
        settings.append(Setting("storage-opts", options, "/etc/docker/daemon.json", 3))
    return DaemonConfig((), tuple(settings))


def outcomes(check: Check, facts: dict[Any, Any] | None = None) -> tuple[Outcome, ...]:
    """What a check says on a host where nothing is installed but what is given."""
    base: dict[Any, Any] = {
        BLOCK_DEVICES: BlockDevices(()),
        DAEMON_CONFIG: DaemonConfig((), ()),
        DATA_ROOTS: Absent("/var/lib/docker"),
        THIN_POOLS: Absent("/proc/misc", "no device-mapper"),
        LVM: Absent("/proc/misc", "no device-mapper"),
        DEVICE_MAPPER: DeviceMapper(False, None, None, False),
        DM_TARGETS: Absent("/proc/misc"),
        LOOPS: (),
        LIBDEVMAPPER: Absent("libdevmapper"),
        LOOP_SUPPORT: LoopSupport(False, False, 0, 0, 0),
        MODULES: MISSING,
        OS_RELEASE: DEBIAN,
        DOCKER: Absent("packages"),
        VOLUME: volume(500 * GB),
    }
    (result,) = run_checks(make_facts(given={**base, **(facts or {})}), [check])
    return result.outcomes


def volume(available: int) -> Volume:
    mount = parse_mountinfo("27 1 8:1 / / rw - xfs /dev/sda1 rw\n").table[0]
    space = Space(600 * GB, available, available, 100, 50)
    return Volume("/var/lib/docker", mount, space, DType.YES)


def one(check: Check, facts: dict[Any, Any]) -> Outcome:
    (outcome,) = outcomes(check, facts)
    assert not (isinstance(outcome, Unknown) and outcome.crashed), outcome
    return outcome


def finding(check: Check, facts: dict[Any, Any]) -> Finding:
    outcome = one(check, facts)
    assert isinstance(outcome, Finding), outcome
    assert len(outcome.summary) <= 100, outcome.summary
    return outcome


def pool(status: str, loops_below: tuple[str, ...] = ("loop1", "loop0")) -> ThinPool:
    name = "docker-254:0-11766-pool" if loops_below else "docker-thinpool"
    (table,) = parse_pool_table(f"{name}: 0 209715200 thin-pool 7:1 7:0 128 0 0\n")
    (state,) = parse_pool_status(f"{name}: 0 209715200 thin-pool {status}\n")
    return ThinPool(state, table, loops_below, loops_below)


def data_loop(allocated: int | None = 5 * GB) -> Loop:
    return Loop("loop0", DATA, 107374182400, apparent=107374182400, allocated=allocated)


HEALTHY = "32 4282/524288 1706/1638400 - rw discard_passdown queue_if_no_space - 1024"


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_host_without_docker_is_not_bothered(check: Check) -> None:
    for outcome in outcomes(check):
        if isinstance(outcome, Finding):
            assert (outcome.problem, outcome.severity) == ("dm-module-missing", Severity.INFO)
        else:
            assert isinstance(outcome, Passed | NotApplicable), outcome


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_an_overlay2_host_gets_no_error(check: Check) -> None:
    for outcome in outcomes(check, {DAEMON_CONFIG: OVERLAY, MODULES: LOADABLE}):
        assert isinstance(outcome, Passed | NotApplicable), outcome


def test_no_device_mapper_is_an_error_where_it_is_chosen() -> None:
    found = finding(kernel_side.device_mapper, {DAEMON_CONFIG: chosen()})
    assert found.severity is Severity.ERROR
    assert ("module", "dm_mod") in found.params
    assert any(evidence.line == 2 for evidence in found.evidence)


def test_no_thin_pools_is_told_apart_from_no_device_mapper() -> None:
    found = finding(
        kernel_side.device_mapper,
        {DAEMON_CONFIG: chosen(), DEVICE_MAPPER: DeviceMapper(True, 236, 253, True)},
    )
    assert ("module", "dm_thin_pool") in found.params


def test_a_registered_target_counts_whatever_the_modules_say() -> None:
    given = {
        DEVICE_MAPPER: DeviceMapper(True, 236, 253, True),
        DM_TARGETS: (Target("thin-pool", (1, 22, 0)),),
    }
    assert isinstance(one(kernel_side.device_mapper, given), Passed)


@pytest.mark.parametrize(
    ("version", "known"), [((1, 12, 6), False), ((1, 13), True), ((29,), True)]
)
def test_before_overlay_was_the_default_nobody_can_tell_the_driver(
    version: tuple[int, ...], known: bool
) -> None:
    facts = make_facts(given={**dict.fromkeys(NEEDED, Absent("f")), DOCKER_VERSION: version})
    assert (driver_use(facts).used is not None) is known


def test_a_module_that_modprobe_d_forbids_needs_no_other_kernel() -> None:
    line = Blocked("dm_mod", "/etc/modprobe.d/cis.conf", 3, "install dm_mod /bin/false")
    modules = LOADABLE._replace(blocked=(line,))
    found = finding(kernel_side.device_mapper, {DAEMON_CONFIG: chosen(), MODULES: modules})
    assert "modprobe.d forbids to load it" in found.summary
    remedies = plugins.load().catalogue().get(found.problem).remedies
    suiting = [remedy for remedy in remedies if remedy.suits(dict(found.params))]
    assert [remedy.commands_for("any", dict(found.params))[0] for remedy in suiting] == [
        "sed -n '3p' /etc/modprobe.d/cis.conf   # an install line: put # before it"
    ]


def test_modules_not_known_is_unknown_never_passed() -> None:
    given: dict[Any, Any] = {MODULES: Unreadable("/lib/modules", "Permission denied")}
    assert isinstance(one(kernel_side.device_mapper, given), Unknown)


def library(*symbols: tuple[str, str], bits: int = 64) -> Library:
    return Library("/lib64/libdevmapper.so.1.02", bits, (BASE,), frozenset(symbols))


def docker(*version: int) -> Engine:
    return Engine("docker", version, ".".join(map(str, version)), "rpm")


def test_the_symbol_table_refutes_the_relocation_error() -> None:
    given = {LIBDEVMAPPER: (library((DEFERRED_REMOVE, BASE)), library(bits=32))}
    assert isinstance(one(kernel_side.libdevmapper, given), Passed)


@pytest.mark.parametrize("version", [(1, 4, 1), (1, 8, 3)])
def test_a_library_without_the_symbol_stops_docker(version: tuple[int, ...]) -> None:
    given = {LIBDEVMAPPER: (library(),), DOCKER: docker(*version)}
    found = finding(kernel_side.libdevmapper, given)
    assert (found.problem, found.severity) == ("libdevmapper-too-old", Severity.ERROR)
    assert found.evidence[0].source == "/lib64/libdevmapper.so.1.02"


@pytest.mark.parametrize("version", [(18, 6, 1), (20, 10, 24)])
def test_a_docker_that_does_not_link_the_symbol_is_well(version: tuple[int, ...]) -> None:
    given = {LIBDEVMAPPER: (library(),), DOCKER: docker(*version)}
    assert isinstance(one(kernel_side.libdevmapper, given), Passed)


def test_a_library_that_cannot_be_read_is_unknown() -> None:
    given = {LIBDEVMAPPER: Unreadable("/lib64/libdevmapper.so.1.02", "not understood")}
    assert isinstance(one(kernel_side.libdevmapper, given), Unknown)


def test_no_loop_devices_left() -> None:
    given = {DAEMON_CONFIG: chosen(), LOOP_SUPPORT: LoopSupport(True, False, 8, 8, 8)}
    assert "all 8 loop devices" in finding(kernel_side.loop_devices, given).summary


def test_no_loop_driver_where_loop_files_are_wanted() -> None:
    found = finding(kernel_side.loop_devices, {DAEMON_CONFIG: chosen()})
    assert found.problem == "no-loop-devices"
    assert "not in this kernel" in found.summary


def test_direct_lvm_needs_no_loop_devices() -> None:
    given = {DAEMON_CONFIG: chosen("dm.thinpooldev=/dev/mapper/docker-thinpool")}
    assert isinstance(one(kernel_side.loop_devices, given), NotApplicable)


@pytest.mark.parametrize(
    ("release", "severity"), [(CENTOS, Severity.ERROR), (DEBIAN, Severity.WARNING)]
)
def test_loop_lvm_is_an_error_on_centos(release: OsRelease, severity: Severity) -> None:
    found = finding(loops.loop_lvm, {LOOPS: (data_loop(),), OS_RELEASE: release})
    assert (found.problem, found.severity) == ("loop-lvm-in-use", severity)


def test_a_pool_on_loops_is_seen_by_its_devices_too() -> None:
    devices = BlockDevices(
        (
            BlockDevice("loop5", (7, 5), 8, Kind.LOOP),
            BlockDevice(
                "dm-0",
                (253, 0),
                8,
                Kind.DEVICE_MAPPER,
                below=("loop5",),
                dm_name="docker-8:1-7-pool",
            ),
        )
    )
    found = finding(loops.loop_lvm, {BLOCK_DEVICES: devices})
    assert found.evidence[0].excerpt == "docker-8:1-7-pool on loop5"


def test_other_loop_devices_are_not_dockers() -> None:
    given = {LOOPS: (Loop("loop0", "/var/lib/snapd/snaps/core.snap", 1, apparent=1, allocated=1),)}
    assert isinstance(one(loops.loop_lvm, given), Passed)


def stopped(images: int = 0) -> DataRoot:
    store = Store("devicemapper", True, images=images, containers=0)
    files = (LoopFile(DATA, 107374182400, 30 * GB),)
    return DataRoot("/var/lib/docker", (store,), loops=files)


def test_a_stopped_dockerd_will_use_its_loop_files_again() -> None:
    assert "next start" in finding(loops.loop_lvm, {DATA_ROOTS: (stopped(),)}).summary


def test_old_loop_files_below_overlay2_are_not_in_use() -> None:
    given = {DATA_ROOTS: (stopped(),), DAEMON_CONFIG: OVERLAY}
    assert isinstance(one(loops.loop_lvm, given), Passed)


def test_a_loop_file_that_takes_far_more_than_its_pool_uses() -> None:
    found = finding(
        loops.loop_lvm_space, {LOOPS: (data_loop(30 * GB),), THIN_POOLS: (pool(HEALTHY),)}
    )
    assert found.problem == "loop-lvm-space-not-reclaimed"
    assert ("wasted", "29.9 GB") in found.params


def test_a_loop_file_as_large_as_its_pool_is_well() -> None:
    given = {LOOPS: (data_loop(120_000_000),), THIN_POOLS: (pool(HEALTHY),)}
    assert isinstance(one(loops.loop_lvm_space, given), Passed)


def test_a_loop_file_of_a_docker_without_images() -> None:
    found = finding(loops.loop_lvm_space, {DATA_ROOTS: (stopped(),)})
    assert "no image or container" in found.summary


def test_a_pool_that_cannot_be_asked_leaves_the_space_unknown() -> None:
    given: dict[Any, Any] = {
        LOOPS: (data_loop(30 * GB),),
        THIN_POOLS: Unreadable("dmsetup status", "exit status 1", needs_root=True),
    }
    outcome = one(loops.loop_lvm_space, given)
    assert isinstance(outcome, Unknown)
    assert outcome.needs_root


@pytest.mark.parametrize(
    ("free", "severity"),
    [(20 * GB, Severity.INFO), (5 * GB, Severity.WARNING), (40_910_000, Severity.ERROR)],
)
def test_a_disk_too_small_for_the_loop_file(free: int, severity: Severity) -> None:
    found = finding(loops.loop_lvm_backing, {LOOPS: (data_loop(),), VOLUME: volume(free)})
    assert (found.problem, found.severity) == ("loop-lvm-backing-fs-full", severity)


def test_a_disk_large_enough_for_the_loop_file() -> None:
    assert isinstance(one(loops.loop_lvm_backing, {LOOPS: (data_loop(),)}), Passed)


@pytest.mark.parametrize(
    ("status", "severity"),
    [
        ("1 1/100 95/100 - rw discard_passdown queue_if_no_space - 9", Severity.ERROR),
        ("1 85/100 1/100 - rw discard_passdown queue_if_no_space - 9", Severity.WARNING),
        ("1 1/100 1/100 - out_of_data_space discard_passdown queue_if_no_space - 9",
         Severity.ERROR),
    ],
)  # fmt: skip
def test_a_filling_pool(status: str, severity: Severity) -> None:
    found = finding(pools.thin_pool_space, {THIN_POOLS: (pool(status),)})
    assert (found.problem, found.severity) == ("thinpool-full", severity)


def test_a_healthy_pool_passes_every_question() -> None:
    for check in (pools.thin_pool_space, pools.thin_pool_min_free, pools.thin_pool_health):
        assert isinstance(one(check, {THIN_POOLS: (pool(HEALTHY),)}), Passed)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("1 1/100 1/100 - ro discard_passdown queue_if_no_space needs_check 9", "needs a check"),
        ("1 1/100 1/100 - ro discard_passdown queue_if_no_space - 9", "read-only"),
        ("Fail", "failed"),
    ],
)
def test_a_sick_pool(status: str, words: str) -> None:
    found = finding(pools.thin_pool_health, {THIN_POOLS: (pool(status),)})
    assert found.problem == "thinpool-metadata-damaged"
    assert words in found.summary


def test_a_failed_pool_does_not_pass_for_an_empty_one() -> None:
    assert pool("Fail").status.mode is Mode.FAILED
    assert isinstance(one(pools.thin_pool_space, {THIN_POOLS: (pool("Fail"),)}), Unknown)


@pytest.mark.parametrize(("options", "refused"), [((), True), (("dm.min_free_space=5%",), False)])
def test_dockers_guard_as_configured(options: tuple[str, ...], refused: bool) -> None:
    status = "1 1/100 91/100 - rw discard_passdown queue_if_no_space - 9"
    given = {THIN_POOLS: (pool(status),), DAEMON_CONFIG: chosen(*options)}
    assert isinstance(one(pools.thin_pool_min_free, given), Finding) is refused


def test_metadata_blocks_count_for_the_guard() -> None:
    status = "1 95/100 1/100 - rw discard_passdown queue_if_no_space - 9"
    assert (
        "5 metadata blocks"
        in finding(pools.thin_pool_min_free, {THIN_POOLS: (pool(status),)}).summary
    )


def test_the_pool_in_daemon_json_must_be_active() -> None:
    config = chosen("dm.thinpooldev=/dev/mapper/docker-thinpool")
    found = finding(pools.thin_pool_active, {DAEMON_CONFIG: config})
    assert found.problem == "thinpool-inactive"
    active = BlockDevices(
        (BlockDevice("dm-2", (253, 2), 8, Kind.DEVICE_MAPPER, dm_name="docker-thinpool"),)
    )
    given = {DAEMON_CONFIG: config, BLOCK_DEVICES: active}
    assert isinstance(one(pools.thin_pool_active, given), Passed)


def test_a_pool_named_by_lvms_own_path_is_found() -> None:
    config = chosen("dm.thinpooldev=/dev/root-vg/docker-pool")
    active = BlockDevices(
        (BlockDevice("dm-2", (253, 2), 8, Kind.DEVICE_MAPPER, dm_name="root--vg-docker--pool"),)
    )
    given = {DAEMON_CONFIG: config, BLOCK_DEVICES: active}
    assert isinstance(one(pools.thin_pool_active, given), Passed)


def test_a_configuration_that_cannot_be_read_leaves_the_driver_unknown() -> None:
    given: dict[Any, Any] = {DAEMON_CONFIG: Unreadable("/etc/docker/daemon.json", "denied")}
    assert isinstance(one(loops.loop_lvm, given), Unknown)


LINE = (
    "docker|thinpool|twi-aot---|4072669184||2.86|10.15|docker-thinpool|524288|4290772992|134217728"
)
EXTENDED = (
    "docker-thinpool",
    "activation/thin_pool_autoextend_threshold",
    LvmSetting("80", "/etc/lvm/profile/docker-thinpool.profile", 2),
)


@pytest.mark.parametrize(
    ("seen", "dmeventd", "kind"),
    [(True, True, Passed), (False, True, Finding), (False, False, Finding), (None, True, Unknown)],
)
def test_a_profile_without_monitoring(seen: bool | None, dmeventd: bool, kind: type) -> None:
    (volume,) = parse_lvs(LINE)
    lvm = Lvm((volume._replace(monitored=seen),), dmeventd, (EXTENDED,))
    outcome = one(pools.thin_pool_monitored, {LVM: lvm})
    assert isinstance(outcome, kind)
    if isinstance(outcome, Finding):
        assert outcome.params == (("pool", "docker/thinpool"),)
        assert outcome.evidence[0].line == 2


def test_a_pool_that_is_not_to_be_extended_is_left_alone() -> None:
    outcome = one(pools.thin_pool_monitored, {LVM: Lvm(parse_lvs(LINE), False)})
    assert isinstance(outcome, Passed)


MESSAGES = (
    ("libdevmapper-too-old", "docker: relocation error: docker: symbol "
     "dm_task_get_info_with_deferred_remove, version Base not defined in file "
     "libdevmapper.so.1.02 with link time reference"),
    ("libdevmapper-too-old", "/usr/bin/dockerd: /lib64/libdevmapper.so.1.02: version "
     "`DM_1_02_97' not found (required by /usr/bin/dockerd)"),
    ("dm-module-missing", "Failure to communicate with kernel device-mapper driver.\n"
     "Check that device-mapper is available in the kernel."),
    ("dm-module-missing", "[  12.3] device-mapper: table: 253:0: thin-pool: unknown target type"),
    ("dm-module-missing", "modprobe: FATAL: Module dm_thin_pool not found in directory /lib/m"),
    ("loop-lvm-in-use", "WARNING: devicemapper: usage of loopback devices is strongly "
     "discouraged for production use.\n         Use `--storage-opt dm.thinpooldev` to"),
    ("no-loop-devices", "losetup: cannot find an unused loop device: No such device"),
    ("thinpool-full", "kernel: device-mapper: thin: 253:4: switching pool to "
     "out-of-data-space (queue IO) mode"),
    ("thinpool-full", "lvm[812]: WARNING: Thin pool docker-thinpool-tpool data is now 95.04% full"),
    ("thinpool-full", "docker-pool: 0 94502912 thin-pool 87 4 1/2 9/9 - out_of_data_space"),
    ("thinpool-min-free-space", "devmapper: Thin Pool has 161021 free data blocks which is less "
     "than minimum required 163840 free data blocks."),
    ("thinpool-metadata-damaged", "device-mapper: thin: 253:2: metadata operation "
     "'dm_pool_insert_block' failed: error = -28"),
    ("thinpool-metadata-damaged", "Check of pool docker/thinpool failed (status:1). Manual repair "
     "required!"),
    ("thinpool-inactive", "Thin pool docker-thinpool-tpool (253:2) transaction_id is 113, while "
     "expected 0."),
    ("thinpool-not-monitored", "  thinpool docker twi-a-t--- 3.79g   0.00 10.09   not monitored"),
    ("devmapper-device-busy", 'driver "devicemapper" failed to remove root filesystem for 5f: x'),
    ("devmapper-device-busy", "rm /d/devicemapper/mnt/5f2d: device or resource busy"),
    ("no-loop-devices", "mount: could not find any free loop device"),
    ("thinpool-full", "Cannot create new thin volume, free space in thin pool vg/pool reached "
     "threshold."),
    ("thinpool-full", "WARNING: Remaining free space in metadata of thin pool docker/thinpool is "
     "too low (98.06% >= 96.30%). Resize is recommended."),
    ("thinpool-metadata-damaged", "  thinpool docker twi-cot-M- 3.79g   2.86  10.15"),
    ("devmapper-device-busy", "devmapper: Error unmounting device 5f2d: Device is Busy"),
    ("thinpool-metadata-damaged", "Check for pool qubes_dom0/pool00 failed (status:1). Manual "
     "repair required!"),
    ("thinpool-inactive", "/usr/sbin/thin_check: execvp failed: No such file or directory\n"
     "  Check of thin pool pve/data failed (status:2). Manual repair required!"),
    ("thinpool-already-used", "devmapper: Unable to take ownership of thin-pool (docker-thinpool) "
     "with non-zero transaction ID"),
    ("devmapper-loop-file-missing", "graphdriver: loopback metadata file not found"),
    ("direct-lvm-misconfigured", '/dev/sdb is already part of a volume group "vg0": must remove '
     "this device from any volume group or provide a different device"),
    ("direct-lvm-misconfigured", 'error looking up command `pvcreate` while setting up direct lvm: '
     'exec: "pvcreate": executable file not found in $PATH'),
    ("devmapper-base-size-reached", "Filesystem Size Used Avail Use% Mounted on\n"
     "/dev/mapper/docker-253:0-100-0f3acd2e9d2ab0f3acd2e9d2ab0f3acd2e9d2ab  10G  10G  20K 100% /"),
    ("udev-sync-unsupported", 'level=error msg="Udev sync is not supported, which will lead to '
     'data loss and unexpected behavior. Make sure you have a recent version"'),
    ("udev-sync-unsupported", "devicemapper: Can't set task name /dev/mapper/docker-253:0-1-pool"),
)  # fmt: skip


def codes(text: str) -> list[str]:
    hits = scan(text.splitlines(), SIGNATURES, "text")
    return list(dict.fromkeys(hit.finding.problem for hit in hits))


@pytest.mark.parametrize(("code", "message"), MESSAGES)
def test_a_message_points_to_its_problem(code: str, message: str) -> None:
    assert code in codes(message)


HARMLESS = (
    "/dev/mapper/docker-253:0-100-0f3acd2e9d2ab0f3acd2e9d2ab0f  10G  5.1G  5.0G  51% /",
    "device-mapper: thin: 252:4: switching pool to write mode",
    "lvm[812]: Monitoring thin pool docker-thinpool-tpool.",
    "lvm[812]: WARNING: Thin pool docker-thinpool-tpool data is now 80.04% full.",
    "  thinpool docker twi-aot---  3.79g   2.86   10.15   monitored 512.00k",
    "p: 0 7954432 thin-pool 6 1039/10240 222/7768 - rw discard_passdown queue_if_no_space - 1024",
    "Data file: \n Metadata file: \n Data Space Used: 62.39 MB\n Data Space Total: 3.876 GB",
    " Data Space Used: 32.41GB\n Data Space Total: 114GB\n Data Space Available: 81.62GB",
    "/dev/loop3: [2049]:12 (/var/lib/snapd/snaps/core18_1705.snap)",
    "umount: /mnt: device is busy.",
    "warning: failed to load plugin io.containerd.snapshotter.v1.devmapper: not configured",
)


@pytest.mark.parametrize("text", HARMLESS)
def test_a_healthy_text_raises_no_alarm(text: str) -> None:
    assert codes(text) == []


def test_a_captured_direct_lvm_raises_no_alarm_and_loop_lvm_does() -> None:
    lab = Path(__file__).parent.parent / "captures" / "lab"
    assert codes((lab / "direct-docker-info.txt").read_text()) == []
    assert codes((lab / "loop-docker-info.txt").read_text()) == [
        "loop-lvm-in-use",
        "loop-lvm-backing-fs-full",
    ]
    assert codes((lab / "loop-losetup-a.txt").read_text()) == ["loop-lvm-in-use"]


def test_a_missing_thin_check_is_no_damage() -> None:
    said = "thin_check: execvp failed: No such file or directory\n"
    said += "Check of pool vg/p failed (status:2). Manual repair required!"
    assert codes(said) == ["thinpool-inactive"]


def test_a_driver_refused_for_udev_is_no_missing_module() -> None:
    said = "[graphdriver] prior storage driver devicemapper failed: driver not supported\n"
    assert codes(said) == ["dm-module-missing"]
    assert codes(said + "devmapper: Udev sync is not supported.") == ["udev-sync-unsupported"]


MINE = frozenset(signature.problem for signature in SIGNATURES)


def test_collected_reports(shared_data: Path) -> None:
    for line in (shared_data / "reports.jsonl").read_text().splitlines():
        row = json.loads(line)
        found = codes(row["text"])
        allowed = {row["topic"], *row["also_acceptable"]}
        if row["topic"] in MINE:
            assert row["topic"] in found or allowed & set(found), row["id"]
        elif row["topic"] == "none":
            assert found == [], row["id"]
        else:
            assert not set(found) - allowed, row["id"]


def test_collected_healthy_pools(shared_data: Path) -> None:
    for name in (
        "outputs/dockerinfo-directlvm-thinpool-18.06__for-linux-866.txt",
        "outputs/vgs-lvs-docker-pool-created__origin-ci-tool-64.txt",
        "outputs/systemctl-status-running-devicemapper__moby-23350.txt",
        "rhel-outputs/docker_info.devicemapper_2.txt",
        "rhel-outputs/dmsetup_status.1.txt",
        "lab-captures/direct-lvs-full.txt",
        "lab-captures/mig-docker-info.txt",
        "lab-captures/dlvm-docker-info-json.txt",
    ):
        assert codes((shared_data / name).read_text(errors="replace")) == [], name


def test_every_code_is_explained() -> None:
    catalogue = plugins.load().catalogue()
    named = MINE | {code for check in CHECKS for code in check.problems}
    for code in sorted(named):
        problem = catalogue.get(code)
        assert problem.remedies, code
        assert problem.confirm, code
        assert problem.mistaken_for, code
        assert problem.sources, code
