# SPDX-License-Identifier: GPL-3.0-or-later
"""Units as systemctl shows them, and services as their files give them."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hostkit.facts.unitfiles import (
    DOCKER_SERVICE,
    Word,
    expand_command,
    parse_environment_file,
    parse_unit_file,
)
from hostkit.facts.units import (
    UNITS,
    parse_environment,
    parse_systemctl_show,
    split_words,
)
from hostkit.host.answer import Absent
from tests.fakes import make_facts

SHOWN = """MainPID=0
ExecMainStatus=1
Environment=HTTP_PROXY=http://proxy:3128
Id=docker.service
LoadState=loaded
ActiveState=failed
SubState=failed
UnitFileState=enabled
Result=start-limit-hit
ActiveEnterTimestampMonotonic=81500000
LimitNOFILE=18446744073709551615
TasksMax=infinity
DropInPaths=/etc/systemd/system/docker.service.d/a.conf /run/b.conf

Id=docker.socket
LoadState=masked
ActiveState=inactive
"""
UNIT = """[Unit]
Description=Docker
[Service]
Environment=GOTRACEBACK=crash
EnvironmentFile=-/etc/sysconfig/docker
EnvironmentFile=-/etc/sysconfig/docker-storage
ExecStart=/usr/bin/dockerd-current \\
          --exec-opt native.cgroupdriver=systemd \\
          # an option that is off
          $OPTIONS $DOCKER_STORAGE_OPTIONS $NOTHING
"""
RESET = "[Service]\nExecStart=\n"


def test_a_unit_has_numbers_and_lists() -> None:
    unit = parse_systemctl_show(SHOWN).get("docker.service")
    assert unit is not None
    assert (unit.state, unit.result, unit.exit_status) == ("failed", "start-limit-hit", 1)
    assert (unit.active_enter_s, unit.limit_nofile, unit.tasks_max) == (81.5, -1, -1)
    assert unit.drop_ins == ("/etc/systemd/system/docker.service.d/a.conf", "/run/b.conf")
    assert unit.environment == (("HTTP_PROXY", "http://proxy:3128"),)


def test_a_masked_unit_is_there_and_not_active() -> None:
    unit = parse_systemctl_show(SHOWN).get("docker.socket")
    assert unit is not None
    assert not unit.active


def capture(name: str) -> str:
    """What the command of a capture printed."""
    path = Path(__file__).parent.parent / "captures" / "engine" / name
    return path.read_text().split("\n", 1)[1].rpartition("[exit")[0]


def test_debians_docker_unit_is_understood() -> None:
    unit = parse_systemctl_show(capture("systemctl-show-docker.txt")).get("docker.service")
    assert unit is not None
    assert (unit.state, unit.limit_nofile, unit.tasks_max) == ("inactive", 1048576, -1)
    assert (unit.active_enter_s, unit.main_pid) == (0.0, 0)
    files = {"/lib/systemd/system/docker.service": capture("systemctl-cat-docker.txt")}
    service = make_facts({**files, "/etc/default/docker": "DOCKER_OPTS=-D\n"}).value(DOCKER_SERVICE)
    assert [word.text for word in service.command] == [
        "/usr/sbin/dockerd",
        "-H",
        "fd://",
        "--containerd=/run/containerd/containerd.sock",
        "-D",
    ]


def test_mount_flags_are_words_in_every_version() -> None:
    for shown in ("524288", "slave"):
        units = parse_systemctl_show(f"Id=a\nLoadState=loaded\nMountFlags={shown}\n")
        assert units.units[0].mount_flags == "slave"


def test_without_systemd_nothing_is_run() -> None:
    facts = make_facts()
    assert isinstance(facts.get(UNITS), Absent)
    assert not any(asked.startswith("run") for asked in facts.host.asked)  # type: ignore[attr-defined]  # FakeHost records


def test_words_of_environment_files_keep_their_file_and_line() -> None:
    facts = make_facts(
        {
            "/usr/lib/systemd/system/docker.service": UNIT,
            "/etc/sysconfig/docker": "# x\nOPTIONS='--selinux-enabled -D'\n",
            "/etc/sysconfig/docker-storage": 'DOCKER_STORAGE_OPTIONS="-s overlay2"\n',
        }
    )
    service = facts.value(DOCKER_SERVICE)
    assert [word.text for word in service.command] == [
        "/usr/bin/dockerd-current",
        "--exec-opt",
        "native.cgroupdriver=systemd",
        "--selinux-enabled",
        "-D",
        "-s",
        "overlay2",
    ]
    assert service.command[3][1:] == ("/etc/sysconfig/docker", 2)
    assert service.command[1][1:] == ("/usr/lib/systemd/system/docker.service", 7)


def test_a_drop_in_replaces_the_command_and_etc_hides_lib() -> None:
    facts = make_facts(
        {
            "/usr/lib/systemd/system/docker.service": UNIT,
            "/usr/lib/systemd/system/docker.service.d/10-a.conf": RESET + "ExecStart=/no\n",
            "/etc/systemd/system/docker.service.d/10-a.conf": RESET + "ExecStart=/bin/d -D\n",
            "/etc/systemd/system/docker.service.d/readme.txt": "[Service]\nExecStart=/never\n",
        }
    )
    assert [word.text for word in facts.value(DOCKER_SERVICE).command] == [
        "/bin/d",
        "-D",
    ]


def test_an_init_script_takes_its_options_from_sysconfig() -> None:
    facts = make_facts({"/etc/sysconfig/docker": 'other_args="-H tcp://127.0.0.1:2375"\n'})
    assert [w.text for w in facts.value(DOCKER_SERVICE).command] == [
        "dockerd",
        "-H",
        "tcp://127.0.0.1:2375",
    ]


def test_a_braced_variable_stays_one_word() -> None:
    environment = {"A": Word("x y", "f", 1)}
    command = Word("@/bin/d ${A} a${A}b $$A", "u", 1)
    assert [w.text for w in expand_command(command, environment)] == [
        "/bin/d",
        "x y",
        "ax yb",
        "$A",
    ]


@given(st.text())
def test_any_text_is_read(content: str) -> None:
    parse_systemctl_show(content)
    parse_environment(content)
    tuple(parse_unit_file(content))
    variables = dict(parse_environment_file(content, "f"))
    expand_command(Word(content, "f", 1), variables)
    assert all(isinstance(word, str) for word in split_words(content))
