# SPDX-License-Identifier: GPL-3.0-or-later
"""What else decides about a container's system calls: SELinux, AppArmor, seccomp."""

from enum import StrEnum

from hostkit import text
from hostkit.facts.fact import Fact, Facts, refuse
from hostkit.facts.kernel import KERNEL
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.value import NamedTuple

SELINUX_CONFIG = "/etc/selinux/config"
APPARMOR_ENABLED = "/sys/module/apparmor/parameters/enabled"
APPARMOR_PROFILES = "/sys/kernel/security/apparmor/profiles"
PARSER = "apparmor_parser"
PARSER_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_KALLSYMS_LIMIT = 32 << 20  # 6 MB on CentOS 7
_ENFORCE = ("/sys/fs/selinux/enforce", "/selinux/enforce")  # the second up to EL6


class Mode(StrEnum):
    """What SELinux does with a denial."""

    ENFORCING = "enforcing"
    PERMISSIVE = "permissive"
    DISABLED = "disabled"


class SELinux(NamedTuple):
    """The mode now, the mode and policy that /etc/selinux/config asks for (None: not said)."""

    mode: Mode
    configured: Mode | None = None
    policy: str = ""


class AppArmor(NamedTuple):
    """Whether the kernel enforces it, profiles loaded (None: root only), the loader's path."""

    enabled: bool
    profiles: int | None = None
    parser: str = ""


class Seccomp(NamedTuple):
    """Whether the kernel has it; the actions it offers, () before Linux 4.14."""

    supported: bool
    actions: tuple[str, ...] = ()


class SELinuxConfig(NamedTuple):
    """What /etc/selinux/config asks for."""

    mode: Mode | None
    policy: str


def parse_selinux_config(content: str) -> SELinuxConfig:
    r"""Parse /etc/selinux/config.

    >>> parse_selinux_config("# x\nSELINUX=permissive\nSELINUXTYPE=targeted \n")
    SELinuxConfig(mode=<Mode.PERMISSIVE: 'permissive'>, policy='targeted')
    """
    values: dict[str, str] = {}
    for line in content.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            values[name.strip()] = value.strip()
    written = values.get("SELINUX", "").lower()
    mode = Mode(written) if written in frozenset(Mode) else None
    return SELinuxConfig(mode, values.get("SELINUXTYPE", ""))


def parse_enforce(content: str) -> Mode:
    r"""Parse the file `enforce` of selinuxfs.

    >>> parse_enforce("1").value, parse_enforce("0\n").value
    ('enforcing', 'permissive')
    """
    word = content.strip()
    if word not in ("0", "1"):
        refuse(f"neither 0 nor 1: {text.shorten(word, 40)}")
    return Mode.ENFORCING if word == "1" else Mode.PERMISSIVE


def _gather_selinux(facts: Facts) -> Answer[SELinux]:
    mode = _selinux_mode(facts)
    if not isinstance(mode, Known):
        return mode
    said = facts.host.read(SELINUX_CONFIG)
    config = (
        parse_selinux_config(text.decode(said.value))
        if isinstance(said, Known)
        else SELinuxConfig(None, "")
    )
    return Known(SELinux(mode.value, config.mode, config.policy), mode.source)


def _selinux_mode(facts: Facts) -> Answer[Mode]:
    for path in _ENFORCE:
        answer = facts.host.read(path, 64)
        if isinstance(answer, Known):
            try:
                return Known(parse_enforce(text.decode(answer.value)), path)
            except ValueError as error:
                return Unreadable(path, str(error))
        if isinstance(answer, Unreadable):
            return answer
    # The kernel lists selinuxfs only when SELinux was not switched off at boot; it may
    # be on and not mounted where we are.
    listed = facts.host.read("/proc/filesystems")
    if not isinstance(listed, Known):
        return Unreadable(listed.source, listed.reason)
    if "selinuxfs" in text.decode(listed.value).split():
        return Unreadable(_ENFORCE[0], "selinuxfs is not mounted here")
    return Known(Mode.DISABLED, "/proc/filesystems")


def _gather_apparmor(facts: Facts) -> Answer[AppArmor]:
    answer = facts.host.read(APPARMOR_ENABLED, 64)
    if isinstance(answer, Unreadable):
        return answer
    if isinstance(answer, Absent):
        return Known(AppArmor(enabled=False), APPARMOR_ENABLED)
    listed = facts.host.read(APPARMOR_PROFILES)
    profiles = len(listed.value.splitlines()) if isinstance(listed, Known) else None
    enabled = text.decode(answer.value).strip() == "Y"
    parser = _parser(facts) if enabled else Known("", "")
    if not isinstance(parser, Known):
        return parser
    return Known(AppArmor(enabled, profiles, parser.value), APPARMOR_ENABLED)


def _parser(facts: Facts) -> Answer[str]:
    """Where the profile loader is, "" for nowhere; dockerd looks for it on its PATH."""
    for folder in PARSER_FOLDERS:
        path = f"{folder}/{PARSER}"
        answer = facts.host.stat(path)
        if isinstance(answer, Known):
            return Known(path, path)
        if isinstance(answer, Unreadable):
            return answer
    return Known("", PARSER)


def _gather_seccomp(facts: Facts) -> Answer[Seccomp]:
    status = facts.host.read("/proc/self/status")
    if not isinstance(status, Known):
        return status
    lines = text.decode(status.value).splitlines()
    # The line came with Linux 3.8; CentOS 7 has it.
    supported = any(line.startswith("Seccomp:") for line in lines)
    actions = facts.host.read("/proc/sys/kernel/seccomp/actions_avail")
    names = tuple(text.decode(actions.value).split()) if isinstance(actions, Known) else ()
    return Known(Seccomp(supported, names), "/proc/self/status")


def _gather_overlay_labels(facts: Facts) -> Answer[bool]:
    """As dockerd judges it: by the hook that copies a label up, in Linux 4.9 and EL 7.4."""
    kernel = facts.get(KERNEL)
    if isinstance(kernel, Known) and kernel.value.at_least("4.9"):
        return Known(True, kernel.source)
    symbols = facts.host.read("/proc/kallsyms", _KALLSYMS_LIMIT)
    if not isinstance(symbols, Known):
        return symbols
    return Known(b" security_inode_copy_up\n" in symbols.value, symbols.source)


SELINUX: Fact[SELinux] = Fact("SELinux", _gather_selinux, waits=False)
APPARMOR: Fact[AppArmor] = Fact("AppArmor", _gather_apparmor, waits=False)
SECCOMP: Fact[Seccomp] = Fact("seccomp", _gather_seccomp, waits=False)
OVERLAY_LABELS: Fact[bool] = Fact("SELinux labels on overlay", _gather_overlay_labels, waits=False)
