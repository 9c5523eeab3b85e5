# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documents promise is there: codes, commands, files."""

import re
from pathlib import Path

import pytest

from hostkit import plugins
from hostkit.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = (
    *("README.md", "README.zh-CN.md", "CONTRIBUTING.md", "CHANGELOG.md"),
    *("docs/architecture.md", "docs/dependencies.md"),
)
CODE = re.compile(r"(?:`|hostkit (?:explain|fix) )([a-z0-9]+(?:-[a-z0-9]+){2,})\b")
NO_CODES = {"centos-7.9-docker-18.09"}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_codes_in_the_documents_are_in_the_catalogue(name: str) -> None:
    catalogue = plugins.load((plugins.CHECKS_GROUP,)).catalogue()
    named = set(CODE.findall((ROOT / name).read_text(encoding="utf-8")))
    assert {code for code in named if code not in catalogue} - NO_CODES == set()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_commands_in_the_documents_exist(name: str) -> None:
    said = (ROOT / name).read_text(encoding="utf-8")
    used = set(re.findall(r"(?:\$ |`|sudo |\| )hostkit ([a-z]+)\b", said))
    assert used <= set(COMMANDS)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_files_named_in_the_documents_are_there(name: str) -> None:
    said = (ROOT / name).read_text(encoding="utf-8")
    linked = re.findall(r"\]\(([^)#:]+)\)", said)
    in_words = re.findall(r"`((?:hostkit|checks|drivers|tests|docs)/[\w./-]+)`", said)
    assert [path for path in (*linked, *in_words) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_readme_says_how_to_start_what_make_has_set_up(name: str) -> None:
    said = (ROOT / name).read_text(encoding="utf-8")
    assert "`.venv/bin/hostkit`" in said
    assert "sudo .venv/bin/hostkit preflight" in said
