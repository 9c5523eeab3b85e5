# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of yum, dnf, rpm, zypper and apt about packages that exclude or miss another."""

from hostkit.diagnosis.finding import Certainty
from hostkit.diagnosis.signature import Signature
from hostkit_checks.packages.repository_messages import REPOSITORIES

_SELINUX = "container-selinux-missing-or-old"
_EXCLUDED = "containerd-io-excluded-el8"
_RUNC = "package-conflict-podman-runc"
_OLD = "package-conflict-old-docker-packages"
_WANTED = r"container-selinux(?: >= (?P<wanted>[\d:.]+(?:-[\w.]+)?))?"

_DEPENDENCIES: tuple[Signature, ...] = (
    # yum (EL 7). "Processing Dependency:" stands in good runs too and is no sign.
    Signature(
        problem=_SELINUX,
        anchors=("Requires: container-selinux",),
        pattern=f"Requires: {_WANTED}",
        summary="a package requires a container-selinux that yum does not find",
        reach=120,
    ),
    # dnf, zypper.
    Signature(
        problem=_SELINUX,
        anchors=("nothing provides",),
        pattern=f"nothing provides '?{_WANTED}",
        summary="no enabled repository provides the container-selinux that is required",
        reach=160,
    ),
    # dnf.
    Signature(
        problem=_SELINUX,
        anchors=("requires container-selinux",),
        pattern=f"requires {_WANTED}.{{0,20}}but none of the providers can be installed",
        summary="a package requires a container-selinux that dnf cannot install",
        reach=160,
    ),
    # The same repositories (extras, optional, EPEL) bring what else docker-ce requires.
    Signature(
        problem=_SELINUX,
        anchors=(" Requires: ",),
        pattern=r"Package: (?:\d+:)?(?:docker-ce|containerd\.io)\S* \(\S+\) Requires: "
        r"(?P<wanted>(?!container-selinux|docker|containerd)[\w.+-]+)",
        summary="{wanted}, which docker-ce requires, is in no repository that is enabled",
        certainty=Certainty.POSSIBLE,
        reach=200,
    ),
    Signature(
        problem=_SELINUX,
        anchors=("nothing provides",),
        pattern=r"nothing provides '?(?P<wanted>(?!container-selinux|docker|containerd)[\w.+-]+)'?"
        r"[^-]{0,30} needed by (?:the to be installed )?(?:docker-ce|containerd\.io)-",
        summary="{wanted}, which docker-ce requires, is in no repository that is enabled",
        certainty=Certainty.POSSIBLE,
        reach=200,
    ),
    # rpm -i.
    Signature(
        problem=_SELINUX,
        anchors=("is needed by",),
        pattern=f"{_WANTED} is needed by",
        summary="a package needs a container-selinux that is not installed",
        reach=120,
    ),
    # yum and dnf, asked for it by name.
    *(
        Signature(
            problem=_SELINUX,
            anchors=(anchor,),
            summary="no enabled repository has container-selinux",
            reach=80,
        )
        for anchor in (
            "No package container-selinux available",
            "No match for argument: container-selinux",
        )
    ),
    # semodule, when container-selinux is newer than the policy of the system.
    Signature(
        problem=_SELINUX,
        anchors=("Failed to resolve ", "/modules/"),
        pattern=r"Failed to resolve \w+ statement at /\S*/modules/\d+/(?:container|docker)/cil",
        summary="the policy module of container-selinux does not fit the system's policy",
        reach=200,
    ),
    # dnf on EL 8: the module container-tools hides it ("modular filtering").
    Signature(
        problem=_EXCLUDED,
        anchors=("package containerd.io-",),
        pattern=r"package (?P<package>containerd\.io-\S+) is (?:excluded|filtered out)",
        summary="dnf hides {package}, which docker-ce requires",
        reach=160,
    ),
    Signature(
        problem=_EXCLUDED,
        anchors=("filtered out by modular filtering for argument: containerd.io",),
        summary="dnf hides containerd.io, which docker-ce requires",
    ),
    Signature(
        problem=_EXCLUDED,
        anchors=("requires containerd.io >=",),
        pattern=r"requires containerd\.io >= \S+, but none of the providers can be installed",
        unless=("runc", "container-selinux", "libcgroup"),
        summary="docker-ce requires a containerd.io that dnf does not offer",
        certainty=Certainty.POSSIBLE,
    ),
)

_CONFLICTS: tuple[Signature, ...] = (
    # dnf, EL 8 and later: containerd.io brings its own runc.
    *(
        Signature(
            problem=_RUNC,
            anchors=(anchor,),
            pattern=r"containerd\.io|docker-ce",
            summary="containerd.io and the distribution's runc exclude each other",
        )
        for anchor in ("conflicts with runc", "obsoletes runc")
    ),
    # dnf, when it would have to remove what is there.
    *(
        Signature(
            problem=_RUNC,
            anchors=(f"problem with installed package {name}-",),
            pattern=r"containerd\.io|docker-ce|runc",
            summary=f"{name}, which is installed, does not go with containerd.io",
        )
        for name in ("podman", "buildah", "runc")
    ),
    # dnf: podman's command docker against Docker's.
    Signature(
        problem=_RUNC,
        anchors=("podman-docker",),
        pattern=r"podman-docker\S* (?:from \S+ )?conflicts with"
        r"|conflicts with .{0,60}podman-docker",
        summary="podman-docker and Docker's packages exclude each other",
        reach=160,
    ),
    # rpm's test transaction: both own the file.
    Signature(
        problem=_RUNC,
        anchors=("conflicts with file from package",),
        pattern=r"file (?P<file>/\S+) from install of \S+ conflicts with file from package "
        r"(?P<package>(?:podman|buildah|runc|containerd\.io)\S*)",
        summary="{file} belongs to {package} already",
        reach=240,
    ),
    # rpm's test transaction, of two packages that are both to be installed.
    Signature(
        problem=_RUNC,
        anchors=("conflicts between attempted installs of",),
        pattern=r"file (?P<file>/\S+) conflicts between attempted installs of "
        r"(?=.{0,120}(?:containerd\.io|docker-ce))(?=.{0,120}(?:runc-|podman|buildah))",
        summary="{file} is in two packages that are to be installed",
        reach=300,
    ),
    Signature(
        problem=_OLD,
        anchors=("conflicts with file from package",),
        pattern=r"file (?P<file>/\S+) from install of \S*docker\S* conflicts with file from "
        r"package (?P<package>docker\S*)",
        summary="{file} belongs to {package} already",
        reach=240,
    ),
    # yum and dnf: docker-ce against docker, docker-engine, docker-selinux and their kin.
    Signature(
        problem=_OLD,
        anchors=(" conflicts ",),
        pattern=r"(?P<one>docker-?(?:ce|engine|ee|io|common|client|selinux)?[\w.:-]*) conflicts "
        r"(?:with )?(?P<other>(?:\d+:)?(?:docker(?![\w/]*\.sock)|container-selinux)[\w.-]*)",
        unless=(".yml", ".yaml"),
        summary="{one} and {other} exclude each other",
        reach=160,
    ),
    # apt.
    Signature(
        problem=_OLD,
        anchors=("Conflicts: ",),
        pattern=r"(?P<one>docker-ce(?:-cli)?|docker\.io|containerd\.io|containerd|moby-engine) : "
        r"Conflicts: (?P<other>docker[\w.-]*|containerd[\w.]*|runc)",
        summary="{one} and {other} exclude each other",
        reach=160,
    ),
    # apt, when a package of the distribution or of another repository holds one back.
    Signature(
        problem=_OLD,
        anchors=("unmet dependencies",),
        pattern=r"(?P<one>docker-ce(?:-cli)?|containerd\.io) : (?:Depends|Breaks): "
        r"(?P<other>[\w.-]+)",
        summary="apt cannot install {other}, which {one} needs, beside what is installed",
        certainty=Certainty.POSSIBLE,
        reach=400,
    ),
    # dpkg.
    Signature(
        problem=_OLD,
        anchors=("which is also in package",),
        pattern=r"'(?P<file>/\S*(?:docker|containerd|runc)\S*)', which is also in package "
        r"(?P<package>\S+)",
        summary="{file} belongs to {package} already",
        reach=240,
    ),
)

SIGNATURES: tuple[Signature, ...] = (*_DEPENDENCIES, *_CONFLICTS, *REPOSITORIES)
