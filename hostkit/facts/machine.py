# SPDX-License-Identifier: GPL-3.0-or-later
"""What kind of machine this is: 32 or 64 bits, metal, virtual machine or somebody's container.

Told from files, so that a snapshot answers as well as a live host.
"""

from collections.abc import Callable
from enum import StrEnum

from hostkit import text
from hostkit.facts.fact import Fact, Facts
from hostkit.facts.kernel import KERNEL
from hostkit.host.answer import Answer, Known, Unreadable
from hostkit.host.base import Host
from hostkit.host.commands import UNAME_MACHINE
from hostkit.value import NamedTuple


class Virtualization(StrEnum):
    """What lies below this system; those that share a host's kernel are `shares_kernel`."""

    NONE = "none"
    VM = "vm"
    WSL = "wsl"
    OPENVZ = "openvz"
    LXC = "lxc"
    CONTAINER = "container"

    @property
    def shares_kernel(self) -> bool:
        """The kernel, its modules and most of its switches belong to another system."""
        return self in (Virtualization.OPENVZ, Virtualization.LXC, Virtualization.CONTAINER)


class Machine(NamedTuple):
    """`arch` as `uname -m` says it, "" when not known; bits are 32, 64 or None (not known).

    `virtualization` is None when nothing could be read; `detail` names what gave it away
    (a container manager, a hypervisor) and `sign` the file that did. `cpu_64bit`: whether
    an x86 processor could run 64 bits. `arch_source` and `program`: what told the bits of
    the kernel and of the programs.
    """

    arch: str
    kernel_bits: int | None
    userland_bits: int | None
    virtualization: Virtualization | None
    detail: str = ""
    sign: str = ""
    cpu_64bit: bool | None = None
    arch_source: str = ""
    program: str = ""

    @property
    def shares_kernel(self) -> bool:
        """Known to be a container of some kind."""
        return self.virtualization is not None and self.virtualization.shares_kernel


_ARCHES_64 = frozenset(
    ("x86_64", "aarch64", "ppc64", "ppc64le", "s390x", "riscv64", "loongarch64", "mips64",
     "sparc64", "alpha")
)  # fmt: skip
_ARCHES_32 = frozenset(
    ("i386", "i486", "i586", "i686", "armv5tel", "armv6l", "armv7l", "armv7hl", "armv8l",
     "ppc", "s390", "mips", "riscv32")
)  # fmt: skip
# Debian's flavours name the architecture in their own way; others end with uname's name.
_FLAVOURS = {"amd64": "x86_64", "686": "i686", "686-pae": "i686", "arm64": "aarch64"}
_PROGRAMS = ("/bin/true", "/usr/bin/env", "/sbin/init")
_PROGRAM_LIMIT = 1 << 18  # a larger one is not worth the reading
_ELF_CLASS = {b"\x01": 32, b"\x02": 64}
_LOADERS_64 = (
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/ld-linux-aarch64.so.1",
    "/lib64/ld64.so.2",
    "/lib/ld64.so.1",
)


def elf_bits(data: bytes) -> int | None:
    r"""32 or 64 from an ELF header, None for anything else.

    >>> elf_bits(b"\x7fELF\x02\x01\x01")
    64
    """
    if not data.startswith(b"\x7fELF"):
        return None
    return _ELF_CLASS.get(data[4:5])


def arch_of_release(release: str) -> str:
    """The architecture that a kernel's release ends with, or "".

    >>> arch_of_release("3.10.0-693.el7.x86_64"), arch_of_release("3.2.0-4-686-pae")
    ('x86_64', 'i686')
    """
    last = release.rpartition(".")[2]
    if last in _ARCHES_64 or last in _ARCHES_32:
        return last
    for flavour, arch in _FLAVOURS.items():
        if release.endswith(f"-{flavour}"):
            return arch
    return ""


def bits_of_arch(arch: str) -> int | None:
    """32 or 64, None for an architecture not known here.

    >>> bits_of_arch("i686"), bits_of_arch("x86_64")
    (32, 64)
    """
    if arch in _ARCHES_64:
        return 64
    return 32 if arch in _ARCHES_32 else None


def _arch(facts: Facts) -> tuple[str, str]:
    """The architecture and its source: the kernel's own word (6.1), its release, `uname -m`.

    In that order because `uname -m` tells a process under setarch what it likes to hear.
    """
    word = facts.host.read("/proc/sys/kernel/arch")
    if isinstance(word, Known):
        return text.decode(word.value).strip(), word.source
    kernel = facts.get(KERNEL)
    arch = arch_of_release(kernel.value.text) if isinstance(kernel, Known) else ""
    if arch:
        return arch, kernel.source
    said = facts.host.run(UNAME_MACHINE)
    arch = text.decode(said.value.stdout).strip() if isinstance(said, Known) else ""
    return arch, said.source


def _userland_bits(host: Host) -> tuple[int | None, str]:
    """The width of the installed programs, and the file that told it."""
    for path in _PROGRAMS:
        program = host.read(path, _PROGRAM_LIMIT)
        bits = elf_bits(program.value) if isinstance(program, Known) else None
        if bits is not None:
            return bits, path
    for path in _LOADERS_64:
        if isinstance(host.stat(path), Known):
            return 64, path
    return None, ""


class _Sign(NamedTuple):
    """What a place says of the system below; an empty `place` and no kind: nothing."""

    kind: Virtualization
    detail: str
    place: str


def _openvz(facts: Facts) -> _Sign | None:
    # /proc/vz is in the host and in its guests, /proc/bc only in the host.
    host = facts.host
    if isinstance(host.stat("/proc/vz"), Known) and not isinstance(host.stat("/proc/bc"), Known):
        return _Sign(Virtualization.OPENVZ, "OpenVZ", "/proc/vz")
    return None


def _wsl(facts: Facts) -> _Sign | None:
    kernel = facts.known(KERNEL)
    if kernel and "microsoft" in kernel.text.lower():
        return _Sign(Virtualization.WSL, "WSL", "/proc/sys/kernel/osrelease")
    return None


# What container managers call themselves (systemd's Container Interface). The source of
# that file, the environment of process 1, is left alone: it may hold passwords.
_FULL_SYSTEMS = ("lxc", "lxc-libvirt", "systemd-nspawn")


def _named_container(facts: Facts) -> _Sign | None:
    place = "/run/systemd/container"
    answer = facts.host.read(place)
    name = text.decode(answer.value).strip() if isinstance(answer, Known) else ""
    if not name:
        return None
    if name in ("openvz", "wsl"):
        return _Sign(Virtualization(name), {"openvz": "OpenVZ", "wsl": "WSL"}[name], place)
    kind = Virtualization.LXC if name in _FULL_SYSTEMS else Virtualization.CONTAINER
    return _Sign(kind, name, place)


_MARKERS = (
    ("/.dockerenv", Virtualization.CONTAINER, "docker"),
    ("/run/.containerenv", Virtualization.CONTAINER, "podman"),
    ("/dev/lxd", Virtualization.LXC, "lxd"),
    ("/dev/.lxc", Virtualization.LXC, "lxc"),
)


def _marker_file(facts: Facts) -> _Sign | None:
    for place, kind, name in _MARKERS:
        if isinstance(facts.host.stat(place), Known):
            return _Sign(kind, name, place)
    return None


def _first_cgroup(facts: Facts) -> _Sign | None:
    """Cgroup v1 shows a container's first process where its manager put it."""
    answer = facts.host.read("/proc/1/cgroup")
    if not isinstance(answer, Known):
        return None
    content = text.decode(answer.value)
    for word, kind in (
        ("/lxc/", Virtualization.LXC),
        ("/lxc.payload", Virtualization.LXC),
        ("/docker/", Virtualization.CONTAINER),
        ("/docker-", Virtualization.CONTAINER),
        ("/kubepods", Virtualization.CONTAINER),
        ("/libpod-", Virtualization.CONTAINER),
    ):
        if word in content:
            return _Sign(kind, word.strip("/-."), "/proc/1/cgroup")
    return None


# The kernel's own numbers for its first namespaces (include/linux/proc_ns.h). A root file
# system that was once a container image keeps /.dockerenv on a machine of its own.
_FIRST_NAMESPACES = {"pid": 0xEFFFFFFC, "uts": 0xEFFFFFFE, "ipc": 0xEFFFFFFF}


def _in_first_namespaces(host: Host) -> bool:
    for name, number in _FIRST_NAMESPACES.items():
        link = host.stat(f"/proc/self/ns/{name}", follow=False)
        if not isinstance(link, Known) or link.value.target != f"{name}:[{number}]":
            return False
    return True


_CONTAINER_SIGNS: tuple[Callable[[Facts], _Sign | None], ...] = (
    _named_container,
    _marker_file,
    _first_cgroup,
)


def _container(facts: Facts) -> _Sign | None:
    if _in_first_namespaces(facts.host):
        return None
    return next((sign for look in _CONTAINER_SIGNS if (sign := look(facts))), None)


# /sys/class/dmi/id/{sys_vendor,product_name} of virtual machines.
_DMI_WORDS = {
    "QEMU": "QEMU", "KVM": "KVM", "Bochs": "Bochs", "VMware": "VMware", "VirtualBox": "VirtualBox",
    "innotek": "VirtualBox", "Xen": "Xen", "Virtual Machine": "Hyper-V", "Amazon EC2": "EC2",
    "Google Compute Engine": "Google Compute Engine", "OpenStack": "OpenStack",
    "Parallels": "Parallels", "Droplet": "DigitalOcean", "Alibaba Cloud ECS": "Alibaba Cloud",
}  # fmt: skip


def _virtual_machine(facts: Facts, cpuinfo: str) -> _Sign | None:
    for name in ("product_name", "sys_vendor"):
        place = f"/sys/class/dmi/id/{name}"
        answer = facts.host.read(place)
        said = text.decode(answer.value) if isinstance(answer, Known) else ""
        for word, hypervisor in _DMI_WORDS.items():
            # EC2's metal instances have Amazon's name too: their product ends so.
            if word in said and ".metal" not in said:
                return _Sign(Virtualization.VM, hypervisor, place)
    if " hypervisor" in _flags(cpuinfo):
        return _Sign(Virtualization.VM, "a hypervisor", "/proc/cpuinfo")
    if isinstance(facts.host.stat("/proc/device-tree/hypervisor"), Known):
        return _Sign(Virtualization.VM, "a hypervisor", "/proc/device-tree/hypervisor")
    if "User Mode Linux" in cpuinfo:
        return _Sign(Virtualization.VM, "User Mode Linux", "/proc/cpuinfo")
    return None


def _flags(cpuinfo: str) -> str:
    """The line of flags of the first processor, with a blank before every flag."""
    at = cpuinfo.find("\nflags")
    return cpuinfo[at : cpuinfo.find("\n", at + 1)].expandtabs(1) + " " if at >= 0 else ""


def _gather(facts: Facts) -> Answer[Machine]:
    arch, arch_source = _arch(facts)
    answer = facts.host.read("/proc/cpuinfo")
    cpuinfo = text.decode(answer.value) if isinstance(answer, Known) else ""
    sign = _openvz(facts) or _wsl(facts) or _container(facts) or _virtual_machine(facts, cpuinfo)
    userland, program = _userland_bits(facts.host)
    if sign is None and not arch and not cpuinfo and userland is None:
        return Unreadable("/proc/cpuinfo", "nothing here tells what machine this is")
    flags = _flags(cpuinfo)
    return Known(
        Machine(
            arch=arch,
            kernel_bits=bits_of_arch(arch),
            userland_bits=userland,
            virtualization=sign.kind if sign else Virtualization.NONE if cpuinfo else None,
            detail=sign.detail if sign else "",
            sign=sign.place if sign else "",
            cpu_64bit=" lm " in flags if flags else None,
            arch_source=arch_source,
            program=program,
        ),
        "/proc/cpuinfo" if cpuinfo else "uname",
    )


MACHINE: Fact[Machine] = Fact("machine", _gather, waits=False)
