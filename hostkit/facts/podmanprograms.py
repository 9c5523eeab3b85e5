# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs that podman's configuration names, and whether they are there."""

from collections.abc import Iterator

from hostkit.facts.daemonjson import Setting
from hostkit.facts.fact import Fact, Facts
from hostkit.facts.podmanconfig import CONTAINERS_CONF, STORAGE_CONF
from hostkit.facts.programs import FOLDERS
from hostkit.facts.tomlfile import Layers
from hostkit.host.answer import Absent, Answer, Known, Unreadable

# Where podman looks for a runtime that is named without a folder (containers.conf(5)).
_RUNTIME_FOLDERS = (*FOLDERS, "/run/current-system/sw/bin")
_OVERLAYS = ("", "overlay", "overlay2")


def _gather(facts: Facts) -> Answer[tuple[Setting, ...]]:
    answers = (facts.get(CONTAINERS_CONF), facts.get(STORAGE_CONF))
    for answer in answers:
        if isinstance(answer, Unreadable):
            return answer
    layers = [answer.value for answer in answers if isinstance(answer, Known)]
    if not layers:
        return Absent(answers[0].source)
    missing = [
        setting
        for one in layers
        for setting, places in _named(one)
        if all(isinstance(facts.host.stat(place), Absent) for place in places)
    ]
    return Known(tuple(missing), layers[0].files[-1])


def _named(layers: Layers) -> Iterator[tuple[Setting, tuple[str, ...]]]:
    """Settings that name a program, each with the places where it may be."""
    runtime = layers.text("engine", "runtime")
    if runtime is not None:
        name = str(runtime.value)
        listed = layers.get("engine", "runtimes", name.lower())
        paths = listed.value if listed and isinstance(listed.value, tuple) else ()
        usual = (
            (name,) if name.startswith("/") else tuple(f"{at}/{name}" for at in _RUNTIME_FOLDERS)
        )
        yield runtime, (*(str(path) for path in paths), *usual)
    driver = layers.text("storage", "driver")
    if (str(driver.value) if driver else "") in _OVERLAYS:
        for names in (("storage", "options"), ("storage", "options", "overlay")):
            program = layers.text(*names, "mount_program")
            if program is not None and str(program.value).startswith("/"):
                yield program, (str(program.value),)


# Those that are named and not there.
PODMAN_MISSING: Fact[tuple[Setting, ...]] = Fact("programs of podman", _gather, waits=True)
