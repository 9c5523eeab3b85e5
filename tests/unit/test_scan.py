# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages are found however a log or a terminal has mangled them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.diagnosis import scan
from hostkit.diagnosis.doctor import Text, suspects
from hostkit.diagnosis.finding import Certainty
from hostkit.diagnosis.signature import Signature

CHAINS = Signature(
    problem="iptables-chains-flushed",
    anchors=("No chain/target/match by that name",),
    pattern=r"-A (?P<chain>DOCKER[\w-]*)",
    summary="the chain {chain} is gone",
)
WRAPPER = Signature("daemon-failed-generic", ("Job for docker.service",), "failed", generic=True)
MESSAGE = (
    "driver failed (iptables failed: iptables --wait -t nat -A DOCKER -p tcp -d 0/0 "
    '--dport 8080 -j DNAT: iptables: No chain/target/match by that name.\\n "x")'
)


def problems(content: str, *signatures: Signature) -> list[str]:
    found = suspects([Text("text", content.splitlines())], signatures or (CHAINS, WRAPPER))
    return [finding.problem for finding in found]


@pytest.mark.parametrize(
    "mangled",
    [
        MESSAGE,
        json.dumps({"log": MESSAGE, "stream": "stderr"}),
        json.dumps(json.dumps({"log": MESSAGE})),
        f'time="2024-01-01" level=error msg="{MESSAGE}"',
        f"дек 16 10:53:25 host dockerd[1]: {MESSAGE}",
        "\n".join(MESSAGE[i : i + 40] for i in range(0, len(MESSAGE), 40)),
        MESSAGE.replace(" ", "\n   "),
        "\x1b[31m" + MESSAGE.replace("chain", "\x1b[1mchain\x1b[0m") + "\x1b[0m",
        "a\r\n" * 3000 + MESSAGE + "\r\n",
    ],
    ids=["plain", "json", "json in json", "logfmt", "locale", "cut", "wrapped", "colour", "far"],
)
def test_a_mangled_message_is_found(mangled: str) -> None:
    assert problems(mangled) == ["iptables-chains-flushed"]


def test_the_quotes_of_a_web_page_are_plain_ones() -> None:
    mounted = Signature("x", ("cgroup isn't mounted",), "x", pattern='"docker"')
    assert problems("\u201cdocker\u201d: Devices cgroup isn\u2019t mounted", mounted) == ["x"]


def test_a_pattern_that_does_not_match_is_no_hit() -> None:
    assert problems("iptables: No chain/target/match by that name.") == []


def test_a_named_group_fills_the_summary() -> None:
    (finding,) = suspects([Text("text", [MESSAGE])], [CHAINS])
    assert finding.summary == "the chain DOCKER is gone"
    assert dict(finding.params) == {"chain": "DOCKER"}


def test_an_unless_word_makes_it_something_else() -> None:
    assert problems(MESSAGE, CHAINS._replace(unless=("DNAT",))) == []


def test_a_wrapper_counts_only_alone() -> None:
    wrapper = "Job for docker.service failed"
    assert problems(wrapper) == ["daemon-failed-generic"]
    assert problems(f"{wrapper}\n{MESSAGE}") == ["iptables-chains-flushed"]


def test_the_line_of_the_message_is_counted_from_one() -> None:
    (finding,) = suspects([Text("text", ["a", "", "b", MESSAGE])], [CHAINS])
    assert finding.evidence[0].line == 4


def test_a_line_far_into_a_large_text_keeps_its_number() -> None:
    lines = ["x" * 100] * 9000
    lines[8000] = MESSAGE
    (finding,) = suspects([Text("text", lines)], [CHAINS])
    assert finding.evidence[0].line == 8001


def test_terminal_escapes_are_never_echoed() -> None:
    (finding,) = suspects([Text("text", ["\x1b]0;evil\x07 " + MESSAGE])], [CHAINS])
    assert finding.evidence[0].excerpt.isprintable()


def test_the_surer_evidence_comes_first_and_is_merged() -> None:
    possible = CHAINS._replace(pattern="", certainty=Certainty.POSSIBLE, summary="perhaps")
    (finding,) = suspects([Text("text", [MESSAGE])], [possible, CHAINS])
    assert finding.certainty is Certainty.LIKELY


def test_a_line_of_megabytes_is_bounded() -> None:
    assert problems("x" * 5_000_000 + MESSAGE) == []


@given(st.text())
def test_any_text_can_be_scanned(content: str) -> None:
    problems(content)


@given(st.lists(st.text(alphabet="ab \\\"'\x1bnrtu0062[;m/")))
def test_flatten_keeps_one_start_a_line_in_order(lines: list[str]) -> None:
    flat = scan.flatten(lines)
    assert len(flat.starts) == len(lines)
    assert list(flat.starts) == sorted(flat.starts)
