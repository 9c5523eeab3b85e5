# SPDX-License-Identifier: GPL-3.0-or-later
"""The program iptables, the kernel's modules behind it, and which of two backends has rules."""

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
from hostkit.facts.daemonconfig import DAEMON_CONFIG, DaemonConfig
from hostkit.facts.engine import DOCKER
from hostkit.facts.fact import Facts
from hostkit.facts.graphdrivers import DOCKER_VERSION
from hostkit.facts.iptables import IPTABLES
from hostkit.facts.kernel import KERNEL
from hostkit.facts.links import ADDRESSES6
from hostkit.facts.modules import MODULES, Modules, ModuleState, forbidden
from hostkit.facts.netfilter import RULESET, Ruleset
from hostkit.facts.ruleset import Backend, Family
from hostkit.host.answer import Absent
from hostkit_checks.firewall.chains import skipped

_AVAILABLE = (ModuleState.LOADED, ModuleState.BUILTIN, ModuleState.LOADABLE)
# Each line is one thing that dockerd's rules need, under its names in older and newer kernels.
_COMMON: tuple[tuple[str, ...], ...] = (
    ("nf_conntrack",),
    ("nf_nat",),
    ("xt_conntrack",),
    ("xt_addrtype", "ipt_addrtype"),
    ("xt_MASQUERADE", "ipt_MASQUERADE"),
)
_OF_BACKEND: dict[Backend, tuple[tuple[str, ...], ...]] = {
    Backend.LEGACY: (("ip_tables",), ("iptable_filter",), ("iptable_nat",)),
    Backend.NFT: (("nf_tables",), ("nft_compat",)),
}
_OF_IPV6 = (("ip6_tables",), ("ip6table_nat",))
_XT_NAT_SINCE = "3.7"  # the targets DNAT and SNAT; before, they were part of iptable_nat


@check(
    "iptables-binary",
    title="Is the program iptables installed?",
    problems=("iptables-binary-missing",),
    uses=(IPTABLES, DAEMON_CONFIG, DOCKER),
    profiles=("docker",),
    required=("docker",),
)
def iptables_binary(facts: Facts) -> Iterator[Outcome]:
    """No dockerd starts without it; its packages bring it, a static build does not."""
    answer = facts.get(IPTABLES)
    if not isinstance(answer, Absent):
        program = facts.value(IPTABLES)
        number = ".".join(str(part) for part in program.version)
        yield Passed(f"iptables {number} ({program.backend.value})")
        return
    config = facts.known(DAEMON_CONFIG)
    if config is not None and (
        not config.switch("iptables", True) or config.text("firewall-backend") == "nftables"
    ):
        yield NotApplicable("dockerd is configured not to use iptables")
        return
    installed = facts.known(DOCKER) is not None
    yield Finding(
        problem="iptables-binary-missing",
        severity=Severity.ERROR if installed else Severity.INFO,
        summary="dockerd is installed and the program iptables is not"
        if installed
        else "the program iptables is not installed; Docker's packages bring it",
        evidence=(Evidence(answer.source, answer.reason),),
        params=(("docker", "installed" if installed else "absent"),),
    )


@check(
    "iptables-modules",
    title="Has the running kernel what Docker's IPv4 rules need?",
    problems=("iptables-kernel-module-missing",),
    needs=(MODULES,),
    uses=(IPTABLES, DAEMON_CONFIG, KERNEL),
    profiles=("docker",),
    required=("docker",),
)
def iptables_modules(facts: Facts) -> Iterator[Outcome]:
    """The opposite of flushed chains: a restart of dockerd cannot help."""
    config = facts.known(DAEMON_CONFIG)
    if config is not None and not config.switch("iptables", True):
        yield NotApplicable("dockerd is configured with iptables=false")
        return
    if config is not None and config.text("firewall-backend") == "nftables":
        yield NotApplicable("dockerd uses nftables without iptables' extensions")
        return
    program = None if isinstance(facts.get(IPTABLES), Absent) else facts.value(IPTABLES)
    wanted = (*_COMMON, *(_OF_BACKEND[program.backend] if program else ()))
    kernel = facts.known(KERNEL)
    if program and program.backend is Backend.LEGACY and kernel and kernel.at_least(_XT_NAT_SINCE):
        wanted += (("xt_nat",),)
    yield from _judge(facts, wanted, "iptables-kernel-module-missing", Severity.ERROR)


@check(
    "ip6tables-modules",
    title="Has the running kernel what Docker's IPv6 rules need?",
    problems=("ip6tables-module-missing",),
    needs=(MODULES,),
    uses=(IPTABLES, DAEMON_CONFIG, DOCKER_VERSION, ADDRESSES6, KERNEL),
    profiles=("docker",),
)
def ip6tables_modules(facts: Facts) -> Iterator[Outcome]:
    """Docker 27 and later set IPv6 rules up unasked, warn when they cannot, and go on."""
    config = facts.known(DAEMON_CONFIG) or DaemonConfig((), ())
    setting = config.effective("ip6tables", facts.known(DOCKER_VERSION))
    if setting.value is False:
        yield NotApplicable(f"dockerd does not use ip6tables: {setting.source}")
    elif not facts.value(ADDRESSES6):
        yield NotApplicable("the host has no IPv6 address")
    elif (program := facts.known(IPTABLES)) is None or program.backend is Backend.NFT:
        yield NotApplicable("ip6tables of the nft backend needs no module of its own")
    else:
        yield from _judge(facts, _OF_IPV6, "ip6tables-module-missing", Severity.WARNING)


def _judge(
    facts: Facts, wanted: tuple[tuple[str, ...], ...], problem: str, severity: Severity
) -> Iterator[Outcome]:
    modules = facts.value(MODULES)
    lacking = [names[0] for names in wanted if _lacking(modules, names)]
    unsure = [names[0] for names in wanted if not _available(modules, names)]
    source = facts.get(MODULES).source
    if lacking:
        kernel = facts.known(KERNEL)
        release = kernel.text if kernel else "the running kernel"
        blocked = next(filter(None, map(modules.blocked_by, lacking)), None)
        yield Finding(
            problem=problem,
            severity=severity,
            summary=f"kernel {release} has no {', '.join(lacking)}",
            evidence=tuple(_why_lacking(modules, name, source) for name in lacking),
            params=(("modules", " ".join(lacking)), *forbidden(blocked)),
        )
    elif unsure:
        yield Unknown(f"{source}: cannot tell whether the kernel has {', '.join(unsure)}")
    else:
        yield Passed("every module that the rules need is there")


def _why_lacking(modules: Modules, name: str, source: str) -> Evidence:
    blocked = modules.blocked_by(name)
    if blocked is not None:
        return Evidence(blocked.file, blocked.words, blocked.line)
    return Evidence(source, f"{name}: neither loaded, built in nor loadable")


def _available(modules: Modules, names: tuple[str, ...]) -> bool:
    return any(
        modules.state(name) in _AVAILABLE
        and not (modules.loading_disabled and modules.state(name) is ModuleState.LOADABLE)
        for name in names
    )


def _lacking(modules: Modules, names: tuple[str, ...]) -> bool:
    """Whether none of the names can be had, and that is certain."""
    return not _available(modules, names) and all(
        modules.state(name) is not ModuleState.UNKNOWN for name in names
    )


@check(
    "iptables-backends",
    title="Do all firewall rules lie in the backend that iptables uses?",
    problems=("iptables-nft-legacy-mismatch",),
    uses=(IPTABLES, RULESET, DAEMON_CONFIG),
)
def iptables_backends(facts: Facts) -> Iterator[Outcome]:
    """Rules of both backends are obeyed; each program shows its own only."""
    if isinstance(facts.get(IPTABLES), Absent):
        yield NotApplicable("the program iptables is not installed")
        return
    program = facts.value(IPTABLES)
    ruleset = facts.value(RULESET)
    number = ".".join(str(part) for part in program.version)
    if program.broken_nft:
        yield Finding(
            problem="iptables-nft-legacy-mismatch",
            severity=Severity.WARNING,
            summary=f"iptables {number} is one of the first with nft and handles rules wrongly",
            evidence=(Evidence("iptables --version", f"iptables v{number} (nf_tables)"),),
        )
    for name in ruleset.incompatible:
        yield Finding(
            problem="iptables-nft-legacy-mismatch",
            severity=Severity.WARNING,
            summary=f"the table {name} holds nft rules that iptables cannot read",
            evidence=(
                Evidence("iptables-save", f"Table `{name}' is incompatible, use 'nft' tool"),
            ),
        )
    other = Backend.LEGACY if program.backend is Backend.NFT else Backend.NFT
    if other in ruleset.backends:
        config = facts.known(DAEMON_CONFIG)
        docker = config is not None and skipped(config) is None
        yield _mismatch(ruleset, program.backend, other, docker=docker)
    elif ruleset.gaps:
        gap = ruleset.gaps[0]
        yield Unknown(f"{gap.source}: {gap.reason}")
    elif not program.broken_nft and not ruleset.incompatible:
        yield Passed(f"all rules are in the {program.backend.value} backend")


def _mismatch(ruleset: Ruleset, own: Backend, other: Backend, *, docker: bool) -> Finding:
    """An error only when it cuts Docker off: its chains are there, or a policy that drops."""
    strays = [table for table in ruleset.of(Family.IPV4, other) if table.iptables and table.used]
    count = sum(len(chain.rules) for table in strays for chain in table.chains)
    drops = any(c.name == "FORWARD" and c.policy == "DROP" for t in strays for c in t.chains)
    stranded = any(table.chain("DOCKER") for table in strays)
    cuts_off = docker and (drops or stranded)
    what = "Docker's chains are" if stranded else f"{count} rules are"
    names = ", ".join(table.name for table in strays) or "IPv6 only"
    return Finding(
        problem="iptables-nft-legacy-mismatch",
        severity=Severity.ERROR if cuts_off else Severity.WARNING,
        summary=f"iptables uses {own.value}, and {what} in the {other.value} backend",
        evidence=(
            Evidence("iptables --version", f"backend {own.value}"),
            Evidence(f"iptables-{other.value}-save", f"{count} rules in the tables {names}"),
        ),
        params=(("own", own.value), ("other", other.value)),
    )
