# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine below a kubelet: its size, its swap, its programs, its control groups."""

from collections.abc import Iterator

from hostkit.diagnosis.check import Check, check
from hostkit.diagnosis.finding import (
    Evidence,
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Severity,
    Unknown,
)
from hostkit.facts.cgroups import CGROUPS, Cgroups, CgroupVersion
from hostkit.facts.fact import Facts
from hostkit.facts.kernel import KERNEL, KernelRelease
from hostkit.facts.kubelet import KUBELET
from hostkit.facts.kubeletconfig import KUBELET_CONFIG, KUBELET_CONFIG_FILE
from hostkit.facts.memory import MEMINFO, MEMORY
from hostkit.facts.processors import ONLINE, PROCESSORS
from hostkit.facts.programs import program
from hostkit.facts.target import TARGET
from hostkit.host.answer import Absent, Unreadable
from hostkit.value import NamedTuple

PROFILE = ("kubernetes",)
_MIB = 1 << 20
# What kubeadm asks of a control plane; k0s asks 1 GiB, and 500 MiB of a worker.
LEAST_MEMORY_MIB = 1700
LEAST_PROCESSORS = 2
# cgroup.freeze came with 5.2; RHEL 8 has had it in its 4.18 since 8.2.
FREEZER_SINCE, FREEZER_EL = "5.2", "4.18.0-193"
NEEDED_V1 = ("cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids")
NEEDED_V2 = ("cpu", "cpuset", "memory", "pids")


class Tool(NamedTuple):
    """A program that a node runs: `vital` when pods fail without; `before`: until a version."""

    name: str
    does: str
    vital: bool = False
    before: tuple[int, ...] = ()


TOOLS: tuple[Tool, ...] = (
    Tool("mount", "mounts the volumes of pods", vital=True),
    Tool("umount", "takes them away again", vital=True),
    Tool("nsenter", "mounts in the host's namespace", vital=True),
    Tool("ip", "sets up links (CNI plug-ins)", vital=True),
    Tool("iptables", "makes the rules of services", vital=True),
    # kube-proxy does it itself from 1.32 on.
    Tool("conntrack", "forgets the connections of pods that are gone", vital=True, before=(1, 32)),
    Tool("modprobe", "loads what the CNI plug-in needs"),
    Tool("ethtool", "tells CNI plug-ins of the links"),
    Tool("tc", "limits the traffic of pods"),
    Tool("ebtables", "is used by some CNI plug-ins", before=(1, 32)),
    Tool("socat", "carries `kubectl port-forward` with older runtimes"),
    Tool("touch", "is used by the kubelet on volumes"),
)
TOOL_FACTS = {tool.name: program(tool.name) for tool in TOOLS}


@check(
    "kubernetes-machine",
    title="Is the machine large enough for a node?",
    problems=("kubernetes-machine-too-small",),
    needs=(MEMORY, PROCESSORS),
    profiles=PROFILE,
)
def machine(facts: Facts) -> Iterator[Outcome]:
    """Kubeadm refuses a control plane below this; a worker may be smaller."""
    memory, processors = facts.value(MEMORY).total // _MIB, facts.value(PROCESSORS)
    small: list[tuple[str, Evidence]] = []
    if memory < LEAST_MEMORY_MIB:
        small.append((f"{memory} MiB of memory", Evidence(MEMINFO, f"MemTotal: {memory} MiB")))
    if processors < LEAST_PROCESSORS:
        small.append((f"{processors} processor", Evidence(ONLINE, str(processors))))
    if not small:
        yield Passed(f"{memory} MiB of memory, {processors} processors")
        return
    yield Finding(
        problem="kubernetes-machine-too-small",
        severity=Severity.WARNING,
        summary=f"{' and '.join(words for words, _ in small)}: too small for a control plane",
        evidence=tuple(evidence for _, evidence in small),
    )


@check(
    "kubernetes-swap",
    title="Does the kubelet bear the swap of this host?",
    problems=("kubernetes-swap-on",),
    needs=(MEMORY,),
    uses=(KUBELET_CONFIG, KUBELET),
    profiles=PROFILE,
)
def swap(facts: Facts) -> Iterator[Outcome]:
    """By default it does not start where there is any."""
    total = facts.value(MEMORY).swap_total // _MIB
    if not total:
        yield Passed("there is no swap")
        return
    config, node = facts.known(KUBELET_CONFIG), facts.known(KUBELET) or ""
    if config is not None and config.fail_swap_on is False:
        yield Passed(f"failSwapOn is false in {KUBELET_CONFIG_FILE}")
    elif config is None and "/rancher/" in node:
        yield Passed("k3s and RKE2 start their kubelet so that it bears swap")
    else:
        yield Finding(
            problem="kubernetes-swap-on",
            severity=Severity.WARNING,
            summary=f"{total} MiB of swap are on: a kubelet with its defaults does not start",
            evidence=(Evidence(MEMINFO, f"SwapTotal: {total} MiB"),),
        )


@check(
    "kubernetes-programs",
    title="Are the programs installed that a kubelet and its plug-ins run?",
    problems=("required-program-missing",),
    uses=(TARGET, *TOOL_FACTS.values()),
    profiles=PROFILE,
)
def programs(facts: Facts) -> Iterator[Outcome]:
    """One finding for what pods fail without, one for what few of them miss."""
    target = facts.known(TARGET)
    version = target.version if target else ()
    wanted = [tool for tool in TOOLS if not (tool.before and version >= tool.before)]
    answers = {tool: facts.get(TOOL_FACTS[tool.name]) for tool in wanted}
    refused = [tool.name for tool, answer in answers.items() if isinstance(answer, Unreadable)]
    if refused:
        yield Unknown(f"could not look for {', '.join(refused)}")
        return
    missing = [tool for tool, answer in answers.items() if isinstance(answer, Absent)]
    for vital in (True, False):
        lost = [tool for tool in missing if tool.vital is vital]
        if lost:
            yield Finding(
                problem="required-program-missing",
                severity=Severity.ERROR if vital else Severity.INFO,
                summary=f"not installed: {', '.join(tool.name for tool in lost)}",
                evidence=tuple(Evidence(tool.name, f"which {tool.does}") for tool in lost),
                params=(("programs", " ".join(tool.name for tool in lost)),),
            )
    if not missing:
        yield Passed(f"all {len(wanted)}")


@check(
    "kubernetes-cgroups",
    title="Does this host have the control groups that a kubelet needs?",
    problems=("kubernetes-cgroups-missing",),
    needs=(CGROUPS,),
    uses=(KERNEL,),
    profiles=PROFILE,
    required=PROFILE,
)
def cgroups(facts: Facts) -> Iterator[Outcome]:
    """v2 gives devices and accounting in other ways, so no controller is asked for there."""
    found = facts.value(CGROUPS)
    if found.version is CgroupVersion.NONE:
        yield NotApplicable("no cgroup controller is mounted at all")
        return
    v2 = found.version is CgroupVersion.V2
    if v2 and found.unified is None:
        yield Unknown("the root of cgroup v2 does not say which controllers it has")
        return
    missing = [name for name in (NEEDED_V2 if v2 else NEEDED_V1) if not _usable(found, name)]
    kernel = facts.known(KERNEL)
    if v2 and kernel is not None and not _freezes(kernel):
        missing.append("cgroup.freeze")
    if not missing:
        yield Passed(f"cgroup {found.version} with all of them")
        return
    yield Finding(
        problem="kubernetes-cgroups-missing",
        severity=Severity.ERROR,
        summary=f"cgroup {found.version} has no {', '.join(missing)}: the kubelet does not start",
        evidence=(Evidence("/proc/self/mounts", f"there are: {_offered(found)}"),),
    )


def _usable(found: Cgroups, name: str) -> bool:
    return bool(found.usable(name))


def _freezes(kernel: KernelRelease) -> bool:
    return kernel.at_least(FREEZER_SINCE) or (
        kernel.el is not None and kernel.el_at_least(FREEZER_EL)
    )


def _offered(found: Cgroups) -> str:
    return " ".join(found.unified or ()) or " ".join(sorted(found.mounted_v1()))


NODE_CHECKS: tuple[Check, ...] = (machine, swap, programs, cgroups)
