# SPDX-License-Identifier: GPL-3.0-or-later
"""Bits of kernel and programs, and what lies below: metal, machine, container."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.facts.fact import Facts
from hostkit.facts.machine import (
    MACHINE,
    Machine,
    Virtualization,
    arch_of_release,
    bits_of_arch,
    elf_bits,
)
from hostkit.host.answer import Unreadable
from tests.fakes import fake_stat, make_facts

ELF64 = b"\x7fELF\x02\x01\x01" + bytes(60)
ELF32 = b"\x7fELF\x01\x01\x01" + bytes(60)
METAL = "processor\t: 0\nflags\t\t: fpu vme lm constant_tsc\n"
GUEST = "processor\t: 0\nflags\t\t: fpu vme lm hypervisor lahf_lm\n"
FIRST = {"pid": 4026531836, "uts": 4026531838, "ipc": 4026531839}


def machine(files: Mapping[str, str | bytes], **host: Any) -> Machine:
    base: dict[str, str | bytes] = {"/proc/cpuinfo": METAL, "/bin/true": ELF64}
    return make_facts({**base, **files}, **host).value(MACHINE)


def first_namespaces() -> dict[str, str]:
    return {f"/proc/self/ns/{name}": f"{name}:[{number}]" for name, number in FIRST.items()}


def test_the_kernels_own_word_for_its_architecture_comes_first() -> None:
    found = machine(
        {"/proc/sys/kernel/arch": "x86_64\n", "/proc/sys/kernel/osrelease": "6.1.0-9-686"}
    )
    assert (found.arch, found.kernel_bits, found.userland_bits) == ("x86_64", 64, 64)


@pytest.mark.parametrize(
    ("release", "arch", "bits"),
    [
        ("3.10.0-693.el7.x86_64", "x86_64", 64),
        ("2.6.32-754.el6.i686", "i686", 32),
        ("3.2.0-4-686-pae", "i686", 32),
        ("6.1.0-9-amd64", "x86_64", 64),
        ("5.14.0-427.el9.aarch64", "aarch64", 64),
        ("6.18.44-fc-v657", "", None),
    ],
)
def test_the_release_of_older_kernels_names_the_architecture(
    release: str, arch: str, bits: int | None
) -> None:
    assert arch_of_release(release) == arch
    assert bits_of_arch(arch) == bits


def test_uname_is_asked_where_no_file_says_it() -> None:
    facts = make_facts(
        {"/proc/cpuinfo": METAL, "/proc/sys/kernel/osrelease": "4.4.0-21-generic"},
        commands={"uname -m": "x86_64\n"},
    )
    assert facts.value(MACHINE).kernel_bits == 64


def test_a_32_bit_system_on_a_64_bit_kernel() -> None:
    found = machine({"/proc/sys/kernel/arch": "x86_64", "/bin/true": ELF32})
    assert (found.kernel_bits, found.userland_bits) == (64, 32)
    assert (found.arch_source, found.program) == ("/proc/sys/kernel/arch", "/bin/true")


def test_a_script_in_the_place_of_a_program_is_passed_over() -> None:
    found = machine({"/bin/true": "#!/usr/bin/coreutils\n", "/usr/bin/env": ELF64})
    assert found.userland_bits == 64


def test_the_loader_tells_where_no_program_can_be_read() -> None:
    facts = make_facts(
        {"/proc/cpuinfo": METAL}, stats={"/lib64/ld-linux-x86-64.so.2": fake_stat("file")}
    )
    assert facts.value(MACHINE).userland_bits == 64


def test_unknown_bits_stay_unknown() -> None:
    found = make_facts({"/proc/cpuinfo": METAL}).value(MACHINE)
    assert (found.kernel_bits, found.userland_bits) == (None, None)


@pytest.mark.parametrize(
    ("files", "folders", "kind", "detail"),
    [
        ({}, {}, Virtualization.NONE, ""),
        ({"/proc/cpuinfo": GUEST}, {}, Virtualization.VM, "a hypervisor"),
        ({"/sys/class/dmi/id/sys_vendor": "QEMU\n"}, {}, Virtualization.VM, "QEMU"),
        (
            {"/sys/class/dmi/id/product_name": "VMware Virtual Platform\n"},
            {},
            Virtualization.VM,
            "VMware",
        ),
        ({"/proc/user_beancounters": ""}, {"/proc/vz": ()}, Virtualization.OPENVZ, "OpenVZ"),
        ({}, {"/proc/vz": (), "/proc/bc": ()}, Virtualization.NONE, ""),
        (
            {"/proc/sys/kernel/osrelease": "5.15.90.1-microsoft-standard-WSL2"},
            {},
            Virtualization.WSL,
            "WSL",
        ),
        ({"/run/systemd/container": "lxc\n"}, {}, Virtualization.LXC, "lxc"),
        ({"/run/systemd/container": "podman\n"}, {}, Virtualization.CONTAINER, "podman"),
        ({"/run/systemd/container": "openvz\n"}, {}, Virtualization.OPENVZ, "OpenVZ"),
        ({"/.dockerenv": ""}, {}, Virtualization.CONTAINER, "docker"),
        ({"/run/.containerenv": ""}, {}, Virtualization.CONTAINER, "podman"),
        ({}, {"/dev/lxd": ("sock",)}, Virtualization.LXC, "lxd"),
        ({"/proc/1/cgroup": "1:cpu:/lxc/web\n"}, {}, Virtualization.LXC, "lxc"),
        ({"/proc/1/cgroup": "1:cpu:/docker/0123\n"}, {}, Virtualization.CONTAINER, "docker"),
    ],
)
def test_what_lies_below(
    files: dict[str, str | bytes],
    folders: dict[str, tuple[str, ...]],
    kind: Virtualization,
    detail: str,
) -> None:
    found = machine(files, folders=folders)
    assert (found.virtualization, found.detail) == (kind, detail)


def test_dockerenv_left_in_the_root_of_a_machine_of_its_own_proves_nothing() -> None:
    files = {"/.dockerenv": "", "/proc/cpuinfo": GUEST}
    assert machine(files, links=first_namespaces()).virtualization is Virtualization.VM
    other = {**first_namespaces(), "/proc/self/ns/pid": "pid:[4026532741]"}
    assert machine(files, links=other).virtualization is Virtualization.CONTAINER


def test_an_openvz_guest_is_one_whatever_its_namespaces() -> None:
    found = machine({}, folders={"/proc/vz": ()}, links=first_namespaces())
    assert found.shares_kernel


def test_the_environment_of_process_1_is_never_read() -> None:
    facts = make_facts({"/proc/cpuinfo": METAL})
    facts.get(MACHINE)
    asked = getattr(facts.host, "asked")  # noqa: B009 - the fake's own, not the protocol's
    assert not [question for question in asked if "environ" in question]


def test_without_cpuinfo_virtualization_is_unknown_and_nothing_at_all_is_unreadable() -> None:
    facts = make_facts({"/bin/true": ELF64})
    assert facts.value(MACHINE).virtualization is None
    assert isinstance(make_facts().get(MACHINE), Unreadable)


def test_a_64_bit_processor_below_a_32_bit_kernel_is_noticed() -> None:
    found = machine({"/proc/sys/kernel/arch": "i686", "/bin/true": ELF32})
    assert (found.kernel_bits, found.cpu_64bit) == (32, True)


@given(st.binary(max_size=80), st.text(max_size=200))
def test_any_bytes_are_survived(data: bytes, text: str) -> None:
    assert elf_bits(data) in (None, 32, 64)
    facts: Facts = make_facts({"/bin/true": data, "/proc/cpuinfo": text, "/proc/1/cgroup": text})
    facts.get(MACHINE)
