# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules that nft prints, as JSON where it can and as text where it cannot."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from hostkit.data import load_json
from hostkit.facts.fact import refuse
from hostkit.facts.ruleset import Backend, Chain, Family, Match, Rule, Table
from hostkit.value import NamedTuple

# libnftables writes the standard priorities as words, with an offset behind.
_PRIORITIES = {
    "raw": -300,
    "mangle": -150,
    "dstnat": -100,
    "filter": 0,
    "security": 50,
    "srcnat": 100,
    "out": 100,
}
_IPTABLES_FAMILIES = (Family.IPV4, Family.IPV6, Family.ARP, Family.BRIDGE)
_IPTABLES_TABLES = ("raw", "mangle", "nat", "filter", "security", "broute")
_VERDICTS = frozenset(
    ("accept", "drop", "return", "reject", "masquerade", "dnat", "snat", "redirect", "queue")
)
# Statements that let every packet pass on to the next word of the rule.
_NO_CONDITION = frozenset(("log", "mangle", "notrack", "ct helper", "continue"))
_BASE = (
    r"type (?P<type>\w+) hook (?P<hook>\w+)(?: devices? [^;]*?)? priority (?P<priority>[^;]+);"
    r"(?: policy (?P<policy>\w+);)?"
)
_COUNTER = r"\bcounter packets (\d+) bytes (\d+)"
_QUOTED = r'"[^"]*"'
_COMMENT = r'\bcomment "([^"]*)"'


class _Key(NamedTuple):
    family: Family
    table: str
    chain: str


def parse_json(content: str) -> tuple[Table, ...]:
    r"""The tables of `nft -j list ruleset`.

    >>> table, = parse_json('{"nftables": [{"table": {"family": "ip", "name": "nat"}}]}')
    >>> table.name, table.family.value, table.iptables
    ('nat', 'ip', True)
    """
    listed = _object(load_json(content)).get("nftables")
    if not _is_list(listed):
        refuse("no list of nftables objects in it")
    found = _Found()
    for one in listed:
        for kind, data in _object(one).items():
            try:
                found.add(kind, _object(data))
            except (KeyError, TypeError, AttributeError) as error:
                refuse(f"a {kind} that is not complete: {error}")
    return found.tables()


def _is_object(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, dict)


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _object(value: object) -> Mapping[str, Any]:
    """A JSON object, or an empty one for anything else."""
    return value if _is_object(value) else {}


def _list(value: object) -> list[Any]:
    """A JSON list, or an empty one for anything else."""
    return value if _is_list(value) else []


class _Found:
    """Tables, chains and rules as they come, put together at the end."""

    def __init__(self) -> None:
        self._tables: dict[tuple[Family, str], dict[str, Chain]] = {}
        self._rules: dict[_Key, list[Rule]] = {}

    def add(self, kind: str, data: Mapping[str, Any]) -> None:
        if kind == "table":
            self.table(Family(data["family"]), str(data["name"]))
        elif kind == "chain":
            priority = data.get("prio")
            self.chain(
                _Key(Family(data["family"]), str(data["table"]), str(data["name"])),
                str(data.get("policy", "")).upper() or ("ACCEPT" if data.get("hook") else ""),
                str(data.get("hook", "")),
                priority if isinstance(priority, int) else None,
            )
        elif kind == "rule":
            key = _Key(Family(data["family"]), str(data["table"]), str(data["chain"]))
            self.rule(key, _rule(data["expr"], str(data.get("comment", ""))))

    def table(self, family: Family, name: str) -> None:
        self._tables.setdefault((family, name), {})

    def chain(self, key: _Key, policy: str, hook: str, priority: int | None) -> None:
        chains = self._tables.setdefault((key.family, key.table), {})
        chains[key.chain] = Chain(key.chain, (), policy, hook, priority)

    def rule(self, key: _Key, rule: Rule) -> None:
        self._rules.setdefault(key, []).append(rule)

    def tables(self) -> tuple[Table, ...]:
        return tuple(
            Table(
                family,
                name,
                tuple(
                    chain._replace(rules=tuple(self._rules.get(_Key(family, name, chain.name), ())))
                    for chain in chains.values()
                ),
                Backend.NFT,
                family in _IPTABLES_FAMILIES and name in _IPTABLES_TABLES,
            )
            for (family, name), chains in self._tables.items()
        )


def _rule(expressions: object, comment: str) -> Rule:
    rule = Rule((), comment=comment)
    matches: list[Match] = []
    for expression in _list(expressions):
        kind, data = next(iter(_object(expression).items()), ("?", expression))
        details = _object(data)
        if kind == "match":
            matches.append(_match(details))
        elif kind == "counter":
            rule = rule._replace(packets=details.get("packets"), octets=details.get("bytes"))
        elif kind in ("jump", "goto"):
            rule = rule._replace(target=str(details["target"]), goto=kind == "goto")
        elif kind in _VERDICTS:
            options = (Match("", "", (_words(data),)),) if data else ()
            rule = rule._replace(target=kind.upper(), options=options)
        elif kind == "vmap":  # the map names the verdicts
            option = Match("", _words(details.get("key")), (_words(details.get("data")),))
            rule = rule._replace(target=kind, options=(option,))
        elif kind == "xt" and details.get("type") == "target":
            rule = rule._replace(target=str(details.get("name", "")))
        elif kind == "xt":
            matches.append(_extension(details))
        elif kind not in _NO_CONDITION:
            matches.append(Match("", "", (f"{kind} {_words(data)}".strip(),)))
    return rule._replace(matches=tuple(matches))


def _extension(details: Mapping[str, Any]) -> Match:
    """One of iptables' own conditions: nft shows its name, and before 1.0 not even that."""
    name = str(details.get("name", ""))
    return Match(name, "") if name else Match("", "", ("xt",))


def _match(data: Mapping[str, Any]) -> Match:
    operator = data.get("op", "==")
    option, value = _words(data["left"]), data["right"]
    members = _list(_object(value).get("set")) or _list(value) or [value]
    values = tuple(_words(member) for member in members)
    if operator in ("==", "in", "!="):
        return Match("", option, values, operator == "!=")
    return Match("", "", (f"{option} {operator} {' '.join(values)}",))


def _words(value: object) -> str:
    """A JSON expression in about the words of nft's own language.

    >>> _words({"payload": {"protocol": "ip", "field": "saddr"}})
    'ip saddr'
    >>> _words({"prefix": {"addr": "10.0.0.0", "len": 8}})
    '10.0.0.0/8'
    """
    if _is_list(value):
        return " ".join(_words(one) for one in value)
    if not _is_object(value):
        return "" if value is None else str(value)
    if len(value) != 1:
        return " ".join(_words(inner) for inner in value.values())
    ((kind, inner),) = value.items()
    if kind == "prefix":
        return f"{_words(_object(inner).get('addr'))}/{_words(_object(inner).get('len'))}"
    if kind == "range":
        return "-".join(_words(one) for one in _list(inner))
    if kind in ("payload", "meta", "key", "set", "concat", "elem"):
        return _words(inner)
    return f"{kind} {_words(inner)}".strip()


def parse_text(content: str) -> tuple[Table, ...]:
    r"""The tables of `nft list ruleset`; conditions stay in nft's words.

    >>> table, = parse_text('table ip t {\n\tchain c {\n\t\ttype filter hook forward priority '
    ...                     'filter + 10; policy drop;\n\t\tiifname "a" jump d\n\t}\n}\n')
    >>> table.chains[0].priority, table.chains[0].policy, table.chains[0].rules[0].target
    (10, 'DROP', 'd')
    """
    found = _Found()
    family, table, chain = Family.IPV4, "", ""
    skipped = 0  # how deep we are in a set, map or another object without rules
    for line in _statements(content):
        if skipped:
            skipped += _depth(line)
        elif not table:
            family, table = _table_line(line)
            found.table(family, table)
        elif line == "}":
            table, chain = (table, "") if chain else ("", "")
        elif chain:
            _chain_line(found, _Key(family, table, chain), line)
        elif line.startswith("chain ") and line.endswith("{"):
            chain = line.removeprefix("chain ").removesuffix("{").strip()
            found.chain(_Key(family, table, chain), "", "", None)
        else:
            skipped = max(0, _depth(line))
    if table:
        refuse(f"the table {table} does not end")
    return found.tables()


def _statements(content: str) -> Iterator[str]:
    """Lines without comments; a set that goes on over several lines becomes one."""
    held = ""
    for raw in content.split("\n"):
        line = raw.strip()
        if not held and (not line or line.startswith("#")):
            continue
        held = f"{held} {line}" if held else line
        if _depth(held) > 0 and not held.endswith("{"):
            continue
        yield held
        held = ""
    if held:
        refuse("it ends within a set")


def _depth(line: str) -> int:
    bare = re.sub(_QUOTED, "", line) if '"' in line else line
    return bare.count("{") - bare.count("}")


def _table_line(line: str) -> tuple[Family, str]:
    words = line.split()
    if len(words) < 4 or words[0] != "table" or words[-1] != "{":  # noqa: PLR2004 - table F N {
        refuse(f"not a table: {line[:60]}")
    return Family(words[1]), words[2]


def _chain_line(found: _Found, key: _Key, line: str) -> None:
    base = re.match(_BASE, line)
    if base:
        policy = (base["policy"] or "accept").upper()
        found.chain(key, policy, base["hook"], _priority(base["priority"]))
    elif not line.startswith("comment "):
        found.rule(key, _text_rule(line))


def _priority(words: str) -> int | None:
    """A number, or a name with an offset; None for a name of a newer nft.

    >>> _priority("dstnat - 5"), _priority("-90"), _priority("newer")
    (-105, -90, None)
    """
    name, _, offset = words.partition(" ")
    if name.lstrip("-").isdecimal():
        return int(name)
    base = _PRIORITIES.get(name)
    number = offset.replace(" ", "")
    if base is None or (number and not number.lstrip("+-").isdecimal()):
        return None
    return base + int(number or 0)


def _text_rule(line: str) -> Rule:
    counter = re.search(_COUNTER, line)
    comment = re.search(_COMMENT, line)
    bare = re.sub(
        _QUOTED, lambda quoted: "_" * len(quoted[0]), line
    )  # words in quotes are no verdict
    target, goto, end = "", False, len(line)
    for word in re.finditer(r"[^\s{}]+", bare):
        if word[0] in ("jump", "goto"):
            rest = line[word.end() :].split(maxsplit=1) or refuse("a jump to nowhere")
            target, goto, end = rest[0], word[0] == "goto", word.start()
        elif word[0] in _VERDICTS:
            target, end = word[0].upper(), word.start()
        elif word[0] == "vmap":
            target, end = "vmap", word.start()
        if target:
            break
    condition = re.sub(_COUNTER, "", line[:end]).strip()
    matches = (Match("", "", (condition,)),) if condition else ()
    return Rule(
        matches,
        target,
        goto,
        comment=comment[1] if comment else "",
        packets=int(counter[1]) if counter else None,
        octets=int(counter[2]) if counter else None,
        text=line,
    )
