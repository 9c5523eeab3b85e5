# SPDX-License-Identifier: GPL-3.0-or-later
"""The packet filter's checks on rules of real engines, whole and broken."""

from pathlib import Path
from typing import Any

import pytest

from hostkit.diagnosis.check import Check
from hostkit.diagnosis.finding import (
    Evidence,
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Severity,
    Unknown,
)
from hostkit.diagnosis.runner import run_checks
from hostkit.facts.daemonconfig import DAEMON_CONFIG, DaemonConfig
from hostkit.facts.daemonjson import Setting
from hostkit.facts.engine import DOCKER, Engine
from hostkit.facts.firewalld import FIREWALLD, Firewalld, Zone
from hostkit.facts.iptables import IPTABLES, Iptables, parse_save
from hostkit.facts.links import (
    ADDRESSES,
    ADDRESSES6,
    LINKS,
    Address,
    Address6,
    Link,
    LinkKind,
    Links,
)
from hostkit.facts.modules import MODULES, Blocked, Modules
from hostkit.facts.netfilter import RULESET, Ruleset
from hostkit.facts.nft import parse_text
from hostkit.facts.routes import Network
from hostkit.facts.ruleset import Backend, Family, Table
from hostkit.facts.target import TARGET, Target
from hostkit.facts.units import UNITS, Unit, Units
from hostkit.host.answer import Absent, Unreadable
from hostkit_checks.firewall.backends import (
    ip6tables_modules,
    iptables_backends,
    iptables_binary,
    iptables_modules,
)
from hostkit_checks.firewall.chains import iptables_chains
from hostkit_checks.firewall.policy import forward_policy, iptables_option
from hostkit_checks.firewall.zones import firewalld_forwarding, firewalld_zone
from tests.fakes import make_facts

CAPTURES = Path(__file__).parents[1] / "captures"
ENGINES = ("20.10.5", "20.10.24", "26.1.5", "28.5.2")
RUNNING = DaemonConfig((), (), running=True)
NFT = Iptables((1, 8, 9), Backend.NFT)
LEGACY = Iptables((1, 8, 9), Backend.LEGACY)
DOCKER0 = Link("docker0", LinkKind.BRIDGE, 1500, "up")
EMPTY = "*filter\n:FORWARD DROP [0:0]\nCOMMIT\n*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n"


def outcomes(one: Check, given: dict[Any, Any]) -> tuple[Outcome, ...]:
    (result,) = run_checks(make_facts(given=given), [one])
    assert not any(isinstance(o, Unknown) and o.crashed for o in result.outcomes), result.outcomes
    return result.outcomes


def finding(one: Check, given: dict[Any, Any]) -> Finding:
    found = outcomes(one, given)[0]
    assert isinstance(found, Finding), found
    return found


def engine(version: str) -> Engine:
    return Engine("docker", tuple(int(n) for n in version.split(".")), version, "rpm -q")


def capture(version: str, state: str = "idle") -> str:
    path = CAPTURES / "engine-rules" / f"docker-{version}-{state}-iptables-save.txt"
    return path.read_text()


def ruleset(saved: str, program: Iptables | None = NFT, *more: Table) -> Ruleset:
    backend = program.backend if program else Backend.NFT
    return Ruleset((*parse_save(saved, Family.IPV4, backend).tables, *more), program)


def host(saved: str, version: str = "20.10.24") -> dict[Any, Any]:
    return {
        DAEMON_CONFIG: RUNNING,
        RULESET: ruleset(saved),
        DOCKER: engine(version),
        LINKS: Links((DOCKER0,)),
    }


def without(saved: str, *words: str) -> str:
    return "\n".join(r for r in saved.split("\n") if not any(word in r for word in words))


@pytest.mark.parametrize("version", ENGINES)
@pytest.mark.parametrize("state", ["idle", "published"])
@pytest.mark.parametrize("installed", [True, False])
def test_rules_of_every_engine_are_whole(version: str, state: str, *, installed: bool) -> None:
    given = host(capture(version, state), version)
    if not installed:
        del given[DOCKER]
    assert isinstance(outcomes(iptables_chains, given)[0], Passed)


@pytest.mark.parametrize("version", ENGINES)
def test_flushed_chains_are_found(version: str) -> None:
    found = finding(iptables_chains, host(EMPTY, version))
    assert found.problem == "iptables-chains-flushed"
    assert "nat DOCKER" in found.summary
    assert len(found.summary) <= 100


@pytest.mark.parametrize("version", ENGINES)
@pytest.mark.parametrize(
    ("gone", "word"),
    [
        ("-A PREROUTING", "nat PREROUTING"),
        ("-A FORWARD", "FORWARD"),
        ("MASQUERADE", "masquerading of docker0"),
        (":DOCKER -", "DOCKER"),
    ],
)
def test_a_part_that_is_gone_is_named(version: str, gone: str, word: str) -> None:
    saved = without(capture(version), gone, "-A DOCKER " if gone.startswith(":") else gone)
    found = finding(iptables_chains, host(saved, version))
    assert word in found.evidence[0].excerpt


def test_a_service_that_started_later_is_named() -> None:
    units = Units(
        (
            Unit("docker.service", "loaded", "active", active_enter_s=10.0),
            Unit("firewalld.service", "loaded", "active", active_enter_s=22.4),
            Unit("iptables.service", "loaded", "inactive", active_enter_s=30.0),
        )
    )
    found = finding(iptables_chains, {**host(EMPTY), UNITS: units})
    assert "firewalld.service" in found.summary
    assert found.evidence[1].excerpt == "firewalld.service became active 12 s after docker.service"
    assert len(found.evidence) == 2


def test_old_engines_have_no_user_chain() -> None:
    saved = (
        "*nat\n:PREROUTING ACCEPT [0:0]\n:DOCKER - [0:0]\n"
        "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n"
        "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE\nCOMMIT\n"
        "*filter\n:FORWARD ACCEPT [0:0]\n:DOCKER - [0:0]\n:DOCKER-ISOLATION - [0:0]\n"
        "-A FORWARD -j DOCKER-ISOLATION\n-A FORWARD -o docker0 -j DOCKER\nCOMMIT\n"
    )
    assert isinstance(outcomes(iptables_chains, host(saved, "1.13.1"))[0], Passed)
    assert isinstance(outcomes(iptables_chains, host(saved, "19.03.3"))[0], Passed)
    assert isinstance(outcomes(iptables_chains, host(saved, "20.10.24"))[0], Finding)


def test_chains_in_the_other_backend_are_not_flushed() -> None:
    given = {**host(""), RULESET: ruleset(capture("20.10.24"), NFT)._replace(iptables=LEGACY)}
    given[IPTABLES] = LEGACY
    assert isinstance(outcomes(iptables_chains, given)[0], Passed)
    found = finding(iptables_backends, given)
    assert (found.problem, found.severity) == ("iptables-nft-legacy-mismatch", Severity.ERROR)


@pytest.mark.parametrize(
    "config",
    [
        RUNNING._replace(running=False),
        RUNNING._replace(file=(Setting("iptables", False, "f", 1),)),
        RUNNING._replace(flags=(Setting("rootless", True, "f", 1),)),
    ],
)
def test_where_dockerd_makes_no_rules_none_are_missed(config: DaemonConfig) -> None:
    given = {**host(EMPTY), DAEMON_CONFIG: config}
    assert isinstance(outcomes(iptables_chains, given)[0], NotApplicable)


def test_rules_that_root_alone_may_read_are_unknown() -> None:
    given = {**host(EMPTY), RULESET: Unreadable("iptables-save", "denied", needs_root=True)}
    found = outcomes(iptables_chains, given)[0]
    assert isinstance(found, Unknown)
    assert found.needs_root


def test_the_nftables_backend_of_docker_29() -> None:
    config = RUNNING._replace(file=(Setting("firewall-backend", "nftables", "f", 1),))
    table = parse_text(
        "table ip docker-bridges {\n\tchain filter-FORWARD {\n"
        "\t\ttype filter hook forward priority filter; policy accept;\n\t}\n}\n"
    )
    whole = {**host(""), DAEMON_CONFIG: config, RULESET: Ruleset(table, NFT)}
    assert isinstance(outcomes(iptables_chains, whole)[0], Passed)
    gone = {**whole, RULESET: Ruleset((), NFT)}
    assert isinstance(outcomes(iptables_chains, gone)[0], Finding)
    blind = {**whole, RULESET: Ruleset((), NFT, (Unreadable("nft -j list ruleset", "absent"),))}
    assert isinstance(outcomes(iptables_chains, blind)[0], Unknown)


def test_the_program_iptables() -> None:
    missing = {IPTABLES: Absent("iptables --version", "iptables is not installed")}
    assert finding(iptables_binary, missing).severity is Severity.INFO
    assert finding(iptables_binary, {**missing, DOCKER: engine("20.10.24")}).severity == "error"
    assert isinstance(outcomes(iptables_binary, {IPTABLES: NFT})[0], Passed)
    unsure = outcomes(iptables_binary, {IPTABLES: Unreadable("iptables", "hangs")})
    assert isinstance(unsure[0], Unknown)


def modules(*available: str, loaded: tuple[str, ...] = ()) -> Modules:
    listed = "".join(f"kernel/net/{name}.ko:\n" for name in available).encode()
    return Modules(frozenset(loaded), b"", listed, True, False, "/lib/modules/x")


COMMON = ("nf_conntrack", "nf_nat", "xt_conntrack", "xt_addrtype", "xt_MASQUERADE")


def test_modules_that_the_rules_need() -> None:
    whole = modules(*COMMON, "nf_tables", "nft_compat")
    assert isinstance(outcomes(iptables_modules, {MODULES: whole, IPTABLES: NFT})[0], Passed)
    older = modules(*COMMON[:4], "ipt_MASQUERADE", "ip_tables", "iptable_filter", "iptable_nat")
    assert isinstance(outcomes(iptables_modules, {MODULES: older, IPTABLES: LEGACY})[0], Passed)
    el10 = modules("nf_conntrack", "nf_nat", "xt_MASQUERADE", "nf_tables", "nft_compat")
    found = finding(iptables_modules, {MODULES: el10, IPTABLES: NFT})
    assert dict(found.params)["modules"] == "xt_conntrack xt_addrtype"
    only_nft = finding(iptables_modules, {MODULES: whole, IPTABLES: LEGACY})
    assert "iptable_nat" in only_nft.summary


def test_modules_that_may_not_be_loaded_are_as_good_as_none() -> None:
    locked = modules(*COMMON, "nf_tables", "nft_compat")._replace(loading_disabled=True)
    assert isinstance(outcomes(iptables_modules, {MODULES: locked, IPTABLES: NFT})[0], Finding)


def test_a_module_that_modprobe_d_forbids_is_told_with_the_line() -> None:
    line = Blocked("nf_tables", "/etc/modprobe.d/cis.conf", 7, "install nf_tables /bin/false")
    banned = modules(*COMMON, "nf_tables", "nft_compat")._replace(blocked=(line,))
    found = finding(iptables_modules, {MODULES: banned, IPTABLES: NFT})
    assert Evidence("/etc/modprobe.d/cis.conf", line.words, 7) in found.evidence
    params = dict(found.params)
    assert (params["blocked"], params["file"], params["line"]) == (
        "yes",
        "/etc/modprobe.d/cis.conf",
        "7",
    )


def test_modules_that_nobody_can_see_are_unknown() -> None:
    unseen = modules()._replace(available=None, builtin=None)
    found = outcomes(iptables_modules, {MODULES: unseen, IPTABLES: NFT})
    assert isinstance(found[0], Unknown)


def test_ip6tables_matters_from_docker_27_on() -> None:
    given = {
        MODULES: modules(*COMMON),
        IPTABLES: LEGACY,
        DAEMON_CONFIG: RUNNING,
        ADDRESSES6: (Address6("eth0", "0" * 32, 64, link_local=True),),
    }
    old = outcomes(ip6tables_modules, {**given, DOCKER: engine("26.1.5")})
    assert isinstance(old[0], NotApplicable)
    found = finding(ip6tables_modules, {**given, DOCKER: engine("27.0.0")})
    assert (found.problem, found.severity) == ("ip6tables-module-missing", Severity.WARNING)
    asked = {**given, DOCKER: engine("26.1.5"), TARGET: Target("docker", (28,))}
    assert isinstance(outcomes(ip6tables_modules, asked)[0], Finding)


def test_rules_in_both_backends() -> None:
    folder = CAPTURES / "firewalld"
    legacy = parse_save(
        (folder / "guest-iptables-legacy-save.txt").read_text(), Family.IPV4, Backend.LEGACY
    )
    both = ruleset((folder / "guest-iptables-nft-save.txt").read_text(), NFT, *legacy.tables)
    found = finding(iptables_backends, {IPTABLES: NFT, RULESET: both, DAEMON_CONFIG: RUNNING})
    assert found.severity is Severity.WARNING
    assert "1 rules are in the legacy backend" in found.summary
    assert isinstance(
        outcomes(iptables_backends, {IPTABLES: NFT, RULESET: ruleset(EMPTY)})[0], Passed
    )


def test_a_first_iptables_with_nft_is_warned_of() -> None:
    first = Iptables((1, 8, 2), Backend.NFT)
    given = {IPTABLES: first, RULESET: ruleset(EMPTY, first)}
    assert "1.8.2" in finding(iptables_backends, given).summary


def test_without_iptables_no_backend_is_wrong() -> None:
    given = {IPTABLES: Absent("iptables --version", "is not installed")}
    assert isinstance(outcomes(iptables_backends, given)[0], NotApplicable)


def test_the_daemons_option() -> None:
    off = RUNNING._replace(file=(Setting("iptables", False, "/etc/docker/daemon.json", 3),))
    found = finding(iptables_option, {DAEMON_CONFIG: off})
    assert (found.evidence[0].source, found.evidence[0].line) == ("/etc/docker/daemon.json", 3)
    assert isinstance(outcomes(iptables_option, {DAEMON_CONFIG: RUNNING})[0], Passed)


BR0 = Link("br0", LinkKind.BRIDGE, 1500, "up")
TAP0 = Link("tap0", LinkKind.TUNNEL, 1500, "up", master="br0")


def policy_host(*rules: str, links: tuple[Link, ...] = (DOCKER0, BR0, TAP0)) -> dict[Any, Any]:
    saved = capture("28.5.2").replace("COMMIT\n", "".join(f"{r}\n" for r in rules) + "COMMIT\n", 1)
    return {
        DAEMON_CONFIG: RUNNING,
        RULESET: ruleset(saved),
        LINKS: Links(links),
        ADDRESSES: (Address("br0", Network.parse("10.9.0.1/24")),),
    }


def test_a_policy_that_drops_cuts_another_bridge_off() -> None:
    found = finding(forward_policy, policy_host())
    assert found.problem == "docker-forward-drop-policy"
    assert "br0" in found.summary


@pytest.mark.parametrize(
    "rule",
    [
        "-A DOCKER-USER -i br0 -j ACCEPT",
        "-A DOCKER-USER -i br+ -j ACCEPT",
        "-A FORWARD -s 10.9.0.0/16 -j ACCEPT",
        "-A FORWARD -j ACCEPT",
    ],
)
def test_a_bridge_that_is_accepted_is_not_cut_off(rule: str) -> None:
    assert isinstance(outcomes(forward_policy, policy_host(rule))[0], Passed)


def test_bridges_without_anybody_on_them_do_not_matter() -> None:
    for links in ((DOCKER0, BR0), (DOCKER0,)):
        assert isinstance(outcomes(forward_policy, policy_host(links=links))[0], Passed)


def test_a_rule_nobody_reaches_accepts_nothing() -> None:
    given = policy_host("-A LONELY -i br0 -j ACCEPT")
    assert isinstance(outcomes(forward_policy, given)[0], Finding)


ACTIVE = Units((Unit("firewalld.service", "loaded", "active", active_enter_s=1.0),))


def test_firewalld_that_does_not_run_does_not_matter() -> None:
    stopped = Units((Unit("firewalld.service", "loaded", "inactive"),))
    given = {**host(EMPTY), FIREWALLD: Firewalld("nftables", "public", True), UNITS: stopped}
    for one in (firewalld_zone, firewalld_forwarding):
        assert isinstance(outcomes(one, given)[0], NotApplicable)
        absent = {**given, FIREWALLD: Absent("firewalld")}
        assert isinstance(outcomes(one, absent)[0], NotApplicable)


def test_a_bridge_in_a_zone_that_is_not_dockers() -> None:
    zones = (Zone("trusted", "ACCEPT", ("docker0",)),)
    firewalld = Firewalld("nftables", "public", False, zones)
    given = {FIREWALLD: firewalld, UNITS: ACTIVE, DOCKER: engine("20.10.24")}
    found = finding(firewalld_zone, given)
    assert found.severity is Severity.ERROR
    params = {"zone": "trusted", "interface": "docker0", "zone-is": "another"}
    assert dict(found.params) == params
    older = outcomes(firewalld_zone, {**given, DOCKER: engine("19.03.15")})
    assert isinstance(older[0], NotApplicable)


@pytest.mark.parametrize(
    ("content", "blocked"), [("fw-nft.txt", True), ("fw-nft-docker.txt", False)]
)
def test_a_bridge_in_the_default_zone_is_rejected(content: str, *, blocked: bool) -> None:
    tables = parse_text((CAPTURES / "firewalld" / content).read_text())
    given = {
        **host(EMPTY),
        FIREWALLD: Firewalld("nftables", "public", False),
        UNITS: ACTIVE,
        RULESET: Ruleset(tables, NFT),
    }
    found = outcomes(firewalld_forwarding, given)[0]
    assert isinstance(found, Finding) is blocked
    if isinstance(found, Finding):
        assert "zone public" in found.summary


def test_strict_forward_ports_block_what_docker_publishes() -> None:
    given = {**host(EMPTY), FIREWALLD: Firewalld("nftables", "public", True), UNITS: ACTIVE}
    assert "StrictForwardPorts" in finding(firewalld_forwarding, given).summary


def test_zones_are_unknown_without_nft() -> None:
    gap = Unreadable("nft -j list ruleset", "nft is not installed")
    given = {
        **host(EMPTY),
        FIREWALLD: Firewalld("nftables", "public", False),
        UNITS: ACTIVE,
        RULESET: ruleset(EMPTY)._replace(gaps=(gap,)),
    }
    assert isinstance(outcomes(firewalld_forwarding, given)[0], Unknown)
