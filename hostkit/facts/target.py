# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host is to serve: an input like any fact, so that checks stay pure."""

from hostkit.facts.fact import Fact, Facts
from hostkit.host.answer import Absent, Answer
from hostkit.value import NamedTuple

ENGINES = ("docker", "podman", "hostkit", "kubernetes")


class Target(NamedTuple):
    """An engine, and its version as numbers ((29,) or (20, 10, 24)); () when not given.

    `kubernetes`: the host is a node, or is to be one; its version is the kubelet's.
    """

    engine: str
    version: tuple[int, ...] = ()


def _not_given(facts: Facts) -> Answer[Target]:
    del facts
    return Absent("--for", "no engine was named")


# Given by whoever makes the Facts: Facts(host, {TARGET: Known(Target("docker"), "--for")}).
TARGET: Fact[Target] = Fact("target", _not_given, waits=False)
