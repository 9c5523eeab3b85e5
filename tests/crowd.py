# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with more of everything than anybody should have, made of one of the described ones.

Each kind of crowd is a function that adds to the files and answers of a host.
"""

import json
import sys
import time
from collections.abc import Mapping
from resource import RUSAGE_SELF, getrusage
from types import MappingProxyType
from typing import NamedTuple

from hostkit import plugins
from hostkit.diagnosis.advise import advise, finding
from hostkit.diagnosis.doctor import Text, diagnose, suspects
from hostkit.diagnosis.finding import Unknown
from hostkit.facts.fact import Facts
from hostkit.facts.logs import LOGS
from hostkit.facts.target import TARGET, Target
from hostkit.host import commands
from hostkit.host.answer import Known
from hostkit.host.base import Host
from tests import hosts
from tests.fakes import FakeHost, Said

Files = dict[str, str | bytes]
_OURS = "hostkit failed"  # how a fact that crashed is told


class More(NamedTuple):
    """What a crowd adds: files, what is added to their ends, and answers of commands."""

    files: Mapping[str, str | bytes] = MappingProxyType({})
    appended: Mapping[str, str] = MappingProxyType({})
    answers: Mapping[str, Said] = MappingProxyType({})


def mounts(count: int) -> More:
    """Containers of overlay2, each with its mount."""
    overlay = "/var/lib/docker/overlay2"
    rows = [
        f"{n} 20 0:{n} / {overlay}/{n:064x}/merged rw,relatime shared:{n} - overlay overlay"
        f" rw,lowerdir={overlay}/l/{n:026x}:{overlay}/l/{n:026x},upperdir={overlay}/{n:064x}/diff\n"
        for n in range(100, 100 + count)
    ]
    old = [f"overlay {overlay}/{n:064x}/merged overlay rw,relatime 0 0\n" for n in range(count)]
    return More(appended={"/proc/self/mountinfo": "".join(rows), "/proc/self/mounts": "".join(old)})


def rules(count: int) -> More:
    """Published ports, as iptables-save shows them."""
    shown = "".join(
        f"[12:720] -A DOCKER -d 172.17.{n // 250 % 250}.{n % 250}/32 ! -i docker0 -o docker0 -p tcp"
        f' -m tcp --dport {n % 60000 + 1} -m comment --comment "published {n}" -j ACCEPT\n'
        for n in range(count)
    )
    chains = ("INPUT ACCEPT", "FORWARD DROP", "OUTPUT ACCEPT", "DOCKER -", "DOCKER-USER -")
    heads = "".join(f":{chain} [0:0]\n" for chain in chains)
    jumps = "[0:0] -A FORWARD -j DOCKER-USER\n[0:0] -A FORWARD -o docker0 -j DOCKER\n"
    save = f"*filter\n{heads}{jumps}{shown}COMMIT\n"
    return More(answers={"iptables-save -c": save})


def nft_rules(count: int) -> More:
    """The same in nft's JSON."""
    chain = {"family": "ip", "table": "mine", "name": "FORWARD", "handle": 1}
    base = {"type": "filter", "hook": "forward", "prio": 0, "policy": "accept"}
    objects: list[object] = [
        {"table": {"family": "ip", "name": "mine", "handle": 1}},
        {"chain": {**chain, **base}},
    ]
    objects += [
        {
            "rule": {
                "family": "ip",
                "table": "mine",
                "chain": "FORWARD",
                "handle": n + 2,
                "expr": [
                    {
                        "match": {
                            "op": "==",
                            "left": {"payload": {"protocol": "tcp", "field": "dport"}},
                            "right": n % 60000 + 1,
                        }
                    },
                    {"counter": {"packets": 12, "bytes": 720}},
                    {"accept": None},
                ],
            }
        }
        for n in range(count)
    ]
    return More(answers={"nft -j list ruleset": json.dumps({"nftables": objects})})


def loops(count: int) -> More:
    """Loop devices, each with a file behind it."""
    files: Files = {}
    for n in range(count):
        for folder in (f"/sys/class/block/loop{n}", f"/sys/block/loop{n}"):
            files[f"{folder}/size"] = "2048\n"
            files[f"{folder}/uevent"] = f"MAJOR=7\nMINOR={n}\nDEVNAME=loop{n}\nDEVTYPE=disk\n"
            files[f"{folder}/ro"] = files[f"{folder}/removable"] = "0\n"
            files[f"{folder}/loop/backing_file"] = f"/var/tmp/image{n}\n"
            for name in ("offset", "sizelimit", "autoclear"):
                files[f"{folder}/loop/{name}"] = "0\n"
    return More(files)


def links(count: int) -> More:
    """A veth pair's host end, a route and an address for each container."""
    files: Files = {}
    routes: list[str] = []
    own: list[str] = []
    for n in range(count):
        folder = f"/sys/class/net/veth{n:07x}"
        files[f"{folder}/mtu"] = "1500\n"
        files[f"{folder}/operstate"] = "up\n"
        files[f"{folder}/address"] = "52:54:00:00:00:01\n"
        files[f"{folder}/type"] = "1\n"
        files[f"{folder}/uevent"] = f"INTERFACE=veth{n:07x}\n"
        files[f"{folder}/iflink"], files[f"{folder}/ifindex"] = "4\n", f"{n + 100}\n"
        third, second = n % 256, n // 256
        routes.append(
            f"\nveth{n:07x}\t00{third:02X}{second:02X}0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0"
        )
        own.append(f"\n     |-- 10.{second}.{third}.1\n        /32 host LOCAL")
    appended = {"/proc/net/route": "".join(routes), "/proc/net/fib_trie": "".join(own)}
    return More(files, appended)


def settings(count: int) -> More:
    """A file of sysctl.d with that many lines."""
    lines = (f"net.ipv4.conf.veth{n}.forwarding = 1\n" for n in range(count))
    return More({"/etc/sysctl.d/80-many.conf": "".join(lines)})


def packages(count: int) -> More:
    """As many packages in dpkg's own list."""
    rows = (
        f"Package: package{n}\nStatus: install ok installed\nPriority: optional\nSection: libs\n"
        f"Architecture: amd64\nVersion: 1.{n}-1\nDepends: libc6 (>= 2.34), libgcc-s1 (>= 3.0)\n"
        f"Description: one of many\n that are there\n\n"
        for n in range(count)
    )
    return More(appended={"/var/lib/dpkg/status": "".join(rows)})


def processes(count: int) -> More:
    """Processes, none of them an engine's."""
    return More(
        {
            f"/proc/{n + 5000}/{name}": said
            for n in range(count)
            for name, said in (("comm", "httpd\n"), ("cmdline", "httpd\0-k\0"), ("status", ""))
        }
    )


def daemon_json(count: int) -> More:
    """A daemon.json of that many characters."""
    return More({"/etc/docker/daemon.json": '{"dns": [' + '"192.0.2.1", ' * (count // 13) + '""]}'})


def deep_json(count: int) -> More:
    """JSON nested that deep, wherever JSON is read."""
    deep = '{"a":' * count
    asked = ("lsblk -J -b -o " + commands.LSBLK_JSON.argv[-1], "nft -j list ruleset")
    return More(
        {
            "/etc/docker/daemon.json": deep,
            "/var/lib/docker/image/overlay2/repositories.json": deep,
        },
        answers={**dict.fromkeys(asked, deep), " ".join(commands.JOURNAL_UNITS.argv): deep},
    )


def deep_toml(count: int) -> More:
    """TOML nested that deep, wherever TOML is read."""
    deep = "a." * (count // 2) + "a = " + "[" * (count // 2)
    names = (
        "containerd/config.toml",
        "containers/registries.conf",
        "containers/storage.conf",
        "containers/containers.conf",
    )
    return More({f"/etc/{name}": deep for name in names})


def journal(count: int) -> More:
    """A log of that many lines, most of them errors."""
    line = 'Nov 16 10:53:{:02d} host dockerd[1]: level=error msg="No such container: {}"\n'
    said = "".join(line.format(n % 60, n) for n in range(count))
    return More({"/var/log/messages": said, "/var/log/docker.log": said}, answers={"dmesg": said})


def names(count: int) -> More:
    """Devices, links and mounts with names that nobody expects."""
    hostile = "\x1b[2J\u202e%s{}" * 10
    files: Files = {f"/sys/class/net/{hostile}{n}/mtu": "9" * 30 for n in range(count)}
    for n in range(count):
        files[f"/sys/block/loop{hostile}{n}/loop/backing_file"] = f"{hostile}\n"
    rows = "".join(
        f"{n} 20 0:{n} / /{hostile} rw - {hostile} x rw\n" for n in range(100, 100 + count)
    )
    return More(files, {"/proc/self/mountinfo": rows})


class Examined(NamedTuple):
    """How long preflight and doctor took together, in time of the processor; what they said."""

    seconds: float
    findings: tuple[str, ...]
    unknown: Mapping[str, str]
    crashed: tuple[str, ...]


def host(name: str, *crowds: More) -> FakeHost:
    """A described host, and what the crowds add to it."""
    made = hosts.load(name)
    for more in crowds:
        made.add(more.files, more.answers)
        for path, content in more.appended.items():
            before = made.read(path, 1 << 40)
            own = before.value if isinstance(before, Known) else b""
            made.add({path: own + content.encode()}, {})
    return made


def examine(asked: Host, installed: plugins.Plugins | None = None) -> Examined:
    """As preflight and as doctor do, with all that is installed."""
    loaded = installed or plugins.load()
    checks = [one for _, one in loaded.checks() if "docker" in one.profiles]
    signatures, catalogue = loaded.signatures(), loaded.catalogue()
    started = time.process_time()
    facts = Facts(asked, {TARGET: Known(Target("docker"), "--for")})
    advice = finding(advise(loaded.fitness(facts)))
    logs = [Text(log.source, log.lines) for log in facts.known(LOGS) or ()]
    suspected = [*suspects(logs, signatures), *([advice] if advice else [])]
    ranked, results = diagnose(facts, checks, suspected, catalogue)
    took = time.process_time() - started
    said = [(r.check.name, o) for r in results for o in r.outcomes if isinstance(o, Unknown)]
    return Examined(
        took,
        tuple(one.finding.problem for one in ranked),
        {name: one.reason for name, one in said},
        tuple(f"{name}: {one.reason}" for name, one in said if one.crashed or _OURS in one.reason),
    )


def main() -> None:
    """The crowds that are named, as NAME=COUNT, and how much memory they took, as JSON."""
    name, *words = sys.argv[1:]
    crowds = (word.partition("=") for word in words)
    asked = host(name, *(globals()[kind](int(count)) for kind, _, count in crowds))
    before = getrusage(RUSAGE_SELF).ru_maxrss
    examined = examine(asked)
    used = (getrusage(RUSAGE_SELF).ru_maxrss - before) << 10
    json.dump({**examined._asdict(), "bytes": used}, sys.stdout)


if __name__ == "__main__":
    main()
