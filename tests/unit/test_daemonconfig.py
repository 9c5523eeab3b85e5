# SPDX-License-Identifier: GPL-3.0-or-later
"""The daemon's effective configuration: daemon.json, unit, running process."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.facts.daemonconfig import DAEMON_CONFIG, DaemonConfig, parse_flags
from hostkit.facts.processes import (
    ENGINE_PROCESSES,
    PID_FILE,
    is_nested,
    parse_cmdline,
    parse_pid,
    role_of,
)
from hostkit.facts.unitfiles import Word
from hostkit.host.answer import Known, Unreadable
from tests.fakes import make_facts

UNIT_PATH = "/usr/lib/systemd/system/docker.service"
UNIT = "[Service]\nExecStart=/usr/bin/dockerd -H fd:// --data-root /srv/docker\n"
JSON_PATH = "/etc/docker/daemon.json"


def config(files: Mapping[str, str | bytes]) -> DaemonConfig:
    return make_facts(files).value(DAEMON_CONFIG)


def daemon(*argv: str, pid: int = 42, status: str = "") -> dict[str, str | bytes]:
    return {
        f"/proc/{pid}/comm": argv[0].rpartition("/")[2][:15] + "\n",
        f"/proc/{pid}/cmdline": "\0".join(argv) + "\0",
        f"/proc/{pid}/status": status,
    }


def flags(*words: str) -> dict[str, object]:
    parsed = parse_flags(tuple(Word(word, "f", 1) for word in ("dockerd", *words)))
    return {setting.key: setting.value for setting in parsed}


def test_nothing_configured_is_the_defaults() -> None:
    found = config({})
    assert found.data_root == "/var/lib/docker"
    assert found.storage_driver == ""
    assert found.get("hosts") is None
    assert found.switch("iptables", True)


def test_the_unit_and_the_file_are_merged_with_their_origins() -> None:
    found = config({UNIT_PATH: UNIT, JSON_PATH: '{\n"storage-driver": "overlay2"}'})
    assert found.data_root == "/srv/docker"
    driver, root = found.get("storage-driver"), found.get("data-root")
    assert driver is not None
    assert driver[2:] == (JSON_PATH, 2)
    assert root is not None
    assert root[2:] == (UNIT_PATH, 2)
    assert found.words("hosts") == ("fd://",)
    assert not found.running


def test_the_running_daemon_counts_and_keeps_the_lines_of_the_unit() -> None:
    found = config(
        {UNIT_PATH: UNIT, **daemon("/usr/bin/dockerd", "-H", "fd://", "--iptables=false")}
    )
    hosts, iptables = found.get("hosts"), found.get("iptables")
    assert found.running
    assert hosts is not None
    assert hosts.source == UNIT_PATH
    assert iptables is not None
    assert iptables.source == "/proc/42/cmdline"
    assert not found.switch("iptables", True)
    assert found.data_root == "/var/lib/docker"


def test_a_daemon_inside_a_container_is_not_the_hosts() -> None:
    nested = daemon("dockerd", "--data-root=/inner", status="NSpid:\t42\t1\n")
    assert config(nested).data_root == "/var/lib/docker"


def test_a_key_in_both_places_is_a_conflict_but_runtimes_are_not() -> None:
    unit = "[Service]\nExecStart=/usr/bin/dockerd -H fd:// --add-runtime a=/b\n"
    found = config({UNIT_PATH: unit, JSON_PATH: '{"hosts": ["fd://"], "runtimes": {}}'})
    assert [conflict.file.key for conflict in found.conflicts()] == ["hosts"]


def test_another_configuration_file_is_followed() -> None:
    unit = "[Service]\nExecStart=/usr/bin/dockerd --config-file=/opt/d.json\n"
    found = config({UNIT_PATH: unit, "/opt/d.json": '{"graph": "/g"}'})
    assert found.data_root == "/g"
    assert found.path == "/opt/d.json"


def test_a_broken_file_is_unreadable_with_its_line() -> None:
    answer = make_facts({JSON_PATH: '{\n"a": 1,\n}'}).get(DAEMON_CONFIG)
    assert isinstance(answer, Unreadable)
    assert "line 3" in answer.reason


def test_a_file_without_the_right_to_read_it_is_unreadable() -> None:
    answer = make_facts(unreadable=[JSON_PATH], needs_root=True).get(DAEMON_CONFIG)
    assert isinstance(answer, Unreadable)
    assert answer.needs_root


def test_flags_in_all_their_forms() -> None:
    assert flags("-D", "-Htcp://h:1", "-H", "fd://", "-g/d", "--tls=false") == {
        "debug": True,
        "hosts": ("tcp://h:1", "fd://"),
        "data-root": "/d",
        "tls": False,
    }
    assert flags("--mtu", "1400", "--ip6tables", "--dns", "1.1.1.1", "daemon") == {
        "mtu": "1400",
        "ip6tables": True,
        "dns": ("1.1.1.1",),
    }
    assert flags("--log-opt", "max-size=1m", "--log-opt=max-file=2") == {
        "log-opts": ("max-size=1m", "max-file=2")
    }


@pytest.mark.parametrize(
    ("argv", "role"),
    [
        (("/usr/bin/dockerd-current",), "dockerd"),
        (("docker", "daemon", "-H", "fd://"), "dockerd"),
        (("docker", "run", "daemon"), None),
        (("docker-containerd", "-l", "unix:///x"), "containerd"),
        (("docker-containerd-shim", "x"), None),
        (("podman", "system", "service", "-t0"), "podman"),
        (("podman", "run", "x"), None),
        ((), None),
    ],
)
def test_daemons_are_told_from_clients_and_shims(argv: tuple[str, ...], role: str | None) -> None:
    assert role_of(argv) == role


def test_a_process_that_ended_meanwhile_is_none() -> None:
    facts = make_facts({"/proc/42/comm": "dockerd\n", "/proc/1/comm": "init\n"})
    assert facts.value(ENGINE_PROCESSES).processes == ()


def test_the_pid_file_names_a_process_or_nobody() -> None:
    files: dict[str, str | bytes] = {"/var/run/docker.pid": "42\n", "/proc/42/cmdline": b"bash\0"}
    taken = make_facts(files).get(PID_FILE)
    assert isinstance(taken, Known)
    assert not taken.value.names_dockerd
    gone = make_facts({"/var/run/docker.pid": "42"}).get(PID_FILE)
    assert isinstance(gone, Known)
    assert gone.value.argv == ()
    assert isinstance(make_facts({"/var/run/docker.pid": ""}).get(PID_FILE), Unreadable)


@given(st.lists(st.text()))
def test_any_command_line_is_flags(words: list[str]) -> None:
    flags(*words)
    role_of(tuple(words))


@given(st.binary(), st.text())
def test_any_process_is_read(command: bytes, status: str) -> None:
    role_of(parse_cmdline(command))
    is_nested(status)
    try:
        assert parse_pid(status) > 1
    except ValueError:
        pass


@pytest.mark.parametrize(
    ("configured", "version", "value", "source"),
    [
        ({}, (26, 1, 5), False, "the default of Docker, of old"),
        ({}, (27, 0, 0), True, "the default of Docker 27 and later"),
        ({}, None, True, "the default of Docker 27 and later"),
        ({"ip6tables": False}, (28,), False, JSON_PATH),
        ({"ip6tables": True}, (20, 10), True, JSON_PATH),
    ],
)
def test_a_default_is_that_of_the_version_and_says_so(
    configured: dict[str, bool], version: tuple[int, ...] | None, value: bool, source: str
) -> None:
    setting = config({JSON_PATH: json.dumps(configured)}).effective("ip6tables", version)
    assert (setting.value, setting.source) == (value, source)


@pytest.mark.parametrize("driver", ["", "systemd", "cgroupfs"])
def test_who_makes_control_groups_is_said_or_left_to_dockerd(driver: str) -> None:
    words = [f"native.cgroupdriver={driver}"] if driver else ["other=x"]
    assert config({JSON_PATH: json.dumps({"exec-opts": words})}).cgroup_driver == driver
