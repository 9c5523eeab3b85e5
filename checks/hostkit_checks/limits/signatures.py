# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages about memory that ran out, watches, open files, and clocks."""

from hostkit.diagnosis.finding import Certainty, Severity
from hostkit.diagnosis.signature import Signature

_OOM: tuple[Signature, ...] = (
    # Linux mm/oom_kill.c: a container at its own limit ...
    Signature(
        problem="oom-killed",
        anchors=("emory cgroup out of memory",),
        pattern=r"out of memory: Kill(?:ed)? process (?P<pid>\d+) \((?P<program>[^)]{1,16})\)",
        summary="the kernel killed {program}: its container was at its memory limit",
    ),
    # ... and the whole machine out of memory.
    Signature(
        problem="oom-killed",
        anchors=("Out of memory: Kill",),
        pattern=r"Out of memory: Kill(?:ed)? process (?P<pid>\d+) \((?P<program>[^)]{1,16})\)",
        summary="the kernel killed {program}: the whole host was out of memory",
    ),
    Signature(
        problem="oom-killed",
        anchors=("invoked oom-killer",),
        pattern=r"(?P<program>[^\s:\]]{1,64}) invoked oom-killer",
        summary="{program} asked for memory that was not there: the OOM killer ran",
    ),
    Signature(
        problem="oom-killed",
        anchors=("oom-kill:constraint=",),
        summary="the kernel's OOM killer ran",
    ),
    # runc 1.1 and later, when the container did not even start.
    Signature(
        problem="oom-killed",
        anchors=("OOM-killed",),
        pattern=r"was OOM-killed|possibly OOM-killed",
        summary="the container was killed for its memory while it started",
        reach=120,
    ),
    # docker inspect, kubectl describe.
    Signature(
        problem="oom-killed",
        anchors=("OOMKilled",),
        pattern=r"OOMKilled\"?\s?[:=]\s?true|Reason: OOMKilled|\bOOMKilled \d",
        summary="the container was killed for its memory",
        reach=80,
    ),
    # systemd 243 and later, of a service; the kubelet, of the node.
    *(
        Signature(
            problem="oom-killed",
            anchors=(anchor,),
            summary="a process was killed for memory that was not there",
        )
        for anchor in (
            "has been killed by the OOM killer",
            "Failed with result 'oom-kill'",
            "System OOM encountered, victim process",
            "killed as a result of limit of /",
            "topic=/tasks/oom",
        )
    ),
    # containerd's event, in dockerd's and containerd's log.
    Signature(
        problem="oom-killed",
        anchors=("TaskOOM event",),
        summary="containerd reported a container killed for its memory",
    ),
)

_INOTIFY: tuple[Signature, ...] = (
    # inotify_init(2): EMFILE. Printed by kubelet, Go's fsnotify, tail, systemd.
    Signature(
        problem="inotify-limit",
        anchors=("oo many open files", "inotify"),
        unless=("Unable to read manifest path",),
        summary="no more inotify instances for this user (not open files)",
        reach=200,
    ),
    # kubelet, which goes on without watching its folder of manifests.
    Signature(
        problem="inotify-limit",
        anchors=("Unable to read manifest path", "inotify", "oo many open files"),
        summary="kubelet found no inotify instance free",
        severity=Severity.WARNING,
        reach=300,
    ),
    Signature(
        problem="inotify-limit",
        anchors=("fsnotify", "oo many open files"),
        summary="no more inotify instances for this user (not open files)",
        reach=200,
    ),
    Signature(
        problem="inotify-limit",
        anchors=("Failed to allocate directory watch: Too many open files",),
        summary="systemd found no inotify instance free",
    ),
    # .NET
    Signature(
        problem="inotify-limit",
        anchors=("on the number of inotify instances has been reached",),
        pattern=r"user limit \((?P<limit>\d+)\)",
        summary="the limit of {limit} inotify instances is reached",
    ),
    # inotify_add_watch(2): ENOSPC, which is no full disk. Node.js, Go, inotify-tools.
    Signature(
        problem="inotify-limit",
        anchors=("o space left on device", "inotify"),
        summary="no more inotify watches for this user (the disk is not full)",
        reach=200,
    ),
    Signature(
        problem="inotify-limit",
        anchors=("fsnotify", "o space left on device"),
        summary="no more inotify watches for this user (the disk is not full)",
        reach=200,
    ),
    # tail of coreutils.
    Signature(
        problem="inotify-limit",
        anchors=("inotify resources exhausted",),
        summary="tail found no inotify instance or watch free",
        severity=Severity.WARNING,
    ),
    Signature(
        problem="inotify-limit",
        anchors=("number of file watchers reached",),
        summary="no more inotify watches for this user (the disk is not full)",
    ),
    Signature(
        problem="inotify-limit",
        anchors=("limit on inotify watches reached",),
        summary="no more inotify watches for this user",
    ),
    # systemd.
    Signature(
        problem="inotify-limit",
        anchors=("inotify watch limit reached",),
        summary="no more inotify watches for this user",
    ),
    Signature(
        problem="inotify-limit",
        anchors=("ENOSPC: no space left on device, watch",),
        summary="no more inotify watches for this user (the disk is not full)",
    ),
    Signature(
        problem="inotify-limit",
        anchors=("Error: watch ",),
        pattern=r"Error: watch \S+ ENOSPC",
        summary="no more inotify watches for this user (the disk is not full)",
    ),
)

_CLOCK: tuple[Signature, ...] = (
    # Go 1.15 and later (crypto/x509) tells the two times.
    Signature(
        problem="clock-skew",
        anchors=("certificate has expired or is not yet valid", "current time"),
        pattern=r"current time (?P<now>[\dT:Z+-]{10,25}) is before (?P<valid>[\dT:Z+-]{10,25})",
        summary="this host's clock says {now}, before a certificate became valid ({valid})",
        reach=300,
    ),
    # Go: the certificate may really have expired; the clock is the first thing to look at.
    Signature(
        problem="clock-skew",
        anchors=("x509: certificate has expired or is not yet valid",),
        summary="a certificate is out of its time: the clock of this host may be wrong",
        certainty=Certainty.POSSIBLE,
    ),
    # OpenSSL, curl, GnuTLS.
    Signature(
        problem="clock-skew",
        anchors=("certificate is not yet valid",),
        summary="a certificate is not valid yet: this host's clock is behind",
    ),
    Signature(
        problem="clock-skew",
        anchors=("certificate is not yet activated",),
        summary="a certificate is not valid yet: this host's clock is behind",
    ),
    # apt.
    Signature(
        problem="clock-skew",
        anchors=("is not valid yet", "invalid for another"),
        pattern=r"Release file for \S+ is not valid yet \(invalid for another (?P<time>[\w ]+)\)",
        summary="apt finds a repository from the future: the clock is {time} behind",
    ),
    # Amazon's and other object stores behind registries.
    Signature(
        problem="clock-skew",
        anchors=("RequestTimeTooSkewed",),
        summary="an object store refused a request for its time",
    ),
)

_FILES: tuple[Signature, ...] = (
    # EMFILE in dockerd's or containerd's own log (Go's accept, open, pipe).
    Signature(
        problem="open-files-limit",
        anchors=("too many open files",),
        pattern=r"(?:dockerd|docker\.sock|containerd|runc|OCI runtime|Error response from daemon)"
        r"[^;]{0,300}too many open files",
        unless=("inotify", "fsnotify", "watch"),
        summary="the engine has no more file descriptors",
        severity=Severity.ERROR,
        reach=350,
    ),
    # The kernel: all of the machine's (fs/file_table.c).
    Signature(
        problem="open-files-limit",
        anchors=("VFS: file-max limit",),
        pattern=r"file-max limit (?P<limit>\d+) reached",
        summary="the whole host has used up its {limit} open files",
    ),
)

_TASKS: tuple[Signature, ...] = (
    # Go's runtime, in any program: clone(2) gave EAGAIN.
    Signature(
        problem="task-limit-reached",
        anchors=("runtime: failed to create new OS thread",),
        pattern=r"failed to create new OS thread \(have \d+ already; errno=11\)",
        summary="a program written in Go could start no other thread",
    ),
    # dockerd, containerd and runc, starting a program.
    Signature(
        problem="task-limit-reached",
        anchors=("fork/exec ", "esource temporarily unavailable"),
        pattern=r"fork/exec /\S+: resource temporarily unavailable",
        summary="the engine could start no other process",
        reach=200,
    ),
    # bash and other shells.
    Signature(
        problem="task-limit-reached",
        anchors=("fork: retry: ",),
        pattern=r"fork: retry: (?:Resource temporarily unavailable|No child processes)",
        summary="a shell could start no other process",
    ),
    # The kernel, for a cgroup at its limit (--pids-limit, TasksMax).
    Signature(
        problem="task-limit-reached",
        anchors=("cgroup: fork rejected by pids controller in ",),
        pattern=r"pids controller in (?P<cgroup>/\S+)",
        summary="the kernel refused a process: {cgroup} is at its limit of tasks",
    ),
)

_KEYS: tuple[Signature, ...] = (
    # runc of all versions: "could not create", "create" (1.0), "unable to create" (1.1).
    Signature(
        problem="kernel-key-quota-low",
        anchors=("create session key: disk quota exceeded",),
        summary="the kernel gives a container no key ring: the quota of keys is used up",
    ),
    # crun.
    Signature(
        problem="kernel-key-quota-low",
        anchors=("create keyring", "isk quota exceeded"),
        summary="the kernel gives a container no key ring: the quota of keys is used up",
        reach=160,
    ),
)

_LEAK: tuple[Signature, ...] = (
    # runc and the kernel of EL 7 before 7.7, after thousands of containers.
    Signature(
        problem="kernel-memory-accounting-leak",
        anchors=("/sys/fs/cgroup/memory/", "annot allocate memory"),
        pattern=r"mkdir /sys/fs/cgroup/memory/[^\s:]+: cannot allocate memory",
        summary="the kernel makes no further memory cgroup, whatever memory is free",
        reach=300,
    ),
    Signature(
        problem="kernel-memory-accounting-leak",
        anchors=("SLUB: Unable to allocate memory on node -1",),
        summary="the kernel's slab caches of cgroups could not grow",
        certainty=Certainty.POSSIBLE,
    ),
)

SIGNATURES: tuple[Signature, ...] = (*_KEYS, *_LEAK, *_TASKS, *_OOM, *_INOTIFY, *_CLOCK, *_FILES)
