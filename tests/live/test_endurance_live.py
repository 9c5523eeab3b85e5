# SPDX-License-Identifier: GPL-3.0-or-later
"""Thousands of real mounts, links and rules of this kernel: judged in time, and rightly."""

import json
import resource
import sys
from collections.abc import Iterator

import pytest

from tests.rig.sickhost import SickHost
from tests.rig.tools import IPTABLES, ToolsUnavailableError, unpack

pytestmark = pytest.mark.root

SECONDS = 6.0  # of the processor, for hostkit and the programs that it asks
MOUNTS, LINKS, RULES = 2000, 300, 20_000
CROWD = f"""
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
os.mkdir("/mnt/many")
for n in range({MOUNTS}):
    path = f"/mnt/many/{{n}}".encode()
    os.mkdir(path)
    kind = b"tmpfs" if n % 2 else None
    source, flags = (b"none", 0) if n % 2 else (b"/etc", 4096)
    if libc.mount(source, path, kind, flags, None):
        raise OSError(ctypes.get_errno(), f"mount {{n}}")
with open("/tmp/links", "w") as links:
    for n in range({LINKS}):
        links.write(f"link add many{{n}} type veth peer name peer{{n}}\\n")
        links.write(f"addr add 10.{{n // 200}}.{{n % 200}}.1/24 dev many{{n}}\\n")
        links.write(f"link set many{{n}} up\\n")
with open("/tmp/rules", "w") as rules:
    rules.write("*filter\\n:FORWARD ACCEPT [0:0]\\n:DOCKER-USER - [0:0]\\n")
    rules.write("-A FORWARD -j DOCKER-USER\\n")
    for n in range({RULES}):
        source = f"192.0.{{n // 250}}.{{n % 250}}/32"
        rules.write(f"-A DOCKER-USER -s {{source}} -p tcp -m tcp --dport {{n + 1}} -j DROP\\n")
    rules.write("COMMIT\\n")
"""
COUNT = """
from hostkit.facts.fact import Facts
from hostkit.facts.links import ADDRESSES, LINKS
from hostkit.facts.mounts import MOUNTS
from hostkit.facts.netfilter import RULESET
from hostkit.host.local import LocalHost
facts = Facts(LocalHost())
print(sum(m.target.startswith('/mnt/many/') for m in facts.value(MOUNTS).table))
print(sum(link.name.startswith('many') for link in facts.value(LINKS).all))
print(sum(one.link.startswith('many') for one in facts.value(ADDRESSES)))
print(max(len(c.rules) for t in facts.value(RULESET).tables for c in t.chains))
"""


@pytest.fixture(params=["nft", "legacy"])
def host(request: pytest.FixtureRequest) -> Iterator[SickHost]:
    try:
        tools = unpack(IPTABLES)
    except ToolsUnavailableError as error:
        pytest.skip(f"no iptables to test with: {error}")
    with SickHost(tools, backend=request.param) as sick:
        yield sick


def findings(host: SickHost) -> tuple[list[str], float]:
    """What preflight finds, and how long all of its processes took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = json.loads(host.hostkit("preflight", "--format", "json").stdout)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert not [one for one in said["unknown"] if one.get("crashed")]
    return [finding["problem"] for finding in said["findings"]], took


def test_thousands_of_everything(host: SickHost) -> None:
    python = f"{sys.prefix}/bin/python"
    host.shell("iptables -N DOCKER-USER && iptables -A FORWARD -j DOCKER-USER")
    before, _ = findings(host)
    host.write("/tmp/crowd.py", CROWD)
    host.run(python, "/tmp/crowd.py")
    host.shell("ip -batch /tmp/links && iptables-restore < /tmp/rules")
    after, took = findings(host)
    assert after == before
    assert took < SECONDS
    host.write("/tmp/count.py", COUNT)
    counted = host.run(python, "/tmp/count.py").stdout.split()
    assert counted == [str(one) for one in (MOUNTS, LINKS, LINKS, RULES)]
