# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages as people paste them: the cause, what it names, the remedy that comes first."""

import pytest

from hostkit import plugins
from hostkit.diagnosis import origin
from hostkit.diagnosis.doctor import Text, suspects
from hostkit.diagnosis.finding import Finding
from hostkit.diagnosis.rank import Ranked, rank

LOADED = plugins.load((plugins.CHECKS_GROUP,))
CATALOGUE = LOADED.catalogue()
PULL = 'Error response from daemon: Get "https://{}/v2/": '
HUB = PULL.format("registry-1.docker.io")


def found(words: str) -> tuple[Finding, ...]:
    return suspects([Text("text", words.splitlines())], LOADED.signatures())


def ranked(words: str) -> tuple[Ranked, ...]:
    return rank(found(words), CATALOGUE)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (
            "[ERROR FileContent--proc-sys-net-ipv4-ip_forward]: "
            "/proc/sys/net/ipv4/ip_forward contents are not set to 1",
            "ipv4-forwarding-disabled",
        ),
        (
            "unable to add return rule in DOCKER-ISOLATION-STAGE-1 chain: (iptables failed: "
            "iptables --wait -A DOCKER-ISOLATION-STAGE-1 -j RETURN: iptables v1.8.7 (nf_tables): "
            "RULE_APPEND failed (No such file or directory): rule in chain "
            "DOCKER-ISOLATION-STAGE-1",
            "iptables-nft-legacy-mismatch",
        ),
        ("Failed to program NAT chain: INVALID_ZONE: docker", "firewalld-zone-conflict"),
        (
            "iptables --wait -t raw -A PREROUTING -p tcp -d 172.17.0.2 --dport 80 ! -i docker0 "
            "-j DROP: iptables v1.8.9 (nf_tables): TABLE_ADD failed (Operation not supported): "
            "table raw",
            "iptables-kernel-module-missing",
        ),
        (
            "runtime: failed to create new OS thread (have 10 already; errno=11)",
            "task-limit-reached",
        ),
        (
            "failed to start shim: fork/exec /usr/bin/runc: resource temporarily unavailable",
            "task-limit-reached",
        ),
        ("-bash: fork: retry: Resource temporarily unavailable", "task-limit-reached"),
        (
            "Can't create unix socket /var/run/docker.sock: is a directory",
            "docker-sock-not-a-socket",
        ),
        (
            "docker.socket: Failed to resolve group 'docker': No such process",
            "systemd-socket-activation-missing",
        ),
        (
            "docker.socket: Control process exited, code=exited, status=216/GROUP",
            "systemd-socket-activation-missing",
        ),
        ("E: Package 'docker-ce' has no installation candidate", "docker-repository-missing"),
        ("E: Unable to locate package docker-ce", "docker-repository-missing"),
        ("open /dev/mapper/control: no such file or directory", "dm-module-missing"),
        (
            "modprobe: FATAL: Module br_netfilter not found in directory /lib/modules/6.1.0-9",
            "kernel-updated-not-rebooted",
        ),
        ("docker: net/http: TLS handshake timeout.", "registry-unreachable"),
        (
            "Err:5 https://download.docker.com/linux/ubuntu virginia Release\n"
            "  404  Not Found [IP: 192.0.2.4 443]",
            "yum-releasever-mismatch",
        ),
        (
            "The following packages have unmet dependencies:\n"
            " docker-ce : Depends: containerd.io (>= 1.6.4) but it is not going to be installed\n"
            "E: Error, pkgProblemResolver::Resolve generated breaks",
            "package-conflict-old-docker-packages",
        ),
        (
            "error initializing graphdriver: driver not supported: overlay3",
            "storage-driver-mismatch",
        ),
    ],
)
def test_these_words_are_known(words: str, code: str) -> None:
    assert ranked(words)[0].finding.problem == code


@pytest.mark.parametrize(
    ("words", "params"),
    [
        (
            "rsync: write failed on /backup/x: No space left on device (28)",
            {"path": "/backup/x"},
        ),
        (
            f"{HUB}proxyconnect tcp: dial tcp 10.0.0.9:3128: connect: connection refused",
            {"proxy": "10.0.0.9:3128", "reason": "connection refused", "proxy-is": "unreachable"},
        ),
        (
            PULL.format("registry.corp.example:5000")
            + "x509: certificate signed by unknown authority",
            {"registry": "registry.corp.example:5000", "refused": "certificate"},
        ),
        (
            "error initializing graphdriver: driver not supported: overlay3",
            {"driver": "overlay3"},
        ),
    ],
)
def test_the_thing_that_is_named_is_kept(words: str, params: dict[str, str]) -> None:
    assert dict(found(words)[0].params) == params


def test_a_path_in_a_layer_is_not_one_of_this_host() -> None:
    words = (
        "failed to register layer: Error processing tar file(exit status 1): "
        "write /usr/lib/libx.so: no space left on device"
    )
    assert "path" not in dict(found(words)[0].params)


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("Unit docker.service is masked.", "systemctl unmask docker.service docker.socket"),
        ("Unit docker.service could not be found.", "hostkit preflight --for docker"),
        (
            "Error: netavark: iptables: No chain/target/match by that name.",
            "podman network reload --all",
        ),
        (
            "newuidmap: write to uid_map failed: Operation not permitted",
            "apt-get install --reinstall uidmap",
        ),
        (
            f"{PULL.format('r.example:5000')}http: server gave HTTP response to HTTPS client",
            "# on the registry's host, with a certificate for its name:",
        ),
    ],
)
def test_the_remedy_for_just_this_comes_first(words: str, remedy: str) -> None:
    first = ranked(words)[0]
    assert first.remedies[0].commands_for("apt", {})[0] == remedy


@pytest.mark.parametrize(
    "end",
    [
        "dial tcp [2600:1f18::1]:443: connect: network is unreachable",
        "net/http: request canceled (Client.Timeout exceeded while awaiting headers)",
        "EOF",
        "dial tcp: lookup registry-1.docker.io on 127.0.0.53:53: server misbehaving",
    ],
)
def test_what_dockerd_itself_complains_of_no_forwarding_explains(end: str) -> None:
    off = Finding(
        "ipv4-forwarding-disabled", found("IPv4 forwarding is disabled")[0].severity, "0", ()
    )
    both = rank((off, *found(HUB + end)), CATALOGUE)
    assert all(not one.caused_by for one in both if one.finding.of_host)
    assert any(one.finding.of_host for one in both)


def test_a_name_that_a_container_cannot_resolve_hangs_below_forwarding() -> None:
    both = ranked(
        "WARNING: IPv4 forwarding is disabled\nTemporary failure resolving 'mirror.debian.org'"
    )
    assert [one.finding.problem for one in both] == [
        "ipv4-forwarding-disabled",
        "dns-resolution-failure",
    ]
    assert both[1].caused_by == ("ipv4-forwarding-disabled",)


def test_the_name_of_a_dead_mirror_hangs_below_the_mirror() -> None:
    words = PULL.format("dockerhub.azk8s.cn") + (
        "dial tcp: lookup dockerhub.azk8s.cn on 192.0.2.53:53: no such host"
    )
    both = ranked(words)
    assert both[0].finding.problem == "registry-mirror-dead"
    assert both[1].caused_by == ("registry-mirror-dead",)


@pytest.mark.parametrize(
    ("words", "host", "family"),
    [
        ("W: GPG error: NO_PUBKEY 7EA0A9C3F273FCD8", "any", "apt"),
        ("W: GPG error: NO_PUBKEY 7EA0A9C3F273FCD8", "dnf", "apt"),
        (
            "Failed to download metadata for repo 'appstream': Cannot prepare internal "
            "mirrorlist: No URLs in mirrorlist",
            "any",
            "dnf",
        ),
        ("Could not resolve host: mirrorlist.centos.org; Unknown error", "apt", "yum"),
        ("Could not resolve host: mirrorlist.centos.org; Unknown error", "dnf", "dnf"),
    ],
)
def test_the_commands_are_for_the_distribution_of_the_text(
    words: str, host: str, family: str
) -> None:
    first = ranked(words)[0]
    assert origin.remedy_family(first.finding, first.problem.area, host) == family


@pytest.mark.parametrize(
    ("words", "host", "judged"),
    [
        ("Could not resolve host: mirrorlist.centos.org; Unknown error", "apt", False),
        ("Could not resolve host: mirrorlist.centos.org; Unknown error", "yum", True),
        # apt in a container of a CentOS host: that host's forwarding is to be looked at.
        ("Temporary failure resolving 'mirror.debian.org'", "yum", True),
        (
            "Kernel 3.10.0-1160.el7.x86_64: WARNING: IPv4 forwarding is disabled",
            "apt",
            False,
        ),
    ],
)
def test_a_host_does_not_judge_the_text_of_another(words: str, host: str, judged: bool) -> None:
    seen = found(words)
    areas = [CATALOGUE.get(one.problem).area for one in seen]
    mine, foreign = origin.split(seen, areas, host)
    assert bool(mine) is judged
    assert bool(foreign) is not judged
