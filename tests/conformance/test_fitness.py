# SPDX-License-Identifier: GPL-3.0-or-later
"""What every installed driver's fitness must do, ours and third parties'."""

from typing import Any

import pytest

from hostkit import plugins
from hostkit.facts.fact import Facts
from hostkit.facts.fitness import Fitness, Reason, Weight
from hostkit.facts.target import TARGET, Target
from hostkit.files import READ_LIMIT
from hostkit.host.answer import Answer, Known, Unreadable
from hostkit.host.base import FileStat, Output, SourceKind, Space, Tail
from hostkit.host.commands import Command
from hostkit.host.local import LocalHost
from hostkit.storage.plugin import DRIVER_API, DriverPlugin
from tests.fakes import FakeHost

DRIVERS = plugins.load().drivers


class ClosedHost:
    """A host that answers nothing at all."""

    kind: SourceKind = "live"
    name = "closed"
    taken_at = 0.0
    privileged = False

    def read(self, path: str, limit: int = READ_LIMIT) -> Answer[bytes]:
        del limit
        return _closed(path)

    def tail(self, path: str, limit: int) -> Answer[Tail]:
        del limit
        return _closed(path)

    def listdir(self, path: str) -> Answer[tuple[str, ...]]:
        return _closed(path)

    def stat(self, path: str, *, follow: bool = True) -> Answer[FileStat]:
        del follow
        return _closed(path)

    def space(self, path: str) -> Answer[Space]:
        return _closed(path)

    def run(self, command: Command, *args: str) -> Answer[Output]:
        return _closed(" ".join((*command.argv, *args)))

    def native(self, source: str) -> Answer[Any]:
        return _closed(source)


def _closed(source: str) -> Unreadable:
    return Unreadable(source, "Permission denied", needs_root=True)


def facts_of_every_kind() -> list[Facts]:
    targets = [None, Target("docker"), Target("docker", (29,)), Target("podman"), Target("hostkit")]
    return [
        Facts(host, {TARGET: Known(target, "--for")} if target else None)
        for target in targets
        for host in (FakeHost(), ClosedHost())
    ]


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
class TestFitness:
    """A driver may say anything, as long as it says something, and never raises."""

    def test_the_plugin_is_complete(self, driver: DriverPlugin) -> None:
        assert driver.api == DRIVER_API
        assert driver.name
        assert driver.title

    def test_it_names_itself_and_gives_reasons_whatever_the_host(
        self, driver: DriverPlugin
    ) -> None:
        for facts in facts_of_every_kind():
            fitness = driver.fitness(facts)
            assert isinstance(fitness, Fitness)
            assert fitness.driver == driver.name
            assert fitness.reasons
            for reason in fitness.reasons:
                assert isinstance(reason, Reason)
                assert reason.text.strip()
                assert "\n" not in reason.text

    def test_a_host_that_answers_nothing_is_no_pass(self, driver: DriverPlugin) -> None:
        fitness = driver.fitness(Facts(ClosedHost()))
        weights = {reason.weight for reason in fitness.reasons}
        assert weights & {Weight.UNKNOWN, Weight.BLOCKS}

    def test_it_can_judge_this_machine(self, driver: DriverPlugin) -> None:
        assert driver.fitness(Facts(LocalHost())).reasons

    def test_its_problems_are_in_the_catalogue(self, driver: DriverPlugin) -> None:
        catalogue = plugins.load().catalogue()
        codes = {
            reason.problem
            for facts in facts_of_every_kind()
            for reason in driver.fitness(facts).reasons
        }
        assert [code for code in codes if code and code not in catalogue] == []


def test_our_drivers_are_installed() -> None:
    ours = {"overlay2", "aufs", "loop-lvm", "direct-lvm", "vfs", "btrfs", "zfs"}
    assert ours <= {driver.name for driver in DRIVERS}
