# SPDX-License-Identifier: GPL-3.0-or-later
"""Power cuts while devicemapper makes, commits and removes layers: what was confirmed stays."""

import json
import sys
from pathlib import Path

import pytest

from tests.lab.uml import ROOT, Disk, Lab

_OPTIONS = {
    "dm.basesize": "64M",
    "dm.fs": "ext4",
    "dm.loopdatasize": "512M",
    "dm.loopmetadatasize": "8M",
}
_BEGIN = f"""
import json, os, subprocess, sys
from pathlib import Path
sys.path.append({str(ROOT / "drivers")!r})
from hostkit.system import mounts
mounts.enter_private_namespace()
from hostkit_drivers.devicemapper.driver import DeviceMapperDriver
options = json.loads({json.dumps(_OPTIONS)!r})
content = lambda layer: layer.encode() * 20000
"""

# A folder made in the shared one is on this machine at once: what is said there was confirmed.
_WORKER = (
    _BEGIN
    + """
share = sys.argv[1]
driver = DeviceMapperDriver("/media", options)
driver.create("base")
driver.commit("base")
os.mkdir(f"{share}/committed base")
below = "base"
for number in range(10**6):
    layer = f"layer-{number}"
    driver.create(layer, below)
    with driver.mount(layer) as mount:
        Path(mount.path, layer).write_bytes(content(layer))
    driver.commit(layer)
    os.mkdir(f"{share}/committed {layer}")
    gone = f"gone-{number}"
    driver.create(gone, layer, read_write=True)
    with driver.mount(gone) as mount:
        Path(mount.path, gone).write_bytes(content(gone))
    driver.remove(gone)
    os.mkdir(f"{share}/removed {gone}")
    below = layer if number % 4 else "base"
"""
)
_LOOK = (
    _BEGIN
    + """
words = [word.split() for word in sys.argv[1:]]
with DeviceMapperDriver("/media", options) as driver:
    driver.recover()
    driver.cleanup()
    found = {layer.id: layer for layer in driver.layers()}
    for what, layer in words:
        if what == "committed":
            assert found[layer].state.value == "committed", layer
        else:
            assert layer not in found, layer
    for layer, one in found.items():
        with driver.mount(layer, read_only=True) as mount:
            if one.state.value == "committed" and layer != "base":
                assert Path(mount.path, layer).read_bytes() == content(layer), layer
    driver.create("another", "base")
    with driver.mount("another") as mount:
        Path(mount.path, "x").write_text("x")
    driver.commit("another")
with DeviceMapperDriver("/media", options, read_only=True) as driver:
    issues = [f"{one.code} {one.subject} {one.text}" for one in driver.check()]
    assert not issues, issues
    assert len(driver.notes.names()) == len(list(driver.layers())) + 1
subprocess.run(["thin_check", "/media/devicemapper/devicemapper/metadata"], check=True)
assert not [name for name in os.listdir("/sys/block") if name.startswith("dm-")]
"""
)


@pytest.mark.parametrize("amount", [300, 1000, 2600, 5700])
def test_a_cut_leaves_what_was_confirmed_and_nothing_half_done(lab: Lab, amount: int) -> None:
    """`amount`: KiB that the disk takes after the pool was made."""
    disk = lab.disk("1G")
    with lab.boot([disk]) as guest:
        guest.shell("mkfs.ext4 -q /dev/ubda; mount /dev/ubda /media")
        guest.start(sys.executable, "-c", _WORKER, str(guest.share), cwd=str(ROOT))
        guest.cut_after_writes(disk, (30 << 20) + (amount << 10))
        confirmed = [path.name for path in guest.share.iterdir() if " " in path.name]
    _assert_kept(lab, disk, confirmed)


def _assert_kept(lab: Lab, disk: Disk, confirmed: list[str]) -> None:
    with lab.boot([disk]) as guest:
        guest.shell("mount /dev/ubda /media")
        guest.run(sys.executable, "-c", _LOOK, *confirmed, cwd=str(ROOT), timeout=120)
        guest.shell("umount /media; e2fsck -fn /dev/ubda")


def test_the_cuts_are_at_work(lab: Lab, tmp_path: Path) -> None:
    """Layers are made and removed within the writes that the cuts above wait for."""
    disk = lab.disk("1G")
    with lab.boot([disk]) as guest:
        guest.shell("mkfs.ext4 -q /dev/ubda; mount /dev/ubda /media")
        guest.start(sys.executable, "-c", _WORKER, str(guest.share), cwd=str(ROOT))
        guest.cut_after_writes(disk, (30 << 20) + (5700 << 10))
        confirmed = {path.name.split()[0] for path in guest.share.iterdir() if " " in path.name}
    assert confirmed == {"committed", "removed"}
