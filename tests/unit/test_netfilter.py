# SPDX-License-Identifier: GPL-3.0-or-later
"""Nobody is asked where asking would load a module; and what cannot be read is never empty."""

from typing import Any

from hostkit.facts.fact import Facts
from hostkit.facts.modules import MODULES, Modules
from hostkit.facts.netfilter import RULESET, Ruleset
from hostkit.facts.ruleset import Backend, Family
from hostkit.host.answer import Known, Unreadable
from tests.fakes import FakeHost

NFT_VERSION = "iptables v1.8.9 (nf_tables)\n"
LEGACY_VERSION = "iptables v1.8.9 (legacy)\n"
FILTER = "*filter\n:FORWARD DROP [0:0]\n:DOCKER - [0:0]\n-A FORWARD -j DOCKER\nCOMMIT\n"
EMPTY_NFT = '{"nftables": [{"metainfo": {"version": "1.0.6"}}]}'
NAMES = {"/proc/net/ip_tables_names": "filter\n"}


def modules(*loaded: str) -> Modules:
    return Modules(frozenset(loaded), b"", b"kernel/nf_tables.ko:\n", True, False, "/lib/modules/x")


def facts_of(host: FakeHost, *loaded: str) -> Facts:
    return Facts(host, {MODULES: Known(modules(*loaded), "/proc/modules")})


def known(facts: Facts) -> Ruleset:
    answer = facts.get(RULESET)
    assert isinstance(answer, Known), answer
    found: Ruleset = answer.value
    return found


def ran(host: FakeHost) -> list[str]:
    return [asked for asked in host.asked if asked.startswith("run") and "--version" not in asked]


def test_an_idle_host_is_not_asked_and_known_to_have_no_rules() -> None:
    host = FakeHost(commands={"iptables --version": NFT_VERSION})
    assert known(facts_of(host)).tables == ()
    assert ran(host) == []


def test_loaded_ip_tables_without_tables_is_not_asked() -> None:
    host = FakeHost(
        {"/proc/net/ip_tables_names": ""}, commands={"iptables --version": LEGACY_VERSION}
    )
    assert known(facts_of(host)).tables == ()
    assert ran(host) == []


def test_rules_of_the_nft_backend() -> None:
    host = FakeHost(
        commands={
            "iptables --version": NFT_VERSION,
            "iptables-save -c": FILTER,
            "ip6tables-save -c": "",
            "nft -j list ruleset": EMPTY_NFT,
        }
    )
    ruleset = known(facts_of(host, "nf_tables"))
    table = ruleset.table("filter")
    assert table is not None
    assert (table.backend, table.family) == (Backend.NFT, Family.IPV4)
    assert ruleset.backends == (Backend.NFT,)
    assert ruleset.gaps == ()


def test_both_backends_are_told_apart() -> None:
    host = FakeHost(
        NAMES,
        commands={
            "iptables --version": NFT_VERSION,
            "iptables-save -c": FILTER,
            "ip6tables-save -c": "",
            "iptables-legacy-save -c": FILTER.replace(":DOCKER - [0:0]\n", ""),
            "nft -j list ruleset": EMPTY_NFT,
        },
    )
    ruleset = known(facts_of(host, "nf_tables", "ip_tables"))
    assert ruleset.backends == (Backend.LEGACY, Backend.NFT)
    own = ruleset.table("filter")
    assert own is not None
    assert own.chain("DOCKER") is not None


def test_legacy_tables_that_no_program_can_read_are_a_gap() -> None:
    host = FakeHost(
        NAMES,
        commands={
            "iptables --version": NFT_VERSION,
            "iptables-save -c": FILTER,
            "ip6tables-save -c": "",
            "nft -j list ruleset": EMPTY_NFT,
        },
    )
    (gap,) = known(facts_of(host, "nf_tables")).gaps
    assert gap.source == "iptables-legacy-save -c"


def test_nft_without_json_is_asked_for_text() -> None:
    host = FakeHost(
        commands={
            "iptables --version": LEGACY_VERSION,
            "nft -j list ruleset": ("", 1, "Error: JSON support not compiled-in"),
            "nft list ruleset": "table inet mine {\n}\n",
        }
    )
    ruleset = known(facts_of(host, "nf_tables"))
    assert [table.name for table in ruleset.tables] == ["mine"]
    assert ruleset.gaps == ()  # nft shows what iptables-nft-save would


def test_an_ordinary_user_learns_nothing() -> None:
    commands: dict[str, Any] = {
        "iptables --version": NFT_VERSION,
        "iptables-save -c": ("", 4, "Could not fetch rule set generation id: Permission denied"),
        "nft -j list ruleset": ("", 0, "Operation not permitted (you must be root)"),
    }
    host = FakeHost(commands=commands, privileged=False)
    answer = facts_of(host, "nf_tables").get(RULESET)
    assert isinstance(answer, Unreadable)
    assert answer.needs_root


def test_status_0_with_a_complaint_is_no_empty_ruleset() -> None:
    said = ("", 0, "iptables-save v1.8.4 (nf_tables): Could not fetch: Permission denied")
    host = FakeHost(
        commands={"iptables --version": NFT_VERSION, "iptables-save -c": said}, privileged=False
    )
    answer = facts_of(host, "nf_tables").get(RULESET)
    assert isinstance(answer, Unreadable)
    assert answer.needs_root


def test_without_any_program_loaded_rules_are_not_known() -> None:
    answer = facts_of(FakeHost(), "nf_tables").get(RULESET)
    assert isinstance(answer, Unreadable)


def test_output_that_is_cut_off_is_not_a_ruleset() -> None:
    host = FakeHost(commands={"iptables --version": NFT_VERSION, "iptables-save -c": FILTER[:-8]})
    assert isinstance(facts_of(host, "nf_tables").get(RULESET), Unreadable)
