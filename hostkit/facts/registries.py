# SPDX-License-Identifier: GPL-3.0-or-later
"""The registries and mirrors that the configuration of Docker and Podman names."""

from hostkit import text
from hostkit.data import load_toml
from hostkit.facts.daemonconfig import DAEMON_CONFIG
from hostkit.facts.daemonjson import Table, Value, freeze
from hostkit.facts.fact import Fact, Facts
from hostkit.facts.proxies import without_credentials
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.value import NamedTuple

CONTAINERS_FILE = "/etc/containers/registries.conf"
_LIMIT = 1 << 18


class Mirror(NamedTuple):
    """A mirror's URL or host without credentials, and where it is configured."""

    location: str
    source: str
    line: int
    insecure: bool = False

    @property
    def host(self) -> str:
        """The host, without scheme, port and path.

        >>> Mirror("https://reg.example.org:5000/v2/", "f", 1).host
        'reg.example.org'
        """
        rest = self.location.partition("://")[2] or self.location
        return rest.partition("/")[0].rpartition("@")[2].partition(":")[0].lower()


class Registries(NamedTuple):
    """`insecure`: hosts that may be spoken to without TLS."""

    mirrors: tuple[Mirror, ...]
    insecure: tuple[Mirror, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()


def parse_registries_conf(content: str, file: str) -> Registries:
    r"""Podman's registries.conf, both its formats (containers-registries.conf(5)).

    >>> parse_registries_conf('[[registry]]\nlocation = "docker.io"\n'
    ...     '[[registry.mirror]]\nlocation = "m.example.org"\n', "f").mirrors
    (Mirror(location='m.example.org', source='f', line=4, insecure=False),)
    """
    data = freeze(load_toml(content))
    lines = content.splitlines()
    mirrors: list[Mirror] = []
    insecure: list[Mirror] = []
    for registry in _tables(_inner(data, "registry")):
        if registry.get("insecure") is True:
            insecure.append(_mirror(registry, file, lines))
        mirrors += [_mirror(one, file, lines) for one in _tables(registry.get("mirror"))]
    words = _inner(_inner(_inner(data, "registries"), "insecure"), "registries")
    insecure += [
        _mirror(Table((("location", word), ("insecure", True))), file, lines)
        for word in (words if isinstance(words, tuple) and not isinstance(words, Table) else ())
    ]
    return Registries(tuple(mirrors), tuple(insecure))


def _inner(value: Value, name: str) -> Value:
    return value.get(name) if isinstance(value, Table) else None


def _tables(value: Value) -> tuple[Table, ...]:
    if not isinstance(value, tuple) or isinstance(value, Table):
        return ()
    return tuple(one for one in value if isinstance(one, Table))


def _mirror(table: Table, file: str, lines: list[str]) -> Mirror:
    location = table.get("location") or table.get("prefix")
    location = location if isinstance(location, str) else ""
    line = next((n for n, one in enumerate(lines, 1) if location and location in one), 0)
    return Mirror(without_credentials(location), file, line, table.get("insecure") is True)


def _gather(facts: Facts) -> Answer[Registries]:
    mirrors: list[Mirror] = []
    insecure: list[Mirror] = []
    unreadable: list[Unreadable] = []
    config = facts.get(DAEMON_CONFIG)
    if isinstance(config, Unreadable):
        unreadable.append(config)
    elif isinstance(config, Known):
        for key, sink in (("registry-mirrors", mirrors), ("insecure-registries", insecure)):
            setting = config.value.get(key)
            if setting is not None:
                sink += [
                    Mirror(without_credentials(word), setting.source, setting.line)
                    for word in config.value.words(key)
                ]
    content = facts.host.read(CONTAINERS_FILE, _LIMIT)
    if isinstance(content, Known):
        try:
            said = parse_registries_conf(text.decode(content.value), CONTAINERS_FILE)
        except ValueError as error:
            unreadable.append(Unreadable(CONTAINERS_FILE, f"not understood: {error}"))
        else:
            mirrors += said.mirrors
            insecure += said.insecure
    elif isinstance(content, Unreadable):
        unreadable.append(content)
    if not mirrors and not insecure:
        return unreadable[0] if unreadable else Absent("daemon.json", "no mirror is configured")
    return Known(Registries(tuple(mirrors), tuple(insecure), tuple(unreadable)), "daemon.json")


REGISTRIES: Fact[Registries] = Fact("registries", _gather, waits=True)
