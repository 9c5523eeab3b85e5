# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel and the machine below it: what no setting of an engine can make up for."""

from collections.abc import Iterable, Iterator

from hostkit.diagnosis.check import EVERY_PROFILE, Check, check
from hostkit.diagnosis.finding import (
    Evidence,
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Severity,
    Unknown,
)
from hostkit.facts.cgroups import CGROUPS, CgroupVersion
from hostkit.facts.daemonconfig import DAEMON_CONFIG
from hostkit.facts.fact import Facts
from hostkit.facts.kernel import KERNEL
from hostkit.facts.kernelconfig import KERNEL_CONFIG
from hostkit.facts.machine import MACHINE, Machine, Virtualization
from hostkit.facts.modules import MODULES, ModuleState
from hostkit.facts.namespaces import NAMESPACES
from hostkit.facts.target import TARGET
from hostkit.host.answer import Known
from hostkit_checks.kernel.idmap import id_map_programs
from hostkit_checks.kernel.options import kernel_features
from hostkit_checks.kernel.requirements import DOCKER_ON_NFTABLES, Need, lacking
from hostkit_checks.kernel.users import sub_ids, user_namespaces

OLDEST = "3.10"
ENGINES = EVERY_PROFILE
WANTED_NAMESPACES = ("ipc", "mnt", "net", "pid", "uts")
# What an engine asks the kernel for when it starts and at its first container.
ESSENTIAL_MODULES = ("overlay", "veth", "bridge", "nf_nat", "xt_addrtype", "xt_conntrack")
BITS_64 = 64
BITS_32 = 32
_X86_32 = ("i386", "i486", "i586", "i686")


@check(
    "kernel-release",
    title="Is the kernel recent enough for containers?",
    problems=("kernel-too-old",),
    needs=(KERNEL,),
    required=ENGINES,
)
def kernel_release(facts: Facts) -> Iterator[Outcome]:
    """By upstream's numbers: Red Hat's 3.10.0 kernels, whatever their release, are enough."""
    kernel = facts.value(KERNEL)
    if kernel.at_least(OLDEST):
        yield Passed(f"kernel {kernel.text}")
        return
    yield Finding(
        problem="kernel-too-old",
        severity=Severity.ERROR,
        summary=f"kernel {kernel.text} is older than {OLDEST}: containers cannot run on it",
        evidence=(Evidence(_source(facts), kernel.text),),
        params=(("release", kernel.text),),
    )


def _source(facts: Facts) -> str:
    answer = facts.get(KERNEL)
    return answer.source


@check(
    "architecture",
    title="Are kernel and programs 64-bit?",
    problems=("host-32bit",),
    needs=(MACHINE,),
    required=("docker",),
)
def architecture(facts: Facts) -> Iterator[Outcome]:
    """A 64-bit kernel below 32-bit programs is told apart: it needs no other hardware."""
    machine = facts.value(MACHINE)
    if machine.kernel_bits == BITS_32:
        yield _kernel_32(machine)
    elif machine.userland_bits == BITS_32:
        yield Finding(
            problem="host-32bit",
            severity=Severity.ERROR,
            summary=f"the kernel is 64-bit ({machine.arch}), the installed system is 32-bit",
            evidence=(Evidence(machine.program, "a 32-bit program (ELF class 1)"),),
        )
    elif machine.kernel_bits is None:
        yield Unknown(f"the architecture {machine.arch or '(not said)'} is not known here")
    elif machine.userland_bits is None:
        yield Unknown("no program here could be read to see whether it is 64-bit")
    else:
        yield Passed(f"{machine.arch}, kernel and programs")


def _kernel_32(machine: Machine) -> Finding:
    # Docker was built for 32-bit arm until 28; nobody ever published it for 32-bit x86.
    x86 = machine.arch in _X86_32
    hint = "; the processor could run 64 bits" if machine.cpu_64bit else ""
    return Finding(
        problem="host-32bit",
        severity=Severity.ERROR if x86 else Severity.WARNING,
        summary=f"the kernel is 32-bit ({machine.arch}){hint}",
        evidence=(Evidence(machine.arch_source, machine.arch),),
    )


@check(
    "guest-kernel",
    title="Does this system have a kernel of its own?",
    problems=("container-based-vps",),
    needs=(MACHINE,),
    uses=(KERNEL,),
)
def guest_kernel(facts: Facts) -> Iterator[Outcome]:
    """A guest of OpenVZ or LXC gets the kernel, modules and switches of its host."""
    machine = facts.value(MACHINE)
    kind = machine.virtualization
    if kind is None:
        yield Unknown("nothing here tells whether this is a container")
    elif kind in (Virtualization.OPENVZ, Virtualization.LXC):
        yield _shared_kernel(facts, machine)
    elif kind is Virtualization.CONTAINER:
        yield NotApplicable(f"this is a {machine.detail} container, not a host")
    elif kind is Virtualization.NONE:
        yield Passed("no sign of virtualization")
    else:
        yield Passed(f"a machine of its own below {machine.detail}")


def _shared_kernel(facts: Facts, machine: Machine) -> Finding:
    kernel = facts.known(KERNEL)
    old = kernel is not None and not kernel.at_least(OLDEST)
    openvz = machine.virtualization is Virtualization.OPENVZ
    # LXD and Proxmox run Docker in guests with nesting allowed; OpenVZ 6 never could.
    severity = Severity.ERROR if old else Severity.WARNING if openvz else Severity.INFO
    release = f" ({kernel.text})" if kernel else ""
    name = "an OpenVZ guest" if openvz else f"a guest of {machine.detail}"
    return Finding(
        problem="container-based-vps",
        severity=severity,
        summary=f"this is {name}: the kernel{release} is its host's",
        evidence=(Evidence(machine.sign, machine.detail),),
    )


@check(
    "modules-of-running-kernel",
    title="Are the modules of the running kernel still on disk?",
    problems=("kernel-updated-not-rebooted",),
    needs=(MODULES,),
    uses=(MACHINE,),
)
def modules_of_running_kernel(facts: Facts) -> Iterator[Outcome]:
    """Without them every modprobe fails, and the message blames the feature, not the disk."""
    modules = facts.value(MODULES)
    if not modules.supported:
        yield Passed("the kernel was built without modules; what it has is built in")
        return
    machine = facts.known(MACHINE)
    if machine is not None and machine.shares_kernel:
        yield NotApplicable("the modules are in the files of the system below this container")
        return
    here = (ModuleState.LOADED, ModuleState.BUILTIN)
    absent = [name for name in ESSENTIAL_MODULES if modules.state(name) not in here]
    if modules.available is not None:
        yield Passed(f"{modules.folder} is there")
    elif not modules.directory_missing:
        yield Unknown(f"{modules.folder}/modules.dep could not be read")
    elif not modules.installed and not absent:
        yield Passed("no modules are installed, and what containers need is built in")
    else:
        yield _modules_gone(modules.folder, modules.installed, absent)


def _modules_gone(folder: str, installed: tuple[str, ...], absent: list[str]) -> Finding:
    running = folder.rpartition("/")[2]
    others = f"installed: {', '.join(installed[:3])}" if installed else "none are installed"
    return Finding(
        problem="kernel-updated-not-rebooted",
        severity=Severity.ERROR if absent else Severity.WARNING,
        summary=f"no modules on disk for the running kernel {running}",
        evidence=(
            Evidence(folder, f"does not exist; {others}"),
            *((Evidence("/proc/modules", f"not loaded: {', '.join(absent)}"),) if absent else ()),
        ),
        params=(("release", running),),
    )


@check(
    "kernel-config",
    title="Was the kernel built with what containers need?",
    problems=("kernel-config-missing-features",),
    needs=(KERNEL_CONFIG, KERNEL),
    uses=(CGROUPS, DAEMON_CONFIG, TARGET),
)
def kernel_config(facts: Facts) -> Iterator[Outcome]:
    """Asks for no symbol of a cgroup version or packet filter that is not in use here."""
    kernel = facts.value(KERNEL)
    config = facts.get(KERNEL_CONFIG)
    if not isinstance(config, Known):
        return
    if not kernel.at_least(OLDEST):
        yield NotApplicable(f"kernel {kernel.text} is too old whatever it was built with")
        return
    cgroups = facts.known(CGROUPS)
    target = facts.known(TARGET)
    version = cgroups.version if cgroups else CgroupVersion.NONE
    engine = target.engine if target else "docker"
    daemon = facts.known(DAEMON_CONFIG)
    if engine == "docker" and daemon and daemon.text("firewall-backend") == "nftables":
        engine = DOCKER_ON_NFTABLES
    missing = tuple(lacking(config.value, kernel, version, engine))
    for severity in Severity:
        needs = [need for need in missing if need.without is severity]
        if needs:
            yield _lacks(needs, config.source, severity)
    if not missing:
        yield Passed(f"{config.source} has everything")


def _lacks(needs: Iterable[Need], source: str, severity: Severity) -> Finding:
    listed = list(needs)
    names = ", ".join(need.symbols[0] for need in listed[:4])
    more = f" and {len(listed) - 4} more" if len(listed) > 4 else ""  # noqa: PLR2004 - as shown
    without = "without the optional" if severity is Severity.INFO else "without"
    return Finding(
        problem="kernel-config-missing-features",
        severity=severity,
        summary=f"the kernel was built {without} {names}{more}",
        evidence=tuple(
            Evidence(source, f"none of {_symbols(need)} is set: {need.gives}")
            if len(need.symbols) > 1
            else Evidence(source, f"{_symbols(need)} is not set: {need.gives}")
            for need in listed
        ),
    )


def _symbols(need: Need) -> str:
    return ", ".join(f"CONFIG_{symbol}" for symbol in need.symbols)


@check(
    "namespaces",
    title="Does the running kernel give containers namespaces?",
    problems=("kernel-config-missing-features",),
    needs=(NAMESPACES,),
    uses=(KERNEL,),
    required=ENGINES,
)
def namespaces(facts: Facts) -> Iterator[Outcome]:
    """By what the kernel shows of itself, so that it holds without a configuration file."""
    kernel = facts.known(KERNEL)
    if kernel is not None and not kernel.at_least(OLDEST):
        yield NotApplicable(f"kernel {kernel.text} shows its namespaces only in part")
        return
    present = facts.value(NAMESPACES).present
    missing = [name for name in WANTED_NAMESPACES if name not in present]
    if not missing:
        yield Passed(", ".join(sorted(present)))
        return
    yield Finding(
        problem="kernel-config-missing-features",
        severity=Severity.ERROR,
        summary=f"the kernel has no {', '.join(missing)} namespaces",
        evidence=(Evidence("/proc/self/ns", f"holds only: {' '.join(sorted(present))}"),),
    )


CHECKS: tuple[Check, ...] = (
    kernel_release,
    architecture,
    guest_kernel,
    modules_of_running_kernel,
    kernel_config,
    kernel_features,
    namespaces,
    user_namespaces,
    sub_ids,
    id_map_programs,
)
