# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers after a power cut: what was committed is whole, what was not can be taken away."""

import os
import sys

import pytest

from tests.lab.uml import ROOT, Lab

# A folder made in the shared one is on this machine at once.
_WRITER = """
import os, sys
from hostkit.system import mounts
from hostkit_drivers import overlay2, vfs
plugin = {"vfs": vfs, "overlay2": overlay2}[sys.argv[2]].PLUGIN
driver = plugin.open("/media", {}, False)
driver.create("base")
driver.commit("base")
for number in range(10**6):
    layer, parent = f"l{number}", "base" if number % 4 == 0 else f"l{number - 1}"
    driver.create(layer, parent)
    with driver.mount(layer) as mounted:
        for name in range(8):
            with open(f"{mounted.path}/{layer}-{name}", "wb") as file:
                file.write(layer.encode() * 3000)
    driver.commit(layer)
    os.mkdir(f"{sys.argv[1]}/confirmed-{layer}")
    driver.create(f"rw{number}", layer, read_write=True)
    if number % 3 == 0:
        driver.remove(f"rw{number}")
"""
_READER = """
import os, sys
from hostkit.storage.driver import State
from hostkit_drivers import overlay2, vfs
plugin = {"vfs": vfs, "overlay2": overlay2}[sys.argv[1]].PLUGIN
driver = plugin.open("/media", {}, False)
for _ in range(3):
    for issue in list(driver.check()):
        if issue in list(driver.check()):
            print("mended", issue)
            driver.repair(issue)
assert list(driver.check()) == [], list(driver.check())
there = {layer.id: layer for layer in driver.layers()}
for layer in sys.argv[2:]:
    assert there[layer].state is State.COMMITTED, layer
for layer in there.values():
    with driver.mount(layer.id) as mounted:
        if layer.state is State.COMMITTED and layer.id != "base":
            for name in range(8):
                with open(f"{mounted.path}/{layer.id}-{name}", "rb") as file:
                    assert file.read() == layer.id.encode() * 3000, (layer, name)
        if layer.id.startswith("rw"):
            assert os.listdir(mounted.path), layer
for layer in reversed(list(driver.layers())):
    driver.remove(layer.id)
driver.close()
left = [name for name in os.listdir(driver.home) if name not in (".hostkit", "l", "dir")]
for folder in ("l", "dir"):
    if os.path.isdir(f"{driver.home}/{folder}"):
        left += os.listdir(f"{driver.home}/{folder}")
assert left == [], left
"""
_CUTS = (2, 3, 5, 9, 14, 20) if os.environ.get("HOSTKIT_SOAK") else (2,)  # MiB
_ENVIRONMENT = {"PYTHONPATH": f"{ROOT}:{ROOT}/drivers:{ROOT}/checks"}


@pytest.mark.parametrize("megabytes", _CUTS)
@pytest.mark.parametrize(
    ("driver", "file_system"),
    [("overlay2", "ext4"), ("overlay2", "xfs"), ("overlay2", "btrfs"), ("vfs", "ext4")],
)
def test_what_was_committed_is_whole_and_the_rest_goes(
    lab: Lab, driver: str, file_system: str, megabytes: int
) -> None:
    disk = lab.disk("400M")
    with lab.boot([disk]) as guest:
        guest.shell(f"mkfs.{file_system} -q /dev/ubda; mount /dev/ubda /media")
        command = (sys.executable, "-c", _WRITER, str(guest.share), driver)
        guest.start(*command, cwd=str(ROOT), environment=_ENVIRONMENT)
        guest.cut_after_writes(disk, megabytes << 20, timeout=120)
        confirmed = [path.name.split("-")[1] for path in guest.share.glob("confirmed-*")]
    assert confirmed
    with lab.boot([disk]) as guest:
        guest.shell("mount /dev/ubda /media")
        read = (sys.executable, "-c", _READER, driver, *confirmed)
        guest.run(*read, cwd=str(ROOT), environment=_ENVIRONMENT, timeout=120)
        guest.shell("umount /media")
