# SPDX-License-Identifier: GPL-3.0-or-later
"""Device-mapper, thin pools and LVM: what is asked, what is not, and what the answers mean."""

from pathlib import Path
from typing import Any

import pytest

from hostkit.facts.block import BLOCK_DEVICES, BlockDevice, BlockDevices, Kind
from hostkit.facts.devicemapper import (
    CONTROL,
    DEVICE_MAPPER,
    DM_TARGETS,
)
from hostkit.facts.fact import Fact, Facts
from hostkit.facts.lvm import (
    CONFIG,
    FIELDS,
    LVM,
    PHYSICAL_VOLUMES,
    VOLUME_GROUPS,
    parse_config,
    parse_lvs,
)
from hostkit.facts.thinpool import (
    THIN_POOLS,
    Mode,
    parse_pool_status,
    parse_pool_table,
)
from hostkit.host.answer import Absent, Unreadable
from hostkit.host.commands import (
    DMSETUP_STATUS_POOLS,
    DMSETUP_TABLE_POOLS,
    DMSETUP_TARGETS,
    LVS,
    PVS,
    VGS,
    Command,
)
from tests.fakes import FakeHost, make_facts

LAB = Path(__file__).parent.parent / "captures" / "lab"


def lab(name: str) -> str:
    """What a captured command printed."""
    lines = (LAB / f"{name}.txt").read_text().splitlines()
    return "\n".join(line for line in lines if not line.startswith(("$ ", "[exit "))) + "\n"


def pools_only(text: str) -> str:
    """`dmsetup --target thin-pool` prints only these lines."""
    return "".join(f"{line}\n" for line in text.splitlines() if " thin-pool " in line)


AWAKE = {
    "/proc/misc": "236 device-mapper\n",
    "/proc/devices": "Block devices:\n  7 loop\n253 device-mapper\n",
    CONTROL: "",
}
ASLEEP = {"/proc/misc": "237 loop-control\n", "/proc/devices": "Block devices:\n253 zram\n"}
STATUS, TABLE = " ".join(DMSETUP_STATUS_POOLS.argv), " ".join(DMSETUP_TABLE_POOLS.argv)
LOOP_POOL = BlockDevices(
    (
        BlockDevice("loop0", (7, 0), 107374182400, Kind.LOOP),
        BlockDevice("loop1", (7, 1), 2147483648, Kind.LOOP),
        BlockDevice(
            "dm-0",
            (253, 0),
            107374182400,
            Kind.DEVICE_MAPPER,
            below=("loop0", "loop1"),
            dm_name="docker-254:0-11766-pool",
        ),
    )
)


def test_device_mapper_of_a_host_that_has_it() -> None:
    facts = make_facts(
        {
            "/proc/misc": lab("direct-proc-misc"),
            "/proc/devices": lab("direct-proc-devices"),
            CONTROL: "",
        }
    )
    assert facts.value(DEVICE_MAPPER) == (True, 236, 253, True)


def test_a_block_major_253_of_something_else_is_not_device_mapper() -> None:
    assert make_facts(ASLEEP).value(DEVICE_MAPPER) == (False, None, None, False)


@pytest.mark.parametrize("fact", [DM_TARGETS, LVM, VOLUME_GROUPS, PHYSICAL_VOLUMES])
@pytest.mark.parametrize("with_node", [True, False])
def test_without_the_driver_no_tool_is_run(fact: Fact[Any], with_node: bool) -> None:
    # A node alone is no driver: opening it would load dm_mod.
    host = FakeHost({**ASLEEP, **({CONTROL: ""} if with_node else {})})
    answer = Facts(host).get(fact)
    assert isinstance(answer, Absent)
    assert not [question for question in host.asked if question.startswith("run ")]


def test_without_the_node_no_tool_is_run_because_it_would_make_one() -> None:
    host = FakeHost({path: said for path, said in AWAKE.items() if path != CONTROL})
    assert isinstance(Facts(host).get(DM_TARGETS), Unreadable)
    assert not [question for question in host.asked if question.startswith("run ")]


def test_targets() -> None:
    facts = make_facts(
        AWAKE,
        commands={
            " ".join(DMSETUP_TARGETS.argv): lab("loop-dmsetup-targets"),
        },
    )
    assert facts.value(DM_TARGETS)[0] == ("thin-pool", (1, 22, 0))


def test_a_pool_on_loop_files() -> None:
    facts = make_facts(
        AWAKE,
        commands={
            STATUS: pools_only(lab("loop-dmsetup-status")),
            TABLE: pools_only(lab("loop-dmsetup-table")),
        },
        given={BLOCK_DEVICES: LOOP_POOL},
    )
    (pool,) = facts.value(THIN_POOLS)
    assert pool.name == "docker-254:0-11766-pool"
    assert sorted(pool.loops) == ["loop0", "loop1"]
    assert pool.table.block_size == 65536
    assert pool.data_used_bytes == 1706 * 65536
    assert round(pool.data_percent, 1) == 0.1
    assert pool.status.transaction == 32


def test_without_dm_devices_nothing_is_run() -> None:
    host = FakeHost({**AWAKE, "/sys/class/block/sda/size": "0"})
    assert Facts(host).value(THIN_POOLS) == ()
    assert not [question for question in host.asked if question.startswith("run ")]


@pytest.mark.parametrize(
    ("rest", "mode", "needs_check", "errors"),
    [
        ("1 20/49152 38/126512 - rw no_discard_passdown queue_if_no_space -", "rw", False, False),
        ("1 20/49152 38/126512 - rw discard_passdown error_if_no_space - 1024", "rw", False, True),
        ("441 7/20 9/9 - out_of_data_space discard_passdown queue_if_no_space - 1024",
         "out_of_data_space", False, False),
        ("441 7/20 9/9 - ro discard_passdown queue_if_no_space needs_check 9", "ro", True, False),
        ("3 7/20 9/9 12 rw", "rw", False, False),  # Linux 3.2 prints no more
        ("Fail", "Fail", False, False),
        ("Error", "Fail", False, False),
    ],
)  # fmt: skip
def test_states_of_a_pool(rest: str, mode: str, needs_check: bool, errors: bool) -> None:
    (pool,) = parse_pool_status(f"vg-docker--pool: 0 129548288 thin-pool {rest}\n")
    assert (pool.mode, pool.needs_check, pool.errors_when_full) == (Mode(mode), needs_check, errors)


def test_no_devices_found_is_no_pool() -> None:
    assert parse_pool_status("No devices found\n") == ()
    assert parse_pool_table("") == ()


def test_a_pool_that_vanished_between_two_questions_is_unreadable() -> None:
    status = pools_only(lab("direct-dmsetup-status"))
    facts = make_facts(
        AWAKE, commands={STATUS: status, TABLE: ""}, given={BLOCK_DEVICES: LOOP_POOL}
    )
    assert isinstance(facts.get(THIN_POOLS), Unreadable)


def test_real_status_of_rhel(shared_data: Path) -> None:
    text = (shared_data / "rhel-outputs" / "dmsetup_status.1.txt").read_text()
    pools = {pool.name: pool for pool in parse_pool_status(pools_only(text))}
    assert pools["appsvg-lvapps_docker"].data_used == 20663
    assert not pools["rootvg-docker--pool"].discard_passdown


LVS_LINE = (
    "  docker|thinpool|twi-aot---|4072669184||2.86|10.15|{profile}|524288|4290772992|134217728"
)
PROFILE = "activation{\nthin_pool_autoextend_threshold=80\nthin_pool_autoextend_percent=20\n}"
LVS_ASKED = " ".join((*LVS.argv, FIELDS))


def test_dmeventd_is_never_started_by_asking_for_its_monitoring() -> None:
    line = LVS_LINE.format(profile="docker-thinpool")
    facts = make_facts(
        {**AWAKE, "/etc/lvm/profile/docker-thinpool.profile": PROFILE},
        commands={LVS_ASKED: line + "\n"},
    )
    lvm = facts.value(LVM)
    (pool,) = lvm.thin_pools()
    assert (lvm.dmeventd, pool.monitored, pool.dm_name) == (False, False, "docker-thinpool")
    setting = lvm.setting("activation/thin_pool_autoextend_threshold", pool.profile)
    assert (setting.value, setting.line) == ("80", 2)
    assert lvm.setting("activation/thin_pool_autoextend_threshold").value == "100"


def test_with_dmeventd_running_its_monitoring_is_asked_for() -> None:
    facts = make_facts(
        {**AWAKE, "/run/dmeventd.pid": "812\n", "/proc/812/comm": "dmeventd\n"},
        commands={f"{LVS_ASKED},seg_monitor": LVS_LINE.format(profile="") + "|monitored\n"},
    )
    assert facts.value(LVM).thin_pools()[0].monitored is True


def test_a_stale_pid_file_is_no_dmeventd() -> None:
    facts = make_facts(
        {**AWAKE, "/run/dmeventd.pid": "812\n", "/proc/812/comm": "bash\n"},
        commands={LVS_ASKED: LVS_LINE.format(profile="") + "\n"},
    )
    assert facts.value(LVM).dmeventd is False


def test_lvmetad_is_never_started_by_asking_lvm() -> None:
    socket = {**AWAKE, "/run/lvm/lvmetad.socket": ""}
    said = {LVS_ASKED: LVS_LINE.format(profile="") + "\n"}
    answer = make_facts(socket, commands=said).get(LVM)
    assert isinstance(answer, Unreadable)
    assert "lvmetad" in answer.reason
    awake = {**socket, "/run/lvmetad.pid": "7\n", "/proc/7/comm": "lvmetad\n"}
    assert len(make_facts(awake, commands=said).value(LVM).volumes) == 1


def test_a_volume_of_several_segments_is_told_once() -> None:
    line = "vg|root|-wi-ao----|8|||||0|9|1\n"
    assert len(parse_lvs(line + line)) == 1


def test_warnings_of_lvm_are_no_volumes() -> None:
    noise = "WARNING: Locking disabled. Be careful!\n  Reloading config files\n"
    (pool,) = parse_lvs(noise + LVS_LINE.format(profile="") + "\n")
    assert pool.full_name == "docker/thinpool"


def test_a_full_pool_says_so_in_its_health() -> None:
    line = "vgpaas|thinpool|twi-aot-D-|85899345920||100.00|0.12||65536|0|0"
    (pool,) = parse_lvs(line)
    assert (pool.health, pool.active, pool.data_percent) == ("D", True, 100.0)


def test_groups_and_physical_volumes() -> None:
    facts = make_facts(
        AWAKE,
        commands={
            " ".join(VGS.argv): "  docker|4290772992|134217728|4194304|wz--n-\n",
            " ".join(PVS.argv): "  /dev/vdb|docker|4290772992|134217728|a--\n  /dev/vdc||8|8|a--\n",
        },
    )
    assert facts.value(VOLUME_GROUPS)[0].free == 134217728
    assert [volume.group for volume in facts.value(PHYSICAL_VOLUMES)] == ["docker", ""]


def test_lvs_not_installed_is_absent_and_refused_is_unreadable() -> None:
    assert isinstance(make_facts(AWAKE).get(LVM), Absent)
    refused = make_facts(AWAKE, commands={LVS_ASKED: ("", 5)}, privileged=False)
    answer = refused.get(LVM)
    assert isinstance(answer, Unreadable)
    assert answer.needs_root


def test_lvm_conf_with_comments_lists_and_the_local_file_that_wins() -> None:
    conf = (
        "# activation { monitoring = 0 }\nactivation {\n\tmonitoring = 1 # yes\n"
        '\tvolume_list = [ "vg1", "@tag" ]\n\tthin_pool_autoextend_threshold = 70\n}\n'
        'devices { dir = "/dev" }\n'
    )
    config = parse_config(conf, CONFIG)
    assert config["activation/monitoring"] == ("1", CONFIG, 3)
    assert config["devices/dir"].value == "/dev"
    facts = make_facts(
        {**AWAKE, CONFIG: conf, "/etc/lvm/lvmlocal.conf": "activation/monitoring = 0\n"},
        commands={LVS_ASKED: ""},
    )
    assert facts.value(LVM).setting("activation/monitoring").value == "0"
    assert facts.value(LVM).setting("activation/thin_pool_autoextend_threshold").value == "70"


def test_the_profile_that_dockerd_writes() -> None:
    config = parse_config(lab("dlvm-profile"), "p")
    assert config["activation/thin_pool_autoextend_threshold"].value == "80"


def test_a_hostile_lvm_conf_ends() -> None:
    with pytest.raises(ValueError, match="without end"):
        parse_config("a{" * 100_000, "f")
    assert parse_config("x" * 1_000_000, "f") == {}


@pytest.mark.parametrize("command", [LVS, VGS, PVS])
def test_a_look_at_lvm_writes_no_cache_and_no_backup(command: Command) -> None:
    config = command.argv[command.argv.index("--config") + 1]
    assert "write_cache_state=0" in config
    assert "backup=0" in config
