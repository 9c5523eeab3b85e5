# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of forwarding, bridges, addresses, ports, names and connections."""

import re

from hostkit.diagnosis.finding import Certainty, Severity
from hostkit.diagnosis.signature import Signature
from hostkit_checks.network.bridge_messages import BRIDGE_SIGNATURES

SIGNATURES: tuple[Signature, ...] = (
    *BRIDGE_SIGNATURES,
    # docker run and docker info, all versions (moby daemon/info.go, cli/command/container).
    Signature(
        problem="ipv4-forwarding-disabled",
        anchors=("IPv4 forwarding is disabled",),
        summary="the engine saw that IPv4 forwarding was off",
        severity=Severity.ERROR,
        certainty=Certainty.LIKELY,
    ),
    # kubeadm's preflight.
    Signature(
        problem="ipv4-forwarding-disabled",
        anchors=("/proc/sys/net/ipv4/ip_forward contents are not set to 1",),
        summary="kubeadm saw that IPv4 forwarding was off",
    ),
    Signature(
        problem="ipv4-forwarding-disabled",
        anchors=("[ERROR FileContent--proc-sys-net-ipv4-ip_forward]",),
        summary="kubeadm saw that IPv4 forwarding was off",
    ),
    # docker info and dockerd's log up to 27; harmless for most.
    Signature(
        problem="bridge-nf-disabled",
        anchors=("bridge-nf-call-iptables is disabled",),
        summary="the engine saw that bridged packets bypass the packet filter",
        severity=Severity.INFO,
    ),
    # dockerd when icc=false or userland-proxy=false cannot be carried out.
    Signature(
        problem="bridge-nf-disabled",
        anchors=("cannot restrict inter-container communication",),
        summary="dockerd could not keep containers apart: br_netfilter is missing",
    ),
    Signature(
        problem="bridge-nf-disabled",
        anchors=("ensure that the br_netfilter kernel module is loaded",),
        summary="dockerd asks for br_netfilter",
    ),
    # kubeadm's preflight, and sysctl itself.
    Signature(
        problem="bridge-nf-disabled",
        anchors=("bridge-nf-call-iptables",),
        pattern=r"bridge-nf-call-iptables(?: does not exist| contents are not set to 1|"
        r"'?:? [Nn]o such file or directory)",
        summary="bridge-nf-call-iptables is not there or not 1",
    ),
    # dockerd's address management, all versions since 1.9; the older words and the newer.
    Signature(
        problem="address-pool-exhausted",
        anchors=("could not find an available, non-overlapping IPv4 address pool",),
        summary="dockerd found no free address pool for a network",
    ),
    Signature(
        problem="address-pool-exhausted",
        anchors=("all predefined address pools have been fully subnetted",),
        summary="dockerd found no free address pool for a network",
    ),
    Signature(
        problem="address-pool-exhausted",
        anchors=("list bridge addresses failed: ",),
        pattern=r"bridge addresses failed: .{0,2000}?no available network",
        summary="dockerd found no free range for its default bridge",
        reach=2500,
    ),
    # One network whose own range is used up.
    Signature(
        problem="address-pool-exhausted",
        anchors=("no available IPv4 addresses on this network's address pools",),
        summary="a network of Docker's has no address left",
    ),
    # The engines of 2015 and 2016 (1.9 to 1.12).
    Signature(
        problem="address-pool-exhausted",
        anchors=("could not find an available predefined network",),
        summary="dockerd found no free address pool for a network",
    ),
    # docker network create and compose, for a network that was asked for by its range.
    Signature(
        problem="docker-subnet-conflict",
        anchors=("Pool overlaps with other one on this address space",),
        summary="the network that was asked for overlaps another of Docker's",
    ),
    # dockerd's bridge driver.
    Signature(
        problem="docker-subnet-conflict",
        anchors=("conflicts with existing network", "networks have overlapping IPv4"),
        summary="the network that was asked for overlaps another of Docker's",
    ),
    Signature(
        problem="docker-subnet-conflict",
        anchors=("conflicts with network", "networks have overlapping IPv"),
        summary="the network that was asked for overlaps another of Docker's",
        reach=300,
    ),
    # dockerd's bridge driver, of the default bridge or one whose range was given.
    Signature(
        problem="docker-subnet-conflict",
        anchors=("requested network overlaps with existing network",),
        summary="the network that was asked for overlaps one of the host's",
    ),
    # ip route: one range on a bridge of Docker's and somewhere else.
    Signature(
        problem="docker-subnet-conflict",
        anchors=("proto kernel",),
        pattern=r"(?<![\d.])(?P<range>\d+\.\d+\.\d+\.\d+/\d+) dev (?:docker0|br-[0-9a-f]{12}) "
        r"(?=.{0,600} (?P=range) (?:via \S+ )?dev (?!docker|br-|veth))"
        r"|(?<![\d.])(?P<other>\d+\.\d+\.\d+\.\d+/\d+) (?:via \S+ )?dev (?!docker|br-|veth)\S+ "
        r"(?=.{0,600} (?P=other) dev (?:docker0|br-[0-9a-f]{12})\b)",
        summary="a range of Docker's is also routed elsewhere",
        reach=700,
    ),
    # What people write above a routing table.
    Signature(
        problem="docker-subnet-conflict",
        anchors=("Kernel IP routing table", "docker0"),
        pattern=r"(?i)overlap|conflict",
        summary="a routing table with Docker's bridges, said to overlap",
        certainty=Certainty.POSSIBLE,
        reach=2000,
    ),
    # dockerd's port allocator: another container has the port.
    Signature(
        problem="port-already-allocated",
        anchors=("port is already allocated",),
        summary="a container or a left-over docker-proxy has the port",
    ),
    # dockerd 28 and later: host address and port, then the container's.
    Signature(
        problem="port-already-allocated",
        anchors=("failed to bind host port for ", "address already in use"),
        pattern=r"host port for \S{0,45}?:(?P<port>\d{1,5}):\S{1,45}:\d{1,5}/",
        summary="a program of the host has port {port}",
        reach=200,
    ),
    # docker-proxy and dockerd, quoting bind(2).
    Signature(
        problem="port-already-allocated",
        anchors=("address already in use",),
        pattern=r":(?P<port>\d{1,5})(?:/(?:tcp|udp))?: (?:bind: )?address already in use",
        unless=("failed to bind host port for ",),
        summary="a program of the host has port {port}",
        reach=120,
    ),
    Signature(
        problem="port-already-allocated",
        anchors=("Failure EADDRINUSE",),
        summary="a program of the host has the port",
    ),
    # The kernel's log, with ip_conntrack before 2.6.
    Signature(
        problem="conntrack-table-full",
        anchors=("table full, dropping packet",),
        pattern=r"(?:nf|ip)_conntrack: (?:nf_conntrack: )?table full, dropping packet",
        summary="the kernel dropped packets: its table of connections was full",
    ),
    # sysctl: as many connections as there may be.
    Signature(
        problem="conntrack-table-full",
        anchors=("nf_conntrack_count = ", "nf_conntrack_max = "),
        pattern=r"nf_conntrack_count = (?P<count>\d+) \S*nf_conntrack_max = (?P=count)\b",
        summary="the kernel's table holds {count} connections, which is all it may",
        reach=160,
    ),
    # ping -M do in a container.
    *(
        Signature(
            problem="mtu-mismatch",
            anchors=(anchor,),
            pattern=r"docker (?:run|exec) .{0,400}?"
            + re.escape(anchor)
            + r"[=:]? ?(?P<mtu>\d{3,4})",
            summary="packets of a container do not fit: the way takes {mtu} bytes",
        )
        for anchor in ("needed and DF set (mtu =", "message too long, mtu")
    ),
    # ip link: an uplink smaller than docker0.
    Signature(
        problem="mtu-mismatch",
        anchors=("docker0: <", "mtu 1500"),
        # the first card of the list: a second one may be of a private network
        pattern=r"^(?:(?!: (?:eth|en[opsx]|bond)[\w.@-]{0,14}: <).)*"
        r": (?:eth|en[opsx]|bond)[\w.@-]{0,14}: <[A-Z_,]*UP[A-Z_,]*> "
        r"mtu (?P<mtu>1[0-4]\d\d|[5-9]\d\d) .{0,900}docker0: <[A-Z_,-]*> mtu 1500",
        summary="the uplink takes {mtu} bytes and docker0 sends 1500",
        reach=1000,
    ),
    # ifconfig, to 1.60 with a colon and from 2.10 on without.
    Signature(
        problem="mtu-mismatch",
        anchors=("MULTICAST", "docker0"),
        pattern=r"(?:^| )(?:eth|en[opsx]|bond)[\w.]{0,14}:? .{0,300}?(?:MTU:|mtu )"
        r"(?P<mtu>1[0-4]\d\d|[5-9]\d\d) .{0,400}docker0:? (?:Link|flags).{0,300}?(?:MTU:|mtu )1500",
        unless=("docker0: <",),
        summary="the uplink takes {mtu} bytes and docker0 sends 1500",
        reach=900,
    ),
    # ifconfig lists by name: docker0 comes before eth0.
    Signature(
        problem="mtu-mismatch",
        anchors=("docker0", "MULTICAST"),
        pattern=r"docker0:? (?:Link|flags).{0,300}?(?:MTU:|mtu )1500.{0,900}? "
        r"(?:eth|en[opsx]|bond)[\w.]{0,14}:? (?:Link|flags)(?:(?! docker| veth).){0,300}?"
        r"(?:MTU:|mtu )(?P<mtu>1[0-4]\d\d|[5-9]\d\d)\b",
        unless=("docker0: <",),
        summary="the uplink takes {mtu} bytes and docker0 sends 1500",
        reach=1500,
    ),
    # dockerd, which asks for the registry's name itself: no container has a part in it.
    Signature(
        problem="dns-resolution-failure",
        anchors=("dial tcp: lookup ",),
        pattern=r"https?://[^\s\"]{1,300}/v[12]/.{0,300}?dial tcp: lookup (?P<name>[\w.-]{1,253})"
        r"(?: on (?P<server>[\d.]+|\[[\da-f:]+\]):53)?: (?:read udp .{0,80}(?:i/o timeout"
        r"|connection refused)|no such host|Temporary failure|server misbehaving)",
        unless=("proxyconnect",),
        summary="this host could not resolve the registry's name {name}",
        reach=400,
        of_host=True,
    ),
    # Go's resolver in any other program, when the host's own resolver refuses.
    Signature(
        problem="dns-resolution-failure",
        anchors=("dial tcp: lookup ",),
        pattern=r"lookup [\w.-]{1,253} on (?P<server>127\.[\d.]+|\[::1\]):53: read udp .{0,80}"
        r"connection refused",
        summary="the host's own resolver {server} refused a query",
        unless=("/v1/", "/v2/"),
        reach=250,
    ),
    Signature(
        problem="dns-resolution-failure",
        anchors=("dial tcp: lookup ",),
        pattern=r"lookup [\w.-]{1,253}(?: on (?P<server>[\d.]+|\[[\da-f:]+\]):53)?: "
        r"(?:read udp .{0,80}i/o timeout|no such host|Temporary failure in name resolution|"
        r"server misbehaving|read udp .{0,80}connection refused)",
        summary="a name could not be resolved",
        certainty=Certainty.POSSIBLE,
        unless=("/v1/", "/v2/"),
        reach=250,
    ),
    # Node.js.
    Signature(
        problem="dns-resolution-failure",
        anchors=("getaddrinfo EAI_AGAIN",),
        summary="a name could not be resolved for now",
    ),
    # glibc's getaddrinfo (EAI_AGAIN), in any program; curl, apt, yum and busybox.
    Signature(
        problem="dns-resolution-failure",
        anchors=("emporary failure in name resol",),
        summary="a name could not be resolved for now",
    ),
    Signature(
        problem="dns-resolution-failure",
        anchors=("emporary failure resolving '",),
        summary="apt could not resolve a name",
    ),
    Signature(
        problem="dns-resolution-failure",
        anchors=("Could not resolve host: ",),
        pattern=r"Could not resolve host: (?P<name>[\w.-]+)",
        unless=("mirrorlist.centos.org", "vault.centos.org", "mirror.centos.org"),
        summary="the name {name} could not be resolved",
        certainty=Certainty.POSSIBLE,
    ),
    Signature(
        problem="dns-resolution-failure",
        anchors=("connection timed out; no servers could be reached",),
        summary="no name server answered",
    ),
    # CoreDNS, and others that forward a query.
    Signature(
        problem="dns-resolution-failure",
        anchors=("plugin/errors: ",),
        pattern=r"read udp \S+->\S+:53: (?:read: no route to host|i/o timeout"
        r"|read: connection refused)",
        summary="CoreDNS reaches no name server outside",
        reach=300,
    ),
    # curl; apk; wget of GNU.
    Signature(
        problem="dns-resolution-failure",
        anchors=("Resolving timed out after",),
        summary="no name server answered in time",
    ),
    Signature(
        problem="dns-resolution-failure",
        anchors=(": DNS lookup error",),
        summary="apk could not resolve a name",
    ),
    Signature(
        problem="dns-resolution-failure",
        anchors=("dl-cdn.alpinelinux.org",),
        pattern=r"alpinelinux\.org\S{0,100}: temporary error \(try again later\)",
        summary="apk could not fetch its index: mostly a name that does not resolve",
        certainty=Certainty.POSSIBLE,
        reach=200,
    ),
    Signature(
        problem="dns-resolution-failure",
        anchors=("unable to resolve host address",),
        summary="wget could not resolve a name",
        certainty=Certainty.POSSIBLE,
    ),
    # ping, wget and nslookup of busybox and others, of a name with a domain.
    Signature(
        problem="dns-resolution-failure",
        anchors=(": bad address '",),
        pattern=r"(?:ping|wget|nslookup|nc): bad address '(?P<name>[\w-]+(?:\.[\w-]+)+)'",
        summary="a container could not resolve {name}",
        reach=120,
    ),
    Signature(
        problem="dns-resolution-failure",
        anchors=(": Name or service not known",),
        pattern=r"ping: (?P<name>[\w-]+(?:\.[\w-]+)+): Name or service",
        summary="the name {name} could not be resolved",
        certainty=Certainty.POSSIBLE,
        reach=120,
    ),
    Signature(
        problem="dns-resolution-failure",
        anchors=("server can't find ",),
        pattern=r"server can't find (?P<name>[\w.-]+): (?:SERVFAIL|REFUSED)",
        summary="the name server refused to look up {name}",
        reach=120,
    ),
    Signature(
        problem="dns-resolution-failure",
        anchors=("nslookup: can't resolve '",),
        pattern=r"can't resolve '(?P<name>(?!\(null\))[\w-]+(?:\.[\w-]+)+)'",
        summary="a container could not resolve {name}",
        reach=120,
    ),
)
