# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of a kernel or a machine that cannot do what containers need."""

from hostkit.diagnosis.finding import Certainty, Severity
from hostkit.diagnosis.signature import Signature
from hostkit_checks.kernel.rootless_messages import ROOTLESS

SIGNATURES: tuple[Signature, ...] = (
    *ROOTLESS,
    # dockerd of the first years (seen up to 1.8.2) warns at its start, and goes on.
    Signature(
        problem="kernel-too-old",
        anchors=("You are running linux kernel version", "might be unstable running docker"),
        summary="dockerd warned that kernel {release} is too old for it",
        pattern=r"linux kernel version (?P<release>[\w.+~-]+), which might be unstable",
        severity=Severity.WARNING,  # dockerd went on: an error beside it is nearer the cause
    ),
    # Later ones end with this, up to 20.10; the test was removed in 23.0.
    Signature(
        problem="kernel-too-old",
        anchors=("Your Linux kernel version", "is not supported for running docker"),
        summary="dockerd refused the kernel {release}",
        pattern=r"kernel version (?P<release>[\w.+~-]+) is not supported for running docker",
    ),
    # uname, beside a docker that fails or warns: EL 6 and of its age.
    Signature(
        problem="kernel-too-old",
        anchors=("uname -",),
        summary="the kernel {release} is older than any that Docker supports",
        pattern=r"uname -[a-z]{1,3} (?:Linux \S+ )?(?P<release>(?:2\.6|3\.[0-9])\.\d+-\S{1,60})"
        r".{0,200}[#$] (?:sudo )?docker ",
        severity=Severity.WARNING,
        certainty=Certainty.POSSIBLE,
        unless=("042stab",),
    ),
    # runc of Docker 18.06.2 and 18.09.2, which copies itself by memfd_create (Linux 3.17).
    Signature(
        problem="kernel-too-old",
        anchors=("copying bootstrap data to pipe caused", "write init-p: broken pipe"),
        summary="runc could not start on this kernel: it needs 3.17 or EL 7.5",
        certainty=Certainty.POSSIBLE,
        reach=160,
    ),
    # glibc's start-up code, on a kernel older than the one that it was built for.
    Signature(
        problem="kernel-too-old",
        anchors=("FATAL: kernel too old",),
        summary="the C library of a program refused this kernel",
    ),
    # get.docker.com, until 2016, on uname -m other than x86_64 and arm.
    Signature(
        problem="host-32bit",
        anchors=("is not a recognized platform",),
        summary="the installer refused a 32-bit machine ({arch})",
        pattern=r"(?P<arch>i[3-6]86) is not a recognized platform",
    ),
    Signature(
        problem="host-32bit",
        anchors=("you are not using a 64bit platform",),
        summary="the installer refused a machine that is not 64-bit",
    ),
    Signature(
        problem="host-32bit",
        anchors=("only supports 64bit platforms",),
        summary="the installer refused a machine that is not 64-bit",
    ),
    # apt, where the system's own architecture is i386; on a 64-bit host that only has i386
    # besides, the notice about binary-i386 is harmless and no package is refused.
    Signature(
        problem="host-32bit",
        anchors=("binary-i386",),
        summary="Docker's repository has no packages for this 32-bit system",
        pattern=r"(?:docker|containerd)[\w.-]{0,40}'? has no installation candidate"
        r"|Unable to locate package (?:docker|containerd)",
        reach=2000,
    ),
    # docker version and docker info of a 32-bit daemon (Debian builds one).
    Signature(
        problem="host-32bit",
        anchors=("OS/Arch: linux/386",),
        summary="docker version: the engine is a 32-bit one",
    ),
    Signature(
        problem="host-32bit",
        anchors=("OSType: linux", "Architecture: i"),
        summary="docker info: this host is 32-bit ({arch})",
        pattern=r"Architecture: (?P<arch>i[3-6]86)",
        reach=60,
    ),
    # yum, given the width of an old PC by $basearch.
    Signature(
        problem="host-32bit",
        anchors=("download.docker.com/linux/",),
        summary="Docker's repository has no packages for this 32-bit system",
        pattern=r"docker\.com/linux/\w+/[\w.]+/i[3-6]86/",
        reach=200,
    ),
    # A shell, of the engine's own programs: those for amd64 on a machine that is not.
    Signature(
        problem="host-32bit",
        anchors=("cannot execute binary file",),
        summary="the engine's program is for another architecture than this machine's",
        pattern=r"/(?:dockerd?|containerd|runc): cannot execute binary file",
        reach=100,
    ),
    # The kernel's ENOEXEC, as runc and dockerd up to 1.12 word it: an image for another
    # architecture on any machine, or a script without #!. Only on a text that is about
    # hello-world or a build from scratch is a 32-bit host the first thing to look at.
    Signature(
        problem="host-32bit",
        anchors=("exec format error", "panic: standard_init_linux.go"),
        summary="the image's program is for another architecture than this machine's",
        certainty=Certainty.POSSIBLE,
        unless=("aarch64", "arm64", "armv7", "linux/arm", "#!"),
    ),
    Signature(
        problem="host-32bit",
        anchors=("exec format error", "apt-get"),
        summary="the image's shell is for another architecture than this machine's",
        pattern=r"RUN apt-get[^#]{0,400}exec format error",
        certainty=Certainty.POSSIBLE,
        unless=("aarch64", "arm64", "armv7", "linux/arm", "#!"),
    ),
    # dockerd, of an image that has no variant for this machine.
    Signature(
        problem="host-32bit",
        anchors=("no matching manifest for linux/386",),
        summary="an image has no variant for this 32-bit system",
    ),
    Signature(
        problem="host-32bit",
        anchors=("detected host platform (linux/386",),
        summary="an image has no variant for this 32-bit system",
    ),
    # modprobe (kmod), on a kernel whose modules were removed by an update.
    Signature(
        problem="kernel-updated-not-rebooted",
        anchors=("could not open moddep file", "modules.dep"),
        summary="modprobe found no modules for the running kernel {release}",
        pattern=r"/lib/modules/(?P<release>[^/\s]+)/modules\.dep",
    ),
    # modprobe, and what a person then saw in /lib/modules: other releases.
    Signature(
        problem="kernel-updated-not-rebooted",
        anchors=("not found in directory /lib/modules/", "ls /lib/modules"),
        summary="the running kernel {release} has no folder of modules, another one has",
        pattern=r"directory /lib/modules/(?P<release>[\w.+~-]+)(?!.* (?P=release)(?:/| |$))"
        r".{0,200}ls /lib/modules/? \d",
        reach=400,
    ),
    # modprobe (kmod): kernels of distributions have these, so that the folder may be another's.
    Signature(
        problem="kernel-updated-not-rebooted",
        anchors=("FATAL: Module ", "not found"),
        summary="modprobe finds no {module} for the running kernel",
        pattern=r"FATAL: Module (?P<module>br_netfilter|bridge|veth) not found(?: in directory|\.)",
        certainty=Certainty.POSSIBLE,
        reach=100,
    ),
    # module-init-tools (EL 6, Debian 6).
    Signature(
        problem="kernel-updated-not-rebooted",
        anchors=("Could not load /lib/modules/", "modules.dep", "No such file"),
        summary="modprobe found no modules for the running kernel {release}",
        pattern=r"/lib/modules/(?P<release>[^/\s]+)/modules\.dep",
    ),
    # dockerd, every version: no veth. Distribution kernels have it as a module, so that it
    # is missing when the modules are gone from the disk, or from a kernel of one's own.
    Signature(
        problem="kernel-updated-not-rebooted",
        anchors=("pair interfaces: operation not supported",),
        summary="the kernel could not make a veth pair: its module is not to be had",
    ),
    Signature(
        problem="kernel-config-missing-features",
        anchors=("pair interfaces: operation not supported",),
        summary="the kernel could not make a veth pair: it may have been built without",
        certainty=Certainty.POSSIBLE,
    ),
    # podman's netavark and CNI: no veth, no bridge.
    *(
        Signature(
            problem=problem,
            anchors=(anchor,),
            pattern=r"(?:Netlink error|veth pair): [Oo]peration not supported",
            summary=summary,
            certainty=certainty,
            reach=100,
        )
        for anchor in ("create veth pair: ", "create bridge: ", "failed to make veth pair: ")
        for problem, summary, certainty in (
            (
                "kernel-updated-not-rebooted",
                "the kernel could not make a link: its module is not to be had",
                Certainty.LIKELY,
            ),
            (
                "kernel-config-missing-features",
                "the kernel could not make a link: it may have been built without",
                Certainty.POSSIBLE,
            ),
        )
    ),
    # dockerd: the kind of link is unknown to the kernel (ENOPKG, EOPNOTSUPP).
    Signature(
        problem="kernel-config-missing-features",
        anchors=('Error creating default "bridge" network: ',),
        pattern=r'"bridge" network: (?:failed to create bridge \S+ via ioctl: )?'
        r"(?:package not installed|operation not supported)",
        summary="the kernel could not make a bridge: it may have been built without",
        reach=160,
    ),
    # runc, of /proc/PID/ns; slirp4netns, of the device it needs.
    Signature(
        problem="kernel-config-missing-features",
        anchors=("running lstat on namespace path",),
        pattern=r"/proc/\d+/ns/(?P<kind>ipc|uts|user)\W.{0,80}no such file",
        summary="the kernel has no {kind} namespaces",
        certainty=Certainty.POSSIBLE,
        reach=240,
    ),
    Signature(
        problem="kernel-config-missing-features",
        anchors=('open("/dev/net/tun")',),
        pattern=r"/dev/net/tun\\?\"\): No such (?:file|device)",
        summary="the kernel has no tun devices, or the module is not loaded",
        certainty=Certainty.POSSIBLE,
        reach=100,
    ),
    Signature(
        problem="kernel-config-missing-features",
        anchors=("error creating vxlan interface: operation not supported",),
        summary="the kernel could not make a vxlan link for an overlay network",
    ),
    # runc, when it mounts what every container gets.
    Signature(
        problem="kernel-config-missing-features",
        anchors=("mqueue", "to rootfs at ", "no such device"),
        summary="the kernel has no POSIX message queues",
        pattern=r"/dev/mqueue\W.{0,60}no such device",
        reach=200,
    ),
    # dockerd, asked for --cpus on a kernel without CFS_BANDWIDTH.
    Signature(
        problem="kernel-config-missing-features",
        anchors=("NanoCPUs can not be set",),
        summary="the kernel cannot limit the processors of a container",
        unless=("ootless",),
    ),
    # dockerd at its start: no bridge.
    Signature(
        problem="kernel-updated-not-rebooted",
        anchors=("via netlink: operation not supported",),
        pattern=r"failed to create bridge \S+ via netlink",
        summary="the kernel could not make a bridge: its module is not to be had",
        reach=160,
    ),
    Signature(
        problem="kernel-config-missing-features",
        anchors=("via netlink: operation not supported",),
        pattern=r"failed to create bridge \S+ via netlink",
        summary="the kernel could not make a bridge: it may have been built without",
        certainty=Certainty.POSSIBLE,
        reach=160,
    ),
    # podman and containers/storage: modprobe overlay failed, or the kernel has none.
    Signature(
        problem="kernel-updated-not-rebooted",
        anchors=("'overlay' is not supported over extfs",),
        summary="the kernel could not mount overlay on ext4, which it always can with its module",
        certainty=Certainty.POSSIBLE,
    ),
    # moby's contrib/check-config.sh and forks of it: a line a symbol. Those of cgroup v1
    # are missing rightly from a kernel that has v2 only.
    Signature(
        problem="kernel-config-missing-features",
        anchors=(": missing", "CONFIG_"),
        summary="check-config found the kernel without {symbol}",
        pattern=r"CONFIG_(?P<symbol>NAMESPACES|(?:NET|PID|IPC|UTS)_NS|CGROUPS|CGROUP_SCHED|CPUSETS"
        r"|MEMCG|VETH|BRIDGE): missing",
        reach=200,
    ),
    Signature(
        problem="kernel-config-missing-features",
        anchors=("CONFIG_CGROUP_", ": missing"),
        summary="check-config found the kernel without {symbol}",
        pattern=r"CONFIG_(?P<symbol>CGROUP_(?:CPUACCT|DEVICE|FREEZER)): missing",
        unless=("cgroup hierarchy: cgroupv2",),
        reach=800,
    ),
    Signature(
        problem="kernel-config-missing-features",
        anchors=("cgroup hierarchy: cgroupv2", "Controllers:", ": missing"),
        summary="check-config found cgroup v2 without the controller {controller}",
        pattern=r"- (?P<controller>cpu|cpuset|io|pids): missing",
        reach=400,
    ),
    # kubeadm's preflight (system-validators).
    Signature(
        problem="kernel-config-missing-features",
        anchors=("missing required kernel configuration: ",),
        summary="kubeadm found the kernel without {symbol}",
        pattern=r"kernel configuration: (?P<symbol>[A-Z][A-Z0-9_ ]*[A-Z0-9])",
        reach=200,
    ),
    # runc and lxc, when clone(2) or unshare(2) knows no such namespace.
    Signature(
        problem="kernel-config-missing-features",
        anchors=("namespaces aren't enabled in the kernel",),
        summary="the kernel lacks {kind} namespaces",
        pattern=r"(?P<kind>NET|PID|IPC|UTS|MOUNT|MNT|CGROUP) namespaces aren't enabled",
    ),
    # OpenVZ names its kernels so (6: 042stab, 7: vz7); dockerd, uname and docker info show it.
    Signature(
        problem="container-based-vps",
        anchors=("-042stab",),
        summary="the kernel {release} is OpenVZ's: this is a container, not a machine",
        pattern=r"(?P<release>\d\.\d+\.\d+-042stab\d[\d.]*\d)",
        reach=60,
    ),
    Signature(
        problem="container-based-vps",
        anchors=(".vz7.",),
        summary="the kernel {release} is OpenVZ's",
        pattern=r"(?P<release>3\.10\.0-[\d.]+\.vz7\.\d[\d.]*\d)",
        certainty=Certainty.POSSIBLE,
        reach=60,
    ),
    Signature(
        problem="container-based-vps",
        anchors=("systemd-detect-virt",),
        summary="systemd-detect-virt says that this is a guest of {kind}",
        pattern=r"systemd-detect-virt\W{1,5}(?P<kind>openvz|lxc|lxc-libvirt)\b",
        reach=60,
    ),
    Signature(
        problem="container-based-vps",
        anchors=("/proc/user_beancounters",),
        summary="this is a guest of OpenVZ, which shares its host's kernel",
        certainty=Certainty.POSSIBLE,
        unless=("No such file",),
    ),
    # runc in a container of LXC or Proxmox that may not nest.
    Signature(
        problem="container-based-vps",
        anchors=('error mounting "proc" to rootfs',),
        summary="a container could not get its /proc: this host may itself be a container",
        pattern=r"to rootfs at .{0,200}?(?:permission denied|operation not permitted)",
        certainty=Certainty.POSSIBLE,
        reach=300,
    ),
    # runc 1.2.8, 1.3.3 and later in LXC with AppArmor.
    Signature(
        problem="container-based-vps",
        anchors=("ip_unprivileged_port_start file: ", "permission denied"),
        summary="runc may not open a sysctl: this host is itself a container (LXC)",
        reach=120,
    ),
    # apparmor_parser in a container.
    Signature(
        problem="container-based-vps",
        anchors=("attempted to load a profile while confined",),
        summary="AppArmor refused a profile: this host is itself a container",
    ),
    Signature(
        problem="container-based-vps",
        anchors=("Virtualization: openvz",),
        summary="systemd says that this is a guest of OpenVZ",
    ),
)
