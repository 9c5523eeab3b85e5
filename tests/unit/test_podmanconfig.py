# SPDX-License-Identifier: GPL-3.0-or-later
"""containers.conf and storage.conf: which files count in which version, and whose key wins."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.facts.daemonjson import Setting
from hostkit.facts.engine import PODMAN, Engine
from hostkit.facts.fact import Fact, Facts
from hostkit.facts.podmanconfig import CONTAINERS_CONF, STORAGE_CONF, merge
from hostkit.facts.target import TARGET, Target
from hostkit.facts.tomlfile import FILES_LIMIT, parse_toml
from hostkit.host.answer import Absent, Known, Unreadable
from tests.fakes import make_facts

VENDOR, MINE = "/usr/share/containers", "/etc/containers"
BOTH = {
    f"{VENDOR}/containers.conf": '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\n',
    f"{VENDOR}/containers.conf.d/10-a.conf": '[engine]\nruntime = "vendor"\n',
    f"{VENDOR}/containers.rootful.conf.d/20-b.conf": '[engine]\nevents_logger = "file"\n',
    f"{MINE}/containers.conf": '\n[engine]\nruntime = "crun"\n',
    f"{MINE}/containers.conf.d/10-a.conf": '[containers]\nlog_driver = "journald"\n',
    f"{MINE}/containers.conf.d/no.txt": "= no TOML",
}


def facts(files: dict[str, str], version: tuple[int, ...]) -> Facts:
    return make_facts(files, given={PODMAN: Engine("podman", version, "x", "podman")})


def origins(found: Facts) -> dict[str, tuple[object, str, int]]:
    return {
        one.key: (one.value, one.source, one.line) for one in found.value(CONTAINERS_CONF).settings
    }


def test_until_5_all_main_files_count_and_no_drop_in_of_the_vendor() -> None:
    found = facts(BOTH, (5, 4))
    assert origins(found) == {
        "engine.runtime": ("crun", f"{MINE}/containers.conf", 3),
        "engine.cgroup_manager": ("cgroupfs", f"{VENDOR}/containers.conf", 3),
        "containers.log_driver": ("journald", f"{MINE}/containers.conf.d/10-a.conf", 2),
    }


def test_from_6_on_one_main_file_counts_and_every_drop_in_by_its_name() -> None:
    found = facts(BOTH, (6, 0))
    assert origins(found) == {
        "engine.runtime": ("crun", f"{MINE}/containers.conf", 3),
        "containers.log_driver": ("journald", f"{MINE}/containers.conf.d/10-a.conf", 2),
        "engine.events_logger": ("file", f"{VENDOR}/containers.rootful.conf.d/20-b.conf", 2),
    }


STORAGE = {
    f"{VENDOR}/storage.conf": '[storage]\ndriver = "overlay"\nrunroot = "/r"\n',
    f"{MINE}/storage.conf": '[storage]\ndriver = "vfs"\n',
    f"{MINE}/storage.conf.d/a.conf": '[storage]\ngraphroot = "/data"\n',
}


@pytest.mark.parametrize(
    ("version", "left_out", "expected"),
    [
        ((5, 0), "", {"storage.driver": "vfs"}),
        ((6, 0), "", {"storage.driver": "vfs", "storage.graphroot": "/data"}),
        ((4, 9), f"{MINE}/storage.conf", {"storage.driver": "overlay", "storage.runroot": "/r"}),
        ((3, 2), f"{MINE}/storage.conf", {}),
    ],
)
def test_storage_conf_is_replaced_until_5_and_merged_from_6_on(
    version: tuple[int, ...], left_out: str, expected: dict[str, str]
) -> None:
    files = {path: content for path, content in STORAGE.items() if path != left_out}
    conf = facts(files, version).known(STORAGE_CONF)
    assert {one.key: one.value for one in conf.settings} == expected if conf else not expected


def test_a_version_that_is_not_known_matters_only_when_it_matters() -> None:
    unknown: dict[Fact[Any], Any] = {PODMAN: Unreadable("podman", "exit status 1")}
    assert isinstance(make_facts(BOTH, given=unknown).get(CONTAINERS_CONF), Unreadable)
    plain = {f"{MINE}/storage.conf": "[storage]\ndriver = 'vfs'\n"}
    assert isinstance(make_facts(plain, given=unknown).get(STORAGE_CONF), Known)
    assert isinstance(make_facts(STORAGE).get(STORAGE_CONF), Known)  # no podman yet
    asked: dict[Fact[Any], Any] = {**unknown, TARGET: Target("podman", (6,))}
    assert len(make_facts(STORAGE, given=asked).value(STORAGE_CONF).files) == 2


def test_without_files_there_is_no_configuration_and_no_parser_is_loaded() -> None:
    assert isinstance(make_facts().get(CONTAINERS_CONF), Absent)
    assert isinstance(make_facts().get(STORAGE_CONF), Absent)


def test_one_broken_file_leaves_all_of_it_unknown_with_its_line() -> None:
    broken = {**BOTH, f"{MINE}/containers.conf.d/99.conf": "[engine]\nruntime = crun\n"}
    answer = facts(broken, (5,)).get(CONTAINERS_CONF)
    assert answer == Unreadable(f"{MINE}/containers.conf.d/99.conf", "line 2: Invalid value")
    refused = make_facts(BOTH, unreadable=(f"{MINE}/containers.conf",))
    assert isinstance(refused.get(CONTAINERS_CONF), Unreadable)


def test_drop_ins_without_end_are_not_all_read() -> None:
    many = {f"{MINE}/containers.conf.d/{n}.conf": "" for n in range(FILES_LIMIT + 1)}
    assert isinstance(facts(many, (5,)).get(CONTAINERS_CONF), Unreadable)


def test_capitals_do_not_make_another_key() -> None:
    files = [
        parse_toml(b'[Storage]\nGraphRoot = "/a"\n', "one"),
        parse_toml(b'[storage]\ngraphroot = "/b"\n', "two"),
    ]
    assert merge(files) == (Setting("storage.graphroot", "/b", "two", 2),)


@given(st.lists(st.text(), max_size=4))
def test_any_files_are_merged(contents: list[str]) -> None:
    merge(parse_toml(one.encode("utf-8", "replace"), "f") for one in contents)
