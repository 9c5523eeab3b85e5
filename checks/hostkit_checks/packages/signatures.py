# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of yum, dnf, rpm, zypper and apt about the engines' packages."""

from hostkit.diagnosis.finding import Certainty
from hostkit.diagnosis.signature import Signature

_SELINUX = "container-selinux-missing-or-old"
_EXCLUDED = "containerd-io-excluded-el8"
_RUNC = "package-conflict-podman-runc"
_OLD = "package-conflict-old-docker-packages"
_EOL = "yum-mirrors-eol"
_RELEASE = "yum-releasever-mismatch"
_SERVER = "package-repo-server-error"
_KEY = "rpm-gpg-key-missing"
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
    # rpm -i.
    Signature(
        problem=_SELINUX,
        anchors=("is needed by",),
        pattern=f"{_WANTED} is needed by",
        summary="a package needs a container-selinux that is not installed",
        reach=120,
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
    # rpm's test transaction: both own the file.
    Signature(
        problem=_RUNC,
        anchors=("conflicts with file from package",),
        pattern=r"file (?P<file>/\S+) from install of \S+ conflicts with file from package "
        r"(?P<package>(?:podman|buildah|runc|containerd\.io)\S*)",
        summary="{file} belongs to {package} already",
        reach=240,
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
        pattern=r"(?P<one>docker-ce|docker\.io|containerd\.io|containerd|moby-engine) : "
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

_REPOSITORIES: tuple[Signature, ...] = (
    # yum on CentOS 6 and 7.
    Signature(
        problem=_EOL,
        anchors=("mirrorlist.centos.org",),
        pattern=r"Could not retrieve mirrorlist http\S*mirrorlist\.centos\.org"
        r"|resolve host:? '?mirrorlist\.centos\.org"
        r"|mirrorlist\.centos\.org\S* error was|[Ee]rror[^.]{0,60}mirrorlist\.centos\.org",
        summary="yum asks mirrorlist.centos.org, which is gone",
        reach=240,
    ),
    Signature(
        problem=_EOL,
        anchors=("All mirror URLs are not using ftp, http[s] or file",),
        summary="the mirror list of this CentOS release is empty",
    ),
    # dnf on CentOS 8.
    Signature(
        problem=_EOL,
        anchors=("Cannot prepare internal mirrorlist",),
        pattern=r"No URLs in mirrorlist|mirrorlist\.centos\.org",
        summary="the mirror list of this CentOS release is empty",
    ),
    # yum: the release was moved from mirror.centos.org to vault.centos.org.
    Signature(
        problem=_EOL,
        anchors=("mirror.centos.org/",),
        pattern=r"mirror\.centos\.org/\S{1,160}.{0,80}?(?:404|resolve host)",
        summary="this CentOS release is no longer on mirror.centos.org",
        reach=240,
    ),
    # apt on releases that were moved to archive.debian.org or old-releases.ubuntu.com.
    Signature(
        problem=_EOL,
        anchors=("does not have a Release file",),
        pattern=r"(?:debian\.org|ubuntu\.com)/\S+ (?P<release>wheezy|jessie|stretch|buster|artful"
        r"|cosmic|disco|eoan|groovy|hirsute|impish|kinetic|lunar|mantic)\S* Release'",
        summary="the repositories of {release} have been moved to the archive",
        reach=240,
    ),
    # yum and dnf: Docker's tree has folders for 7, 8, 9, not for what $releasever became.
    Signature(
        problem=_RELEASE,
        anchors=("download.docker.com/linux/",),
        pattern=r"download\.docker\.com/linux/(?:centos|rhel|fedora)/(?P<release>"
        r"\d+(?:Server|Workstation|Client|ComputeNode)|\d+\.\d[\w.]*|2|latest|\d{8}"
        r"|(?:\$|%24)releasever)/\S+.{0,160}?404",
        summary="$releasever became {release}, for which Docker has no repository",
        reach=400,
    ),
    # dnf: the status before the URL.
    Signature(
        problem=_RELEASE,
        anchors=("Status code: 404 for https://download.docker.com/linux/",),
        pattern=r"download\.docker\.com/linux/(?:centos|rhel|fedora)/(?P<release>[^/\s]+)/",
        summary="Docker has no repository for the release {release}",
        reach=240,
    ),
    # apt: the same on derivatives with code names of their own.
    Signature(
        problem=_RELEASE,
        anchors=("does not have a Release file",),
        pattern=r"download\.docker\.com/linux/\w+ (?P<release>\S+) Release'",
        summary="Docker has no apt repository for {release}",
        reach=240,
    ),
    # apt, in the line of the file that is not there.
    Signature(
        problem=_RELEASE,
        anchors=("download.docker.com/linux/",),
        pattern=r"download\.docker\.com/linux/(?:ubuntu|debian|raspbian) (?P<release>[\w.-]+)"
        r"(?:/\w+)?(?: \w+)? Release .{0,20}404",
        summary="Docker has no apt repository for {release}",
        reach=240,
    ),
    # apt: no source offers the package for this release and architecture.
    *(
        Signature(
            problem=_RELEASE,
            anchors=(anchor,),
            pattern=r"ackage '?(?P<package>docker-ce|docker-ce-cli|containerd\.io)\b",
            summary="apt knows no source of {package} for this release and architecture",
            certainty=Certainty.POSSIBLE,
            reach=80,
        )
        for anchor in ("has no installation candidate", "Unable to locate package")
    ),
    # yum and dnf. The Docker repositories of before 2017 were closed in 2020.
    Signature(
        problem=_SERVER,
        anchors=("dockerproject.org/",),
        pattern=r"(?:yum|apt)\.dockerproject\.org/\S{1,160}.{0,80}?(?:40[34]|[Ee]rror|[Ff]ailed)",
        summary="dockerproject.org, Docker's repository of before 2017, is closed",
        reach=300,
    ),
    Signature(
        problem=_SERVER,
        anchors=("[Errno 14] HTTP",),
        pattern=r"(?P<url>https?://[^/\s]+)/\S*: \[Errno 14\] HTTPS? Error "
        r"(?P<status>403|50\d)",
        summary="{url} answered {status}",
        reach=400,
    ),
    Signature(
        problem=_SERVER,
        anchors=("Status code: ",),
        pattern=r"Status code: (?P<status>403|50\d) for (?P<url>https?://[^/\s]+)/",
        summary="{url} answered {status}",
        reach=240,
    ),
    # apt: a mirror in the middle of its update.
    *(
        Signature(
            problem=_SERVER,
            anchors=(anchor,),
            summary="the mirror's files do not match its index",
            certainty=Certainty.POSSIBLE,
        )
        for anchor in ("Mirror sync in progress?", "Hash Sum mismatch")
    ),
    # apt.
    Signature(
        problem=_SERVER,
        anchors=("[IP: ",),
        pattern=r"(?P<url>https?://[^/\s]+)/?\S*(?: \S+){0,4} (?P<status>403 Forbidden"
        r"|50\d \w+(?: \w+)?) \[IP: ",
        summary="{url} answered {status}",
        reach=240,
    ),
)

_KEYS: tuple[Signature, ...] = (
    # yum and dnf. The same words, followed by an import, stand in good runs.
    Signature(
        problem=_KEY,
        anchors=("Public key for",),
        pattern=r"Public key for (?P<package>\S+) is not installed",
        unless=("Importing GPG key", "Key imported successfully", "Retrieving key from"),
        summary="the key that {package} is signed with is not installed",
    ),
    Signature(
        problem=_KEY,
        anchors=("GPG keys listed for the",),
        pattern=r"GPG keys listed for the \"?(?P<repository>[^\"]+?)\"? repository are already "
        r"installed but they are not correct",
        summary="the installed key is not the one that {repository} signs with",
    ),
    Signature(
        problem=_KEY,
        anchors=("GPG key retrieval failed",),
        summary="the repository's signing key could not be fetched",
    ),
    Signature(
        problem=_KEY,
        anchors=("GPG check FAILED",),
        summary="a package's signature could not be verified",
    ),
    # yum and dnf, with gpgcheck and no key at all.
    Signature(
        problem=_KEY,
        anchors=("you do not have any GPG public keys installed",),
        summary="packages are to be verified and no key is installed",
    ),
    # apt.
    Signature(
        problem=_KEY,
        anchors=("NO_PUBKEY",),
        pattern=r"NO_PUBKEY (?P<key>[0-9A-F]{8,40})",
        summary="the repository's key {key} is not installed",
        reach=160,
    ),
)

SIGNATURES: tuple[Signature, ...] = (*_DEPENDENCIES, *_CONFLICTS, *_REPOSITORIES, *_KEYS)
