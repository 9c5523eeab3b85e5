# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of networks and the packet filter: what each points to, and what is only noise."""

import json
from pathlib import Path

import pytest

from hostkit.diagnosis.doctor import Text, suspects
from hostkit_checks.firewall.signatures import SIGNATURES as FIREWALL
from hostkit_checks.network.signatures import SIGNATURES as NETWORK

FLUSHED = "iptables-chains-flushed"
MODULE = "iptables-kernel-module-missing"
NO_CHAIN = "iptables: No chain/target/match by that name."


def found(text: str) -> list[str]:
    signatures = (*FIREWALL, *NETWORK)
    return [finding.problem for finding in suspects([Text("t", text.split("\n"))], signatures)]


@pytest.mark.parametrize(
    "text",
    [
        "driver failed programming external connectivity on endpoint web (0a1b): (iptables failed: "
        "iptables --wait -t nat -A DOCKER -p tcp -d 0/0 --dport 8080 -j DNAT --to-destination "
        f"172.17.0.9:80 ! -i docker0: {NO_CHAIN}\n (exit status 1))",
        "iptables failed: iptables --wait -t filter -A DOCKER ! -i br-0a1b2c3d4e5f -o "
        "br-0a1b2c3d4e5f -p udp -d 172.20.0.2 --dport 53 -j ACCEPT: iptables v1.8.7 (nf_tables): "
        " No chain/target/match by that name.",
        "iptables --wait -t filter -I DOCKER-ISOLATION-STAGE-1 -i br-1 ! -o br-1 -j "
        f"DOCKER-ISOLATION-STAGE-2: {NO_CHAIN}",
        "iptables failed: iptables --wait -t nat -A DOCKER -p tcp -d 0/0 --dport 80 -j DNAT "
        "--to-destination 172.17.0.2:80 ! -i docker0: iptables v1.8.9 (nf_tables): "
        "Chain 'DOCKER' does not exist",
        "ERROR: COMMAND_FAILED: '/sbin/iptables -w -t nat -A PREROUTING -m addrtype --dst-type "
        "LOCAL -j DOCKER' failed: iptables v1.4.21: Couldn't load target `DOCKER':No such file",
    ],
)
def test_a_chain_of_dockers_that_is_gone(text: str) -> None:
    assert found(text) == [FLUSHED]


@pytest.mark.parametrize(
    "text",
    [
        "Failed to inject DOCKER in PREROUTING chain: iptables failed: iptables --wait -t nat -A "
        f"PREROUTING -m addrtype --dst-type LOCAL -j DOCKER: {NO_CHAIN} (exit status 1)",
        "iptables failed: iptables --wait -A FORWARD -o docker0 -m conntrack --ctstate "
        f"RELATED,ESTABLISHED -j ACCEPT: {NO_CHAIN}",
        "iptables: Warning: Extension addrtype revision 0 not supported, missing kernel module?",
        "iptables v1.4.7: Couldn't load match `addrtype':/lib64/xtables/libipt_addrtype.so",
        "iptables v1.8.10 (legacy): can't initialize iptables table `nat': Table does not exist "
        "(do you need to insmod?)",
        "modprobe: FATAL: Module ip_tables not found in directory /lib/modules/6.12.0-1.el10",
    ],
)
def test_a_part_of_the_kernel_that_is_missing(text: str) -> None:
    assert found(text) == [MODULE]


def test_the_message_alone_may_be_either() -> None:
    assert found(NO_CHAIN) == [FLUSHED, MODULE]


@pytest.mark.parametrize(
    "text",
    [
        "COMMAND_FAILED: '/usr/sbin/iptables -w2 -t nat -C DOCKER -i docker0 -j RETURN' failed: "
        "iptables: Bad rule (does a matching rule exist in that chain?).",
        f"COMMAND_FAILED: '/usr/sbin/iptables -w10 -F DOCKER-ISOLATION' failed: {NO_CHAIN}",
        "COMMAND_FAILED: '/usr/sbin/iptables -w -t nat -D PREROUTING -m addrtype --dst-type LOCAL "
        f"-j DOCKER' failed: {NO_CHAIN}",
        "COMMAND_FAILED: '/usr/sbin/iptables -w10 -t nat -D OUTPUT -m addrtype --dst-type LOCAL -j "
        "DOCKER' failed: iptables v1.8.9 (nf_tables): Chain 'DOCKER' does not exist",
        "COMMAND_FAILED: '/usr/sbin/iptables -w2 -D FORWARD -j DOCKER-ISOLATION' failed: iptables "
        "v1.4.21: Couldn't load target `DOCKER-ISOLATION':No such file or directory",
        f"COMMAND_FAILED: '/usr/sbin/iptables -w2 -t filter -X DOCKER' failed: {NO_CHAIN}",
        "iptables v1.8.7 (legacy): can't initialize iptables table `filter': Permission denied",
        "curl: (7) Failed to connect to 192.0.2.7 port 80: Host is unreachable",
        "listen unix /var/run/docker.sock: bind: address already in use",
        '{"iptables": true, "icc": true}',
        "mtu 1500 on docker0, mtu 9000 on eth0",
    ],
)
def test_noise_is_no_alarm(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("bind: listen tcp4 0.0.0.0:80: bind: address already in use", "port-already-allocated"),
        (
            "failed to bind host port for 0.0.0.0:8080:172.17.0.2:80/tcp: address already in use",
            "port-already-allocated",
        ),
        ("nf_conntrack: nf_conntrack: table full, dropping packet", "conntrack-table-full"),
        ("all predefined address pools have been fully subnetted", "address-pool-exhausted"),
        ("Pool overlaps with other one on this address space", "docker-subnet-conflict"),
        ("lookup registry-1.docker.io on [::1]:53: read udp [::1]:3->[::1]:53: read: "
         "connection refused".join(("dial tcp: ", "")), "dns-resolution-failure"),
        ("curl: (6) Could not resolve host: download.docker.com", "dns-resolution-failure"),
        ("ZONE_CONFLICT: 'docker0' already bound to a zone", "firewalld-zone-conflict"),
        ("# Warning: iptables-legacy tables present, use iptables-legacy-save to see them",
         "iptables-nft-legacy-mismatch"),
        ('{\n  "iptables" : false\n}', "iptables-disabled-in-daemon"),
        ('exec: "iptables": executable file not found in $PATH', "iptables-binary-missing"),
        ("[ERROR FileContent--proc-sys-net-bridge-bridge-nf-call-iptables]: /proc/sys/net/bridge/"
         "bridge-nf-call-iptables does not exist", "bridge-nf-disabled"),
    ],
)  # fmt: skip
def test_a_message_points_to_its_problem(text: str, problem: str) -> None:
    assert found(text) == [problem]


def test_rules_of_a_healthy_engine_are_no_alarm() -> None:
    captures = Path(__file__).parents[1] / "captures"
    for path in captures.glob("engine-rules/*-save.txt"):
        assert found(path.read_text()) == [], path.name


# What the text itself does not say: only a person who knows the host could label it.
BEYOND_THE_TEXT = ("fwddrop-lxd-12810",)


def test_labelled_reports(shared_data: Path) -> None:
    mine = {signature.problem for signature in (*FIREWALL, *NETWORK)}
    rows = [json.loads(line) for line in (shared_data / "reports.jsonl").read_text().splitlines()]
    missed = [
        row["id"] for row in rows if row["topic"] in mine and row["topic"] not in found(row["text"])
    ]
    assert set(missed) <= set(BEYOND_THE_TEXT)
    alarms = [row["id"] for row in rows if row["topic"] == "none" and found(row["text"])]
    assert alarms == []
