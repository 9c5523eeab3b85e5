# SPDX-License-Identifier: GPL-3.0-or-later
"""What kubeadm and the kubelet print of the host that they are on."""

from hostkit.diagnosis.signature import Signature

SIGNATURES: tuple[Signature, ...] = (
    # kubeadm's preflight, `[ERROR Swap]: ...`, and the kubelet itself.
    Signature(
        problem="kubernetes-swap-on",
        anchors=("running with swap on is not supported",),
        summary="the kubelet does not start because swap is on",
    ),
    # kubeadm preflight.
    Signature(
        problem="kubernetes-port-taken",
        anchors=("[ERROR Port-",),
        pattern=r"\[ERROR Port-(?P<port>\d{1,5})\]",
        summary="port {port}, which a node needs, is in use",
        reach=60,
    ),
    Signature(
        problem="kubernetes-machine-too-small",
        anchors=("[ERROR NumCPU]",),
        summary="kubeadm found too few processors for a control plane",
    ),
    Signature(
        problem="kubernetes-machine-too-small",
        anchors=("[ERROR Mem]",),
        summary="kubeadm found too little memory for a control plane",
    ),
    Signature(
        problem="required-program-missing",
        anchors=("[ERROR FileExisting-",),
        pattern=r"\[ERROR FileExisting-(?P<program>[\w.-]{1,40})\]",
        summary="{program}, which a node runs, is not installed",
        reach=80,
    ),
    Signature(
        problem="ipv4-forwarding-disabled",
        anchors=("[ERROR FileContent--proc-sys-net-ipv4-ip_forward]",),
        summary="kubeadm found IPv4 forwarding switched off",
    ),
    Signature(
        problem="bridge-nf-disabled",
        anchors=("[ERROR FileContent--proc-sys-net-bridge-bridge-nf-call-ip",),
        summary="kubeadm found that the packet filter does not see bridged packets",
    ),
    # The kubelet and crictl, of a containerd without its CRI.
    Signature(
        problem="containerd-cri-disabled",
        anchors=("unknown service runtime.v1", "RuntimeService"),
        summary="containerd answers without its CRI: it is switched off in its configuration",
        reach=80,
    ),
    Signature(
        problem="containerd-cri-disabled",
        anchors=("CRI v1 runtime API is not implemented",),
        summary="containerd answers without its CRI: it is switched off in its configuration",
    ),
    # The kubelet, 1.35 and later (failCgroupV1).
    Signature(
        problem="cgroup-v1-deprecated",
        anchors=("kubelet is configured to not run on a host using cgroup v1",),
        summary="the kubelet does not start on a host with cgroup v1",
    ),
)
