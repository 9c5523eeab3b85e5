# SPDX-License-Identifier: GPL-3.0-or-later
"""Which container engines are installed, and their versions; a client alone is none."""

import re

from hostkit import text
from hostkit.facts.fact import Fact, Facts, refuse
from hostkit.facts.packages import PACKAGES, Package
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.host.commands import (
    CONTAINERD_VERSION,
    DOCKERD_VERSION,
    PODMAN_VERSION,
    Command,
)
from hostkit.value import NamedTuple

# The daemon's package, newest name first. `docker` is an engine on RHEL 7, Fedora and
# SUSE, and a dock for desktop icons on Debian.
DOCKER_PACKAGES = ("docker-ce", "docker-ee", "moby-engine", "docker.io", "docker-engine")
DOCKER_RPM_PACKAGES = ("docker", "docker-io", "docker-latest")


class Engine(NamedTuple):
    """An installed engine; `source` is the package or the program that names its version."""

    name: str
    version: tuple[int, ...]
    version_text: str
    source: str


def parse_version_numbers(written: str) -> tuple[int, ...]:
    """The leading numbers of an engine's version.

    >>> parse_version_numbers("1.13.1-210.git7d71120.el7.centos")
    (1, 13, 1)
    >>> parse_version_numbers("20.10.24+dfsg1")
    (20, 10, 24)
    """
    match = re.match(r"v?(\d{1,6}(?:\.\d{1,6}){0,3})", written)
    return tuple(int(number) for number in match[1].split(".")) if match else ()


def parse_program_version(said: str) -> str:
    """The version in what `dockerd|containerd|podman --version` prints.

    >>> parse_program_version("Docker version 17.03.2-ce, build f5ec1e2")
    '17.03.2-ce'
    >>> parse_program_version("containerd github.com/containerd/containerd v1.6.33 d2d5")
    'v1.6.33'
    """
    match = re.search(r"(?<![\w/.])v?\d+\.\d+(?:\.\d+)?[\w.+~-]*", said)
    return match[0] if match else refuse("no version in it")


def _docker(facts: Facts) -> Answer[Engine]:
    packages = facts.get(PACKAGES)
    if isinstance(packages, Known):
        names: tuple[str, ...] = DOCKER_PACKAGES
        if packages.value.manager == "rpm":
            names += DOCKER_RPM_PACKAGES
        package = packages.value.first(*names)
        if package is not None:
            return Known(_from_package("docker", package), packages.source)
    return _ask(facts, "docker", DOCKERD_VERSION)


def _podman(facts: Facts) -> Answer[Engine]:
    return _packaged(facts, "podman", ("podman",), PODMAN_VERSION)


def _containerd(facts: Facts) -> Answer[Engine]:
    return _packaged(facts, "containerd", ("containerd.io", "containerd"), CONTAINERD_VERSION)


def _packaged(facts: Facts, name: str, names: tuple[str, ...], command: Command) -> Answer[Engine]:
    packages = facts.get(PACKAGES)
    package = packages.value.first(*names) if isinstance(packages, Known) else None
    if package is not None:
        return Known(_from_package(name, package), packages.source)
    return _ask(facts, name, command)


def _from_package(name: str, package: Package) -> Engine:
    written = package.version.version
    return Engine(name, parse_version_numbers(written), written, str(package))


def _ask(facts: Facts, name: str, command: Command) -> Answer[Engine]:
    """Ask the program itself: installed from an archive, a snap, or a database unread."""
    answer = facts.host.run(command)
    if isinstance(answer, Absent):
        return Absent(command.argv[0], f"{name} is not installed")
    if not isinstance(answer, Known):
        return answer
    try:
        written = parse_program_version(text.decode(answer.value.stdout))
    except ValueError as error:
        return Unreadable(answer.source, f"not understood: {error}")
    return Known(
        Engine(name, parse_version_numbers(written), written, answer.source), answer.source
    )


DOCKER: Fact[Engine] = Fact("docker", _docker, waits=True)
PODMAN: Fact[Engine] = Fact("podman", _podman, waits=True)
CONTAINERD: Fact[Engine] = Fact("containerd", _containerd, waits=True)
