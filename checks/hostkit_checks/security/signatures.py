# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of SELinux, AppArmor and seccomp."""

from hostkit.diagnosis.finding import Certainty, Severity
from hostkit.diagnosis.signature import Signature

# Types of container processes and files (container-selinux, svirt_lxc before 2017), and
# programs of the engines.
_OF_CONTAINERS = (
    r"container_|svirt_lxc|svirt_sandbox|spc_t|docker|containerd|runc|podman|conmon|crio"
    r"|/overlay2?/|unlabeled_t|xtables\.lock"
)

_SELINUX: tuple[Signature, ...] = (
    # The kernel's audit, in dmesg, the journal and audit.log (security/selinux/avc.c).
    Signature(
        problem="selinux-denial",
        anchors=("avc: denied {",),
        pattern=r"denied \{ (?P<permission>[a-z_ ]+) \} for (?=(?:(?! tclass=).){0,400}(?:"
        + _OF_CONTAINERS
        + r"))",
        unless=("permissive=1",),
        summary="SELinux denied {permission} to a container or its engine",
        reach=500,
    ),
    # setroubleshootd explains a denial.
    Signature(
        problem="selinux-denial",
        anchors=("SELinux is preventing ",),
        pattern=r"preventing (?=(?:(?!For complete|SELinux is).){0,400}?(?:"
        + _OF_CONTAINERS
        + r"))(?P<program>\S+?),? from ",
        summary="SELinux prevented an access of {program}",
    ),
    # The dynamic linker in a container whose files have a wrong label.
    *(
        Signature(
            problem="selinux-denial",
            anchors=("error while loading shared libraries: ", reason),
            summary="a program may not load its libraries, as with wrong labels",
            certainty=Certainty.POSSIBLE,
            reach=200,
        )
        for reason in (
            "cannot change memory protections",
            "cannot apply additional memory protection after relocation",
        )
    ),
    # ls -Z: an engine outside its folder, or installed by hand, has a wrong label.
    Signature(
        problem="selinux-denial",
        anchors=(":object_r:bin_t:",),
        pattern=r":bin_t:s0 \S*/(?P<program>dockerd(?:-current)?|docker-runc|docker-containerd)\b",
        summary="{program} has the label of an ordinary program",
        reach=200,
    ),
    # runc 1.0-rc8 and later on a policy that does not know what it asks for.
    Signature(
        problem="selinux-denial",
        anchors=("write /proc/self/attr/keycreate: permission denied",),
        summary="the SELinux policy forbids what this runc needs (keycreate)",
    ),
    # dockerd up to now: daemon/daemon_unix.go, by driver and kernel.
    Signature(
        problem="selinux-overlay-unsupported",
        anchors=("SELinux is not supported with the",),
        pattern=r"not supported with the (?P<driver>\w+) graph ?driver",
        summary="dockerd refuses SELinux with the storage driver {driver} on this kernel",
    ),
)

_APPARMOR: tuple[Signature, ...] = (
    # dockerd 1.13 and later (profiles/apparmor), docker-default before.
    Signature(
        problem="apparmor-parser-missing",
        anchors=("apparmor_parser", "executable file not found"),
        summary="dockerd does not find apparmor_parser to load its profile",
        reach=200,
    ),
    Signature(
        problem="apparmor-parser-missing",
        anchors=("apparmor_parser", "no such file or directory"),
        pattern=r"(?:exec|stat)[^,;]{0,40}apparmor_parser[\\\"']*: no such file",
        summary="dockerd does not find apparmor_parser to load its profile",
        reach=200,
    ),
    # check-config.sh of moby.
    Signature(
        problem="apparmor-parser-missing",
        anchors=("apparmor: enabled, but apparmor_parser missing",),
        summary="AppArmor is on and apparmor_parser is missing",
    ),
)

_SECCOMP: tuple[Signature, ...] = (
    # runc (libcontainer/seccomp) when libseccomp does not know a system call of the profile.
    Signature(
        problem="seccomp-too-old",
        anchors=("error adding seccomp",),
        pattern=r"error adding seccomp (?:filter )?rule for syscall (?P<syscall>\w+)",
        summary="libseccomp or runc is too old for the profile's rule for {syscall}",
    ),
    # containerd, of a runc that could not even say why: mostly it misses a symbol.
    Signature(
        problem="seccomp-too-old",
        anchors=("did not terminate suc",),
        pattern=r"runc did not terminate succ?essfully",
        summary="runc ends at once, as one does that misses a newer libseccomp",
        certainty=Certainty.POSSIBLE,
        reach=80,
    ),
    # runc built against a newer libseccomp than is installed.
    Signature(
        problem="seccomp-too-old",
        anchors=("undefined symbol: seccomp_",),
        pattern=r"undefined symbol: (?P<symbol>seccomp_\w+)",
        summary="the installed libseccomp lacks {symbol}",
        reach=80,
    ),
    # libseccomp-golang, built against or running with an old library.
    Signature(
        problem="seccomp-too-old",
        anchors=("requires libseccomp version",),
        pattern=r"(?i)requires libseccomp version >=? ?(?P<version>[\d.]+)",
        summary="libseccomp {version} or later is needed",
    ),
    # dockerd, 1.10 and later, when it looked at the kernel.
    Signature(
        problem="seccomp-missing",
        anchors=("seccomp is not enabled in your kernel",),
        summary="dockerd found no seccomp in the kernel",
        severity=Severity.WARNING,
    ),
    # dockerd compiled without seccomp.
    Signature(
        problem="seccomp-missing",
        anchors=("seccomp profiles are not supported on this daemon",),
        summary="dockerd was built without seccomp, or the kernel has none",
    ),
    # runc compiled without seccomp, or a kernel without it.
    Signature(
        problem="seccomp-too-old",
        anchors=("config provided but seccomp not supported",),
        summary="runc was built without seccomp and the container asks for it",
    ),
    # glibc 2.34 in an image calls clone3; old profiles answer EPERM instead of ENOSYS.
    Signature(
        problem="seccomp-too-old",
        anchors=("pthread_create", "Operation not permitted"),
        pattern=r"pthread_create(?: failed)?[^.]{0,80}Operation not permitted",
        summary="a new image's threads are refused by an old seccomp profile (clone3)",
        certainty=Certainty.POSSIBLE,
        reach=200,
    ),
    # The same, as a Java machine words it.
    Signature(
        problem="seccomp-too-old",
        anchors=("pthread_create failed (EPERM)",),
        summary="a new image's threads are refused by an old seccomp profile (clone3)",
        certainty=Certainty.POSSIBLE,
    ),
    # Alpine 3.14 images: faccessat2 is refused the same way.
    Signature(
        problem="seccomp-too-old",
        anchors=("Operation not permitted", "make"),
        pattern=r"make(?:\[\d+\])?: (?:/(?:usr/)?bin/\w+|[a-z]{2,10}): Operation not permitted",
        reach=80,
        summary="an image's shell is refused by an old seccomp profile (faccessat2)",
        severity=Severity.ERROR,
        certainty=Certainty.POSSIBLE,
    ),
)

# Programs of new images whose calls (clone3, faccessat2, time with 64 bits) an old engine
# refuses, in words of their own.
_REFUSED: tuple[Signature, ...] = tuple(
    Signature(
        problem="seccomp-too-old",
        anchors=(anchor,),
        pattern=pattern,
        summary=f"a new image's {who} is refused a system call by an old seccomp profile",
        certainty=Certainty.POSSIBLE,
        reach=200,
    )
    for anchor, pattern, who in (
        ("uv_thread_create(", r"WorkerThreadsTaskRunner", "node"),
        ("Error creating thread: Operation not permitted", "", "program"),
        ("getaddrinfo() thread failed to start", "", "curl"),
        ("APT::Update::Post-Invoke 'rm -f /var/cache/apt/archives", "", "apt"),
        ("Fatal Python error: ", r"can't initialize time", "python"),
        ("RuntimeError: can't start new thread", "", "python"),
        ("failed to create thread: Operation not permitted", "", "program"),
        (
            "At least one invalid signature was encountered",
            r"(?:debian|ubuntu)\S*/? \w+(?:-\w+)? InRelease",
            "apt",
        ),
    )
)

SIGNATURES: tuple[Signature, ...] = (*_REFUSED, *_SELINUX, *_APPARMOR, *_SECCOMP)
