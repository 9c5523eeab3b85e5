# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of the storage area."""

from typing import Any

import pytest

from hostkit.diagnosis.check import Check
from hostkit.diagnosis.finding import (
    Certainty,
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Severity,
    Unknown,
)
from hostkit.diagnosis.runner import refutes, run_checks
from hostkit.facts.daemonconfig import DAEMON_CONFIG, DaemonConfig
from hostkit.facts.daemonjson import Setting, Table
from hostkit.facts.dataroot import DATA_ROOTS, VOLUME, VOLUMES, DataRoot, Store
from hostkit.facts.filesystems import KERNEL_FILESYSTEMS, DType, Volume
from hostkit.facts.graphdrivers import DOCKER_VERSION
from hostkit.facts.kernel import KERNEL, parse_release
from hostkit.facts.modules import MODULES, Modules
from hostkit.facts.mounts import MOUNTS, parse_mountinfo
from hostkit.host.answer import Absent, Unreadable
from hostkit.host.base import Space
from hostkit_checks.storage.checks import CHECKS
from tests.fakes import make_facts

CHECK = {one.name: one for one in CHECKS}
GIB = 1 << 30
EL72 = "3.10.0-327.el7.x86_64"
UBUNTU1204 = "3.13.0-24-generic"
ROOMY = Space(100 * GIB, 60 * GIB, 60 * GIB, 1000, 900)
NO_ROOT = Absent("/var/lib/docker")


def volume(fstype: str = "ext4", d_type: DType = DType.YES, space: Space = ROOMY) -> Volume:
    mount = parse_mountinfo(f"1 0 8:1 / / rw - {fstype} /dev/sda1 rw\n").table[0]
    return Volume("/var/lib/docker", mount, space, d_type)


def root(*stores: Store) -> tuple[DataRoot, ...]:
    return (DataRoot("/var/lib/docker", stores),)


def store(driver: str, images: int | None = 3, **fields: Any) -> Store:
    return Store(driver, occupied=True, images=images, **fields)


def configured(driver: str) -> DaemonConfig:
    return DaemonConfig((), (Setting("storage-driver", driver, "/etc/docker/daemon.json", 2),))


def ask(name: str, **changed: Any) -> tuple[Outcome, ...]:
    """The outcomes of a check on CentOS 7.9 with Docker 20.10, but for what is changed."""
    known: dict[str, Any] = {
        "kernel": "3.10.0-1160.el7.x86_64",
        "filesystems": frozenset({"ext4", "overlay"}),
        "modules": Modules(frozenset(), b"", b"", True, False, "/lib/modules/x"),
        "config": Absent("/etc/docker/daemon.json"),
        "roots": NO_ROOT,
        "version": (20, 10, 24),
        "volume": volume(),
        **changed,
    }
    facts = make_facts(
        {},
        given={
            KERNEL: parse_release(known["kernel"]),
            KERNEL_FILESYSTEMS: known["filesystems"],
            MODULES: known["modules"],
            DAEMON_CONFIG: known["config"],
            DATA_ROOTS: known["roots"],
            DOCKER_VERSION: known["version"],
            VOLUME: known["volume"],
            VOLUMES: (known["volume"],),
            MOUNTS: parse_mountinfo("1 0 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"),
        },
    )
    (result,) = run_checks(facts, [CHECK[name]])
    return result.outcomes


def finding(name: str, **changed: Any) -> Finding:
    found = [one for one in ask(name, **changed) if isinstance(one, Finding)]
    assert len(found) == 1, ask(name, **changed)
    assert found[0].problem in CHECK[name].problems
    assert found[0].evidence
    assert len(found[0].summary) <= 110
    return found[0]


def well(name: str, **changed: Any) -> bool:
    outcomes = ask(name, **changed)
    return all(isinstance(one, Passed | NotApplicable) for one in outcomes)


@pytest.mark.parametrize("one", CHECKS, ids=lambda one: one.name)
def test_a_host_without_docker_raises_no_alarm(one: Check) -> None:
    assert well(one.name)


@pytest.mark.parametrize("one", CHECKS, ids=lambda one: one.name)
def test_a_healthy_overlay2_host_raises_no_alarm(one: Check) -> None:
    assert well(one.name, roots=root(store("overlay2", containers=2)))


@pytest.mark.parametrize("one", CHECKS, ids=lambda one: one.name)
def test_nothing_known_is_never_a_pass(one: Check) -> None:
    hidden = Unreadable("somewhere", "Permission denied", needs_root=True)
    facts = make_facts({}, given=dict.fromkeys((*one.needs, *one.uses), hidden))
    (result,) = run_checks(facts, [one])
    assert any(isinstance(outcome, Unknown) for outcome in result.outcomes)
    assert not any(isinstance(outcome, Finding) for outcome in result.outcomes)
    assert not refutes(result)


@pytest.mark.parametrize(
    ("kernel", "roots", "severity"),
    [
        (EL72, root(store("overlay2")), Severity.ERROR),
        (EL72, root(store("overlay")), Severity.WARNING),
        (EL72, NO_ROOT, Severity.WARNING),
        ("3.10.0-514.el7.x86_64", root(store("overlay2")), Severity.WARNING),
        (UBUNTU1204, root(store("overlay2")), Severity.ERROR),
    ],
)
def test_early_overlay(kernel: str, roots: Any, severity: Severity) -> None:
    found = finding("overlay-kernel", kernel=kernel, roots=roots)
    assert found.severity is severity
    assert kernel in found.summary


def test_early_overlay_does_not_matter_to_devicemapper() -> None:
    roots = root(store("devicemapper"))
    assert well("overlay-kernel", kernel=EL72, roots=roots)


def test_a_missing_module_and_a_folder_that_is_gone() -> None:
    listed = frozenset({"ext4"})
    assert "nor can it be loaded" in finding("overlay-module", filesystems=listed).summary
    gone = Modules(frozenset(), None, None, True, True, "/lib/modules/x")
    (outcome,) = ask("overlay-module", filesystems=listed, modules=gone)
    assert isinstance(outcome, Unknown)
    gone = Modules(frozenset(), b"", b"", True, True, "/lib/modules/x")
    assert (
        "gone from the disk" in finding("overlay-module", filesystems=listed, modules=gone).summary
    )


def test_a_data_root_on_an_overlay() -> None:
    found = finding("backing-filesystem", volume=volume("overlay"))
    assert found.problem == "nested-overlay"
    assert well("backing-filesystem", volume=volume("overlay"), config=configured("vfs"))


def test_a_data_root_on_a_file_system_that_cannot_serve() -> None:
    assert finding("backing-filesystem", volume=volume("nfs4")).problem == "backing-fs-unsupported"
    assert "needs its own" in finding("backing-filesystem", config=configured("zfs")).summary
    assert well("backing-filesystem", volume=volume("btrfs"), config=configured("btrfs"))


def test_a_file_system_that_only_a_mount_could_judge_is_unknown() -> None:
    (outcome,) = ask("backing-filesystem", volume=volume("bcachefs"))
    assert isinstance(outcome, Unknown)


def test_xfs_without_ftype() -> None:
    bad = volume("xfs", DType.NO)
    assert finding("d-type", volume=bad).severity is Severity.ERROR
    assert "refuses" in finding("d-type", volume=bad, version=(24, 0, 7)).summary
    moved = finding("d-type", volume=bad, roots=root(store("devicemapper")))
    assert moved.severity is Severity.INFO
    (outcome,) = ask("d-type", volume=volume("xfs", DType.UNKNOWN))
    assert isinstance(outcome, Unknown)


def test_aufs_data_and_no_aufs() -> None:
    found = finding("aufs", roots=root(store("aufs", containers=1)))
    assert found.severity is Severity.ERROR
    assert "3 images and 1 container" in found.summary
    both = root(store("aufs"), store("overlay2"))
    assert finding("aufs", roots=both, config=configured("overlay2")).severity is Severity.WARNING
    assert finding("aufs", config=configured("aufs"))
    assert well("aufs", roots=root(store("aufs")), filesystems=frozenset({"aufs"}))


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [(UBUNTU1204, Finding), ("4.2.0-1-generic", Unknown), ("4.4.0-1-generic", Passed)],
)
def test_dirperm1_by_kernel(kernel: str, kind: type[Outcome]) -> None:
    listed = frozenset({"aufs"})
    (outcome,) = ask("aufs-dirperm1", kernel=kernel, roots=root(store("aufs")), filesystems=listed)
    assert isinstance(outcome, kind)
    if isinstance(outcome, Finding):
        assert outcome.certainty is Certainty.LIKELY


def test_two_drivers_and_none_named() -> None:
    both = root(store("aufs"), store("overlay2"))
    found = finding("several-drivers", roots=both)
    assert found.severity is Severity.ERROR
    assert "aufs, overlay2" in found.summary
    assert well("several-drivers", roots=both, config=configured("overlay2"))
    assert well("several-drivers", roots=both, version=(24,))  # it does not look for aufs


def test_two_drivers_and_a_configuration_that_cannot_be_read() -> None:
    both = root(store("aufs"), store("overlay2"))
    (outcome,) = ask("several-drivers", roots=both, config=Unreadable("daemon.json", "line 3"))
    assert isinstance(outcome, Unknown)


def test_two_drivers_of_an_unknown_docker_are_a_warning() -> None:
    both = root(store("aufs"), store("overlay2"))
    found = finding("several-drivers", roots=both, version=Absent("dockerd"))
    assert found.severity is Severity.WARNING


def test_the_configured_driver_holds_nothing_and_another_does() -> None:
    found = finding("configured-driver", config=configured("overlay2"), roots=root(store("btrfs")))
    assert found.problem == "storage-driver-mismatch"
    assert "btrfs holds 3 images" in found.summary


def test_containerds_image_store_hides_the_images_of_a_driver() -> None:
    on = Setting("features", Table((("containerd-snapshotter", True),)), "daemon.json", 4)
    config = DaemonConfig((), (on,))
    found = finding("image-store", config=config, roots=root(store("overlay2")))
    assert "overlay2 holds 3 images" in found.summary
    assert found.evidence[0].line == 4
    assert well("image-store", config=config, roots=root(store("overlay2", images=0)))


def test_the_configured_driver_was_removed() -> None:
    found = finding("configured-driver", config=configured("aufs"), version=(24,))
    assert (found.problem, found.severity) == ("storage-driver-mismatch", Severity.ERROR)
    found = finding("configured-driver", config=configured("devicemapper"), version=(29,))
    assert (found.problem, found.severity) == ("devicemapper-deprecated", Severity.ERROR)


@pytest.mark.parametrize(
    ("version", "severity"), [((1, 13, 1), Severity.INFO), ((20, 10), Severity.WARNING)]
)
def test_devicemapper_in_use(version: Any, severity: Severity) -> None:
    found = finding("configured-driver", roots=root(store("devicemapper")), version=version)
    assert (found.problem, found.severity) == ("devicemapper-deprecated", severity)


def test_a_driver_that_no_docker_has_is_an_error() -> None:
    found = finding("configured-driver", config=configured("overlay3"))
    assert (found.problem, found.severity) == ("storage-driver-mismatch", Severity.ERROR)
    assert dict(found.params)["driver"] == "overlay3"


@pytest.mark.parametrize("driver", ["acme/storage:1.0", "overlayfs"])
def test_a_driver_of_a_plug_in_or_of_containerd_is_not_judged(driver: str) -> None:
    assert well("configured-driver", config=configured(driver))


def test_data_that_the_engine_no_longer_sees() -> None:
    roots = root(store("devicemapper", images=12, containers=3), store("overlay2", images=0))
    found = finding("orphaned-data", roots=roots, version=(29,))
    assert found.severity is Severity.ERROR
    assert "12 images and 3 containers of devicemapper" in found.summary
    assert dict(found.params)["driver"] == "devicemapper"
    assert well("orphaned-data", roots=roots, version=(24,))


def test_removed_drivers_data_and_an_unknown_docker() -> None:
    roots = root(store("aufs"))
    (outcome,) = ask("orphaned-data", roots=roots, version=Absent("dockerd"))
    assert isinstance(outcome, Unknown)


def test_removed_drivers_data_that_cannot_be_counted() -> None:
    roots = root(store("aufs", images=None))
    (outcome,) = ask("orphaned-data", roots=roots, version=(29,))
    assert isinstance(outcome, Unknown)


@pytest.mark.parametrize(
    ("total", "available", "severity"),
    [
        (100 * GIB, 50 * GIB, None),
        (100 * GIB, 14 * GIB, Severity.WARNING),
        (100 * GIB, 4 * GIB, Severity.ERROR),
        (100 * GIB, 0, Severity.ERROR),
        (4000 * GIB, 500 * GIB, None),
        (9000 * GIB, 200 * GIB, Severity.WARNING),
        (1000 * GIB, 40 * GIB, Severity.WARNING),
        (2 * GIB, GIB // 2, Severity.WARNING),
        (GIB // 4, GIB // 4, None),
    ],
)
def test_space(total: int, available: int, severity: Severity | None) -> None:
    full = volume(space=Space(total, available, available, 0, 0))
    if severity is None:
        assert well("data-root-space", volume=full)
    else:
        found = finding("data-root-space", volume=full)
        assert (found.problem, found.severity) == ("docker-root-disk-full", severity)


def test_blocks_reserved_for_root_count_as_df_counts_them() -> None:
    reserved = volume(space=Space(100 * GIB, 50 * GIB, 5 * GIB, 0, 0))
    assert "91 % full" in finding("data-root-space", volume=reserved).summary


def test_a_file_system_without_a_size_is_unknown() -> None:
    (outcome,) = ask("data-root-space", volume=volume(space=Space(0, 0, 0, 0, 0)))
    assert isinstance(outcome, Unknown)


@pytest.mark.parametrize(
    ("free", "severity"), [(500, None), (120, Severity.WARNING), (0, Severity.ERROR)]
)
def test_inodes(free: int, severity: Severity | None) -> None:
    few = volume(space=ROOMY._replace(inodes_free=free))
    if severity is None:
        assert well("data-root-inodes", volume=few)
    else:
        assert finding("data-root-inodes", volume=few).severity is severity


def test_a_file_system_that_does_not_count_inodes() -> None:
    assert well("data-root-inodes", volume=volume("btrfs", space=ROOMY._replace(inodes=0)))


def test_dangling_images() -> None:
    found = finding("dangling-images", roots=root(store("overlay2", dangling=2)))
    assert found.severity is Severity.INFO
    assert found.summary.startswith("2 of 3 images")
    unread = ask("dangling-images", roots=root(store("overlay2", dangling=None)))
    assert isinstance(unread[0], Unknown)
