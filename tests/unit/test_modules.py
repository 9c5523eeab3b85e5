# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules: loaded, built in, loadable, missing, and when nobody can say."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.facts.machine import MACHINE, Machine, Virtualization
from hostkit.facts.modules import (
    MODULES,
    Modules,
    ModuleState,
    parse_modprobe,
    parse_proc_modules,
)
from hostkit.host.answer import Unreadable
from tests.fakes import make_facts

RELEASE = "3.10.0-693.el7.x86_64"
FOLDER = f"/lib/modules/{RELEASE}"
LOADED = "overlay 91659 2 - Live 0xffffffffc0a4d000\nbr_netfilter 22256 0 - Live 0x0 (OE)\n"
DEP = """kernel/fs/overlayfs/overlay.ko.xz:
kernel/net/netfilter/xt_addrtype.ko.xz: kernel/net/netfilter/x_tables.ko.xz
kernel/net/netfilter/x_tables.ko.xz:
kernel/drivers/md/dm-thin-pool.ko.zst: kernel/drivers/md/dm-mod.ko.zst
kernel/drivers/md/dm-mod.ko.zst:
extra/aufs.ko:
"""
BUILTIN = "kernel/fs/ext4/ext4.ko\nkernel/drivers/block/loop.ko\n"
CONFIG = "CONFIG_MODULES=y\nCONFIG_VETH=y\nCONFIG_VXLAN=m\n"
HOST: dict[str, str | bytes] = {
    "/proc/sys/kernel/osrelease": RELEASE,
    "/proc/modules": LOADED,
    f"{FOLDER}/modules.dep": DEP,
    f"{FOLDER}/modules.builtin": BUILTIN,
    f"/boot/config-{RELEASE}": CONFIG,
}
METAL = Machine("x86_64", 64, 64, Virtualization.NONE)


def modules(files: dict[str, str | bytes], machine: Machine = METAL, **host: Any) -> Modules:
    return make_facts(files, given={MACHINE: machine}, **host).value(MODULES)


def without(*names: str) -> dict[str, str | bytes]:
    return {path: content for path, content in HOST.items() if not path.endswith(names)}


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("overlay", ModuleState.LOADED),
        ("br-netfilter", ModuleState.LOADED),
        ("br_netfilter", ModuleState.LOADED),
        ("ext4", ModuleState.BUILTIN),
        ("veth", ModuleState.BUILTIN),  # only the configuration says so
        ("xt_addrtype", ModuleState.LOADABLE),
        ("dm_thin_pool", ModuleState.LOADABLE),
        ("dm-thin-pool", ModuleState.LOADABLE),
        ("aufs", ModuleState.LOADABLE),  # not in the configuration: from another source
        ("vxlan", ModuleState.MISSING),  # configured, and its package not installed
        ("br", ModuleState.MISSING),  # a prefix of bridge and br_netfilter is no match
        ("tables", ModuleState.MISSING),
    ],
)
def test_states_on_a_plain_host(name: str, state: ModuleState) -> None:
    assert modules(HOST).state(name) is state


def test_a_kernel_updated_and_not_rebooted() -> None:
    files = without("modules.dep", "modules.builtin")
    found = modules({**files, "/lib/modules/3.10.0-1160.el7.x86_64/kernel/x": ""})
    assert found.directory_missing
    assert found.installed == ("3.10.0-1160.el7.x86_64",)
    assert found.state("overlay") is ModuleState.LOADED
    assert found.state("vxlan") is ModuleState.MISSING
    assert found.state("veth") is ModuleState.BUILTIN
    assert found.state("unheard_of") is ModuleState.UNKNOWN


def test_an_empty_husk_of_a_folder_is_a_missing_one() -> None:
    files = without("modules.dep", "modules.builtin")
    assert modules({**files, f"{FOLDER}/modules.alias.bin": ""}).directory_missing


def test_a_folder_with_modules_and_no_index_is_not_missing() -> None:
    files = without("modules.dep")
    found = modules({**files, f"{FOLDER}/kernel/fs/overlay.ko": ""})
    assert not found.directory_missing
    assert found.available is None


def test_inside_a_container_the_missing_folder_says_nothing() -> None:
    lxc = METAL._replace(virtualization=Virtualization.LXC)
    found = modules(without("modules.dep", "modules.builtin"), lxc)
    assert not found.directory_missing
    assert found.state("vxlan") is ModuleState.UNKNOWN


def test_a_kernel_without_module_support_needs_no_folder() -> None:
    config = "# CONFIG_MODULES is not set\nCONFIG_OVERLAY_FS=y\n"
    found = modules(
        {"/proc/sys/kernel/osrelease": "6.18.44-fc-v657", "/boot/config-6.18.44-fc-v657": config}
    )
    assert (found.supported, found.directory_missing) == (False, False)
    assert found.loaded == frozenset()
    assert found.state("overlay") is ModuleState.BUILTIN
    assert found.state("dm_mod") is ModuleState.MISSING
    assert found.state("unheard_of") is ModuleState.UNKNOWN


def test_an_unreadable_list_is_not_an_empty_one() -> None:
    files = without("/proc/modules", "modules.dep", f"config-{RELEASE}")
    found = modules(files, unreadable=["/proc/modules", f"{FOLDER}/modules.dep"])
    assert found.loaded is None
    assert not found.directory_missing
    assert found.state("overlay") is ModuleState.UNKNOWN


def test_a_broken_list_is_unreadable() -> None:
    facts = make_facts({**HOST, "/proc/modules": "<html>\n"}, given={MACHINE: METAL})
    assert isinstance(facts.get(MODULES), Unreadable)


def test_loading_switched_off_until_the_next_boot_is_told() -> None:
    assert modules({**HOST, "/proc/sys/kernel/modules_disabled": "1\n"}).loading_disabled
    assert not modules(HOST).loading_disabled


def test_the_folder_below_usr_is_found() -> None:
    files = without("modules.dep", "modules.builtin")
    found = modules({**files, f"/usr{FOLDER}/modules.dep": DEP})
    assert found.state("xt_addrtype") is ModuleState.LOADABLE
    assert found.folder == f"/usr{FOLDER}"


@given(st.text(max_size=300), st.binary(max_size=200), st.text(max_size=20))
def test_any_text(content: str, data: bytes, name: str) -> None:
    try:
        parse_proc_modules(content)
    except ValueError:
        pass
    assert Modules(None, data, data, True, False, "").state(name) in ModuleState


HARDENED = (
    "# CIS\ninstall dm-thin-pool /bin/false\ninstall overlay /bin/true\nblacklist xt_addrtype\n"
)


def test_what_modprobe_is_told_not_to_load_is_missing_unless_it_is_loaded() -> None:
    found = modules({**HOST, "/etc/modprobe.d/cis.conf": HARDENED})
    assert found.state("dm_thin_pool") is ModuleState.MISSING
    assert found.state("overlay") is ModuleState.LOADED
    assert found.state("xt_addrtype") is ModuleState.LOADABLE  # `modprobe NAME` does load it
    blocked = found.blocked_by("dm-thin-pool")
    assert blocked is not None
    assert (blocked.file, blocked.line) == ("/etc/modprobe.d/cis.conf", 2)


def test_a_file_of_the_administrator_hides_the_package_s() -> None:
    files = {
        **HOST,
        "/usr/lib/modprobe.d/cis.conf": HARDENED,
        "/etc/modprobe.d/cis.conf": "# nothing is forbidden\n",
        "/etc/modprobe.d/old.conf.bak": HARDENED,
    }
    assert modules(files).blocked == ()


@pytest.mark.parametrize(
    "line",
    [
        "install dm-thin-pool /sbin/modprobe -i dm-thin-pool",
        "install dm_thin_pool",
        "#install x true",
    ],
)
def test_an_install_line_that_loads_is_no_ban(line: str) -> None:
    found = modules({**HOST, "/etc/modprobe.d/x.conf": f"{line}\n"})
    assert found.state("dm_thin_pool") is ModuleState.LOADABLE


@given(st.text())
def test_any_modprobe_file_is_read(content: str) -> None:
    for one in parse_modprobe(content, "f"):
        assert one.words.startswith("install ")
