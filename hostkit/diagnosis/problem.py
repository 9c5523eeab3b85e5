# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue: one Markdown file a problem, its data in a TOML block at the top.

+++
title = "IPv4 forwarding is disabled"
causes = ["dns-resolution-failure"]          # codes that it brings about
harm = "Containers reach no other host."
inside = true                                # it ails containers, not the host's programs
mistaken_for = ["a broken DNS server: no packet gets out, so none with a name does"]
confirm = ["cat /proc/sys/net/ipv4/ip_forward"]
sources = ["kernel Documentation/networking/ip-sysctl.rst"]

[[remedy]]
summary = "Switch it on, now and at boot"
when = "set=file"                            # only where the finding's params say so
action = "sysctl"                            # what hostkit/repair can do itself
risk = "low"
interrupts = "nothing"
undo = "hostkit undo RUN"
[remedy.parameters]
key = "net.ipv4.ip_forward"
value = "1"
[remedy.commands]                            # yum, dnf, apt, zypper or any
any = ["sysctl -w net.ipv4.ip_forward=1"]

[[harmful]]
advice = "iptables -F"
why = "..."
+++
The explanation, in Markdown.
"""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hostkit import files, text
from hostkit.data import load_toml
from hostkit.errors import InputError
from hostkit.value import NamedTuple

FAMILIES = ("yum", "dnf", "apt", "zypper", "any")
_PLACE = r"(?<![%$])\{([a-z][a-z_]*)\}"  # not curl's %{...} nor the shell's ${...}


class Remedy(NamedTuple):
    """What mends a problem: data. `commands`, for a person to run, by package family."""

    summary: str
    commands: Mapping[str, tuple[str, ...]]
    risk: str
    interrupts: str
    undo: str
    action: str
    parameters: Mapping[str, str]
    when: str = ""

    def commands_for(self, family: str, params: Mapping[str, str]) -> tuple[str, ...]:
        """The commands for one family, else for any, with the `{name}` places filled."""
        lines = self.commands.get(family, self.commands.get("any", ()))
        return tuple(_fill(line, params) for line in lines)

    def undo_for(self, params: Mapping[str, str]) -> str:
        """How to take it back, with the `{name}` places filled."""
        return _fill(self.undo, params)

    def suits(self, params: Mapping[str, str]) -> bool | None:
        """Whether it is for a finding with these params; None when they do not tell."""
        name, _, value = self.when.partition("=")
        return params[name] == value if name in params else None


class Harmful(NamedTuple):
    """Popular advice that does damage, and why."""

    advice: str
    why: str


class Problem(NamedTuple):
    """One root cause. `inside`: it ails only what runs in containers, not the host's programs."""

    code: str
    area: str
    title: str
    explanation: str
    harm: str
    mistaken_for: tuple[str, ...]
    confirm: tuple[str, ...]
    causes: tuple[str, ...]
    sources: tuple[str, ...]
    remedies: tuple[Remedy, ...]
    harmful: tuple[Harmful, ...]
    inside: bool = False

    def remedies_for(self, params: Mapping[str, str]) -> tuple[Remedy, ...]:
        """The remedies that a finding allows, first those that are for just such a one."""
        fitting = [(remedy.suits(params), remedy) for remedy in self.remedies]
        first = [remedy for suits, remedy in fitting if suits]
        return (*first, *(remedy for suits, remedy in fitting if suits is None))


def _fill(line: str, params: Mapping[str, str]) -> str:
    """The line with its `{name}` places filled; NAME where there is nothing to fill in.

    >>> _fill("usermod -aG docker {user}; curl -w '%{http_code}' {url}", {"user": "eve"})
    "usermod -aG docker eve; curl -w '%{http_code}' URL"
    """
    return re.sub(_PLACE, lambda place: params.get(place[1], place[1].upper()), line)


def parse_problem(code: str, area: str, source: str) -> Problem:
    """Parse one file of the catalogue. Raises InputError."""
    _, fence, rest = source.partition("+++\n")
    head, fence2, body = rest.partition("\n+++\n")
    if not (fence and fence2):
        raise InputError(f"{code}.md: no +++ block", "see hostkit/diagnosis/problem.py")
    try:
        data = load_toml(head)
        return Problem(
            code=code,
            area=area,
            title=data["title"],
            explanation=body.strip(),
            harm=data.get("harm", ""),
            mistaken_for=tuple(data.get("mistaken_for", ())),
            confirm=tuple(data.get("confirm", ())),
            causes=tuple(data.get("causes", ())),
            sources=tuple(data.get("sources", ())),
            remedies=tuple(_remedy(remedy) for remedy in data.get("remedy", ())),
            harmful=tuple(Harmful(h["advice"], h["why"]) for h in data.get("harmful", ())),
            inside=data.get("inside", False),
        )
    except (ValueError, LookupError, TypeError, AttributeError) as error:  # another's plug-in
        said = text.shorten(text.printable(str(error)), 200)
        raise InputError(f"{code}.md: {said}", "see hostkit/diagnosis/problem.py") from error


def _remedy(data: Mapping[str, Any]) -> Remedy:
    return Remedy(
        summary=data["summary"],
        commands={family: tuple(lines) for family, lines in data.get("commands", {}).items()},
        risk=data.get("risk", ""),
        interrupts=data.get("interrupts", ""),
        undo=data.get("undo", ""),
        action=data.get("action", ""),
        parameters=dict(data.get("parameters", {})),
        when=data.get("when", ""),
    )


def _unexplained(code: str, reason: str) -> Problem:
    return Problem(
        code=code,
        area="",
        title=f"a plug-in reports this without explaining it ({reason})",
        explanation="",
        harm="",
        mistaken_for=(),
        confirm=(),
        causes=(),
        sources=(),
        remedies=(),
        harmful=(),
    )


class Catalogue:
    """All problems of the loaded plug-ins; a file is read when its problem is asked for."""

    def __init__(self, folders: Mapping[str, str]) -> None:
        """`folders` maps an area to its folder of CODE.md files."""
        self._paths: dict[str, tuple[str, str]] = {}
        self._loaded: dict[str, Problem] = {}
        for area, folder in folders.items():
            if not os.path.isdir(folder):
                continue
            for name in os.listdir(folder):
                if name.endswith(".md"):
                    self._paths[name.removesuffix(".md")] = (area, os.path.join(folder, name))

    def codes(self) -> tuple[str, ...]:
        """Every code, sorted."""
        return tuple(sorted(self._paths))

    def __contains__(self, code: object) -> bool:
        return code in self._paths

    def get(self, code: str) -> Problem:
        """One problem. Raises InputError for a code that is not in the catalogue."""
        if code not in self._loaded:
            if code not in self._paths:
                raise InputError(
                    f"no problem is called {text.printable(code)}", self._nearest(code)
                )
            area, path = self._paths[code]
            source = text.decode(files.read_bounded(path)[0])
            self._loaded[code] = parse_problem(code, area, source)
        return self._loaded[code]

    def describe(self, code: str) -> Problem:
        """As `get`, for a finding: one that its plug-in does not explain is shown all the same."""
        try:
            return self.get(code)
        except InputError as error:
            self._loaded[code] = _unexplained(code, error.message)
            return self._loaded[code]

    def causes_of(self, code: str) -> tuple[str, ...]:
        """The problems that bring this one about; only files that mention it are parsed."""
        quoted = f'"{code}"'
        mentioned = [
            known
            for known, (_, path) in self._paths.items()
            if known != code and quoted in text.decode(files.read_bounded(path)[0])
        ]
        return tuple(known for known in sorted(mentioned) if code in self.get(known).causes)

    def _nearest(self, code: str) -> str:
        from difflib import get_close_matches  # noqa: PLC0415 - 3 ms, and only for a typing error

        words = code.split("-")
        scores = {known: _alike(words, known) for known in sorted(self._paths)}
        best = max(scores.values(), default=0)
        alike = [known for known, score in scores.items() if score == best]
        close = (alike if best * 2 >= len(words) else get_close_matches(code, scores))[:3]
        found = f"did you mean {' or '.join(close)}? " if close else ""
        return f"{found}`hostkit list problems` names them all"


def _alike(words: Sequence[str], code: str) -> int:
    """How many words of a code begin with one of these.

    >>> _alike(("ip", "forward"), "ipv4-forwarding-disabled")
    2
    """
    known = code.split("-")
    return sum(any(one.startswith(word) for one in known) for word in words if word)
