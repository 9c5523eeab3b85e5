# SPDX-License-Identifier: GPL-3.0-or-later
"""containerd's configuration: its file, what that imports, and which value counts."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.facts.containerdconfig import (
    CONTAINERD_CONFIG,
    CONTAINERD_LAYERS,
    DEFAULT_FILE,
    merge,
)
from hostkit.facts.engine import CONTAINERD, Engine
from hostkit.facts.fact import Facts
from hostkit.facts.processes import ENGINE_PROCESSES, EngineProcesses, Process
from hostkit.facts.tomlfile import FILES_LIMIT, parse_toml
from hostkit.host.answer import Absent, Known, Unreadable
from hostkit.host.record import Recorder, write_snapshot
from hostkit.host.snapshot import SnapshotHost
from tests.fakes import FakeHost, make_facts

CRI = 'plugins."io.containerd.grpc.v1.cri"'
FOLDER = "/etc/containerd/conf.d"
IMPORTING = {
    DEFAULT_FILE: f'version = 2\nroot = "/a"\nimports = ["conf.d/*.toml", "/etc/extra.toml"]\n'
    f'disabled_plugins = ["x.y"]\n[{CRI}]\nsandbox_image = "one"\n',
    f"{FOLDER}/10.toml": f'[{CRI}.registry]\nconfig_path = "/certs"\n',
    f"{FOLDER}/20.toml": 'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
    f"[{CRI}]\nnew = false\n",
    f"{FOLDER}/no.conf": "= no TOML",
    "/etc/extra.toml": 'root = "/b"\noom_score = 0\nimports = ["/etc/containerd/config.toml"]\n',
}


def facts(files: dict[str, str], version: tuple[int, ...] = (2, 1)) -> Facts:
    return make_facts(files, given={CONTAINERD: Engine("containerd", version, "x", "containerd")})


def test_imports_are_read_in_order_once_and_later_ones_win() -> None:
    config = facts(IMPORTING).value(CONTAINERD_CONFIG)
    layers = config.layers
    assert layers.files == (
        DEFAULT_FILE,
        f"{FOLDER}/10.toml",
        f"{FOLDER}/20.toml",
        "/etc/extra.toml",
    )
    root, image = layers.text("root"), config.cri("sandbox_image")
    assert root
    assert (root.value, root.source, root.line) == ("/b", "/etc/extra.toml", 1)
    assert image
    assert (image.value, image.source, image.line) == ("one", DEFAULT_FILE, 6)
    path = config.cri("registry", "config_path")
    assert path
    assert path.source == f"{FOLDER}/10.toml"
    disabled = config.cri_disabled
    assert disabled
    assert disabled.value == ("x.y", "io.containerd.grpc.v1.cri")
    assert disabled.source == f"{FOLDER}/20.toml"


def test_containerd_1_takes_the_section_of_a_plugin_from_one_file() -> None:
    files = {path: text.replace('"conf.d/', '"/etc/containerd/conf.d/')
             for path, text in IMPORTING.items()}  # fmt: skip
    config = facts(files, (1, 7)).value(CONTAINERD_CONFIG)
    assert config.cri("sandbox_image") is None
    assert config.cri("registry", "config_path") is None
    new = config.cri("new")
    assert new
    assert new.value is False


def test_containerd_1_6_looks_for_a_relative_pattern_in_its_working_folder() -> None:
    layers = facts(IMPORTING, (1, 6)).value(CONTAINERD_LAYERS)
    assert layers.files == (DEFAULT_FILE, "/etc/extra.toml")


def test_a_version_that_is_not_known_matters_only_when_it_matters() -> None:
    unknown = {CONTAINERD: Unreadable("containerd", "exit status 1")}
    assert isinstance(make_facts(IMPORTING, given=unknown).get(CONTAINERD_CONFIG), Unreadable)
    alone = {DEFAULT_FILE: "version = 2\nroot = '/a'\n"}
    assert make_facts(alone, given=unknown).value(CONTAINERD_CONFIG).layers.text("root")


def test_what_is_imported_and_not_there_is_a_flaw_with_the_line_of_the_import() -> None:
    importing = {
        DEFAULT_FILE: '\nimports = ["gone.toml", "/there.toml"]\n',
        "/there.toml": "root = '/x'\n",
    }
    layers = facts(importing, (1, 7)).value(CONTAINERD_LAYERS)
    ((path, fault),) = layers.flaws
    assert (path, fault.line) == (DEFAULT_FILE, 2)
    assert "/etc/containerd/gone.toml" in fault.message
    pattern = {DEFAULT_FILE: 'imports = ["/gone/*.toml"]\n'}  # may match nothing
    assert facts(pattern, (1, 7)).value(CONTAINERD_LAYERS).flaws == ()
    later = facts(importing, (2, 1)).value(CONTAINERD_LAYERS)
    assert (later.files, later.flaws) == ((DEFAULT_FILE,), ())


def test_imports_in_a_circle_and_without_end() -> None:
    circle = {DEFAULT_FILE: 'imports = ["./config.toml", "../containerd/config.toml"]\n'}
    assert facts(circle).value(CONTAINERD_LAYERS).files == (DEFAULT_FILE,)
    many = {f"{FOLDER}/{n}.toml": "" for n in range(2 * FILES_LIMIT)}
    many[DEFAULT_FILE] = f'imports = ["{FOLDER}/*"]\n'
    assert isinstance(facts(many).get(CONTAINERD_CONFIG), Unreadable)
    chain = {f"/c/{n}.toml": f'imports = ["{n + 1}.toml"]\n' for n in range(2 * FILES_LIMIT)}
    chain[DEFAULT_FILE] = 'imports = ["/c/0.toml"]\n'
    assert isinstance(facts(chain).get(CONTAINERD_CONFIG), Unreadable)


@pytest.mark.parametrize(
    ("argvs", "path"),
    [
        ((("containerd", "--config", "/c.toml"),), "/c.toml"),
        ((("containerd",),), DEFAULT_FILE),
        (
            (
                ("containerd", "--config", "/var/run/docker/containerd/containerd.toml"),
                ("containerd", "-c", "/var/lib/rancher/k3s/agent/etc/containerd/config.toml"),
            ),
            "/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
        ),
        (
            (("containerd", "--config=/run/docker/containerd/containerd.toml"),),
            "/run/docker/containerd/containerd.toml",
        ),
    ],
)
def test_the_file_of_the_containerd_that_runs(
    argvs: tuple[tuple[str, ...], ...], path: str
) -> None:
    running = EngineProcesses(
        tuple(Process(n, "containerd", argv) for n, argv in enumerate(argvs, 10))
    )
    given = {ENGINE_PROCESSES: running}
    answer = make_facts({path: "root = '/x'\n"}, given=given).value(CONTAINERD_CONFIG)
    assert answer.layers.files == (path,)


def test_the_file_that_the_unit_names() -> None:
    unit = "[Service]\nExecStart=/usr/bin/containerd --config /opt/c.toml\n"
    files = {"/etc/systemd/system/containerd.service": unit, "/opt/c.toml": "root = '/x'\n"}
    assert make_facts(files).value(CONTAINERD_CONFIG).layers.files == ("/opt/c.toml",)
    assert isinstance(make_facts({}).get(CONTAINERD_CONFIG), Absent)


def test_no_import_reads_what_is_no_path() -> None:
    odd = facts({DEFAULT_FILE: 'imports = ["", 1, ["/etc/x"]]\n'}).value(CONTAINERD_LAYERS)
    assert odd.files == (DEFAULT_FILE,)


def test_a_snapshot_has_all_that_is_imported(tmp_path: Path) -> None:
    recorder = Recorder(FakeHost(IMPORTING))
    given = {CONTAINERD: Known(Engine("containerd", (2, 1), "x", "containerd"), "given")}
    said = Facts(recorder, given).value(CONTAINERD_CONFIG)
    write_snapshot(recorder, str(tmp_path / "snapshot"))
    replayed = Facts(SnapshotHost(str(tmp_path / "snapshot")), given)
    assert replayed.value(CONTAINERD_CONFIG) == said
    old = {CONTAINERD: Known(Engine("containerd", (1, 6), "x", "containerd"), "given")}
    replayed = Facts(SnapshotHost(str(tmp_path / "snapshot")), old)  # as another would read it
    assert replayed.value(CONTAINERD_LAYERS).files == (DEFAULT_FILE, "/etc/extra.toml")


@given(st.lists(st.text(), max_size=4), st.booleans())
def test_any_files_are_merged(contents: list[str], old: bool) -> None:
    merge(tuple(parse_toml(one.encode("utf-8", "replace"), "f") for one in contents), old)
