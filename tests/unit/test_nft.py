# SPDX-License-Identifier: GPL-3.0-or-later
"""nft's JSON and text: the same tables by both ways, and nothing breaks them."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.facts.nft import parse_json, parse_text
from hostkit.facts.ruleset import Backend, Family, Match, Table

CAPTURES = Path(__file__).parents[1] / "captures"
ENGINES = ("20.10.5", "20.10.24", "26.1.5", "28.5.2")


def shape(table: Table) -> object:
    return [
        (c.name, c.policy, c.hook, c.priority, [(r.target, r.goto, r.packets) for r in c.rules])
        for c in table.chains
    ]


@pytest.mark.parametrize("engine", ENGINES)
def test_json_and_text_tell_the_same(engine: str) -> None:
    base = CAPTURES / "engine-rules" / f"docker-{engine}-published-nft"
    by_json = parse_json(base.with_suffix(base.suffix + ".json").read_text())
    by_text = parse_text(base.with_suffix(base.suffix + ".txt").read_text())
    assert [(t.family, t.name) for t in by_json] == [(t.family, t.name) for t in by_text]
    for one, other in zip(by_json, by_text, strict=True):
        if engine != "20.10.5":  # its nft, 0.9.8, hides every extension in JSON
            assert shape(one) == shape(other)
        assert one.backend is Backend.NFT
        assert one.iptables


def test_firewalld_has_a_table_of_its_own() -> None:
    found = parse_text((CAPTURES / "firewalld" / "fw-nft-docker.txt").read_text())
    table = next(t for t in found if t.name == "firewalld")
    assert (table.family, table.iptables) == (Family.INET, False)
    forward = table.chain("filter_FORWARD")
    assert forward is not None
    assert (forward.hook, forward.priority, forward.policy) == ("forward", 10, "ACCEPT")
    assert forward.rules[-1].target == "REJECT"


def test_conditions_in_json_are_taken_apart() -> None:
    rule = {
        "family": "ip",
        "table": "t",
        "chain": "c",
        "comment": "why",
        "expr": [
            {"match": {"op": "!=", "left": {"meta": {"key": "iifname"}}, "right": "docker0"}},
            {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["new", "related"]}},
            {"match": {"op": "<", "left": {"meta": {"key": "length"}}, "right": 100}},
            {"limit": {"rate": 5, "per": "second"}},
            {"log": None},
            {"counter": {"packets": 3, "bytes": 9}},
            {"goto": {"target": "other"}},
        ],
    }
    chain = {"family": "ip", "table": "t", "name": "c", "handle": 1}
    (table,) = parse_json(json.dumps({"nftables": [{"chain": chain}, {"rule": rule}]}))
    (found,) = table.chains[0].rules
    assert (found.target, found.goto, found.comment) == ("other", True, "why")
    assert (found.packets, found.octets) == (3, 9)
    assert found.matches[0] == Match("", "iifname", ("docker0",), True)
    assert found.matches[1].values == ("new", "related")
    # What is not taken apart must not look like "always".
    assert [match.option for match in found.matches[2:]] == ["", ""]


def test_sets_maps_and_long_lists_are_no_rules() -> None:
    (table,) = parse_text(
        "table inet t {\n\tset s {\n\t\ttype ipv4_addr\n\t\telements = { 192.0.2.1,\n"
        "\t\t\t     192.0.2.2 }\n\t}\n\tmap m {\n\t\ttype ifname : verdict\n"
        '\t\telements = { "a" : jump b }\n\t}\n\tchain c {\n'
        "\t\ttype filter hook forward priority filter; policy drop;\n"
        "\t\tip saddr { 192.0.2.1,\n\t\t\t192.0.2.2 } counter packets 1 bytes 2 accept\n"
        '\t\tiifname vmap { "a" : jump b }\n'
        '\t\tcomment "accept {"\n\t\tiifname "drop" jump d comment "accept"\n\t}\n}\n'
    )
    (chain,) = table.chains
    assert [rule.target for rule in chain.rules] == ["ACCEPT", "vmap", "d"]
    assert chain.rules[2].comment == "accept"
    assert "192.0.2.2" in chain.rules[0].matches[0].values[0]


@pytest.mark.parametrize(
    "content", ["", "[]", '{"nftables": 3}', "{", '{"nftables": [{"rule": {}}]}']
)
def test_json_that_is_no_ruleset_is_refused(content: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(content)


def test_text_that_ends_early_is_refused() -> None:
    with pytest.raises(ValueError, match="does not end"):
        parse_text("table ip t {\n\tchain c {\n")
    with pytest.raises(ValueError, match="within a set"):
        parse_text("table ip t {\n\tchain c {\n\t\tip saddr { 192.0.2.1,\n")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(
            ["nftables", "table", "chain", "rule", "family", "name", "expr", "match", "left",
             "right", "op", "vmap", "xt", "jump", "target", "prefix", "range", "set", "counter"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=20,
)  # fmt: skip


@given(st.lists(st.dictionaries(st.sampled_from(["table", "chain", "rule"]), JSON)))
def test_any_json_is_parsed_or_refused(objects: object) -> None:
    try:
        parse_json(json.dumps({"nftables": objects}))
    except ValueError:
        return


@given(JSON)
def test_any_rule_is_parsed_or_refused(expression: object) -> None:
    rule = {"family": "ip", "table": "t", "chain": "c", "expr": expression}
    try:
        parse_json(json.dumps({"nftables": [{"rule": rule}]}))
    except ValueError:
        return


@given(st.text() | st.text(alphabet=st.sampled_from('{}"\n\t tablechinp;:')))
def test_any_text_is_parsed_or_refused(content: str) -> None:
    for prefix in ("", "table ip t {\n", "table ip t {\n\tchain c {\n"):
        try:
            parse_text(prefix + content)
        except ValueError:
            continue
