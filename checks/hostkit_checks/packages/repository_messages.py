# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of yum, dnf, zypper and apt about repositories and their keys."""

from hostkit.diagnosis.finding import Certainty
from hostkit.diagnosis.signature import Signature

_EOL = "yum-mirrors-eol"
_NO_SOURCE = "docker-repository-missing"
_RELEASE = "yum-releasever-mismatch"
_SERVER = "package-repo-server-error"
_KEY = "rpm-gpg-key-missing"
# Releases of Debian and Ubuntu whose files lie in the archive only.
_GONE = (
    r"(?:wheezy|jessie|stretch|buster|quantal|raring|saucy|utopic|vivid|wily|yakkety|zesty|artful"
    r"|cosmic|disco|eoan|groovy|hirsute|impish|kinetic|lunar|mantic)"
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
    # yum, when no mirror of a repository of the distribution's own is left.
    Signature(
        problem=_EOL,
        anchors=("Cannot find a valid baseurl for repo: ",),
        pattern=r"baseurl for repo: (?:base|updates|extras|centosplus|os)\b",
        summary="yum finds no mirror of the distribution's own repositories",
        certainty=Certainty.POSSIBLE,
        reach=80,
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
        anchors=(" a Release file",),
        pattern=r"(?:debian\.org|ubuntu\.com)/\S+ (?P<release>" + _GONE + r")\S* Release'",
        summary="the repositories of {release} have been moved to the archive",
        reach=240,
    ),
    # apt, of a file of theirs.
    Signature(
        problem=_EOL,
        anchors=("404 Not Found",),
        pattern=r"(?:debian\.org|ubuntu\.com)(?:/\S*)?[/ ](?P<release>" + _GONE + r")\b"
        r".{0,120}?404 Not Found",
        summary="the repositories of {release} have been moved to the archive",
        reach=240,
    ),
    # yum and dnf: Docker's tree has folders for 7, 8, 9, not for what $releasever became.
    Signature(
        problem=_RELEASE,
        anchors=("download.docker.com/linux/",),
        pattern=r"download\.docker\.com/linux/(?:centos|rhel|fedora)/(?P<release>"
        r"\d+(?:Server|Workstation|Client|ComputeNode)|\d+\.\d[\w.]*|2|latest|\d{8}"
        r"|(?:\$|%24)releasever)/\S+.{0,160}?40[34]",
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
            problem=_NO_SOURCE,
            anchors=(anchor,),
            pattern=r"ackage '?(?P<package>docker-ce|docker-ce-cli|containerd\.io)\b",
            summary="apt knows no source of {package} for this release and architecture",
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
        pattern=r"(?P<url>https?://[^/\s]+)/(?!linux/\w+/\d+(?:Server|Workstation|Client))\S*: "
        r"\[Errno 14\] HTTPS? Error (?P<status>403|50\d)",
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
    # dnf, which does not say more when it is quiet.
    Signature(
        problem=_SERVER,
        anchors=("load metadata for repo '",),
        pattern=r"for repo '(?P<repository>docker[\w-]*)': Cannot download repomd\.xml: "
        r"(?:Cannot download repodata/repomd\.xml: )?All mirrors were tried",
        summary="the metadata of {repository} cannot be fetched",
        certainty=Certainty.POSSIBLE,
        reach=240,
    ),
    Signature(
        problem=_SERVER,
        anchors=("Failed to synchronize cache for repo 'docker",),
        summary="the metadata of Docker's repository cannot be fetched",
        certainty=Certainty.POSSIBLE,
    ),
    # yum-config-manager and curl (get.docker.com).
    Signature(
        problem=_SERVER,
        anchors=("Could not fetch/save url ",),
        pattern=r"fetch/save url (?P<url>https?://[^/\s]+)/.{0,300}?Error (?P<status>403|50\d)",
        summary="{url} answered {status}",
        reach=500,
    ),
    Signature(
        problem=_SERVER,
        anchors=("The requested URL returned error: ",),
        pattern=r"download\.docker\.com.{0,300}?returned error: (?P<status>403|50\d)"
        r"|returned error: (?:403|50\d).{0,200}?download\.docker\.com",
        summary="download.docker.com refused a request or failed",
    ),
    # yum and dnf: what was fetched is not what the index says.
    *(
        Signature(
            problem=_SERVER,
            anchors=(anchor,),
            summary="the repository's files do not match its index",
            certainty=Certainty.POSSIBLE,
        )
        for anchor in (
            "Metadata file does not match checksum",
            "Downloading successful, but checksum doesn't match",
            "repomd.xml does not match metalink",
            "Damaged repomd.xml file",
        )
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
    # yum, dnf and dnf5.
    *(
        Signature(
            problem=_KEY,
            anchors=(anchor,),
            summary="the key that was imported is not the one that the package is signed with",
        )
        for anchor in (
            "Import of the key didn't help, wrong key",
            "Import of key(s) didn't help, wrong key",
        )
    ),
    # yum and dnf, of a package without any signature; apt, of such a repository.
    Signature(
        problem=_KEY,
        anchors=("is not signed",),
        pattern=r"Package \S+\.rpm is not signed|repository '\S*(?:docker|kubernetes|podman)\S* "
        r"[^']{1,80}' is not signed",
        summary="a package or its repository is not signed, or with a key that is not here",
        reach=200,
    ),
    # dnf, with repo_gpgcheck.
    Signature(
        problem=_KEY,
        anchors=("GPG signature verification error",),
        summary="the index of a repository is not signed with a key that is here",
    ),
    # apt, of two entries for one repository.
    Signature(
        problem=_KEY,
        anchors=("Conflicting values set for option Signed-By regarding source",),
        summary="apt has two entries for one repository, with different keys",
        certainty=Certainty.POSSIBLE,
    ),
    # apt, of a key that has expired.
    Signature(
        problem=_KEY,
        anchors=("EXPKEYSIG ",),
        pattern=r"EXPKEYSIG (?P<key>[0-9A-F]{8,40})",
        summary="the repository's key {key} has expired here",
        reach=80,
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

REPOSITORIES: tuple[Signature, ...] = (*_REPOSITORIES, *_KEYS)
