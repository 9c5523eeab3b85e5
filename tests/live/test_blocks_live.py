# SPDX-License-Identifier: GPL-3.0-or-later
"""Real loop devices, the real libdevmapper and the real kernel of this machine."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostkit import process
from hostkit.diagnosis.finding import Finding, Passed
from hostkit.diagnosis.runner import run_checks
from hostkit.facts.block import BLOCK_DEVICES, CONTENTS, Kind
from hostkit.facts.devicemapper import CONTROL, DEVICE_MAPPER, DM_TARGETS
from hostkit.facts.fact import Facts
from hostkit.facts.filesystems import DType, volume
from hostkit.facts.libdevmapper import BASE, DEFERRED_REMOVE, LIBDEVMAPPER, parse_library
from hostkit.facts.loop import LOOP_SUPPORT, LOOPS
from hostkit.facts.lvm import LVM
from hostkit.facts.mounts import MOUNTS
from hostkit.facts.thinpool import THIN_POOLS
from hostkit.host.answer import Absent, Known
from hostkit.host.local import LocalHost
from hostkit_checks.devicemapper.checks import CHECKS
from hostkit_checks.devicemapper.loops import loop_lvm, loop_lvm_backing, loop_lvm_space

APPARENT, WRITTEN = 1 << 30, 1 << 20


def here() -> Facts:
    return Facts(LocalHost())


def attached(path: Path) -> str:
    """Put a loop device on a file; the caller detaches it."""
    done = process.run(["losetup", "--find", "--show", str(path)], timeout=10)
    if done.status != 0:
        pytest.skip(f"no loop device to be had: {done.stderr.decode().strip()}")
    return done.stdout.decode().strip()


def sparse(path: Path) -> Path:
    with path.open("wb") as file:
        file.truncate(APPARENT)
        file.write(os.urandom(WRITTEN))
    return path


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A loop device on a sparse file that is named as loop-lvm names it."""
    folder = tmp_path / "devicemapper" / "devicemapper"
    folder.mkdir(parents=True)
    path = sparse(folder / "data")
    device = attached(path)
    try:
        yield device, path
    finally:
        process.run(["losetup", "--detach", device], timeout=10)


@pytest.mark.root
def test_a_loop_device_is_seen_with_its_file_and_both_sizes(loop: tuple[str, Path]) -> None:
    device, path = loop
    found = {one.backing_file: one for one in here().value(LOOPS)}
    seen = found[str(path)]
    assert f"/dev/{seen.name}" == device
    assert (seen.apparent, seen.size) == (APPARENT, APPARENT)
    assert seen.allocated is not None
    assert WRITTEN <= seen.allocated < APPARENT // 4
    devices = here().value(BLOCK_DEVICES)
    block = devices.named(seen.name)
    assert block is not None
    assert (block.kind, block.size) == (Kind.LOOP, APPARENT)
    assert here().value(LOOP_SUPPORT).used >= 1


@pytest.mark.root
def test_a_deleted_backing_file_is_said_to_be_deleted(loop: tuple[str, Path]) -> None:
    _, path = loop
    path.unlink()
    (seen,) = [one for one in here().value(LOOPS) if one.backing_file == str(path)]
    assert seen.deleted
    assert seen.apparent is None


@pytest.mark.root
def test_loop_lvm_is_found_on_a_real_loop_device(loop: tuple[str, Path]) -> None:
    _, path = loop
    in_use, space, _ = run_checks(here(), [loop_lvm, loop_lvm_space, loop_lvm_backing])
    (found,) = in_use.outcomes
    assert isinstance(found, Finding)
    assert found.problem == "loop-lvm-in-use"
    assert str(path) in {evidence.excerpt for evidence in found.evidence}
    assert not isinstance(space.outcomes[0], Finding)  # no pool lies on it


def test_without_device_mapper_it_is_said_and_nothing_is_woken() -> None:
    facts = here()
    if facts.value(DEVICE_MAPPER).registered:
        pytest.skip("this machine's kernel has device-mapper")
    node = os.path.exists(CONTROL)
    assert isinstance(facts.get(DM_TARGETS), Absent)
    assert isinstance(facts.get(LVM), Absent)
    assert facts.value(THIN_POOLS) == ()
    results = {result.check.name: result.outcomes for result in run_checks(facts, CHECKS)}
    (outcome,) = results["device-mapper"]
    assert isinstance(outcome, Finding | Passed)  # absent, or a module that can be loaded
    assert os.path.exists(CONTROL) is node


def test_the_real_libdevmapper_exports_what_docker_links() -> None:
    answer = here().get(LIBDEVMAPPER)
    if isinstance(answer, Absent):
        pytest.skip("libdevmapper is not installed here")
    assert isinstance(answer, Known)
    library = answer.value[0]
    assert library.exports(DEFERRED_REMOVE, BASE)
    assert library.exports("dm_task_create", BASE)
    assert BASE in library.versions
    assert any(version.startswith("DM_1_02_") for version in library.versions)
    assert not library.exports("malloc", "GLIBC_2.2.5")  # wanted, not defined


@pytest.mark.parametrize("name", ["libc.so.6", "libm.so.6"])
def test_other_real_libraries_are_read_too(name: str) -> None:
    paths = [Path(folder) / name for folder in ("/lib64", "/lib/x86_64-linux-gnu", "/usr/lib")]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        pytest.skip(f"no {name} where it is looked for")
    assert any(
        version.startswith("GLIBC_") for version in parse_library(path.read_bytes()).versions
    )


def test_the_mount_table_agrees_with_stat() -> None:
    mounts = here().value(MOUNTS)
    for path in ("/", "/proc", "/dev", "/tmp", "/usr/bin"):
        mount = mounts.holding(os.path.realpath(path))
        assert mount is not None
        device = os.stat(path).st_dev
        if mount.fstype != "btrfs":  # whose subvolumes have numbers of their own
            assert mount.device == (os.major(device), os.minor(device)), path


def test_a_volume_of_this_machine() -> None:
    found = here().value(volume("/tmp/not/there/yet"))
    assert found.path == os.path.realpath("/tmp") + "/not/there/yet"
    assert found.space.total >= found.space.available > 0
    assert found.d_type in DType


def test_lsblk_names_devices_that_sys_has() -> None:
    facts = here()
    contents = facts.get(CONTENTS)
    if not isinstance(contents, Known):
        pytest.skip(f"lsblk does not answer: {contents.reason}")
    known = {device.name for device in facts.value(BLOCK_DEVICES).devices}
    assert known <= {one.name for one in contents.value} | {n for n in known if "loop" in n}
