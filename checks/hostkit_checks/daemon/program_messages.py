# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages about programs of an engine that are missing, too new, or of another age."""

from hostkit.diagnosis.finding import Certainty
from hostkit.diagnosis.signature import Signature

_API = "api-version-too-old"
_MISSING = "runtime-binary-missing"
_NO_DOCKER = "docker-not-installed"
_NEWER = "program-built-for-newer-system"
_ENGINE = (
    r"(?:docker(?:d|-compose|-containerd|-runc|-proxy|-init|-buildx)?|containerd(?:-shim[\w-]*)?"
    r"|runc|crun|conmon|netavark|podman|buildah|skopeo|nerdctl|kubelet|kubeadm|kubectl)"
)

_VERSIONS: tuple[Signature, ...] = (
    # dockerd 1.12 and later; 29 raised the minimum to 1.44.
    Signature(
        problem=_API,
        anchors=("is too old. Minimum supported API version is",),
        pattern=r"client version (?P<client>[\d.]*\d) is too old\. Minimum supported API version "
        r"is (?P<minimum>[\d.]*\d)",
        summary="a client speaks API {client}, this daemon answers {minimum} and later",
        reach=160,
        says=(("older", "client"),),
    ),
    # dockerd 18.09 and later.
    Signature(
        problem=_API,
        anchors=("is too new. Maximum supported API version is",),
        pattern=r"client version (?P<client>[\d.]*\d) is too new\. Maximum supported API version "
        r"is (?P<maximum>[\d.]*\d)",
        summary="a client speaks API {client}, this daemon knows {maximum} at most",
        reach=160,
        says=(("older", "daemon"),),
    ),
    # dockerd 1.5 to 17.x.
    Signature(
        problem=_API,
        anchors=("client is newer than server",),
        summary="the client is newer than the daemon",
        says=(("older", "daemon"),),
    ),
    Signature(
        problem=_API,
        anchors=("client is too old, minimum supported API version is",),
        summary="the client is older than the daemon takes",
        says=(("older", "client"),),
    ),
    # docker to 1.5, of the two programs.
    Signature(
        problem=_API,
        anchors=("client and server don't have same version",),
        summary="the client and the daemon are of different versions",
    ),
)

_RUNTIMES: tuple[Signature, ...] = (
    # containerd 1.2 and later, by the name of a runtime.
    Signature(
        problem=_MISSING,
        anchors=("binary not installed",),
        pattern=r"runtime \W*[\w.]{1,60}\W* binary not installed \W*(?P<program>[\w.-]{1,60})",
        summary="containerd does not find {program}",
        reach=160,
    ),
    # Go's os/exec, in dockerd, containerd and their shims.
    Signature(
        problem=_MISSING,
        anchors=("executable file not found in $PATH",),
        pattern=r"exec: [\\\"']*(?P<program>(?:docker-)?(?:containerd(?:-shim[\w-]*)?|runc|proxy"
        r"|init)|crun|conmon)[\\\"']*: executable file not found",
        summary="the engine does not find its program {program}",
        reach=120,
    ),
    Signature(
        problem=_MISSING,
        anchors=("unable to retrieve OCI runtime error",),
        pattern=r"(?:fork/exec |exec: [\\\"']*)(?P<program>[\w./-]{1,100}?)[\\\"']*: "
        r"(?:no such file or directory|executable file not found)",
        summary="the runtime {program} is not there",
    ),
    # containerd of Docker 1.11 to 17.10.
    Signature(
        problem=_MISSING,
        anchors=(" not installed on system",),
        pattern=r"(?P<program>(?:docker-)?runc) not installed on system",
        summary="containerd does not find {program}",
        reach=80,
    ),
    # podman.
    Signature(
        problem=_MISSING,
        anchors=("could not find a working conmon binary",),
        summary="podman finds no conmon",
    ),
)

# glibc's dynamic linker.
_LINKER: tuple[Signature, ...] = (
    Signature(
        problem=_NEWER,
        anchors=("not found (required by ",),
        pattern=r"version [`'\"]?(?P<wanted>GLIBC(?:XX)?_[\d.]*\d)['\"]? not found "
        r"\(required by (?:\S*/)?(?P<program>" + _ENGINE + r")\)",
        summary="{program} was built for a newer system: {wanted} is not here",
        reach=240,
    ),
    # docker-compose 1, which unpacks its libraries below /tmp.
    Signature(
        problem=_NEWER,
        anchors=("not found (required by ",),
        pattern=r"docker-compose: \S+: version [`'\"]?(?P<wanted>GLIBC_[\d.]*\d)['\"]? not found",
        summary="docker-compose was built for a newer system: {wanted} is not here",
        reach=240,
    ),
)

_SHELLS: tuple[Signature, ...] = tuple(
    Signature(
        problem=_NO_DOCKER,
        anchors=(anchor,),
        pattern=pattern,
        summary="there is no command docker in PATH",
        certainty=Certainty.LIKELY,
        reach=120,
    )
    for anchor, pattern in (
        # bash, sudo; zsh; dash and busybox; env; Ubuntu's helper; WSL; Windows.
        ("docker: command not found", r"(?<![\w./-])docker: command not found"),
        ("command not found: docker", r"command not found: docker(?![\w.-])"),
        ("docker: not found", r"(?:\d|sh|ash): docker: not found"),
        ("env: docker: No such file or directory", ""),
        ("env: 'docker': No such file or directory", ""),
        ("Command 'docker' not found", ""),
        ("The command 'docker' could not be found in this WSL", ""),
        ("'docker' is not recognized as an internal or external command", ""),
        # Go, Java and Node.js programs that run it.
        ('exec: "docker": executable file not found', ""),
        ('Cannot run program "docker"', ""),
        ("spawn docker ENOENT", ""),
    )
)

PROGRAMS: tuple[Signature, ...] = (*_VERSIONS, *_RUNTIMES, *_LINKER, *_SHELLS)
