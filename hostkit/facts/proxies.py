# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon's proxies: of its unit, its environment files and daemon.json.

Not the shell's: dockerd pulls with its own environment. Passwords are cut out here, so
that they reach no report.
"""

import re

from hostkit.facts.daemonconfig import DAEMON_CONFIG
from hostkit.facts.daemonjson import Setting, Table
from hostkit.facts.fact import Fact, Facts
from hostkit.facts.unitfiles import DOCKER_SERVICE, Service
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.value import NamedTuple

NAMES = ("http-proxy", "https-proxy", "no-proxy")
_CREDENTIALS = r"(?<![\w.-])([a-zA-Z][a-zA-Z0-9+.-]*://)?[^\s/@,\"']+@(?=[^\s/@])"
_URL_LIMIT = 4096


class Proxy(NamedTuple):
    """`name`: http-proxy, https-proxy or no-proxy; `value`: without user and password."""

    name: str
    value: str
    source: str
    line: int


class Proxies(NamedTuple):
    """What dockerd uses first: daemon.json and flags win over the environment (23.0)."""

    proxies: tuple[Proxy, ...]

    def get(self, name: str) -> Proxy | None:
        """The one that counts, or None."""
        return next((proxy for proxy in self.proxies if proxy.name == name), None)


def without_credentials(value: str) -> str:
    """A URL with its user and password replaced.

    >>> without_credentials("http://bob:s3cret@proxy:3128/")
    'http://***@proxy:3128/'
    """
    if "@" not in value:
        return value
    return re.sub(_CREDENTIALS, lambda match: f"{match[1] or ''}***@", value[:_URL_LIMIT])


def _of_environment(service: Service) -> tuple[Proxy, ...]:
    found: list[Proxy] = []
    for name in NAMES:
        upper = name.replace("-", "_").upper()
        for spelling in (upper, upper.lower()):  # Go asks for the upper case first
            word = service.variable(spelling)
            if word is not None and word.text:
                value = without_credentials(word.text)
                found.append(Proxy(name, value, word.source, word.line))
    return tuple(found)


def _of_settings(settings: tuple[Setting | None, ...]) -> tuple[Proxy, ...]:
    return tuple(
        Proxy(one.key, without_credentials(one.value), one.source, one.line)
        for one in settings
        if one is not None and isinstance(one.value, str) and one.value
    )


def _gather(facts: Facts) -> Answer[Proxies]:
    config = facts.get(DAEMON_CONFIG)
    service = facts.get(DOCKER_SERVICE)
    for answer in (service, config):
        if isinstance(answer, Unreadable):
            return answer
    found: list[Proxy] = []
    if isinstance(config, Known):
        table = config.value.get("proxies")
        nested = table.value.items if table and isinstance(table.value, Table) else ()
        inner = [Setting(key, value, table.source, table.line) for key, value in nested if table]
        found += _of_settings((*map(config.value.get, NAMES), *inner))
    if isinstance(service, Known):
        found += _of_environment(service.value)
    if not found:
        return Absent("docker.service", "the daemon has no proxy")
    return Known(Proxies(tuple(found)), "docker.service and daemon.json")


PROXIES: Fact[Proxies] = Fact("proxies", _gather, waits=True)
