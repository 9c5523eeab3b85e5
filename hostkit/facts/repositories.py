# SPDX-License-Identifier: GPL-3.0-or-later
"""Where packages come from: yum, dnf, apt and zypper repositories as configured."""

from collections.abc import Iterator
from typing import Literal

from hostkit import text
from hostkit.facts.fact import Fact, Facts
from hostkit.facts.proxies import without_credentials
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.value import NamedTuple

Kind = Literal["yum", "zypper", "apt"]
_FOLDERS: tuple[tuple[str, str, Kind], ...] = (
    ("/etc/yum.repos.d", ".repo", "yum"),
    ("/etc/zypp/repos.d", ".repo", "zypper"),
    ("/etc/apt/sources.list.d", ".list", "apt"),
    ("/etc/apt/sources.list.d", ".sources", "apt"),
)
_APT_FILE = "/etc/apt/sources.list"
_LIMIT = 1 << 18
_FILES_LIMIT = 200


class Repository(NamedTuple):
    """One repository; URLs are without user and password. apt: `id` is the suite."""

    kind: Kind
    id: str
    file: str
    line: int
    enabled: bool = True
    base_urls: tuple[str, ...] = ()
    mirror_list: str = ""
    gpg_check: bool | None = None
    gpg_keys: tuple[str, ...] = ()


class Repositories(NamedTuple):
    """All of them, and the files that could not be read."""

    repositories: tuple[Repository, ...]
    unreadable: tuple[Unreadable, ...] = ()

    def enabled(self) -> tuple[Repository, ...]:
        """Those that are used."""
        return tuple(one for one in self.repositories if one.enabled)


def parse_repo_file(content: str, file: str, kind: Kind = "yum") -> tuple[Repository, ...]:
    r"""The sections of one .repo file; an indented line continues a value (yum.conf(5)).

    >>> repo, = parse_repo_file("[base]\nbaseurl=http://a/\n  http://b/\nenabled=0\n", "f")
    >>> repo.base_urls, repo.enabled, repo.gpg_check, repo.line
    (('http://a/', 'http://b/'), False, None, 1)
    """
    sections: list[tuple[str, int, dict[str, str]]] = []
    name = ""
    for number, raw in enumerate(content.splitlines(), 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("[") and "]" in line:
            sections.append((line[1 : line.index("]")].strip(), number, {}))
            name = ""
        elif sections and raw[:1] in " \t" and name:
            sections[-1][2][name] += " " + line
        elif sections:
            key, equals, value = line.partition("=")
            name = key.strip().lower() if equals else ""
            if name:
                sections[-1][2][name] = value.strip()
    return tuple(
        _repository(section, number, values, file, kind)
        for section, number, values in sections
        if section != "main"
    )


def _repository(
    section: str, line: int, values: dict[str, str], file: str, kind: Kind
) -> Repository:
    mirrors = values.get("mirrorlist") or values.get("metalink", "")
    return Repository(
        kind=kind,
        id=section,
        file=file,
        line=line,
        enabled=_switch(values.get("enabled", "1")) is not False,
        base_urls=_urls(values.get("baseurl", "")),
        mirror_list=without_credentials(mirrors),
        gpg_check=_switch(values.get("gpgcheck", "")),
        gpg_keys=_urls(values.get("gpgkey", "")),
    )


def _urls(value: str) -> tuple[str, ...]:
    return tuple(without_credentials(url) for url in value.replace(",", " ").split())


def _switch(value: str) -> bool | None:
    lowered = value.lower()
    if lowered in ("1", "true", "yes", "on"):
        return True
    return False if lowered in ("0", "false", "no", "off") else None


def parse_sources_list(content: str, file: str) -> tuple[Repository, ...]:
    r"""One-line entries of apt (sources.list(5)); source packages are left out.

    >>> parse_sources_list("deb [arch=amd64] https://h/debian bookworm main\n", "f")[0].base_urls
    ('https://h/debian',)
    """
    found: list[Repository] = []
    for number, raw in enumerate(content.splitlines(), 1):
        kind, *words = raw.partition("#")[0].split() or [""]
        if words and words[0].startswith("["):
            words = " ".join(words).partition("]")[2].split()
        if kind == "deb" and len(words) > 1:
            url = without_credentials(words[0])
            found.append(Repository("apt", words[1], file, number, base_urls=(url,)))
    return tuple(found)


def parse_sources(content: str, file: str) -> tuple[Repository, ...]:
    r"""The stanzas of one deb822 file (sources.list(5)).

    >>> repo, = parse_sources("Types: deb\nURIs: https://h/debian\nSuites: sid\nEnabled: no\n", "f")
    >>> repo.enabled, repo.id
    (False, 'sid')
    """
    found: list[Repository] = []
    for line, values in _stanzas(content):
        if "deb" not in values.get("types", "").split():
            continue
        found += [
            Repository(
                kind="apt",
                id=suite,
                file=file,
                line=line,
                enabled=_switch(values.get("enabled", "yes")) is not False,
                base_urls=_urls(values.get("uris", "")),
            )
            for suite in values.get("suites", "").split()
        ]
    return tuple(found)


def _stanzas(content: str) -> Iterator[tuple[int, dict[str, str]]]:
    values: dict[str, str] = {}
    first, name = 0, ""
    for number, raw in enumerate([*content.splitlines(), ""], 1):
        if not raw.strip():
            if values:
                yield first, values
            values, name = {}, ""
        elif raw.startswith("#"):
            continue
        elif raw[0] in " \t":
            if name:
                values[name] += " " + raw.strip()
        else:
            first = number if not values else first
            key, _, value = raw.partition(":")
            name = key.strip().lower()
            values[name] = value.strip()


def _gather(facts: Facts) -> Answer[Repositories]:
    host = facts.host
    files: list[tuple[str, str, Kind]] = []
    found: list[Repository] = []
    unreadable: list[Unreadable] = []
    for folder, suffix, kind in _FOLDERS:
        names = host.listdir(folder)
        if isinstance(names, Unreadable):
            unreadable.append(names)
        elif isinstance(names, Known):
            named = [name for name in names.value if name.endswith(suffix)]
            files.extend((f"{folder}/{name}", suffix, kind) for name in named[:_FILES_LIMIT])
    files.append((_APT_FILE, ".list", "apt"))
    for path, suffix, kind in files:
        answer = host.read(path, _LIMIT)
        if isinstance(answer, Unreadable):
            unreadable.append(answer)
        elif isinstance(answer, Known):
            found += _parse(text.decode(answer.value), path, suffix, kind)
    if unreadable and not found:
        return unreadable[0]
    if not found:
        return Absent("/etc/yum.repos.d", "no package repository is configured")
    return Known(Repositories(tuple(found), tuple(unreadable)), found[0].file)


def _parse(content: str, path: str, suffix: str, kind: Kind) -> tuple[Repository, ...]:
    if suffix == ".repo":
        return parse_repo_file(content, path, kind)
    return (
        parse_sources(content, path) if suffix == ".sources" else parse_sources_list(content, path)
    )


REPOSITORIES: Fact[Repositories] = Fact("package repositories", _gather, waits=False)
