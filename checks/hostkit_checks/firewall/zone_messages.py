# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of firewalld, and rules that show what a policy of Docker's does to others."""

from hostkit.diagnosis.finding import Certainty, Severity
from hostkit.diagnosis.signature import Signature

_OTHER_BRIDGE = (
    r"\b(?:LIBVIRT_\w+|br0|virsh|virbr\d|lxdbr\d|lxcbr\d|vmbr\d|incusbr\d|cni0|LXD|lxc|libvirt"
    r"|KVM|qemu)\b"
)

ZONES: tuple[Signature, ...] = (
    # firewalld, quoted by dockerd 20.10 and later or by firewall-cmd.
    Signature(
        problem="firewalld-zone-conflict",
        anchors=("ZONE_CONFLICT",),
        pattern=r"ZONE_CONFLICT(?:: '(?P<interface>[\w-]{1,15})')?",
        summary="firewalld has a bridge of Docker's in another zone",
        says=(("zone-is", "another"),),
    ),
    # firewalld, reading its own files.
    Signature(
        problem="firewalld-zone-conflict",
        anchors=("already bound to zone",),
        pattern=r"interface '(?P<interface>docker\d|br-[0-9a-f]{12})' already bound to zone",
        summary="firewalld has a bridge of Docker's in two zones",
        says=(("zone-is", "another"),),
        reach=160,
    ),
    # firewalld, when dockerd's own zone is gone (firewalld was reloaded while it was made).
    Signature(
        problem="firewalld-zone-conflict",
        anchors=("INVALID_ZONE: ",),
        pattern=r"INVALID_ZONE: '?docker\b",
        summary="firewalld does not know the zone docker that dockerd made",
        says=(("zone-is", "missing"),),
    ),
    # A container's program, when firewalld rejects with admin-prohibited and lets ICMP pass.
    Signature(
        problem="firewalld-blocks-container-traffic",
        anchors=("Host is unreachable",),
        pattern=r"(?:nslookup: write to|docker (?:run|exec) [^$]{0,300})[^$]{0,80}"
        r"Host is unreachable",
        summary="a container was told that a host is unreachable",
        certainty=Certainty.POSSIBLE,
    ),
    # The same from curl and other programs of an image, with firewalld in the text.
    Signature(
        problem="firewalld-blocks-container-traffic",
        anchors=("o route to host",),
        pattern=r"(?:firewall-cmd|firewalld).{0,500}docker (?:run|exec) .{0,300}o route to host",
        summary="a container was told that there is no route to a host of its network",
        certainty=Certainty.POSSIBLE,
        reach=900,
    ),
    # firewalld with LogDenied: the chain of the zone that refused, the bridge it came from.
    Signature(
        problem="firewalld-blocks-container-traffic",
        anchors=("REJECT: IN=",),
        pattern=r"(?:filter_(?:FWD|FORWARD|IN)\w*|FINAL|STATE_INVALID)_(?:REJECT|DROP): "
        r"IN=(?P<bridge>docker\d|br-[0-9a-f]{12}) ",
        summary="firewalld refused a packet that came from {bridge}",
        reach=120,
    ),
    # iptables-save and iptables -L of every healthy Docker host say so too; what makes it a
    # suspect is another engine or a virtual machine in the same text.
    Signature(
        problem="docker-forward-drop-policy",
        anchors=(":FORWARD DROP [", ":DOCKER-USER - ["),
        pattern=_OTHER_BRIDGE,
        summary="FORWARD drops by policy, and Docker's chains are there",
        severity=Severity.WARNING,
        certainty=Certainty.POSSIBLE,
        reach=1500,
    ),
    Signature(
        problem="docker-forward-drop-policy",
        anchors=("-P FORWARD DROP", "DOCKER-USER"),
        pattern=_OTHER_BRIDGE,
        summary="FORWARD drops by policy, and Docker's chains are there",
        severity=Severity.WARNING,
        certainty=Certainty.POSSIBLE,
        reach=1500,
    ),
    Signature(
        problem="docker-forward-drop-policy",
        anchors=("Chain FORWARD (policy DROP",),
        pattern=r"(?i)(?:since|when|after) docker |docker (?:was )?(?:started|installed)",
        unless=("DOCKER-USER",),
        summary="FORWARD drops by policy, since Docker came as it is said",
        severity=Severity.WARNING,
        certainty=Certainty.POSSIBLE,
        reach=600,
    ),
    # nft list ruleset (the chain that iptables-nft or dockerd 28 made).
    Signature(
        problem="docker-forward-drop-policy",
        anchors=("hook forward priority filter; policy drop;", "jump DOCKER"),
        pattern=_OTHER_BRIDGE,
        summary="the forward hook drops by policy, and Docker's chains are there",
        severity=Severity.WARNING,
        certainty=Certainty.POSSIBLE,
        reach=1500,
    ),
    # Docker's chains in a text that complains of a network lost.
    Signature(
        problem="docker-forward-drop-policy",
        anchors=(":DOCKER-USER - [", "-A FORWARD -j DOCKER-USER"),
        pattern=r"(?i)(?:denied|no|lost|lose|without|cannot reach(?: the)?) (?:WAN|internet"
        r"|network)\b.{0,60}docker|docker.{0,60}(?:denied|lost|lose) (?:WAN|internet|network)\b",
        summary="Docker's chains stand in the way of other traffic through this host, it is said",
        severity=Severity.WARNING,
        certainty=Certainty.POSSIBLE,
        reach=900,
    ),
    Signature(
        problem="docker-forward-drop-policy",
        anchors=("Chain FORWARD (policy DROP", "DOCKER-USER"),
        pattern=_OTHER_BRIDGE,
        summary="FORWARD drops by policy, and Docker's chains are there",
        severity=Severity.WARNING,
        certainty=Certainty.POSSIBLE,
        reach=1500,
    ),
)
