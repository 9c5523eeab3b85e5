# SPDX-License-Identifier: GPL-3.0-or-later
"""Mirrors and proxies as the daemon has them. No server is ever asked."""

import re
from collections.abc import Iterator

from hostkit.diagnosis.check import Check, check
from hostkit.diagnosis.finding import (
    Certainty,
    Evidence,
    Finding,
    NotApplicable,
    Outcome,
    Passed,
    Severity,
    Unknown,
)
from hostkit.facts.fact import Facts
from hostkit.facts.proxies import PROXIES, Proxies, Proxy
from hostkit.facts.registries import REGISTRIES
from hostkit.host.answer import Absent, Known

# Mirrors that refuse the public, with the source; and those of old guides whose state
# nobody has confirmed.
_DEAD = {
    "dockerhub.azk8s.cn": "answers 403 to the public since April 2020",
}
_UNCONFIRMED = frozenset(("reg-mirror.qiniu.com",))
_SCHEMES = ("http", "https", "socks5", "socks5h")
_PORT_LIMIT = 65535


@check(
    "registry-mirrors",
    title="Is a mirror configured that is known to serve nobody?",
    problems=("registry-mirror-dead",),
    uses=(REGISTRIES,),
    profiles=("docker", "podman"),
    settles=False,  # a mirror that this list does not know may be dead as well
)
def registry_mirrors(facts: Facts) -> Iterator[Outcome]:
    """Judged by name, from what is known; unconfirmed is said to be so."""
    answer = facts.get(REGISTRIES)
    if isinstance(answer, Absent):
        yield NotApplicable("no mirror is configured")
        return
    if not isinstance(answer, Known):
        yield Unknown(f"{answer.source}: {answer.reason}", needs_root=answer.needs_root)
        return
    healthy = True
    for mirror in answer.value.mirrors:
        evidence = (Evidence(mirror.source, mirror.location, mirror.line),)
        params = (("mirror", mirror.location),)
        if mirror.host in _DEAD:
            healthy = False
            yield Finding(
                problem="registry-mirror-dead",
                severity=Severity.WARNING,
                summary=f"the mirror {mirror.host} {_DEAD[mirror.host]}",
                evidence=evidence,
                params=params,
            )
        elif mirror.host in _UNCONFIRMED:
            healthy = False
            yield Finding(
                problem="registry-mirror-dead",
                severity=Severity.INFO,
                summary=f"the mirror {mirror.host} is from old guides; its state is unconfirmed",
                evidence=evidence,
                certainty=Certainty.POSSIBLE,
                params=params,
            )
    if healthy:
        yield Passed("no configured mirror is known to be dead")


@check(
    "registry-proxy",
    title="Are the daemon's proxy settings usable?",
    problems=("registry-proxy-misconfigured",),
    uses=(PROXIES,),
    profiles=("docker",),
    settles=False,  # a well-formed proxy may be the wrong one
)
def registry_proxy(facts: Facts) -> Iterator[Outcome]:
    """Their form is judged, as Go reads it; whether they answer is not asked."""
    answer = facts.get(PROXIES)
    if isinstance(answer, Absent):
        yield NotApplicable("the daemon has no proxy")
        return
    if not isinstance(answer, Known):
        yield Unknown(f"{answer.source}: {answer.reason}", needs_root=answer.needs_root)
        return
    found = tuple(_judge(answer.value))
    yield from found
    if not found:
        yield Passed("the daemon's proxy settings are well-formed")


def _judge(proxies: Proxies) -> Iterator[Finding]:
    for name in ("http-proxy", "https-proxy"):
        proxy = proxies.get(name)
        reason = fault_of(proxy.value) if proxy is not None else ""
        if proxy is not None and reason:
            yield _finding(proxy, f"{_variable(proxy)}: {reason}", Certainty.CONFIRMED)
        elif proxy is not None and proxy.value.startswith("https://"):
            summary = f"{_variable(proxy)} speaks TLS to the proxy itself; few proxies do"
            yield _finding(proxy, summary, Certainty.POSSIBLE)._replace(severity=Severity.INFO)
    only = proxies.get("http-proxy")
    if only is not None and proxies.get("https-proxy") is None:
        summary = "only HTTP_PROXY is set: registries are asked over HTTPS, without a proxy"
        yield _finding(only, summary, Certainty.LIKELY)


def fault_of(value: str) -> str:
    """What is wrong with a proxy's URL, or nothing.

    >>> fault_of("proxy.example.org:3128"), fault_of("http://proxy:31x8")
    ('', 'the port is not a number from 1 to 65535')
    """
    if re.search(r"[\s\"'<>`\\]", value):
        return "it holds a blank or a quote"
    scheme, mark, rest = value.partition("://")
    if not mark:
        scheme, rest = "http", value
    if scheme.lower() not in _SCHEMES:
        return f"{scheme} is no scheme of a proxy"
    if re.search(r"%(?![0-9A-Fa-f]{2})", rest):
        return "a percent sign stands before no two hexadecimal digits"
    place = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
    host, colon, port = place.rpartition(":")
    if place.startswith("["):
        host, colon, port = place.partition("]")[0], "", place.partition("]:")[2]
    elif not colon:
        host, port = place, ""
    if not host.strip("[]"):
        return "it names no host"
    if port or colon:
        number = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else 0  # noqa: PLR2004 - digits of a port
        if not 0 < number <= _PORT_LIMIT:
            return f"the port is not a number from 1 to {_PORT_LIMIT}"
    return ""


def _variable(proxy: Proxy) -> str:
    return proxy.name.replace("-", "_").upper()


def _finding(proxy: Proxy, summary: str, certainty: Certainty) -> Finding:
    return Finding(
        problem="registry-proxy-misconfigured",
        severity=Severity.WARNING,
        summary=summary,
        evidence=(Evidence(proxy.source, f"{_variable(proxy)}={proxy.value}", proxy.line),),
        certainty=certainty,
    )


CHECKS: tuple[Check, ...] = (registry_mirrors, registry_proxy)
