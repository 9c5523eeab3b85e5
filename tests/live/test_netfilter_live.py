# SPDX-License-Identifier: GPL-3.0-or-later
"""Real iptables and nft in network namespaces: what is read, and that reading changes nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig.sickhost import SickHost
from tests.rig.tools import IPTABLES, ToolsUnavailableError, unpack

pytestmark = pytest.mark.root

DOCKER_RULES = """
iptables -t nat -N DOCKER
iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
iptables -N DOCKER
iptables -N DOCKER-USER
iptables -A FORWARD -j DOCKER-USER
iptables -A FORWARD -o docker0 -j DOCKER
iptables -A FORWARD -m comment --comment 'x -j DROP "y" \\' -j ACCEPT
iptables -P FORWARD DROP
"""
# Prints the ruleset as the fact gives it, one line a chain.
SHOW = """
from hostkit.facts.fact import Facts
from hostkit.facts.netfilter import RULESET
from hostkit.host.local import LocalHost
answer = Facts(LocalHost()).get(RULESET)
if not hasattr(answer, 'value'):
    print(type(answer).__name__, answer.needs_root, answer.reason)
    raise SystemExit
print('backends', *(backend.value for backend in answer.value.backends))
for table in answer.value.tables:
    for chain in table.chains:
        print(table.backend.value, table.family.value, table.name, chain.name,
              chain.policy or '-', *(rule.target for rule in chain.rules))
"""


@pytest.fixture(params=["nft", "legacy"])
def host(request: pytest.FixtureRequest) -> Iterator[SickHost]:
    try:
        tools = unpack(IPTABLES)
    except ToolsUnavailableError as error:
        pytest.skip(f"no iptables to test with: {error}")
    with SickHost(tools, backend=request.param) as sick:
        yield sick


def show(host: SickHost, user: int = 0) -> list[str]:
    host.write("/tmp/show.py", SHOW)
    done = host.run(str(Path(__file__).parents[2] / ".venv/bin/python"), "/tmp/show.py", user=user)
    return done.stdout.splitlines()


def backend(host: SickHost) -> str:
    return "legacy" if "legacy" in host.run("iptables", "--version").stdout else "nft"


def test_rules_are_read_with_their_chains_and_policies(host: SickHost) -> None:
    host.shell(DOCKER_RULES)
    own = backend(host)
    seen = show(host)
    assert f"backends {own}" in seen
    assert f"{own} ip filter FORWARD DROP DOCKER-USER DOCKER ACCEPT" in seen
    assert f"{own} ip nat PREROUTING ACCEPT DOCKER" in seen
    assert f"{own} ip filter DOCKER-USER -" in seen


def test_reading_changes_no_rule_and_no_table(host: SickHost) -> None:
    before = host.shell(
        "nft list ruleset; cat /proc/net/ip_tables_names /proc/net/ip6_tables_names"
    )
    show(host)
    host.hostkit("preflight")
    after = host.shell("nft list ruleset; cat /proc/net/ip_tables_names /proc/net/ip6_tables_names")
    assert after == before

    host.shell(DOCKER_RULES)
    rules = "iptables-legacy-save; iptables-nft-save; nft list ruleset"
    rules_before = without_times(host.shell(rules))
    show(host)
    host.hostkit("preflight")
    assert without_times(host.shell(rules)) == rules_before


def without_times(rules: str) -> list[str]:
    return [line for line in rules.splitlines() if not line.startswith("# ")]


def test_flushed_chains_are_gone_from_the_ruleset(host: SickHost) -> None:
    host.shell(DOCKER_RULES)
    host.shell("for t in nat filter; do iptables -t $t -F; iptables -t $t -X; done")
    seen = show(host)
    assert not [line for line in seen if " DOCKER" in line]
    assert f"{backend(host)} ip filter FORWARD DROP" in seen


def test_rules_of_the_other_backend_are_seen_too(host: SickHost) -> None:
    host.shell(DOCKER_RULES)
    other = "nft" if backend(host) == "legacy" else "legacy"
    host.shell(f"iptables-{other} -A FORWARD -s 192.0.2.1 -j DROP")
    seen = show(host)
    assert "backends legacy nft" in seen
    assert f"{other} ip filter FORWARD ACCEPT DROP" in seen
    assert "iptables-nft-legacy-mismatch" in host.hostkit("preflight", "--format", "json").stdout


def test_a_table_of_nft_alone_is_seen(host: SickHost) -> None:
    host.shell(
        "nft add table inet mine; "
        "nft add chain inet mine f '{ type filter hook forward priority 5; policy drop; }'; "
        "nft add rule inet mine f iifname lo counter accept"
    )
    assert "nft inet mine f DROP ACCEPT" in show(host)


def test_an_ordinary_user_is_told_to_become_root(host: SickHost) -> None:
    host.shell(DOCKER_RULES)
    (line,) = show(host, user=65534)
    assert line.startswith("Unreadable True")
