# SPDX-License-Identifier: GPL-3.0-or-later
"""Block devices and loop devices, read from /sys, and lsblk beside it."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.facts.block import (
    BLOCK_DEVICES,
    CONTENTS,
    FOLDER,
    Kind,
    parse_lsblk_json,
    parse_lsblk_pairs,
)
from hostkit.facts.loop import (
    CONTROL,
    LOOP_SUPPORT,
    LOOPS,
    MAX_LOOP,
    parse_backing_file,
    parse_block_majors,
)
from hostkit.host.answer import Absent, Unreadable
from hostkit.host.commands import LSBLK_JSON, LSBLK_PAIRS
from tests.fakes import fake_stat, make_facts

DATA = "/var/lib/docker/devicemapper/devicemapper/data"


def uevent(number: tuple[int, int], devtype: str = "disk") -> str:
    return f"MAJOR={number[0]}\nMINOR={number[1]}\nDEVTYPE={devtype}\n"


# A disk with a partition, loop-lvm's pool on two loops, and an empty loop device.
SYS = {
    f"{FOLDER}/vda/size": "4096\n",
    f"{FOLDER}/vda/uevent": uevent((254, 0)),
    f"{FOLDER}/vda/ro": "0\n",
    f"{FOLDER}/vda/removable": "1\n",
    "/sys/devices/pci/block/vda/vda1/size": "2048\n",
    "/sys/devices/pci/block/vda/vda1/uevent": uevent((254, 1), "partition"),
    f"{FOLDER}/loop0/size": "209715200\n",
    f"{FOLDER}/loop0/uevent": uevent((7, 0)),
    f"{FOLDER}/loop1/size": "4194304\n",
    f"{FOLDER}/loop1/uevent": uevent((7, 1)),
    f"{FOLDER}/loop2/size": "0\n",
    f"{FOLDER}/dm-0/size": "209715200\n",
    f"{FOLDER}/dm-0/uevent": uevent((253, 0)),
    f"{FOLDER}/dm-0/dm/name": "docker-254:0-11766-pool\n",
    f"{FOLDER}/dm-0/dm/uuid": "\n",
}
SYS_FOLDERS = {f"{FOLDER}/dm-0/slaves": ("loop0", "loop1")}
SYS_LINKS = {f"{FOLDER}/vda1": "../../devices/pci/block/vda/vda1"}
LOOP_SYS = {
    "/sys/block/vda/size": "4096\n",
    "/sys/block/loop0/size": "209715200\n",
    "/sys/block/loop0/ro": "0\n",
    "/sys/block/loop0/loop/backing_file": f"{DATA}\n",
    "/sys/block/loop0/loop/offset": "0\n",
    "/sys/block/loop0/loop/autoclear": "1\n",
    "/sys/block/loop2/size": "0\n",
    "/proc/devices": "Character devices:\n  1 mem\n\nBlock devices:\n  7 loop\n253 device-mapper\n",
}


def test_the_tree_is_read_from_sys() -> None:
    facts = make_facts(SYS, folders=SYS_FOLDERS, links=SYS_LINKS)
    devices = facts.value(BLOCK_DEVICES)
    assert [device.name for device in devices.devices] == ["dm-0", "loop0", "loop1", "vda", "vda1"]
    pool = devices.named("docker-254:0-11766-pool")
    assert pool is not None
    assert pool.size == 107374182400
    assert pool.path == "/dev/mapper/docker-254:0-11766-pool"
    assert [(one.name, one.kind) for one in devices.made_of(pool)] == [
        ("loop0", Kind.LOOP),
        ("loop1", Kind.LOOP),
    ]
    partition = devices.numbered((254, 1))
    assert partition is not None
    assert (partition.kind, partition.below) == (Kind.PARTITION, ("vda",))
    assert [device.name for device in devices.above("vda")] == ["vda1"]
    assert devices.devices[3].removable


def test_devices_that_rest_on_each_other_end() -> None:
    circle = {
        **{f"{FOLDER}/dm-{n}/size": "8" for n in (0, 1)},
        **{f"{FOLDER}/dm-{n}/uevent": uevent((253, n)) for n in (0, 1)},
    }
    folders = {f"{FOLDER}/dm-0/slaves": ("dm-1",), f"{FOLDER}/dm-1/slaves": ("dm-0",)}
    devices = make_facts(circle, folders=folders).value(BLOCK_DEVICES)
    assert len(devices.made_of(devices.devices[0])) == 2


def test_a_broken_number_in_sys_is_unreadable() -> None:
    facts = make_facts({f"{FOLDER}/sda/size": "8", f"{FOLDER}/sda/uevent": "MAJOR=x\nMINOR=0\n"})
    assert isinstance(facts.get(BLOCK_DEVICES), Unreadable)


def test_no_sys_is_absent_not_an_empty_machine() -> None:
    assert isinstance(make_facts().get(BLOCK_DEVICES), Absent)


def test_an_lsblk_without_json_is_asked_for_pairs() -> None:
    facts = make_facts(
        commands={
            " ".join(LSBLK_JSON.argv): ("", 1, "lsblk: invalid option -- 'J'"),
            " ".join(LSBLK_PAIRS.argv): 'NAME="root" KNAME="dm-0" FSTYPE="xfs" LABEL="" UUID="u"\n',
        }
    )
    (found,) = facts.value(CONTENTS)
    assert (found.name, found.fstype) == ("dm-0", "xfs")


def test_without_lsblk_its_words_are_absent() -> None:
    assert isinstance(make_facts().get(CONTENTS), Absent)


def test_disks_are_not_empty_to_who_cannot_look() -> None:
    seen = '{"blockdevices": [{"kname": "vdb", "fstype": null}]}'
    said = {" ".join(LSBLK_JSON.argv): seen}
    native = {"blkinfo.disks": [{"kname": "vdb", "fstype": ""}]}
    blind = make_facts(commands=said, native=native, privileged=False).get(CONTENTS)
    assert isinstance(blind, Unreadable)
    assert blind.needs_root
    with_udev = make_facts({"/run/udev/data/b1": ""}, commands=said, privileged=False)
    assert with_udev.known(CONTENTS) is not None


def test_real_lsblk_output(shared_data: Path) -> None:
    lab = (shared_data / "lab-captures" / "loop-lsblk-json.txt").read_text()
    names = [one.name for one in parse_lsblk_json(lab[lab.index("{") : lab.rindex("}") + 1])]
    assert {"loop0", "dm-0", "vda"} <= set(names)
    pairs = parse_lsblk_pairs((shared_data / "rhel-outputs" / "lsblk_OP.txt").read_text())
    assert {one.name: one.fstype for one in pairs}["dm-0"] == "ext4"


@given(
    st.recursive(
        st.none() | st.text(max_size=3) | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["blockdevices", "children", "kname", "x"]), inner)
        ),
        max_leaves=8,
    )
)
def test_any_json_is_lsblk_or_refused(tree: object) -> None:
    import json

    try:
        parse_lsblk_json(json.dumps({"blockdevices": tree}))
    except ValueError:
        return


def test_a_loop_device_and_its_file() -> None:
    facts = make_facts(
        LOOP_SYS, stats={DATA: fake_stat(size=107374182400, allocated=5_000_000_000)}
    )
    (loop,) = facts.value(LOOPS)
    assert (loop.name, loop.backing_file, loop.autoclear) == ("loop0", DATA, True)
    assert (loop.apparent, loop.allocated) == (107374182400, 5_000_000_000)
    assert loop.size == 107374182400


def test_a_deleted_file_has_no_size() -> None:
    files = {**LOOP_SYS, "/sys/block/loop0/loop/backing_file": "/tmp/x (deleted)\n", "/tmp/x": "n"}
    (loop,) = make_facts(files).value(LOOPS)
    assert (loop.backing_file, loop.deleted, loop.apparent) == ("/tmp/x", True, None)


def test_a_file_that_is_really_called_deleted() -> None:
    name = "/tmp/x (deleted)"
    files = {**LOOP_SYS, "/sys/block/loop0/loop/backing_file": f"{name}\n", name: "four"}
    (loop,) = make_facts(files).value(LOOPS)
    assert (loop.backing_file, loop.deleted, loop.apparent) == (name, False, 4)


def test_five_thousand_loops_are_read_quickly() -> None:
    files = {f"/sys/block/loop{n}/loop/backing_file": f"/i/{n}" for n in range(5000)}
    facts = make_facts(files)
    started = time.perf_counter()
    assert len(facts.value(LOOPS)) == 5000
    assert time.perf_counter() - started < 5.0


def test_what_the_kernel_offers_for_loops() -> None:
    support = make_facts({**LOOP_SYS, CONTROL: "", MAX_LOOP: "8\n"}).value(LOOP_SUPPORT)
    assert support == (True, True, 8, 2, 1)


def test_no_loop_driver() -> None:
    files = {"/proc/devices": "Block devices:\n254 virtblk\n", "/sys/block/vda/size": "8"}
    assert make_facts(files).value(LOOP_SUPPORT) == (False, False, 0, 0, 0)


@given(st.text())
def test_any_text_is_a_backing_file(content: str) -> None:
    path, deleted = parse_backing_file(content)
    assert path + " (deleted)" * deleted + "\n" * content.endswith("\n") == content


@pytest.mark.parametrize("broken", ["", "Character devices:\n 1 mem\n"])
def test_half_a_proc_devices_is_refused(broken: str) -> None:
    with pytest.raises(ValueError, match="Block devices"):
        parse_block_majors(broken)
