# SPDX-License-Identifier: GPL-3.0-or-later
"""Completion in real shells, held against what the commands themselves accept."""

import os
import shutil
import subprocess
import sys
from argparse import Action
from importlib import import_module
from pathlib import Path

import pytest

from hostkit import plugins
from hostkit.cli.main import COMMANDS
from tests.e2e.command import PLAIN, TIMEOUT_S

FOLDER = Path(__file__).resolve().parents[2] / "contrib/completion"
# `words` are set as the shell would; what it would offer is printed, a line each.
BASH = """
source "$FOLDER/hostkit.bash"
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_hostkit
printf '%s\\n' "${COMPREPLY[@]}"
"""
ZSH = """
compadd() { shift; print -l -- "${(@M)@:#$current*}" }
compset() { kept=${(M)current##${~2}}; current=${current#$kept} }
_files() { print -l -- $current*(N) }
eval "_hostkit() {
$(<$FOLDER/_hostkit)
}"
words=("$@") CURRENT=$# current=$words[$#]
_hostkit
"""
SHELLS = {"bash": (BASH, ("--norc",)), "zsh": (ZSH, ("-f",))}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bin") / "hostkit"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -m hostkit "$@"\n')
    path.chmod(0o755)
    return path


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if shutil.which(name) is None:
        pytest.skip(f"this system has no {name}")
    return name


def offered(shell: str, program: Path, *words: str, folder: Path | None = None) -> set[str]:
    script, options = SHELLS[shell]
    done = subprocess.run(
        [shell, *options, "-c", script, shell, str(program), *words],
        capture_output=True,
        env={**PLAIN, "FOLDER": str(FOLDER), "HOSTKIT_ROOT": os.devnull},
        cwd=folder,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.stderr == b""
    return set(done.stdout.decode().split())


def actions(command: str) -> list[Action]:
    made = import_module(f"hostkit.cli.{COMMANDS[command][0]}").options()
    listed: list[Action] = made._actions  # pyright: ignore[reportPrivateUsage] - argparse has no public list of them
    return listed


def test_every_command(shell: str, program: Path) -> None:
    assert offered(shell, program, "") == {*COMMANDS, "--help", "--version"}
    assert offered(shell, program, "pre") == {"preflight"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_and_no_other(shell: str, program: Path, command: str) -> None:
    long = {o for one in actions(command) for o in one.option_strings if o.startswith("--")}
    assert offered(shell, program, command, "--") == long
    assert offered(shell, program, command, "--help", "--") == long


@pytest.mark.parametrize("command", COMMANDS)
def test_every_choice_of_an_option(shell: str, program: Path, command: str) -> None:
    for one in actions(command):
        if one.option_strings and one.choices:
            choices = offered(shell, program, command, one.option_strings[-1], "")
            assert choices == {*one.choices}


@pytest.mark.parametrize("command", ["image", "storage"])
def test_actions_and_their_options(shell: str, program: Path, command: str) -> None:
    known = import_module(f"hostkit.cli.{command}").ACTIONS
    assert offered(shell, program, command, "") == {*known}
    for action, entry in known.items():
        listed: list[Action] = entry.options()._actions
        long = {o for one in listed for o in one.option_strings if o.startswith("--")}
        assert offered(shell, program, command, action, "--") == long
        assert offered(shell, program, command, action, "--format", "") == {"text", "json"}


def test_names_of_problems_and_checks(shell: str, program: Path) -> None:
    loaded = plugins.load((plugins.CHECKS_GROUP,))
    codes = set(loaded.catalogue().codes())
    assert offered(shell, program, "explain", "") == codes
    assert offered(shell, program, "fix", "--dry-run", "ipv4-f") == {"ipv4-forwarding-disabled"}
    names = {area.area for area in loaded.areas} | {one.name for _, one in loaded.checks()} | codes
    assert offered(shell, program, "preflight", "--select", "") == names
    after = offered(shell, program, "preflight", "--select", "kernel,netw")
    assert after == ({"kernel,network"} if shell == "bash" else {"network"})


def test_files_where_a_file_is_wanted(shell: str, program: Path, tmp_path: Path) -> None:
    (tmp_path / "web07.tar.gz").touch()
    for words in (("doctor", "--snapshot"), ("explain", "x", "-o"), ("explain", "x", "--output")):
        assert offered(shell, program, *words, "", folder=tmp_path) == {"web07.tar.gz"}
