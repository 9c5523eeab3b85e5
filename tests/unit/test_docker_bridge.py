# SPDX-License-Identifier: GPL-3.0-or-later
"""A running dockerd whose bridge somebody has taken away."""

from typing import Any

import pytest

from hostkit.diagnosis.finding import Finding, NotApplicable, Outcome, Passed
from hostkit.diagnosis.runner import run_checks
from hostkit.facts.daemonconfig import DAEMON_CONFIG, DaemonConfig
from hostkit.facts.daemonjson import Setting
from hostkit.facts.links import LINKS, Link, LinkKind, Links
from hostkit_checks.network.bridges import docker_bridge
from tests.fakes import make_facts

JSON = "/etc/docker/daemon.json"
ETH0 = Link("eth0", LinkKind.HARDWARE, 1500, "up")
DOCKER0 = Link("docker0", LinkKind.BRIDGE, 1500, "up")


def ask(links: tuple[Link, ...], *, running: bool = True, **settings: Any) -> Outcome:
    file = tuple(Setting(key, value, JSON, 1) for key, value in settings.items())
    given: dict[Any, Any] = {
        DAEMON_CONFIG: DaemonConfig((), file, running=running),
        LINKS: Links(links),
    }
    (result,) = run_checks(make_facts(given=given), (docker_bridge,))
    return result.outcomes[0]


def test_a_bridge_that_is_gone_under_a_running_dockerd() -> None:
    found = ask((ETH0,))
    assert isinstance(found, Finding)
    assert found.summary == "dockerd runs, and its bridge docker0 is gone"
    assert isinstance(ask((ETH0, DOCKER0)), Passed)


def test_a_bridge_of_the_site_has_its_own_name() -> None:
    found = ask((ETH0, DOCKER0), bridge="br0")
    assert isinstance(found, Finding)
    assert dict(found.params) == {"bridge": "br0"}


@pytest.mark.parametrize(
    "settings", [{"running": False}, {"bridge": "none"}, {"rootless": True}], ids=str
)
def test_where_there_is_none_to_be_missed(settings: dict[str, Any]) -> None:
    assert isinstance(ask((ETH0,), **settings), NotApplicable)
