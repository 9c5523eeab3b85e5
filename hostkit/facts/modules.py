# SPDX-License-Identifier: GPL-3.0-or-later
"""Which kernel modules are loaded, built in, or could be loaded. Nothing is ever loaded."""

from collections.abc import Mapping
from enum import StrEnum

from hostkit import text
from hostkit.facts.fact import Fact, Facts, refuse
from hostkit.facts.kernel import KERNEL
from hostkit.facts.kernelconfig import KERNEL_CONFIG, KernelConfig
from hostkit.facts.machine import MACHINE
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.host.base import Host
from hostkit.value import NamedTuple

PROC_MODULES = "/proc/modules"
# /lib is a link to /usr/lib on what is newer than EL 6; both are tried.
FOLDERS = ("/lib/modules", "/usr/lib/modules")
# Where no list of modules can answer, the configuration of the kernel can.
SYMBOLS: Mapping[str, str] = {
    "aufs": "AUFS_FS",
    "bridge": "BRIDGE",
    "br_netfilter": "BRIDGE_NETFILTER",
    "btrfs": "BTRFS_FS",
    "dm_mod": "BLK_DEV_DM",
    "dm_thin_pool": "DM_THIN_PROVISIONING",
    "ext4": "EXT4_FS",
    "ip6_tables": "IP6_NF_IPTABLES",
    "ip6table_nat": "IP6_NF_NAT",
    "ip_tables": "IP_NF_IPTABLES",
    "ip_vs": "IP_VS",
    "iptable_filter": "IP_NF_FILTER",
    "iptable_nat": "IP_NF_NAT",
    "ipt_MASQUERADE": "IP_NF_TARGET_MASQUERADE",
    "ipt_addrtype": "IP_NF_MATCH_ADDRTYPE",
    "ipvlan": "IPVLAN",
    "loop": "BLK_DEV_LOOP",
    "macvlan": "MACVLAN",
    "nf_conntrack": "NF_CONNTRACK",
    "nf_nat": "NF_NAT",
    "nf_tables": "NF_TABLES",
    "nft_compat": "NFT_COMPAT",
    "overlay": "OVERLAY_FS",
    "veth": "VETH",
    "vxlan": "VXLAN",
    "xfs": "XFS_FS",
    "xt_MASQUERADE": "NETFILTER_XT_TARGET_MASQUERADE",
    "xt_addrtype": "NETFILTER_XT_MATCH_ADDRTYPE",
    "xt_bpf": "NETFILTER_XT_MATCH_BPF",
    "xt_comment": "NETFILTER_XT_MATCH_COMMENT",
    "xt_conntrack": "NETFILTER_XT_MATCH_CONNTRACK",
    "xt_nat": "NETFILTER_XT_NAT",
}


# modprobe.d(5): a file hides those of the same name in later folders.
MODPROBE_FOLDERS = (
    "/etc/modprobe.d",
    "/run/modprobe.d",
    "/usr/local/lib/modprobe.d",
    "/usr/lib/modprobe.d",
    "/lib/modprobe.d",
)
_DOES_NOTHING = ("true", "false", ":")


class Blocked(NamedTuple):
    """A line `install MODULE /bin/true`: modprobe runs that and loads nothing.

    `blacklist` is another thing: it hides a module's aliases, not the module.
    """

    name: str
    file: str
    line: int
    words: str


def forbidden(blocked: Blocked | None) -> tuple[tuple[str, str], ...]:
    """For the remedy of a finding: the line of modprobe.d to be taken out, or that there is none.

    A module that modprobe.d forbids is on the disk, no new kernel is needed.
    """
    if blocked is None:
        return (("blocked", "no"),)
    return (("blocked", "yes"), ("file", blocked.file), ("line", str(blocked.line)))


class ModuleState(StrEnum):
    """How the running kernel can come by a module. UNKNOWN: no source could say."""

    LOADED = "loaded"
    BUILTIN = "built in"
    LOADABLE = "loadable"
    MISSING = "missing"
    UNKNOWN = "unknown"


class Modules(NamedTuple):
    """The modules of the running kernel; ask `state`.

    `loaded` is None when /proc/modules could not be read. `builtin` and `available` are
    the texts of modules.builtin and modules.dep with every dash an underscore, None when
    they are not to be had. `supported`: the kernel can load modules at all.
    `directory_missing`: it can, and its own folder is not there (a kernel package was
    replaced and the host not restarted, or modules were never installed); False inside a
    container, whose files are not the host's. `folder` is that folder, `installed` the
    releases of other kernels that have one. `blocked`: what modprobe is told not to load.
    """

    loaded: frozenset[str] | None
    builtin: bytes | None
    available: bytes | None
    supported: bool
    directory_missing: bool
    folder: str
    config: KernelConfig | None = None
    loading_disabled: bool = False
    installed: tuple[str, ...] = ()
    blocked: tuple[Blocked, ...] = ()

    def blocked_by(self, name: str) -> Blocked | None:
        """The line of modprobe.d that keeps a module from being loaded."""
        name = name.replace("-", "_")
        return next((one for one in self.blocked if one.name == name), None)

    def state(self, name: str) -> ModuleState:
        """Of one module; dashes and underscores in names are the same.

        >>> Modules(frozenset({"overlay"}), b"", b"", True, False, "").state("overlay")
        <ModuleState.LOADED: 'loaded'>
        """
        name = name.replace("-", "_")
        if self.loaded is not None and name in self.loaded:
            return ModuleState.LOADED
        if self.builtin is not None and _lists(self.builtin, name):
            return ModuleState.BUILTIN
        configured = self._configured(name)
        if configured == "y":
            return ModuleState.BUILTIN
        if self.available is not None and _lists(self.available, name):
            allowed = self.supported and self.blocked_by(name) is None
            return ModuleState.LOADABLE if allowed else ModuleState.MISSING
        if configured == "n":
            # A module of another source (a DKMS package) is in no configuration, but then
            # it is in modules.dep.
            known = self.available is not None or not self.supported or self.directory_missing
            return ModuleState.MISSING if known else ModuleState.UNKNOWN
        return self._without_config(configured)

    def _configured(self, name: str) -> str | None:
        """`y`, `m` or `n` by the kernel's configuration, None when that cannot say."""
        symbol = SYMBOLS.get(name)
        return self.config.get(symbol) if self.config is not None and symbol else None

    def _without_config(self, configured: str | None) -> ModuleState:
        if self.loaded is None and self.supported:
            return ModuleState.UNKNOWN
        if configured == "m" and self.directory_missing:
            return ModuleState.MISSING
        if self.available is not None and self.builtin is not None:
            return ModuleState.MISSING
        return ModuleState.UNKNOWN


def _lists(paths: bytes, name: str) -> bool:
    """Whether a list of module files names a module, compressed or not."""
    return b"/" + name.encode("utf-8", "replace") + b".ko" in paths


def parse_proc_modules(content: str) -> frozenset[str]:
    r"""The names in /proc/modules.

    >>> parse_proc_modules("overlay 77824 1 - Live 0x0000000000000000\n")
    frozenset({'overlay'})
    """
    names: list[str] = []
    for line in content.splitlines():
        words = line.split(None, 2)
        if len(words) < 3 or not words[1].isdigit():  # noqa: PLR2004 - name, size, the rest
            refuse(f"not a line of /proc/modules: {line[:60]!r}")
        names.append(words[0].replace("-", "_"))
    return frozenset(names)


def parse_modprobe(content: str, file: str) -> tuple[Blocked, ...]:
    r"""The modules that a file of modprobe.d keeps from being loaded.

    >>> parse_modprobe("# CIS\ninstall overlay /bin/true\ninstall x /sbin/modprobe -i x\n", "f")
    (Blocked(name='overlay', file='f', line=2, words='install overlay /bin/true'),)
    """
    found: list[Blocked] = []
    for number, line in enumerate(content.split("\n"), 1):
        words = line.split()
        if len(words) < 3 or words[0] != "install":  # noqa: PLR2004 - install, module, command
            continue
        if words[2].rpartition("/")[2] in _DOES_NOTHING:
            found.append(Blocked(words[1].replace("-", "_"), file, number, " ".join(words)))
    return tuple(found)


def _blocked(host: Host) -> tuple[Blocked, ...]:
    seen: set[str] = set()
    found: list[Blocked] = []
    for folder in MODPROBE_FOLDERS:
        names = host.listdir(folder)
        for name in names.value if isinstance(names, Known) else ():
            if name.endswith(".conf") and name not in seen:
                seen.add(name)
                answer = host.read(f"{folder}/{name}")
                if isinstance(answer, Known):
                    found += parse_modprobe(text.decode(answer.value), f"{folder}/{name}")
    return tuple(found)


def _underscored(answer: Answer[bytes]) -> bytes | None:
    return answer.value.replace(b"-", b"_") if isinstance(answer, Known) else None


def _gather(facts: Facts) -> Answer[Modules]:
    host = facts.host
    release = facts.value(KERNEL).text
    proc = host.read(PROC_MODULES)
    config = facts.known(KERNEL_CONFIG)
    supported = _supported(proc, config)
    loaded: frozenset[str] | None = None if supported else frozenset()
    if isinstance(proc, Known):
        try:
            loaded = parse_proc_modules(text.decode(proc.value))
        except ValueError as error:
            return Unreadable(PROC_MODULES, f"not understood: {error}")
    if "/" in release:
        return Unreadable(FOLDERS[0], "the kernel's release is no file name")
    folder = f"{FOLDERS[0]}/{release}"
    dep: Answer[bytes] = Absent(folder)
    for root in FOLDERS:
        dep = host.read(f"{root}/{release}/modules.dep")
        if not isinstance(dep, Absent):
            folder = f"{root}/{release}"
            break
    machine = facts.known(MACHINE)
    own_files = machine is not None and not machine.shares_kernel
    disabled = host.read("/proc/sys/kernel/modules_disabled")
    return Known(
        Modules(
            loaded=loaded,
            builtin=_underscored(host.read(f"{folder}/modules.builtin")),
            available=_underscored(dep),
            supported=supported,
            directory_missing=supported and own_files and _folder_gone(facts, release, dep),
            folder=folder,
            config=config,
            loading_disabled=isinstance(disabled, Known) and disabled.value.strip() == b"1",
            installed=_installed(facts, release),
            blocked=_blocked(host),
        ),
        PROC_MODULES if isinstance(proc, Known) else folder,
    )


def _supported(proc: Answer[bytes], config: KernelConfig | None) -> bool:
    """/proc/modules exists exactly in kernels that were built with CONFIG_MODULES."""
    if isinstance(proc, Known):
        return True
    if config is not None:
        return config.get("MODULES") == "y"
    return not isinstance(proc, Absent)


def _folder_gone(facts: Facts, release: str, dep: Answer[bytes]) -> bool:
    """No modules.dep, and no folder, or one that holds no kernel/ (a husk left by dnf)."""
    if not isinstance(dep, Absent):
        return False
    names = [facts.host.listdir(f"{root}/{release}") for root in FOLDERS]
    if any(isinstance(answer, Unreadable) for answer in names):
        return False
    return not any(isinstance(a, Known) and "kernel" in a.value for a in names)


def _installed(facts: Facts, release: str) -> tuple[str, ...]:
    names = facts.host.listdir(FOLDERS[0])
    if not isinstance(names, Known):
        return ()
    return tuple(name for name in names.value if name[:1].isdigit() and name != release)


MODULES: Fact[Modules] = Fact("modules", _gather, waits=False)
