# SPDX-License-Identifier: GPL-3.0-or-later
"""What hostkit makes of containerd's files, against `containerd config dump` of real ones.

containerd 1.6 always; with HOSTKIT_ENGINES=1 also the 1.7 and the 2.x of the engine roots.
The program only prints its configuration: nothing is started, and no file is written.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hostkit import process
from hostkit.facts.containerdconfig import CONTAINERD_CONFIG, CONTAINERD_LAYERS
from hostkit.facts.daemonjson import Setting
from hostkit.facts.engine import CONTAINERD, Engine, parse_program_version, parse_version_numbers
from hostkit.facts.fact import Fact, Facts
from hostkit.facts.processes import ENGINE_PROCESSES, EngineProcesses, Process
from hostkit.facts.tomlfile import parse_toml
from hostkit.host.answer import Answer, Known
from hostkit.host.local import LocalHost
from tests.rig.tools import DOCKER, ToolsUnavailableError, engine_root, unpack

LONG = 'plugins."io.containerd.grpc.v1.cri"'
RUNC = "containerd.runtimes.runc.options"
OPT = "io.containerd.internal.v1.opt"
# Files of one configuration; {0} is the folder that they lie in.
CASES: Mapping[str, Mapping[str, str]] = {
    "one file": {
        "config.toml": f"version = 2\nroot = '/a'\n[{LONG}.{RUNC}]\nSystemdCgroup = true\n"
    },
    "first version, short name": {
        "config.toml": f"[plugins.cri.{RUNC}]\nSystemdCgroup = true\n",
    },
    "first version, long name": {"config.toml": f"[{LONG}.{RUNC}]\nSystemdCgroup = true\n"},
    "patterns and files": {
        "config.toml": 'version = 2\nroot = "/a"\nimports = ["{0}/conf.d/*.toml", "last.toml"]\n'
        f'oom_score = -5\n[{LONG}]\nsandbox_image = "x"\n[{LONG}.{RUNC}]\nSystemdCgroup = true\n',
        "conf.d/10.toml": f'version = 2\n[{LONG}.registry]\nconfig_path = "/certs"\n',
        "conf.d/20.toml": f'version = 2\ndisabled_plugins = ["{OPT}"]\n[{LONG}.{RUNC}]\n'
        "SystemdCgroup = false\n",
        "last.toml": 'version = 2\nroot = "/b"\noom_score = 0\nimports = ["config.toml"]\n',
    },
    "a relative pattern": {
        "config.toml": 'version = 2\nimports = ["conf.d/*.toml"]\n',
        "conf.d/10.toml": "version = 2\nroot = '/c'\n",
    },
    "an import that is not there": {
        "config.toml": 'version = 2\nimports = ["gone.toml", "last.toml"]\n',
        "last.toml": "version = 2\nroot = '/d'\n",
    },
    "no TOML": {"config.toml": "version = 2\nroot = /a\n"},
    "an import that is no TOML": {
        "config.toml": 'version = 2\nimports = ["{0}/last.toml"]\n',
        "last.toml": "root = '/a\n",
    },
    "a key that stands twice": {"config.toml": "version = 2\nroot = '/a'\nroot = '/b'\n"},
}


def programs() -> list[Path]:
    """The real ones that this run may use."""
    roots = [unpack(DOCKER)]
    if os.environ.get("HOSTKIT_ENGINES") == "1":
        roots += [engine_root(suite) for suite in ("trixie", "forky")]
    return [root / "usr/bin/containerd" for root in roots]


def said(program: Path, config: Path) -> tuple[Setting, ...] | None:
    """What a containerd prints as its configuration, None when it refuses it."""
    argv = [str(program), "--config", str(config), "config", "dump"]
    done = process.run(argv, timeout=20.0)
    return parse_toml(done.stdout, "dump").settings if done.status == 0 else None


def value(settings: tuple[Setting, ...], end: str) -> object:
    found = [one.value for one in settings if one.key == end or one.key.endswith(f"{RUNC}.{end}")]
    return found[0] if found else None


@pytest.mark.parametrize("case", CASES)
def test_a_real_containerd_reads_the_same(case: str, tmp_path: Path) -> None:
    try:
        found = programs()
    except ToolsUnavailableError as error:
        pytest.skip(str(error))
    for name, content in CASES[case].items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content.replace("{0}", str(tmp_path)))
    config = tmp_path / "config.toml"
    for program in found:
        version = process.run([str(program), "--version"], timeout=20.0).stdout.decode()
        written = parse_program_version(version)
        engine = Engine("containerd", parse_version_numbers(written), written, "containerd")
        argv = ("containerd", "--config", str(config))
        running = EngineProcesses((Process(2, "containerd", argv),))
        given: dict[Fact[Any], Answer[Any]] = {
            CONTAINERD: Known(engine, "x"),
            ENGINE_PROCESSES: Known(running, "x"),
        }
        facts = Facts(LocalHost(), given)
        layers = facts.value(CONTAINERD_LAYERS)
        dump = said(program, config)
        assert (dump is None) is bool(layers.flaws), (case, written)
        if dump is None:
            continue
        ours = facts.value(CONTAINERD_CONFIG)
        for key, default in (("root", "/var/lib/containerd"), ("oom_score", 0)):
            mine = ours.layers.get(key)
            assert value(dump, key) == (mine.value if mine else default), (case, written, key)
        disabled = ours.layers.get("disabled_plugins")
        theirs = value(dump, "disabled_plugins")
        assert (disabled.value if disabled else ()) == theirs, (case, written)
        cgroup = ours.systemd_cgroup
        mine_systemd = cgroup is not None and cgroup.value is True
        assert value(dump, "SystemdCgroup") is mine_systemd, (case, written)
