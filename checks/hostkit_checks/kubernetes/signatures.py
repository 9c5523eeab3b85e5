# SPDX-License-Identifier: GPL-3.0-or-later
"""What kubeadm, the kubelet and their wrappers print of the host that they are on."""

from hostkit.diagnosis.finding import Certainty, Severity
from hostkit.diagnosis.signature import Signature

_CRI_OFF = "containerd answers without its CRI: it is switched off in its configuration"
_HOSTNAME = "hostname-unusable"
_SMALL = "kubernetes-machine-too-small"
_PROGRAM = "required-program-missing"
_RUNTIME = "kubernetes-no-runtime"

_MACHINE: tuple[Signature, ...] = (
    # kubeadm's preflight, `[ERROR Swap]: ...`, and the kubelet itself.
    Signature(
        problem="kubernetes-swap-on",
        anchors=("unning with swap on is not supported",),
        summary="the kubelet does not start because swap is on",
    ),
    # kubeadm 1.28 and later only warns.
    *(
        Signature(
            problem="kubernetes-swap-on",
            anchors=(anchor,),
            summary="kubeadm found swap on",
            severity=Severity.WARNING,
        )
        for anchor in (
            "swap is supported for cgroup v2 only",
            "swap is enabled; production deployments should disable swap",
        )
    ),
    # kubeadm preflight.
    Signature(
        problem="kubernetes-port-taken",
        anchors=("[ERROR Port-",),
        pattern=r"\[ERROR Port-(?P<port>\d{1,5})\]",
        summary="port {port}, which a node needs, is in use",
        reach=60,
    ),
    # The kubelet, kube-apiserver and etcd; other programs may use such a port too.
    Signature(
        problem="kubernetes-port-taken",
        anchors=("address already in use",),
        pattern=r"(?:kube|etcd|isten and serve|create listener).{0,400}?"
        r":(?P<port>6443|1025[0679]|2379|2380|10248): (?:bind: )?address already in use",
        summary="port {port}, which a node needs, is in use",
        reach=400,
    ),
    Signature(
        problem=_SMALL,
        anchors=("[ERROR NumCPU]",),
        summary="kubeadm found too few processors for a control plane",
    ),
    Signature(
        problem=_SMALL,
        anchors=("[ERROR Mem]",),
        summary="kubeadm found too little memory for a control plane",
    ),
    # minikube.
    Signature(
        problem=_SMALL,
        anchors=("due to RSRC_",),
        pattern=r"RSRC_INSUFFICIENT_(?:CORES|(?:\w+_)?MEMORY)",
        summary="minikube found too few processors or too little memory",
        reach=60,
    ),
    # kubeadm's preflight: an error for what a node cannot do without, a warning for the rest.
    Signature(
        problem=_PROGRAM,
        anchors=("[ERROR FileExisting-",),
        pattern=r"\[ERROR FileExisting-(?P<program>[\w.-]{1,40})\]",
        summary="{program}, which a node runs, is not installed",
        reach=80,
    ),
    Signature(
        problem=_PROGRAM,
        anchors=("[WARNING FileExisting-",),
        pattern=r"\[WARNING FileExisting-(?P<program>[\w.-]{1,40})\]",
        summary="{program}, which parts of a node run, is not installed",
        severity=Severity.WARNING,
        reach=80,
    ),
    # minikube.
    Signature(
        problem=_PROGRAM,
        anchors=("conntrack to be installed in root's path",),
        summary="conntrack, which a node runs, is not installed",
    ),
    # kubeadm (system-validators).
    Signature(
        problem="kernel-too-old",
        anchors=("unsupported kernel release: ",),
        pattern=r"unsupported kernel release: (?P<release>\d[\w.+~-]{0,60})",
        summary="kubeadm refused the kernel {release}",
        reach=80,
    ),
    Signature(
        problem="kubernetes-cgroups-missing",
        anchors=("missing required cgroups: ",),
        pattern=r"missing required cgroups: (?P<controllers>(?!memory\b)[a-z]+(?: [a-z]+)*)",
        summary="kubeadm found no cgroup controllers {controllers}",
        reach=120,
    ),
)

_NETWORK: tuple[Signature, ...] = (
    # kubeadm preflight.
    Signature(
        problem="ipv4-forwarding-disabled",
        anchors=("[ERROR FileContent--proc-sys-net-ipv4-ip_forward]",),
        summary="kubeadm found IPv4 forwarding switched off",
    ),
    Signature(
        problem="ipv6-forwarding-disabled",
        anchors=("[ERROR FileContent--proc-sys-net-ipv6-conf-default-forwarding]",),
        summary="kubeadm found IPv6 forwarding switched off",
    ),
    Signature(
        problem="bridge-nf-disabled",
        anchors=("[ERROR FileContent--proc-sys-net-bridge-bridge-nf-call-ip",),
        summary="kubeadm found that the packet filter does not see bridged packets",
    ),
    Signature(
        problem="kubernetes-ports-closed",
        anchors=("firewalld is active, please ensure ports",),
        summary="kubeadm found firewalld active and does not know whether a node's ports are open",
        severity=Severity.WARNING,
        certainty=Certainty.POSSIBLE,
    ),
    # kubeadm preflight: the name resolves to nothing, or is none.
    Signature(
        problem=_HOSTNAME,
        anchors=("[WARNING Hostname]",),
        pattern=r"WARNING Hostname\]: hostname \W*(?P<name>[^\s\"\\]{1,253})",
        summary="the name of this host, {name}, does not resolve",
        severity=Severity.WARNING,
        reach=200,
    ),
    Signature(
        problem=_HOSTNAME,
        anchors=("[ERROR Hostname]",),
        summary="the name of this host cannot be the name of a node",
    ),
    # kubeadm and the API server; they say so of other objects too.
    *(
        Signature(
            problem=_HOSTNAME,
            anchors=(anchor,),
            pattern=r"(?:Node|nodeRegistration|node name|[Hh]ostname)\b.{0,160}?"
            r"(?:Invalid value: )?\W*(?P<name>[\w.-]{1,253})\W*: a",
            summary="{name} cannot be the name of a node",
            reach=300,
        )
        for anchor in (
            "a lowercase RFC 1123 subdomain must consist of",
            "a DNS-1123 subdomain must consist of",
        )
    ),
)

_RUNTIMES: tuple[Signature, ...] = (
    # The kubelet, kubeadm and crictl, of a containerd without its CRI.
    Signature(
        problem="containerd-cri-disabled",
        anchors=("unknown service runtime.v1",),
        pattern=r"runtime\.v1(?:alpha2)?\.(?:Runtime|Image)Service",
        summary=_CRI_OFF,
        reach=80,
    ),
    Signature(
        problem="containerd-cri-disabled",
        anchors=("CRI v1 runtime API is not implemented",),
        summary=_CRI_OFF,
    ),
    # kubeadm 1.24 and later.
    Signature(
        problem=_RUNTIME,
        anchors=("found no container runtimes on the host",),
        summary="kubeadm found no container runtime",
    ),
    Signature(
        problem=_RUNTIME,
        anchors=("[ERROR CRI]: container runtime is not running",),
        unless=("unknown service runtime.v1", "is not implemented"),
        summary="kubeadm found no container runtime that answers",
        certainty=Certainty.POSSIBLE,
    ),
    # kubeadm to 1.23, of Docker.
    Signature(
        problem="daemon-not-running",
        anchors=("docker service is not active, please run",),
        summary="kubeadm found docker.service not running",
    ),
    # The kubelet, 1.35 and later (failCgroupV1).
    Signature(
        problem="cgroup-v1-deprecated",
        anchors=("kubelet is configured to not run on a host using cgroup v1",),
        summary="the kubelet does not start on a host with cgroup v1",
    ),
)

SIGNATURES: tuple[Signature, ...] = (*_MACHINE, *_NETWORK, *_RUNTIMES)
