# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/coverage.md is true: every question of every peer is answered, by checks that exist."""

import re
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

from hostkit import plugins
from hostkit_checks.kernel.features import FEATURES
from hostkit_checks.kernel.requirements import NEEDS

ROOT = Path(__file__).resolve().parents[2]
PEERS: dict[str, dict[str, str]] = tomllib.loads(
    (ROOT / "tests/captures/peers.toml").read_text(encoding="utf-8")
)
HEADINGS = {
    "check-config": "check-config.sh",
    "docker-info": "The warnings of `docker info`",
    "kubeadm": "kubeadm preflight",
    "k0s": "k0s sysinfo",
    "k3s": "k3s check-config",
    "lxc-checkconfig": "lxc-checkconfig",
    "system-validators": "system-validators",
    "virt-host-validate": "virt-host-validate",
}
NOT_DONE = "not done, because "
QUOTED = re.compile(r"`([^`]+)`")


class Row(NamedTuple):
    asks: tuple[str, ...]
    answer: str


def rows(peer: str) -> tuple[Row, ...]:
    page = (ROOT / "docs/coverage.md").read_text(encoding="utf-8")
    sections = [part for part in page.split("\n## ") if part.startswith(HEADINGS[peer])]
    assert len(sections) == 1, peer
    table = sections[0].partition("\n# ")[0]
    cells = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| `")]
    assert all(len(one) == 2 for one in cells)
    return tuple(Row(tuple(QUOTED.findall(ask)), answer.strip()) for ask, answer in cells)


def asked(peer: str) -> tuple[str, ...]:
    return tuple(PEERS[peer]["asks"].split())


@pytest.fixture(scope="module")
def loaded() -> plugins.Plugins:
    return plugins.load()


@pytest.mark.parametrize("peer", HEADINGS)
def test_every_question_has_exactly_one_answer(peer: str) -> None:
    answered = [ask for row in rows(peer) for ask in row.asks]
    assert sorted(answered) == sorted(asked(peer))


@pytest.mark.parametrize("peer", HEADINGS)
def test_every_answer_names_checks_and_codes_that_exist(peer: str, loaded: plugins.Plugins) -> None:
    checks = {one.name: one for _, one in loaded.checks()}
    known = {*checks, *asked(peer), "--for docker", "--for kubernetes"}
    codes = set(loaded.catalogue().codes())
    for row in rows(peer):
        if row.answer.startswith(NOT_DONE):
            assert len(row.answer) > len(NOT_DONE) + 20, row
            assert row.answer[len(NOT_DONE) :].strip(), row
            continue
        named = [name for name in QUOTED.findall(row.answer) if name in checks]
        assert named, row
        words = {w for w in QUOTED.findall(row.answer) if not w.isupper()}
        assert words <= known, (row, words - known)
        _, arrow, tail = row.answer.partition("-> ")
        told: set[str] = set(re.findall(r"[a-z0-9]+(?:-[a-z0-9]+)+", tail)) if arrow else set()
        reported = {code for name in named for code in checks[name].problems}
        assert told <= reported & codes, (row, told - reported)


@pytest.mark.parametrize("peer", HEADINGS)
def test_options_are_in_the_list_of_the_check_that_answers_for_them(peer: str) -> None:
    """A symbol that a row gives to kernel-config or kernel-features is really asked for."""
    lists = {
        "kernel-config": {symbol for need in NEEDS for symbol in need.symbols},
        "kernel-features": {
            symbol for one in FEATURES for option in one.options for symbol in option.symbols
        },
    }
    aliases = {"NF_NAT_NEEDED", "LEGACY_VSYSCALL_NATIVE", "LEGACY_VSYSCALL_EMULATE",
               "LEGACY_VSYSCALL_NONE"}  # fmt: skip
    for row in rows(peer):
        owners = [name for name in lists if f"`{name}`" in row.answer]
        if row.answer.startswith(NOT_DONE) or len(owners) != 1:
            continue
        symbols = {ask for ask in row.asks if re.fullmatch(r"[A-Z][A-Z0-9_]+", ask)} - aliases
        symbols -= {"DOCKER_INSECURE_NO_IPTABLES_RAW"}
        assert symbols <= lists[owners[0]], (row, symbols - lists[owners[0]])


def test_a_check_for_kubernetes_answers_for_kubernetes(loaded: plugins.Plugins) -> None:
    checks = {one.name: one for _, one in loaded.checks()}
    for peer in ("system-validators", "k0s", "k3s", "kubeadm"):
        for row in rows(peer):
            named = [n for n in QUOTED.findall(row.answer) if n in checks]
            if named and not row.answer.startswith(NOT_DONE) and "--for docker" not in row.answer:
                assert any("kubernetes" in checks[name].profiles for name in named), row


def test_the_counts() -> None:
    """Shown with -s; a peer of whose questions a third are not answered is not covered."""
    for peer in HEADINGS:
        refused = sum(len(r.asks) for r in rows(peer) if r.answer.startswith(NOT_DONE))
        print(f"{peer:<20}{len(asked(peer)):>4} asked {refused:>4} not done, with a reason")
        assert refused * 3 < len(asked(peer)), peer
