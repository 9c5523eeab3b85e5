# SPDX-License-Identifier: GPL-3.0-or-later
"""iptables-save of real engines, hostile comments, and whatever else may be printed."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.facts.iptables import parse_save, parse_version, split_words
from hostkit.facts.ruleset import Backend, Chain, Family, Match, Rule, Table

CAPTURES = Path(__file__).parents[1] / "captures"
ENGINES = ("20.10.5", "20.10.24", "26.1.5", "28.5.2")


def tables(content: str) -> dict[str, Table]:
    saved = parse_save(content, Family.IPV4, Backend.NFT)
    return {table.name: table for table in saved.tables}


def chain(table: Table, name: str) -> Chain:
    found = table.chain(name)
    assert found is not None
    return found


def one_rule(line: str) -> Rule:
    (table,) = tables(f"*filter\n:FORWARD ACCEPT [0:0]\n{line}\nCOMMIT\n").values()
    (rule,) = (rule for chain in table.chains for rule in chain.rules)
    return rule


@pytest.mark.parametrize("engine", ENGINES)
def test_rules_of_a_real_engine(engine: str) -> None:
    path = CAPTURES / "engine-rules" / f"docker-{engine}-published-iptables-save.txt"
    found = tables(path.read_text())
    forward = chain(found["filter"], "FORWARD")
    assert (forward.policy, forward.hook, forward.priority) == ("DROP", "forward", 0)
    assert forward.jumps_to("DOCKER-USER")
    published = [rule for rule in chain(found["nat"], "DOCKER").rules if rule.target == "DNAT"]
    assert [rule.value("--dport") for rule in published] == ["8080", "5353", "3306"]
    assert published[0].options == (Match("", "--to-destination", ("172.17.0.2:80",)),)
    assert published[0].into == ""  # ! -i docker0
    assert Match("", "-i", ("docker0",), True) in published[0].matches
    postrouting = chain(found["nat"], "POSTROUTING")
    assert (postrouting.hook, postrouting.priority) == ("postrouting", 100)


def test_counters_and_user_chains() -> None:
    found = tables("*nat\n:X - [0:0]\n[12:3456] -A X -j RETURN\nCOMMIT\n")
    user = chain(found["nat"], "X")
    assert (user.policy, user.hook, user.priority) == ("", "", None)
    assert (user.rules[0].packets, user.rules[0].octets) == (12, 3456)


def test_a_comment_that_looks_like_a_rule_decides_nothing() -> None:
    rule = one_rule(
        '-A FORWARD -i a -m comment --comment "x -j DROP \\"! -o b" -m tcp --dport 1 -g C'
    )
    assert rule.comment == 'x -j DROP "! -o b'
    assert (rule.target, rule.goto, rule.out) == ("C", True, "")
    assert rule.matches[-1] == Match("tcp", "--dport", ("1",))


def test_a_comment_that_is_an_option_alone() -> None:
    rule = one_rule('-A FORWARD -m comment --comment "-j" -j ACCEPT')
    assert (rule.comment, rule.target) == ("-j", "ACCEPT")


def test_a_comment_with_a_newline_stays_one_rule() -> None:
    content = '*filter\n:F - [0:0]\n-A F -m comment --comment "a\n-A F -j DROP" -j ACCEPT\nCOMMIT\n'
    rules = chain(tables(content)["filter"], "F").rules
    assert [rule.target for rule in rules] == ["ACCEPT"]
    assert rules[0].comment == "a\n-A F -j DROP"


def test_old_and_new_negation_are_the_same() -> None:
    old = one_rule("-A FORWARD -p tcp -m tcp --dport ! 80 -j DROP")
    new = one_rule("-A FORWARD -p tcp -m tcp ! --dport 80 -j DROP")
    assert old.matches == new.matches
    assert new.matches[-1] == Match("tcp", "--dport", ("80",), True)


def test_modules_without_options_are_conditions_too() -> None:
    rule = one_rule("-A FORWARD -m socket -m rpfilter --invert -j DROP")
    assert rule.matches == (Match("socket", ""), Match("rpfilter", "--invert"))


def test_several_values_and_a_rule_without_target() -> None:
    rule = one_rule("-A FORWARD -m set --match-set docker-ext dst")
    assert rule.target == ""
    assert rule.matches == (Match("set", "--match-set", ("docker-ext", "dst")),)


@pytest.mark.parametrize(
    "content",
    [
        "*filter\n:FORWARD DROP [0:0]\n",  # cut off: what is missing is not known to be missing
        "-A FORWARD -j DROP\n",
        "*filter\n-A\nCOMMIT\n",
        "*\nCOMMIT\n",
        "bash: iptables-save: command not found\n",
    ],
)
def test_what_is_no_whole_output_is_refused(content: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_save(content, Family.IPV4, Backend.LEGACY)


def test_nothing_and_warnings_alone_are_no_tables() -> None:
    assert parse_save("", Family.IPV4, Backend.NFT).tables == ()
    warned = parse_save(
        "# Warning: iptables-legacy tables present, use iptables-legacy-save to see them\n"
        "# Table `nat' is incompatible, use 'nft' tool.\n",
        Family.IPV4,
        Backend.NFT,
    )
    assert warned == ((), ("nat",))


@pytest.mark.parametrize(
    ("said", "version", "backend", "broken"),
    [
        ("iptables v1.4.21\n", (1, 4, 21), Backend.LEGACY, False),
        ("iptables v1.8.2 (nf_tables)\n", (1, 8, 2), Backend.NFT, True),
        ("iptables v1.8.4 (nf_tables)\n", (1, 8, 4), Backend.NFT, False),
        ("iptables v1.8.2 (legacy)\n", (1, 8, 2), Backend.LEGACY, False),
        ("iptables v1.8 (nf_tables)\n", (1, 8), Backend.NFT, True),
    ],
)
def test_versions(said: str, version: tuple[int, ...], backend: Backend, broken: bool) -> None:
    found = parse_version(said)
    assert (found.version, found.backend, found.broken_nft) == (version, backend, broken)


def test_no_version_is_refused() -> None:
    with pytest.raises(ValueError, match="version"):
        parse_version("usage: iptables")


@given(st.text(alphabet=st.sampled_from('-A *:[]"\\!\njgm#COMIT0123ab,')) | st.text())
def test_any_text_is_parsed_or_refused(content: str) -> None:
    for prefix in ("", "*filter\n", "*filter\n-A F "):
        try:
            saved = parse_save(prefix + content, Family.IPV4, Backend.NFT)
        except ValueError:
            continue
        assert all(table.family is Family.IPV4 for table in saved.tables)


@given(st.lists(st.text(min_size=1).filter(lambda word: "\x00" not in word)))
def test_quoted_words_come_back_whole(words: list[str]) -> None:
    quoted = " ".join('"' + w.replace("\\", "\\\\").replace('"', '\\"') + '"' for w in words)
    assert split_words(quoted) == words


def test_many_quotes_that_never_close_end_in_bounded_time() -> None:
    content = "*filter\n" + '-A F --comment "\n' * 20_000 + "COMMIT\n"
    started = time.process_time()
    try:
        parse_save(content, Family.IPV4, Backend.NFT)
    except ValueError:
        pass
    assert time.process_time() - started < 5
