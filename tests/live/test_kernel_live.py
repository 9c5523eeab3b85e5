# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts of this very machine, held against what the kernel says by other ways."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from hostkit import process
from hostkit.diagnosis.finding import Passed, Unknown
from hostkit.diagnosis.runner import run_checks
from hostkit.facts.cgroups import CGROUPS, CgroupVersion
from hostkit.facts.fact import Fact, Facts
from hostkit.facts.kernel import CMDLINE, KERNEL
from hostkit.facts.kernelconfig import KERNEL_CONFIG
from hostkit.facts.machine import MACHINE
from hostkit.facts.modules import MODULES, ModuleState
from hostkit.facts.namespaces import NAMESPACES
from hostkit.facts.osrelease import OS_RELEASE
from hostkit.host.answer import Known
from hostkit.host.local import LocalHost
from hostkit_checks.cgroups.checks import CHECKS as CGROUP_CHECKS
from hostkit_checks.cgroups.checks import cgroup_hierarchies
from hostkit_checks.kernel.checks import CHECKS as KERNEL_CHECKS

FACTS: frozenset[Fact[Any]] = frozenset(
    (KERNEL, CMDLINE, MACHINE, MODULES, CGROUPS, NAMESPACES, OS_RELEASE)
)
CGROUP2_MAGIC = "cgroup2fs"


def here() -> Facts:
    return Facts(LocalHost())


def test_the_kernel_and_its_architecture_are_those_of_uname() -> None:
    uname = os.uname()
    facts = here()
    assert facts.value(KERNEL).text == uname.release
    machine = facts.value(MACHINE)
    assert machine.arch == uname.machine
    assert machine.kernel_bits == 64
    assert (machine.userland_bits == 64) is (sys.maxsize > 2**32)


def test_the_loaded_modules_are_those_of_sysfs() -> None:
    modules = here().value(MODULES)
    assert modules.loaded is not None
    # What is built in has no reference count there.
    assert modules.loaded == {path.parent.name for path in Path("/sys/module").glob("*/refcnt")}
    assert modules.supported is Path("/proc/modules").exists()


def test_file_systems_of_the_kernel_agree_with_the_state_of_their_modules() -> None:
    registered = Path("/proc/filesystems").read_text().split()
    modules = here().value(MODULES)
    for name in ("overlay", "xfs", "btrfs", "ext4"):
        if name in registered:
            assert modules.state(name) in (ModuleState.LOADED, ModuleState.BUILTIN), name
        else:
            assert modules.state(name) is not ModuleState.BUILTIN, name


def test_the_configuration_agrees_with_the_namespaces_that_are_there() -> None:
    facts = here()
    config = facts.known(KERNEL_CONFIG)
    if config is None:
        pytest.skip("this machine keeps no kernel configuration")
    present = facts.value(NAMESPACES).present
    for kind in ("net", "pid", "ipc", "uts", "user"):
        assert config.has(f"{kind.upper()}_NS") is (kind in present)


def test_the_cgroup_version_agrees_with_the_file_system_at_its_root() -> None:
    done = process.run(["stat", "-fc", "%T", "/sys/fs/cgroup"], timeout=5)
    version = here().value(CGROUPS).version
    assert (version is CgroupVersion.V2) is (done.stdout.decode().strip() == CGROUP2_MAGIC)


def test_everything_about_this_machine_is_known() -> None:
    facts = here()
    for fact in FACTS:
        assert isinstance(facts.get(fact), Known), fact
    for result in run_checks(facts, (*KERNEL_CHECKS, *CGROUP_CHECKS)):
        assert not any(isinstance(o, Unknown) for o in result.outcomes), result


def test_asking_loads_no_module_and_mounts_nothing() -> None:
    before = (Path("/proc/self/mountinfo").read_text(), sorted(os.listdir("/sys/module")))
    run_checks(here(), (*KERNEL_CHECKS, *CGROUP_CHECKS))
    assert (Path("/proc/self/mountinfo").read_text(), sorted(os.listdir("/sys/module"))) == before


def test_cgroups_of_this_machine_are_mounted() -> None:
    (result,) = run_checks(here(), (cgroup_hierarchies,))
    assert isinstance(result.outcomes[0], Passed)
