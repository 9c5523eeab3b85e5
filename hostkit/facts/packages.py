# SPDX-License-Identifier: GPL-3.0-or-later
"""Installed packages that containers rest on, with versions as rpm and dpkg order them."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any, Literal

from hostkit import text
from hostkit.facts.fact import Fact, Facts, parsed
from hostkit.facts.versions import dpkg_key, rpm_key
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.host.commands import RPM_QUERY
from hostkit.value import NamedTuple

Manager = Literal["rpm", "dpkg"]
NAMES = (
    "docker-ce",
    "docker-ce-cli",
    "docker-ce-selinux",
    "docker-engine",
    "docker-engine-selinux",
    "docker-selinux",
    "docker",
    "docker-client",
    "docker-common",
    "docker-latest",
    "docker-ee",
    "docker-io",
    "docker.io",
    "docker-buildx-plugin",
    "docker-compose-plugin",
    "docker-storage-setup",
    "container-storage-setup",
    "moby-engine",
    "lxc-docker",
    "containerd",
    "containerd.io",
    "runc",
    "crun",
    "podman",
    "podman-docker",
    "buildah",
    "skopeo",
    "containers-common",
    "netavark",
    "container-selinux",
    "selinux-policy-targeted",
    "apparmor",
    "device-mapper",
    "device-mapper-libs",
    "device-mapper-event-libs",
    "device-mapper-persistent-data",
    "libdevmapper1.02.1",
    "thin-provisioning-tools",
    "lvm2",
    "iptables",
    "iptables-nft",
    "iptables-legacy",
    "iptables-services",
    "nftables",
    "firewalld",
    "ufw",
    "ipset",
    "libseccomp",
    "libseccomp2",
    "kernel",
    "kernel-core",
    "kernel-modules-extra",
    "systemd",
    "xfsprogs",
    "fuse-overlayfs",
    "slirp4netns",
    "uidmap",
    "shadow-utils",
)
DPKG_STATUS = "/var/lib/dpkg/status"
DPKG_LIMIT = 32 << 20
RPM_FOLDERS = ("/usr/lib/sysimage/rpm", "/var/lib/rpm")


class PackageVersion(NamedTuple):
    """Epoch, version and release (dpkg: Debian revision); compare with `compare`."""

    epoch: int
    version: str
    release: str = ""

    def __str__(self) -> str:
        epoch = f"{self.epoch}:" if self.epoch else ""
        return f"{epoch}{self.version}-{self.release}" if self.release else epoch + self.version


class Package(NamedTuple):
    """One installed package."""

    name: str
    version: PackageVersion
    architecture: str
    manager: Manager

    def __str__(self) -> str:
        return f"{self.name}-{self.version}"

    def at_least(self, wanted: str) -> bool:
        """Whether it is this version or later, as its manager orders versions."""
        return compare(self.manager, self.version, parse_version(wanted)) >= 0


class Packages(NamedTuple):
    """Those of `NAMES` that are installed, and the manager that says so."""

    manager: Manager
    installed: tuple[Package, ...]

    def get(self, name: str) -> Package | None:
        """The latest installed package of that name (kernels may be there several times)."""
        found = [package for package in self.installed if package.name == name]
        latest: Package | None = None
        for package in found:
            if latest is None or compare(self.manager, latest.version, package.version) < 0:
                latest = package
        return latest

    def first(self, *names: str) -> Package | None:
        """The first of these names that is installed."""
        return next((found for found in map(self.get, names) if found is not None), None)


def parse_version(written: str) -> PackageVersion:
    """A version as `EPOCH:VERSION-RELEASE`; epoch and release may be missing.

    >>> parse_version("2:2.119.2-1.911c772.el7_8")
    PackageVersion(epoch=2, version='2.119.2', release='1.911c772.el7_8')
    """
    epoch, colon, rest = written.strip().partition(":")
    if not colon or not (epoch.isascii() and epoch.isdigit()):
        epoch, rest = "0", written.strip()
    version, _, release = rest.rpartition("-") if "-" in rest else (rest, "", "")
    return PackageVersion(int(epoch[:9]), version, release)


def compare(manager: Manager, left: PackageVersion, right: PackageVersion) -> int:
    """-1, 0 or 1. A side without a release matches any release, as in rpm's requirements.

    >>> compare("rpm", parse_version("2.9-1.el8"), parse_version("2.74"))
    -1
    >>> compare("dpkg", parse_version("1.0~rc1-1"), parse_version("1.0-1"))
    -1
    """
    order: Callable[[str], tuple[Any, ...]] = rpm_key if manager == "rpm" else dpkg_key
    one, two = (left.epoch, order(left.version)), (right.epoch, order(right.version))
    if one == two and left.release and right.release:
        one, two = (0, order(left.release)), (0, order(right.release))
    return (one > two) - (one < two)


@cache  # compiled where dpkg is, not wherever this module is imported
def _wanted_stanza() -> "re.Pattern[bytes]":
    return re.compile(b"\nPackage: (" + "|".join(map(re.escape, NAMES)).encode() + b")(?=\n)")


def parse_dpkg_status(content: bytes) -> Packages:
    r"""The wanted stanzas of dpkg's status file; it has thousands, so only these are parsed.

    >>> parse_dpkg_status(b"Package: runc\nStatus: install ok installed\n"
    ...     b"Architecture: amd64\nVersion: 1.1.5+ds1-1\n\n").get("runc").version.version
    '1.1.5+ds1'
    """
    found: list[Package] = []
    content = b"\n" + content
    for match in _wanted_stanza().finditer(content):
        end = content.find(b"\n\n", match.end())
        stanza = content[match.start() : end if end >= 0 else len(content)]
        package = _stanza(match[1].decode(), text.decode(stanza))
        if package is not None:
            found.append(package)
    return Packages("dpkg", tuple(found))


def _stanza(name: str, stanza: str) -> Package | None:
    fields: dict[str, str] = {}
    for line in stanza.splitlines():
        key, colon, value = line.partition(":")
        if colon and not key.startswith((" ", "\t")):
            fields[key] = value.strip()
    if not fields.get("Status", "").endswith(" installed") or "Version" not in fields:
        return None  # removed, its configuration files remain
    version = parse_version(fields["Version"])
    return Package(name, version, fields.get("Architecture", ""), "dpkg")


def parse_rpm_query(content: str) -> Packages:
    r"""Lines of `commands.RPM_QUERY`; those that say "is not installed" are no packages.

    >>> parse_rpm_query("runc\t0\t1.1.12\t1.el9\tx86_64\npackage podman is not installed\n"
    ...     ).get("runc").version
    PackageVersion(epoch=0, version='1.1.12', release='1.el9')
    """
    found: list[Package] = []
    for line in content.splitlines():
        fields = line.split("\t")
        if len(fields) != _RPM_FIELDS:
            continue
        name, epoch, version, release, architecture = fields
        if not (epoch.isascii() and epoch.isdigit()):
            raise ValueError(f"{name}: epoch {epoch}")
        version_ = PackageVersion(int(epoch[:9]), version, release)
        found.append(Package(name, version_, architecture, "rpm"))
    return Packages("rpm", tuple(found))


_RPM_FIELDS = 5


def _gather(facts: Facts) -> Answer[Packages]:
    """Ask dpkg where its status file lists dpkg itself: rpm may be there as a mere tool."""
    host = facts.host
    status = host.read(DPKG_STATUS, DPKG_LIMIT)
    if isinstance(status, Known) and b"Package: dpkg\n" in status.value:
        return parsed(status.value, DPKG_STATUS, parse_dpkg_status)
    if isinstance(status, Unreadable):
        return status
    if all(isinstance(host.stat(folder), Absent) for folder in RPM_FOLDERS):
        return Absent("/var/lib/rpm", "no package database of rpm or dpkg is there")
    answer = host.run(RPM_QUERY, *NAMES)
    if not isinstance(answer, Known):
        return answer
    complaint = next(
        (line for line in text.decode(answer.value.stderr).splitlines() if "error:" in line), ""
    )
    if complaint:  # a broken rpmdb says "is not installed" of everything
        return Unreadable("rpm -q", text.shorten(text.printable(complaint), 120))
    return parsed(text.decode(answer.value.stdout), "rpm -q", parse_rpm_query)


PACKAGES: Fact[Packages] = Fact("packages", _gather, waits=True)
