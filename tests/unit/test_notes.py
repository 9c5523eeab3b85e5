# SPDX-License-Identifier: GPL-3.0-or-later
"""The troubles of the learners' notes, in the words of many versions, alone and on hosts."""

import json
from collections.abc import Callable
from functools import cache

import pytest

from hostkit import plugins
from hostkit.diagnosis.doctor import Text, diagnose, suspects
from hostkit.diagnosis.finding import Certainty, Finding, Severity
from hostkit.diagnosis.problem import Catalogue, Problem
from hostkit.diagnosis.rank import Ranked, rank
from hostkit.diagnosis.signature import Signature
from hostkit.facts.fact import Facts
from hostkit.facts.target import TARGET, Target
from hostkit.host.answer import Known
from tests import hosts

RELOCATION = (
    "relocation error: {0}: symbol dm_task_get_info_with_deferred_remove, version Base not defined "
    "in file libdevmapper.so.1.02 with link time reference"
)
DNAT = (
    "(iptables failed: iptables --wait -t nat -A DOCKER -p tcp -d 0/0 --dport 32828 -j DNAT "
    "--to-destination 172.17.0.2:5000 ! -i docker0: iptables: No chain/target/match by that name."
)
PUBLISHED = f"driver failed programming external connectivity on endpoint web (9a1b): {DNAT}"
FORWARDING = "IPv4 forwarding is disabled. Networking will not work"
LOOPS = "sage of loopback devices is strongly discouraged for production use."

LIKELY: dict[str, tuple[str, ...]] = {
    "libdevmapper-too-old": (
        "docker: " + RELOCATION.format("docker"),
        "/usr/bin/dockerd: " + RELOCATION.format("/usr/bin/dockerd"),
        # systemctl status cuts the middle out.
        "docker[5324]: /usr/bin/docker: relocation error: /usr/bin/docker: symbol "
        "dm_task_get_info_with_deferred_remove, version Base not defined...e reference",
    ),
    "docker-machine-virtualbox-failure": (
        "Error creating machine: exit status 1\nYou will want to check the provider to make sure "
        "the machine and associated resources were properly removed.",
        "Error creating machine: Error in driver during machine creation: exit status 1",
    ),
    "ipv4-forwarding-disabled": (
        f"WARNING: {FORWARDING}.",
        f'time="2019-06-11T10:00:00.1Z" level=warning msg="{FORWARDING}"',
        "WARNING: IPv4 forwarding is disabled",  # docker info
    ),
    "iptables-chains-flushed": (
        f"docker: Error response from daemon: {PUBLISHED}\n (exit status 1)).",
        # 1.5: no endpoint yet.
        f"Error response from daemon: Cannot start container 9a: {DNAT}",
        # 20.10 and later on a docker network.
        "Error response from daemon: Failed to Setup IP tables: Unable to enable SKIP DNAT rule:  "
        "(iptables failed: iptables --wait -t nat -I DOCKER -i br-9a -j RETURN: iptables: "
        "No chain/target/match by that name.\n (exit status 1))",
        # iptables 1.8 on nf_tables.
        "Unable to enable DNAT rule:  (iptables failed: iptables --wait -t nat -A DOCKER -p tcp -d "
        "0/0 --dport 80 -j DNAT --to-destination 172.17.0.2:80 ! -i docker0: iptables v1.8.7 "
        "(nf_tables): Chain 'DOCKER' does not exist",
    ),
    "iptables-kernel-module-missing": (
        "iptables failed: iptables --wait -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j "
        "DOCKER: iptables: No chain/target/match by that name.",
        "iptables failed: iptables --wait -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j "
        "DOCKER: Warning: Extension addrtype revision 0 not supported, missing kernel module?",
    ),
    "no-swap-limit-support": (
        "WARNING: No swap limit support",
        "WARNING: Your kernel does not support swap limit capabilities, memory limited without "
        "swap.",
        "WARNING: Your kernel does not support swap limit capabilities or the cgroup is not "
        "mounted. Memory limited without swap.",
        'time="2016-06-11T10:00:00Z" level=warning msg="Your kernel does not support swap memory '
        'limit."',
    ),
    "aufs-dirperm1-unsupported": (
        "Storage Driver: aufs\n Root Dir: /var/lib/docker/aufs\n Backing Filesystem: extfs\n"
        " Dirs: 25\n Dirperm1 Supported: false",
    ),
    "loop-lvm-in-use": (
        f"WARNING: devicemapper: u{LOOPS}",
        f'time="2017-06-11T10:00:00Z" level=warning msg="devmapper: U{LOOPS} Please use '
        '`--storage-opt dm.thinpooldev` or use `man docker` to refer to dm.thinpooldev section."',
        f'time="2019-06-11T10:00:00Z" level=warning msg="[devmapper] U{LOOPS}"',
        " Data file: /dev/loop0\n Metadata file: /dev/loop1\n"
        " Data loop file: /var/lib/docker/devicemapper/devicemapper/data",
    ),
    "registry-mirror-dead": (
        "Error response from daemon: Get https://dockerhub.azk8s.cn/v2/: 403 Forbidden",
        'level=warning msg="Error getting v2 registry: Get https://dockerhub.azk8s.cn/v2/: dial '
        'tcp: lookup dockerhub.azk8s.cn: no such host"',
    ),
    "kernel-too-old": (
        "You are running linux kernel version 2.6.32-431.el6.x86_64, which might be unstable "
        "running docker. Please upgrade your kernel to 3.10.0.",
    ),
}
POSSIBLE = {
    "daemon-connection-eof": (
        "Error response from daemon: EOF",
        "docker: Error response from daemon: EOF.\nSee 'docker run --help'.",
        'error during connect: Get "http://%2Fvar%2Frun%2Fdocker.sock/v1.24/containers/json": EOF',
        'error during connect: Post "http://%2Fvar%2Frun%2Fdocker.sock/v1.40/build": read unix '
        "@->/run/docker.sock: read: connection reset by peer",
    ),
}
MESSAGES = [(code, text) for code, texts in LIKELY.items() for text in texts]


@cache
def signatures() -> tuple[Signature, ...]:
    return plugins.load((plugins.CHECKS_GROUP,)).signatures()


@cache
def catalogue() -> Catalogue:
    return plugins.load((plugins.CHECKS_GROUP,)).catalogue()


def read(text: str) -> tuple[Ranked, ...]:
    return rank(suspects([Text("text", text.split("\n"))], signatures()), catalogue())


def first(text: str) -> Finding:
    return read(text)[0].finding


def journal(text: str) -> str:
    return "\n".join(f"Jun 11 10:00:00 web07 dockerd[812]: {line}" for line in text.split("\n"))


def journal_json(text: str) -> str:
    fields = {"_SYSTEMD_UNIT": "docker.service", "PRIORITY": "4", "_PID": "812"}
    return "\n".join(json.dumps({**fields, "MESSAGE": line}) for line in text.split("\n"))


def as_typed(text: str) -> str:
    return text


def among_others(text: str) -> str:
    before = "$ docker run -d -P training/webapp python app.py\n8d1a5d7c\n"
    return f"{before}{text}\n[root@web07 ~]# echo $?\n125\n"


@pytest.mark.parametrize("shape", [as_typed, journal, journal_json, among_others])
@pytest.mark.parametrize(("code", "text"), MESSAGES)
def test_a_message_of_the_notes_in_every_shape(
    code: str, text: str, shape: Callable[[str], str]
) -> None:
    found = first(shape(text))
    assert (found.problem, found.certainty) == (code, Certainty.LIKELY)


@pytest.mark.parametrize("text", POSSIBLE["daemon-connection-eof"])
def test_an_eof_is_only_possible_and_names_the_log_to_read(text: str) -> None:
    (one,) = read(text)
    assert one.finding.problem == "daemon-connection-eof"
    assert one.finding.certainty is Certainty.POSSIBLE
    said = [line for remedy in one.problem.remedies for line in remedy.commands_for("any", {})]
    assert any("journalctl -u docker.service" in line for line in said)
    assert any("journalctl -u docker.service" in line for line in one.problem.confirm)


def test_what_explains_an_eof_stands_before_it() -> None:
    text = f"Error response from daemon: EOF\n{FORWARDING}"
    assert [one.finding.problem for one in read(text)] == [
        "ipv4-forwarding-disabled",
        "daemon-connection-eof",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Nov 14 22:03:21 web07 docker[812]: [35B blob data]",
        "Storage Driver: aufs\n Dirperm1 Supported: true",
        "Storage Driver: overlay2\n Backing Filesystem: xfs\n Supports d_type: true",
        "net.ipv4.ip_forward = 1",
        "read /tmp/x: EOF",
        "for i in docker0 eth0; do ip link show $i; done",
        "Device Mapper: 253 device-mapper",
    ],
)
def test_healthy_words_suggest_nothing(text: str) -> None:
    assert read(text) == ()


INVITED = {
    "dial unix /var/run/docker.sock: connect: permission denied": ("chmod 666", "setenforce 0"),
    'avc:  denied  { read } for  pid=1 comm="nginx" scontext=system_u:system_r:container_t:s0 '
    "tcontext=unconfined_u:object_r:user_home_t:s0 tclass=dir permissive=0": ("setenforce 0",),
    PUBLISHED: ("iptables -F", "disable firewalld"),
    "write /var/lib/docker/tmp/GetImageBlob1: no space left on device": ("rm -rf /var/lib/docker",),
    f"WARNING: devicemapper: u{LOOPS}": ("rm -rf /var/lib/docker",),
    "Error starting daemon: error initializing graphdriver: devmapper: Base Device UUID and "
    "Filesystem verification failed": ("rm -rf /var/lib/docker",),
}


@pytest.mark.parametrize("text", INVITED)
def test_the_popular_advice_that_does_damage_is_warned_of(text: str) -> None:
    problem: Problem = read(text)[0].problem
    advice = "\n".join(one.advice for one in problem.harmful)
    for words in INVITED[text]:
        assert words in advice
    assert all(one.why for one in problem.harmful)


# --- a text, and the host that it comes from


def on_host(text: str, name: str) -> tuple[Ranked, ...]:
    """As `hostkit doctor TEXT` judges on that host: by the suspects' checks and their causes'."""
    found = suspects([Text("text", text.split("\n"))], signatures())
    facts = Facts(hosts.load(name), {TARGET: Known(Target("docker"), "--for")})
    codes = {one.problem for one in found}
    codes |= {cause for code in codes for cause in catalogue().causes_of(code)}
    loaded = plugins.load((plugins.CHECKS_GROUP,))
    checks = [one for _, one in loaded.checks() if codes.intersection(one.problems)]
    return diagnose(facts, checks, found, catalogue())[0]


def told(ranked: tuple[Ranked, ...], code: str) -> Finding:
    (found,) = (one.finding for one in ranked if one.finding.problem == code)
    return found


CONFIRMED = [
    (FORWARDING, "centos7-forwarding-off", "ipv4-forwarding-disabled", Severity.ERROR),
    (PUBLISHED, "centos7-firewalld-restarted", "iptables-chains-flushed", Severity.ERROR),
    (PUBLISHED, "centos7-dnat-missing", "iptables-kernel-module-missing", Severity.ERROR),
    (
        LIKELY["iptables-kernel-module-missing"][1],
        "rhel10-no-modules-extra",
        "iptables-kernel-module-missing",
        Severity.ERROR,
    ),
    (
        "WARNING: No swap limit support",
        "ubuntu1204-aufs",
        "no-swap-limit-support",
        Severity.WARNING,
    ),
    (f"u{LOOPS}", "centos72-loop-lvm", "loop-lvm-in-use", Severity.ERROR),
    (
        LIKELY["libdevmapper-too-old"][0],
        "centos70-old-libdevmapper",
        "libdevmapper-too-old",
        Severity.ERROR,
    ),
]


@pytest.mark.parametrize(("text", "name", "code", "severity"), CONFIRMED)
def test_the_host_confirms_what_the_text_says(
    text: str, name: str, code: str, severity: Severity
) -> None:
    ranked = on_host(text, name)
    found = ranked[0].finding
    assert (found.problem, found.certainty) == (code, Certainty.CONFIRMED)
    assert (found.severity, found.past) == (severity, False)


def test_what_is_so_only_from_the_next_boot_on_confirms_nothing() -> None:
    warned, past = (
        r.finding
        for r in on_host(FORWARDING, "centos7-hardened-sysctl")
        if r.finding.problem == "ipv4-forwarding-disabled"
    )
    assert (warned.severity, warned.past) == (Severity.WARNING, False)
    assert past.past
    assert "1 now, and 0 from the next boot on" in past.summary


PAST = [
    (FORWARDING, "centos7-healthy", "ipv4-forwarding-disabled", "forwarding is on"),
    (PUBLISHED, "centos7-healthy", "iptables-chains-flushed", "chains are in place"),
    (PUBLISHED, "centos7-dnat-missing", "iptables-chains-flushed", "chains are in place"),
    (
        LIKELY["iptables-kernel-module-missing"][0],
        "centos7-healthy",
        "iptables-kernel-module-missing",
        "every module",
    ),
    ("WARNING: No swap limit support", "centos7-healthy", "no-swap-limit-support", "memsw"),
    (f"u{LOOPS}", "centos7-direct-lvm", "loop-lvm-in-use", "no thin pool of Docker's lies"),
    (LIKELY["libdevmapper-too-old"][0], "centos7-healthy", "libdevmapper-too-old", "exports"),
]


@pytest.mark.parametrize(("text", "name", "code", "now"), PAST)
def test_what_the_host_refutes_is_past(text: str, name: str, code: str, now: str) -> None:
    found = told(on_host(text, name), code)
    assert found.past
    assert found.severity is Severity.INFO
    assert now in found.summary


def test_an_eof_stays_possible_whatever_the_host_is_like() -> None:
    found = told(
        on_host("Error response from daemon: EOF", "centos7-healthy"), "daemon-connection-eof"
    )
    assert (found.certainty, found.past) == (Certainty.POSSIBLE, False)
