# SPDX-License-Identifier: GPL-3.0-or-later
"""What `--for docker@VERSION` says of a host beforehand, and what that dockerd then does.

Real 26.1.5 and 28.5.2, on a host each time new: a configuration or a data root of an earlier
Docker is put there, hostkit is asked, and the daemon is started. An error that hostkit names
must be a refusal, and a refusal must have been named. `make engines` runs this lane.
"""

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytest

from hostkit_checks.daemon import keys
from tests.rig.sickhost import SickHost
from tests.rig.tools import ENGINES, ToolsUnavailableError, engine_root

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        os.environ.get("HOSTKIT_ENGINES") != "1",
        reason="builds two root file systems (1 min, 700 MB): `make engines` runs it",
    ),
]

INVALID = frozenset(("daemon-json-invalid",))
UNKNOWN_KEY = frozenset(("daemon-json-unknown-key",))
ORPHANED = "storage-data-orphaned"
# Says "started" or "refused" and then the last words of dockerd.
START = r"""
umount -R /sys/fs/cgroup/unified 2>/dev/null
dockerd --cgroup-parent=/%s </dev/null >/var/log/dockerd.log 2>&1 &
pid=$!
for i in $(seq 300); do
    if ! kill -0 $pid 2>/dev/null; then echo refused; tail -n 2 /var/log/dockerd.log; exit; fi
    if docker version >/dev/null 2>&1; then echo started; kill $pid; wait $pid; exit; fi
    sleep 0.1
done
echo hangs
kill $pid
"""
LAYER, IMAGE = "a" * 64, "b" * 64


def data_root(driver: str, *folders: str) -> str:
    """A data root as a driver leaves it: its folders, and an image that is named there."""
    image = f"image/{driver}/imagedb/content/sha256"
    made = " ".join((*folders, image, f"image/{driver}/layerdb/sha256/{LAYER}"))
    return f"cd /var/lib/docker && mkdir -p {made} && echo '{{}}' >{image}/{IMAGE}"


class Case(NamedTuple):
    """`expected`: the codes of which one at least is an error before; none: it starts.

    `only`: of these versions alone it is so; the others start. `starts`: it starts although
    an error is told, because what is lost is data and not the daemon.
    """

    config: Mapping[str, Any] | str
    expected: frozenset[str] = frozenset()
    only: tuple[str, ...] = ("26.1.5", "28.5.2")
    setup: str = "true"
    starts: bool = False


CASES: Mapping[str, Case] = {
    "nothing set": Case({}),
    "an empty file": Case(""),
    "a comma too many": Case('{"debug": true,}', INVALID),
    "a wrong type": Case({"debug": "true"}, INVALID),
    "a number for a log option": Case({"log-opts": {"max-size": 10}}, INVALID),
    "a misspelt key": Case({"storage-drvier": "vfs"}, UNKNOWN_KEY),
    # Keys that were taken away, or are not there yet.
    "graph": Case({"graph": "/srv/docker"}, UNKNOWN_KEY),
    "cluster-store": Case({"cluster-store": "consul://c"}, UNKNOWN_KEY),
    "oom-score-adjust": Case({"oom-score-adjust": -500}, UNKNOWN_KEY),
    "api-cors-header": Case({"api-cors-header": "*"}, UNKNOWN_KEY, only=("28.5.2",)),
    "add-registry": Case({"add-registry": ["registry.example"]}, UNKNOWN_KEY),
    "firewall-backend": Case({"firewall-backend": "nftables"}, UNKNOWN_KEY),
    "min-api-version": Case({"min-api-version": "1.24"}, UNKNOWN_KEY),
    "ip-forward-no-drop": Case({"ip-forward-no-drop": True}, UNKNOWN_KEY, only=("26.1.5",)),
    # Drivers that were taken away, and their options.
    "aufs": Case({"storage-driver": "aufs"}, UNKNOWN_KEY),
    "overlay": Case({"storage-driver": "overlay"}, UNKNOWN_KEY),
    "devicemapper": Case({"storage-driver": "devicemapper"}, UNKNOWN_KEY),
    "override_kernel_check": Case(
        {"storage-driver": "overlay2", "storage-opts": ["overlay2.override_kernel_check=true"]},
        UNKNOWN_KEY,
    ),
    "override_kernel_check alone": Case(
        {"storage-opts": ["overlay2.override_kernel_check=true"]}, UNKNOWN_KEY
    ),
    "direct-lvm's options": Case(
        {"storage-opts": ["dm.thinpooldev=/dev/mapper/docker-thinpool"]}, UNKNOWN_KEY
    ),
    "btrfs on ext4": Case({"storage-driver": "btrfs"}, frozenset(("backing-fs-unsupported",))),
    "overlay2.size on ext4": Case({"storage-opts": ["overlay2.size=10G"]}, INVALID),
    # Data of drivers that were taken away: the daemon starts, and shows none of it.
    "images of devicemapper": Case(
        {},
        frozenset((ORPHANED,)),
        setup=data_root("devicemapper", "devicemapper/devicemapper", "devicemapper/metadata")
        + " && echo x >devicemapper/metadata/base",
        starts=True,
    ),
    "images of aufs": Case(
        {}, frozenset((ORPHANED,)), setup=data_root("aufs", "aufs/diff/x", "aufs/layers"),
        starts=True,
    ),
    "folders of two drivers": Case({}, setup="mkdir -p /var/lib/docker/{overlay2/l,vfs/dir}/x"),
    # Values.
    "one label twice": Case({"labels": ["a=1", "a=2"]}, INVALID),
    "the same label twice": Case({"labels": ["a=1", "a=1"]}),
    "no value for a label": Case({"labels": ["a"]}, INVALID),
    "no such seccomp profile": Case({"seccomp-profile": "/etc/docker/none.json"}, INVALID),
    "unconfined": Case({"seccomp-profile": "unconfined"}),
    "bridge and bip": Case({"bridge": "br0", "bip": "10.1.0.1/24"}, INVALID),
    "no such bridge": Case({"bridge": "br0"}, INVALID),
    "icc without iptables": Case({"icc": False, "iptables": False}, INVALID),
    "a negative MTU": Case({"mtu": -1}, INVALID),
    "no such log level": Case({"log-level": "loud"}, INVALID),
    "a mirror without a scheme": Case({"registry-mirrors": ["mirror.example"]}, INVALID),
    "a mirror with a path": Case({"registry-mirrors": ["https://mirror.example/path"]}),
    "an insecure registry with a path": Case({"insecure-registries": ["r.example/y"]}, INVALID),
    "no such runtime": Case({"default-runtime": "nvidia"}, INVALID),
    "the runtime runc redefined": Case({"runtimes": {"runc": {"path": "/x"}}}, INVALID),
    "a runtime that is not there": Case(
        {"runtimes": {"x": {"path": "/nowhere/x"}}, "default-runtime": "x"}
    ),
    "a name as a DNS server": Case({"dns": ["ns.example"]}, INVALID),
    "a search domain with a blank": Case({"dns-search": ["a b"]}, INVALID),
    "a pool without a size": Case({"default-address-pools": [{"base": "10.0.0.0/16"}]}, INVALID),
    "a pool that is too small": Case(
        {"default-address-pools": [{"base": "10.0.0.0/24", "size": 16}]}, INVALID
    ),
    "bip without a length": Case({"bip": "10.1.0.0"}, INVALID),
    "fixed-cidr without a length": Case({"fixed-cidr": "10.1.0.0"}, INVALID),
    "an IPv6 length of 129": Case({"ipv6": True, "fixed-cidr-v6": "2001:db8::/129"}, INVALID),
    "IPv6 without a network": Case({"ipv6": True}, INVALID, only=("26.1.5",)),
    "another IPC mode": Case({"default-ipc-mode": "host"}, INVALID),
    "another cgroup namespace mode": Case({"default-cgroupns-mode": "none"}, INVALID),
    "a size of 64Q": Case({"default-shm-size": "64Q"}, INVALID),
    "log options of another driver": Case(
        {"log-driver": "journald", "log-opts": {"max-size": "10m"}}, INVALID
    ),
    "a misspelt log option": Case({"log-opts": {"maxsize": "10m"}}, INVALID),
    "a log format": Case({"log-format": "xml"}, INVALID),
    "a misspelt cgroup driver": Case({"exec-opts": ["native.cgroupdriver=sytemd"]}, INVALID),
    "fewer than no downloads": Case({"max-concurrent-downloads": -1}, INVALID),
    "a metrics address without a port": Case({"metrics-addr": "127.0.0.1"}, INVALID),
    "a relative path of the proxy": Case({"userland-proxy-path": "docker-proxy"}, INVALID),
    "no such proxy": Case({"userland-proxy-path": "/nowhere/docker-proxy"}, INVALID),
    "TLS without a certificate": Case({"tls": True}, INVALID),
}  # fmt: skip


@pytest.fixture(params=sorted(ENGINES), scope="module")
def suite(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def fresh_host(suite: str) -> Iterator[SickHost]:
    """A host with the engine of the suite installed, which never ran."""
    try:
        root = engine_root(suite)
    except ToolsUnavailableError as error:
        pytest.skip(f"no root file system of {suite}: {error}")
    with SickHost(root=root) as host:
        yield host


def errors_for(host: SickHost, version: str) -> list[dict[str, Any]]:
    """What hostkit says would keep that Docker from its work, asked as a person would."""
    target = f"docker@{version.partition('.')[0]}"
    done = host.hostkit(
        "preflight", "--for", target, "--format", "json", "--ignore", "daemon-not-running"
    )
    findings: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    return [one for one in findings if one["severity"] == "error"]


@pytest.mark.parametrize("name", CASES)
def test_what_is_said_beforehand_is_what_the_daemon_does(
    fresh_host: SickHost, suite: str, name: str
) -> None:
    case, version = CASES[name], ENGINES[suite]
    config = case.config if isinstance(case.config, str) else json.dumps(case.config)
    fresh_host.shell(f"mkdir -p /etc/docker; {case.setup}")
    fresh_host.write("/etc/docker/daemon.json", config)
    errors = errors_for(fresh_host, version)
    said = fresh_host.shell(START % fresh_host.cgroup, check=False)
    told = {one["problem"] for one in errors}
    if version not in case.only or not case.expected:
        assert told == set(), (errors, said)
        assert said.startswith("started"), said
    else:
        assert told & case.expected, (told, said)
        assert said.startswith("started" if case.starts else "refused"), said


def test_every_key_is_known_to_the_versions_that_hostkit_says_know_it(
    fresh_host: SickHost, suite: str
) -> None:
    """`dockerd --validate` of one file a key, against what hostkit says of the same file."""
    major = int(ENGINES[suite].partition(".")[0])
    values = {"switch": True, "number": 1, "text": "x", "list": list[str](), "any": "x"}
    kinds = {key: kind for key, kind in keys.KIND_OF.items() if kind != "table"}
    lines = "".join(f"{key} {json.dumps({key: values[kind]})}\n" for key, kind in kinds.items())
    fresh_host.write("/tmp/keys", lines)
    said = fresh_host.shell(
        'while read -r key json; do echo "$json" >/tmp/k.json;'
        ' echo "$key $(dockerd --validate --config-file /tmp/k.json 2>&1 | tail -n 1)";'
        " done </tmp/keys"
    )
    refused = {
        line.partition(" ")[0] for line in said.splitlines() if "match any configuration" in line
    }
    judged = {
        key
        for key in kinds
        if (key in keys.REMOVED and (major,) >= keys.REMOVED[key].version)
        or (major,) < keys.ADDED.get(key, ())
    }
    # 28 has this key still, and refuses it with other words.
    judged -= {"api-cors-header"}
    names_of_flags = {key for key, kind in kinds.items() if kind == "any"}
    assert refused - names_of_flags == judged
