# SPDX-License-Identifier: GPL-3.0-or-later
"""What this kernel cannot do for some containers: one finding for all of it, or none."""

from collections.abc import Iterator

from hostkit.diagnosis.check import check
from hostkit.diagnosis.finding import Evidence, Finding, Outcome, Passed, Severity, Unknown
from hostkit.facts.cgroups import CGROUPS, CgroupVersion
from hostkit.facts.dataroot import VOLUME
from hostkit.facts.fact import Facts
from hostkit.facts.graphdrivers import DOCKER_VERSION
from hostkit.facts.kernel import CMDLINE, KERNEL, KernelRelease
from hostkit.facts.kernelconfig import KERNEL_CONFIG, KernelConfig
from hostkit.facts.modules import MODULES, Modules, ModuleState
from hostkit.facts.target import TARGET
from hostkit.host.answer import Known
from hostkit.value import NamedTuple
from hostkit_checks.kernel.features import FEATURES, Feature, Option

_HAVE = (ModuleState.LOADED, ModuleState.BUILTIN, ModuleState.LOADABLE)
_SHOWN = 3
# The last glibc that jumps to the fixed addresses of the vsyscall page is 2.13; CentOS 6,
# Debian 6 and others have such a one, and their programs die of SIGSEGV without the page.
_VSYSCALL = "programs of images as old as CentOS 6 (boot with vsyscall=emulate)"


class _Kernel(NamedTuple):
    """What the answers rest on: the configuration or, without one, the modules."""

    release: KernelRelease
    config: KernelConfig | None
    modules: Modules | None
    source: str

    def lacks(self, option: Option) -> str | None:
        """What is missing of an option, in words; "" when nothing; None: not known."""
        if option.since and not self.release.at_least(option.since):
            return ""
        if option.before and self.release.at_least(option.before):
            return ""
        states = [self._state(name) for name in option.modules]
        if any(state in _HAVE for state in states):
            return ""
        if self.config is None:
            missing = option.modules and all(s is ModuleState.MISSING for s in states)
            return f"no module {' or '.join(option.modules)}" if missing else None
        settings = [self.config.get(symbol) for symbol in option.symbols]
        if "y" in settings:
            return ""
        if "m" not in settings:
            return " or ".join(f"CONFIG_{symbol}" for symbol in option.symbols)
        # Configured as a module: the file may be in a package that is not installed.
        if states and all(state is ModuleState.MISSING for state in states):
            return f"the file of the module {' or '.join(option.modules)}"
        return ""

    def _state(self, name: str) -> ModuleState:
        return self.modules.state(name) if self.modules is not None else ModuleState.UNKNOWN


@check(
    "kernel-features",
    title="Does the kernel have what only some containers and networks need?",
    problems=("kernel-lacks-optional-features",),
    needs=(KERNEL,),
    uses=(KERNEL_CONFIG, MODULES, CGROUPS, CMDLINE, TARGET, DOCKER_VERSION, VOLUME),
    settles=False,  # that the kernel has all of it refutes nothing that a message says
)
def kernel_features(facts: Facts) -> Iterator[Outcome]:
    """All that is missing is told at once, as nothing of it matters to most hosts."""
    kernel = _kernel(facts)
    if kernel.config is None and kernel.modules is None:
        yield Unknown(f"{kernel.source}, and the modules are not known either")
        return
    lost: list[tuple[Feature, str]] = []
    quiet: list[str] = []
    unknown = 0
    for feature in FEATURES:
        if not _matters(facts, feature):
            continue
        gaps = [kernel.lacks(option) for option in feature.options]
        missing = [gap for gap in gaps if gap]
        unknown += not missing and None in gaps
        if missing and feature.quiet:
            quiet.append(feature.name)
        elif missing:
            lost.append((feature, ", ".join(dict.fromkeys(missing))))
    if _no_vsyscall(facts, kernel):
        quiet.append(_VSYSCALL)
    if lost:
        yield _finding(lost, kernel.source)
    elif unknown and kernel.config is None:
        yield Unknown(f"{kernel.source}; the modules alone do not answer for {unknown} features")
    else:
        yield Passed(f"all but {', '.join(quiet)}" if quiet else "everything")


def _kernel(facts: Facts) -> _Kernel:
    config = facts.get(KERNEL_CONFIG)
    known = config.value if isinstance(config, Known) else None
    source = config.source if isinstance(config, Known) else f"{config.source}: {config.reason}"
    return _Kernel(facts.value(KERNEL), known, facts.known(MODULES), source)


def _matters(facts: Facts, feature: Feature) -> bool:
    """Whether this host and the engine that it is to serve could use a feature at all."""
    target = facts.known(TARGET)
    if (target.engine if target else "docker") not in feature.profiles:
        return False
    cgroups = facts.known(CGROUPS)
    if feature.cgroups and (cgroups.version if cgroups else CgroupVersion.NONE) not in (
        feature.cgroups
    ):
        return False
    if feature.engine_since and (facts.known(DOCKER_VERSION) or ()) < feature.engine_since:
        return False
    if feature.filesystem:
        volume = facts.known(VOLUME)
        return volume is not None and volume.mount.fstype == feature.filesystem
    return True


def _no_vsyscall(facts: Facts, kernel: _Kernel) -> bool:
    arguments = facts.known(CMDLINE)
    asked = arguments.get("vsyscall") if arguments else None
    if asked is not None:
        return asked == "none"
    return kernel.config is not None and kernel.config.has("LEGACY_VSYSCALL_NONE")


def _finding(lost: list[tuple[Feature, str]], source: str) -> Finding:
    names = ", ".join(feature.name for feature, _ in lost[:_SHOWN])
    more = f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
    return Finding(
        problem="kernel-lacks-optional-features",
        severity=Severity.INFO,
        summary=f"this kernel cannot do: {names}{more}",
        evidence=tuple(
            Evidence(source, f"{feature.name}: missing {what}") for feature, what in lost
        ),
    )
