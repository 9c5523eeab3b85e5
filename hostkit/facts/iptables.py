# SPDX-License-Identifier: GPL-3.0-or-later
"""What iptables says of itself, and the rules that iptables-save prints."""

import re
from collections.abc import Iterator

from hostkit import text as texts
from hostkit.facts.fact import Fact, command_fact, refuse
from hostkit.facts.ruleset import Backend, Chain, Family, Match, Rule, Table
from hostkit.host.commands import IPTABLES_VERSION
from hostkit.value import NamedTuple

_VERSION = r"\bv(\d+(?:\.\d+)*)(?:\s+\((legacy|nf_tables)\))?"
# xt_comment keeps 255 bytes; a line that is still open after this is not a comment.
_OPEN_LINES = 256
# Netfilter's priorities of the tables that iptables knows (netfilter_ipv4.h).
_PRIORITIES = {"raw": -300, "mangle": -150, "nat": -100, "filter": 0, "security": 50}
_SOURCE_NAT_HOOKS = ("postrouting", "input")
# Options whose value is free text and may look like anything.
_FREE_TEXT = frozenset(("--comment", "--log-prefix", "--nflog-prefix", "--string", "--hex-string"))
_SHORT_OPTIONS = frozenset(("-s", "-d", "-i", "-o", "-p", "-f"))
_WORD = r'(?s)"((?:[^"\\]|\\.)*)"?|([^\s"]+)'
_ESCAPED = r"(?s)\\(.)"


class Iptables(NamedTuple):
    """The program called `iptables`: its version, and whose rules it reads and writes."""

    version: tuple[int, ...]
    backend: Backend

    @property
    def broken_nft(self) -> bool:
        """1.8.0 to 1.8.3 in nft mode lose and misprint rules; Kubernetes refuses them too."""
        return self.backend is Backend.NFT and (1, 8) <= self.version < (1, 8, 4)


class Saved(NamedTuple):
    """What iptables-save printed. `incompatible`: nft tables it could not express."""

    tables: tuple[Table, ...]
    incompatible: tuple[str, ...] = ()


def parse_version(content: str) -> Iptables:
    """The words of `iptables --version`; before 1.8 there was only the legacy backend.

    >>> parse_version("iptables v1.8.9 (nf_tables)")
    Iptables(version=(1, 8, 9), backend=<Backend.NFT: 'nft'>)
    >>> parse_version("iptables v1.4.21").backend.value
    'legacy'
    """
    match = re.search(_VERSION, content[:4096]) or refuse("no version number in it")
    backend = Backend.NFT if match[2] == "nf_tables" else Backend.LEGACY
    return Iptables(tuple(int(part[:9]) for part in match[1].split(".")), backend)


def split_words(line: str) -> list[str]:
    r"""The words of a rule; a quoted word is one, and a missing closing quote no error.

    >>> split_words('-A X -m comment --comment "a \\"b\\" -j DROP" -j ACCEPT')
    ['-A', 'X', '-m', 'comment', '--comment', 'a "b" -j DROP', '-j', 'ACCEPT']
    """
    if '"' not in line:
        return line.split()
    return [
        re.sub(_ESCAPED, r"\1", match[1]) if match[1] is not None else match[2]
        for match in re.finditer(_WORD, line)
    ]


def parse_save(content: str, family: Family, backend: Backend) -> Saved:
    r"""The tables of one `iptables-save`, with or without counters.

    >>> saved = parse_save("*filter\n:FORWARD DROP [0:0]\n[5:300] -A FORWARD ! -i lo -j ACCEPT\n"
    ...                    "COMMIT\n", Family.IPV4, Backend.NFT)
    >>> saved.tables[0].chain("FORWARD").policy, saved.tables[0].chain("FORWARD").rules[0].packets
    ('DROP', 5)
    """
    tables: list[Table] = []
    incompatible: list[str] = []
    name = ""
    chains: dict[str, tuple[str, list[Rule]]] = {}
    for line in _whole_lines(content):
        first = line[0]
        if first in "-[" and name:
            chain, rule = _rule(line)
            chains.setdefault(chain, ("", []))[1].append(rule)
        elif first == ":" and name:
            declared, _, rest = line[1:].partition(" ")
            policy = rest.partition(" ")[0]
            chains[declared] = ("" if policy == "-" else policy, [])
        elif first == "*" and not name:
            name, chains = line[1:].strip() or refuse("a table without a name"), {}
        elif line.startswith("COMMIT") and name:
            tables.append(_table(family, name, chains, backend))
            name = ""
        elif first == "#":
            if "is incompatible" in line:
                incompatible.append(line.partition("`")[2].partition("'")[0])
        else:
            refuse(f"unexpected line: {texts.shorten(texts.printable(line), 60)}")
    if name:
        refuse(f"the table {texts.printable(name)} ends without COMMIT")
    return Saved(tuple(tables), tuple(incompatible))


def _whole_lines(content: str) -> Iterator[str]:
    """The lines that are not empty; a quoted comment with a newline in it stays whole."""
    lines = iter(content.split("\n"))
    for line in lines:
        if line.count('"') % 2 and line[0] in "-[" and _open(line):
            for _, more in zip(range(_OPEN_LINES), lines, strict=False):
                line += "\n" + more  # noqa: PLW2901 - the line goes on
                if not _open(line):
                    break
        if line.strip():
            yield line.strip()


def _open(line: str) -> bool:
    """Whether a quoted word is still open at the end."""
    quoted = escaped = False
    for character in line:
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = quoted
        elif character == '"':
            quoted = not quoted
    return quoted


def _table(
    family: Family, name: str, chains: dict[str, tuple[str, list[Rule]]], backend: Backend
) -> Table:
    return Table(
        family,
        name,
        tuple(_chain(name, chain, policy, rules) for chain, (policy, rules) in chains.items()),
        backend,
    )


def _chain(table: str, name: str, policy: str, rules: list[Rule]) -> Chain:
    if not policy:
        return Chain(name, tuple(rules))
    hook = name.lower()
    priority = _PRIORITIES.get(table)
    if table == "nat" and hook in _SOURCE_NAT_HOOKS:
        priority = 100
    return Chain(name, tuple(rules), policy, hook, priority)


def _rule(line: str) -> tuple[str, Rule]:
    """`[packets:bytes] -A CHAIN conditions -j TARGET options`."""
    words = split_words(line)
    packets = octets = None
    if words[0][0] == "[":
        left, _, right = words[0].strip("[]").partition(":")
        packets, octets = int(left), int(right)
        del words[0]
    if len(words) < 2 or words[0] != "-A":  # noqa: PLR2004 - `-A` and a name
        refuse(f"not a rule: {texts.shorten(texts.printable(line), 60)}")
    at = _jump(words)
    matches = _matches(words[2:at])
    comment = next((m.values[0] for m in matches if m.option == "--comment" and m.values), "")
    if at >= len(words) - 1:
        return words[1], Rule(matches, "", False, (), comment, packets, octets, line)
    goto = words[at] == "-g"
    options = _matches(words[at + 2 :]) if len(words) > at + 2 else ()
    return words[1], Rule(matches, words[at + 1], goto, options, comment, packets, octets, line)


def _jump(words: list[str]) -> int:
    """Where `-j` or `-g` stands, else the number of words."""
    for at, word in enumerate(words):
        if word in ("-j", "-g") and words[at - 1] not in _FREE_TEXT:
            return at
    return len(words)


def _matches(words: list[str]) -> tuple[Match, ...]:
    r"""Options with their values, each with the module (-m) that it belongs to.

    >>> [match[:3] for match in _matches("! -i lo -m tcp --dport 80:90 -m socket".split())]
    [('', '-i', ('lo',)), ('tcp', '--dport', ('80:90',)), ('socket', '', ())]
    """
    found: list[Match] = []
    module, silent = "", False
    for option, values, negated in _options(words):
        if option == "-m":
            if silent:
                found.append(Match(module, ""))
            module, silent = " ".join(values), True
        elif option in _SHORT_OPTIONS:
            found.append(Match("", option, values, negated))
        else:
            found.append(Match(module, option, values, negated))
            silent = False
    if silent:
        found.append(Match(module, ""))
    return tuple(found)


def _options(words: list[str]) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    """Each option, its values, and whether there is a ! before it or (until 1.4.3) behind."""
    option = ""
    values: list[str] = []
    negated = mark = False
    for word in words:
        if word[:1] in ("-", "!") and (values or option not in _FREE_TEXT):
            if word == "!":
                mark = True
                continue
            if word[:2] == "--" or word == "-m" or word in _SHORT_OPTIONS:
                if option or values:
                    yield option, tuple(values), negated
                option, values, negated, mark = word, [], mark, False
                continue
        if mark:
            negated, mark = True, False
        values.append(word)
    if option or values:
        yield option, tuple(values), negated


IPTABLES: Fact[Iptables] = command_fact("iptables version", IPTABLES_VERSION, parse_version)
