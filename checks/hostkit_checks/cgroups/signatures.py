# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages about control groups: not mounted, switched off, of a version not understood."""

from hostkit.diagnosis.finding import Certainty, Severity
from hostkit.diagnosis.signature import Signature
from hostkit_checks.cgroups.rootless_messages import ROOTLESS

SIGNATURES: tuple[Signature, ...] = (
    # dockerd up to 19.03 ends with this: no v1 devices controller. That is also what they
    # say on a host that has cgroup v2 only; the host's facts tell which it is.
    Signature(
        problem="cgroup-v1-controllers-not-mounted",
        anchors=("evices cgroup isn't mounted",),
        summary="dockerd found no devices cgroup",
        unless=("cgroup2fs",),
    ),
    # The same beside `stat -f` of the mount point.
    Signature(
        problem="cgroup-v2-unsupported",
        anchors=("evices cgroup isn't mounted", "cgroup2fs"),
        summary="an old dockerd found no devices cgroup: this host has cgroup v2 only",
    ),
    Signature(
        problem="cgroup-v2-unsupported",
        anchors=("failed to start daemon: Devices cgroup isn't mounted",),
        summary="an old dockerd found no devices cgroup: so it is on hosts with cgroup v2 only",
        certainty=Certainty.POSSIBLE,
    ),
    Signature(
        problem="cgroup-v1-controllers-not-mounted",
        anchors=("cgroups: cgroup mountpoint does not exist",),
        summary="containerd found no cgroup mount for a controller",
        certainty=Certainty.POSSIBLE,
    ),
    # containerd's cgroups library before 1.0: not one v1 mount, as on Debian 11 and Fedora 31.
    Signature(
        problem="cgroup-v2-unsupported",
        anchors=("cgroups: cgroup mountpoint does not exist",),
        summary="an old containerd found no cgroup mount: so it is on hosts with cgroup v2 only",
        unless=("failed to create task for container",),  # dockerd 23 and later, which knows v2
    ),
    *(
        Signature(
            problem="cgroup-systemd-hierarchy-missing",
            anchors=(anchor + "cgroups: cgroup mountpoint does not exist",),
            summary="containerd found no hierarchy name=systemd for the container",
            certainty=certainty,
        )
        for anchor, certainty in (
            ("failed to create task for container: ", Certainty.LIKELY),
            ("", Certainty.POSSIBLE),
        )
    ),
    # docker to 1.8.
    Signature(
        problem="cgroup-v1-controllers-not-mounted",
        anchors=("Error mounting devices cgroup: mountpoint not found",),
        summary="dockerd found no devices cgroup",
    ),
    Signature(
        problem="cgroup-v1-controllers-not-mounted",
        anchors=("no cgroup mount found in mountinfo",),
        summary="runc found no cgroup mounted",
    ),
    Signature(
        problem="cgroup-v1-controllers-not-mounted",
        anchors=("mountpoint for ", "not found"),
        summary="the cgroup controller {controller} is not mounted",
        pattern=r"mountpoint for (?P<controller>devices|cgroup|cpuset|cpu|cpuacct|memory|freezer)"
        r" not found",
        reach=80,
    ),
    Signature(
        problem="cgroup-v1-controllers-not-mounted",
        anchors=("cgroup hierarchy: nonexistent",),
        summary="check-config found no cgroup hierarchy mounted",
        certainty=Certainty.POSSIBLE,
    ),
    Signature(
        problem="cgroup-v1-controllers-not-mounted",
        anchors=("cgroup hierarchy: single mountpoint!",),
        summary="check-config found all controllers on one mount point",
    ),
    # kubelet and kubeadm, of all controllers but memory, which may be switched off.
    Signature(
        problem="cgroup-v1-controllers-not-mounted",
        anchors=("ollowing Cgroup subsystem not mounted",),
        summary="kubelet found the cgroup controllers {controllers} not mounted",
        pattern=r"not mounted: \[(?P<controllers>(?!memory\])[a-z_ ]+)\]",
    ),
    # containerd's cgroups library, two wordings of it; hosts without systemd, WSL 2.
    Signature(
        problem="cgroup-systemd-hierarchy-missing",
        anchors=("cgroup mount destination: unknown",),
        summary="containerd found no hierarchy name=systemd for the container",
        pattern=r"cannot f(?:i|ou)nd cgroup mount destination",
    ),
    Signature(
        problem="cgroup-systemd-hierarchy-missing",
        anchors=("cgroup mount destination",),
        summary="containerd found no hierarchy name=systemd for the container",
        pattern=r"cannot f(?:i|ou)nd cgroup mount destination(?!: unknown)",
        certainty=Certainty.POSSIBLE,
    ),
    # runc, told to use systemd's cgroups on a host without systemd.
    Signature(
        problem="cgroup-systemd-hierarchy-missing",
        anchors=("systemd cgroup flag passed, but systemd support",),
        summary="the engine is set to systemd's cgroups, and systemd does not run here",
    ),
    # runc, of the hierarchy itself.
    Signature(
        problem="cgroup-systemd-hierarchy-missing",
        anchors=("/sys/fs/cgroup/systemd", "no such file or directory"),
        summary="runc found no hierarchy name=systemd",
        pattern=r"(?:mkdir|open|stat) /sys/fs/cgroup/systemd\S*: no such file",
        reach=200,
    ),
    # runc before 1.0.0-rc91 writes v1 files below the root of cgroup v2.
    Signature(
        problem="cgroup-v2-unsupported",
        anchors=("/sys/fs/cgroup/docker/", "no such file or directory"),
        summary="runc wrote to cgroup v1 files on a host with cgroup v2",
        pattern=r"(?:open|mkdir|write) /sys/fs/cgroup/docker/cpuset\.(?:cpus|mems)",
        reach=300,
    ),
    Signature(
        problem="cgroup-v2-unsupported",
        anchors=("/sys/fs/cgroup/cpuset.cpus.effective: no such file",),
        summary="runc wrote to cgroup v1 files on a host with cgroup v2",
    ),
    # The same of any file that only v1 has, below the folder of a container.
    Signature(
        problem="cgroup-v2-unsupported",
        anchors=("/sys/fs/cgroup/", "no such file or directory"),
        summary="runc wrote to cgroup v1 files on a host with cgroup v2",
        pattern=r"/sys/fs/cgroup/(?:docker|system\.slice|kubepods[\w.]*|machine\.slice)/\S*"
        r"(?:cpu\.(?:shares|cfs_\w+)|memory\.\w*limit_in_bytes|devices\.(?:allow|deny))"
        r"[\\\"]*: no such file",
        reach=300,
    ),
    # runc and podman of the years 2018 to 2020.
    Signature(
        problem="cgroup-v2-unsupported",
        anchors=("this version of runc doesn't work on cgroups v2",),
        summary="runc says that it is too old for cgroup v2",
    ),
    Signature(
        problem="cgroup-v2-unsupported",
        anchors=("cgroups v2", "not supported"),
        summary="a program says that it does not support cgroup v2",
        pattern=r"cgroups? ?v2 (?:(?:is|are) )?not (?:yet )?supported",
        certainty=Certainty.POSSIBLE,
        reach=120,
    ),
    # The kernel, told so at boot (some firmware adds the argument).
    Signature(
        problem="cgroup-memory-controller-disabled",
        anchors=("Disabling memory control group subsystem",),
        summary="the memory controller was switched off at boot",
    ),
    Signature(
        problem="cgroup-memory-controller-disabled",
        anchors=("#subsys_name", "memory"),
        summary="/proc/cgroups shows the memory controller switched off",
        pattern=r"(?<![\w-])memory \d+ \d+ 0(?!\d)",
        reach=900,
    ),
    # docker info and dockerd, every version: no memory controller at all.
    Signature(
        problem="cgroup-memory-controller-disabled",
        anchors=("WARNING: No memory limit support",),
        summary="docker info: memory cannot be limited",
    ),
    # dockerd says both of a host with cgroup v2 only as well, and then ends.
    Signature(
        problem="cgroup-memory-controller-disabled",
        anchors=("Your kernel does not support", "memory limit"),
        summary="dockerd: memory cannot be limited",
        pattern=r"does not support (?:cgroup )?memory limit",
        unless=("cgroup isn't mounted",),
        reach=2000,
    ),
    Signature(
        problem="cgroup-memory-controller-disabled",
        anchors=("Unable to find memory cgroup in mounts",),
        summary="dockerd found no memory controller",
        unless=("cgroup isn't mounted",),
        reach=2000,
    ),
    # runc and containerd, of a container with a limit.
    Signature(
        problem="cgroup-memory-controller-disabled",
        anchors=("/sys/fs/cgroup/memory/", "no such file"),
        summary="runc found no memory controller",
        pattern=r"/sys/fs/cgroup/memory/\S*memory\.\w*limit_in_bytes[\\\"']*: no such file",
        reach=200,
    ),
    Signature(
        problem="cgroup-memory-controller-disabled",
        anchors=("memory cgroup not supported on this system",),
        summary="containerd found no memory controller",
    ),
    # kubeadm's system check, kubelet, k3s, microk8s, check-config.
    Signature(
        problem="cgroup-memory-controller-disabled",
        anchors=("CGROUPS_MEMORY: missing",),
        summary="the preflight of kubeadm found no memory controller",
    ),
    Signature(
        problem="cgroup-memory-controller-disabled",
        anchors=("missing required cgroups", "memory"),
        summary="the preflight of kubeadm found no memory controller",
        pattern=r"missing required cgroups:[ \w]*\bmemory",
        reach=80,
    ),
    Signature(
        problem="cgroup-memory-controller-disabled",
        anchors=("Cgroup subsystem not mounted: [memory]",),
        summary="kubelet found no memory controller",
    ),
    Signature(
        problem="cgroup-memory-controller-disabled",
        anchors=("ailed to find memory cgroup",),
        summary="k3s found no memory controller",
    ),
    Signature(
        problem="cgroup-memory-controller-disabled",
        anchors=("The memory cgroup is not enabled",),
        summary="microk8s found no memory controller",
    ),
    Signature(
        problem="cgroup-memory-controller-disabled",
        anchors=("cgroup hierarchy: cgroupv2", "- memory: missing"),
        summary="check-config found cgroup v2 without the memory controller",
        reach=400,
    ),
    # docker info, every version; docker run and dockerd, up to 20.10 and after.
    Signature(
        problem="no-swap-limit-support",
        anchors=("No swap limit support",),
        summary="docker info: swap accounting is off",
        severity=Severity.WARNING,
        unless=("No memory limit support",),
    ),
    Signature(
        problem="no-swap-limit-support",
        anchors=("Your kernel does not support", "swap"),
        summary="dockerd: swap accounting is off",
        pattern=r"does not support (?:cgroup )?swap (?:memory )?limit",
        severity=Severity.WARNING,
        reach=120,
        unless=("does not support cgroup memory limit", "does not support memory limit"),
    ),
    # runc 1.0 and before, told to limit memory and swap together.
    Signature(
        problem="no-swap-limit-support",
        anchors=("memory.memsw.limit_in_bytes",),
        summary="runc could not limit swap: swap accounting is off",
        pattern=r"memory\.memsw\.limit_in_bytes[\\\"']*: (?:permission denied|no such file)",
        reach=120,
    ),
    # kubelet, which refuses to start (kubernetes pkg/kubelet/dockershim, until 1.23).
    Signature(
        problem="cgroup-driver-mismatch",
        anchors=("kubelet cgroup driver:", "is different from docker cgroup driver:"),
        summary="kubelet uses the cgroup driver {kubelet}, Docker {docker}",
        pattern=r"kubelet cgroup driver: [\\\"']*(?P<kubelet>\w+)[\\\"']* is different from docker"
        r" cgroup driver: [\\\"']*(?P<docker>\w+)",
    ),
    # kubeadm's preflight.
    Signature(
        problem="cgroup-driver-mismatch",
        anchors=('detected "cgroupfs" as the Docker cgroup driver',),
        summary='kubeadm found Docker with the driver cgroupfs and recommends "systemd"',
        severity=Severity.WARNING,
        certainty=Certainty.POSSIBLE,
    ),
    # runc, given the path of the other driver.
    Signature(
        problem="cgroup-driver-mismatch",
        anchors=("expected cgroupsPath to be of format", "slice:prefix:name"),
        summary="runc was told to use systemd's cgroups and given a path of cgroupfs",
    ),
    *ROOTLESS,
    # docker info and dockerd, all versions.
    *(
        Signature(
            problem="cgroup-limit-unavailable",
            anchors=(anchor,),
            summary="docker: the kernel or the cgroups here cannot limit processors",
            severity=Severity.INFO,
        )
        for anchor in (
            "No cpu cfs quota support",
            "No cpu shares support",
            "No cpuset support",
            "does not support cgroup cfs quotas",
            "does not support cgroup cfs period",
        )
    ),
    # docker info and dockerd 29, podman 5, kubelet and kubeadm 1.31, systemd 254.
    *(
        Signature(
            problem="cgroup-v1-deprecated",
            anchors=(anchor,),
            summary="{program} warns that it will give up cgroup v1".replace("{program}", who),
            severity=Severity.WARNING,
        )
        for anchor, who in (
            ("upport for cgroup v1 is deprecated and planned to be removed", "Docker"),
            ("Using cgroups-v1 which is deprecated", "podman"),
            ("cgroup v1 support is in maintenance mode", "the kubelet"),
            ("cgroups v1 support is in maintenance mode", "kubeadm"),
            ("cgroup v1 support is deprecated and will be removed", "systemd"),
        )
    ),
)
