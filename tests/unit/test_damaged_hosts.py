# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole hosts whose files and outputs are damaged: no fact and no check crashes."""

import os
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostkit import plugins
from tests import crowd, hosts
from tests.damage import DAMAGE, damaged
from tests.fakes import Said

EXAMPLES = 200 if os.environ.get("HOSTKIT_SOAK") else 4


@cache
def installed() -> plugins.Plugins:
    return plugins.load()


@pytest.mark.parametrize("name", hosts.names())
@settings(max_examples=EXAMPLES)
@given(st.data())
def test_whatever_is_damaged_nothing_crashes(name: str, data: st.DataObject) -> None:
    host = hosts.load(name)
    files: dict[str, str | bytes] = {}
    answers: dict[str, Said] = {}
    for path, content in sorted(host.files.items()):
        if data.draw(st.integers(0, 5)) == 5:
            step = data.draw(DAMAGE)
            files[path] = damaged(content.decode("latin-1"), *step).encode("latin-1", "replace")
    for command, said in sorted(host.commands.items()):
        if isinstance(said, str) and data.draw(st.booleans()):
            answers[command] = damaged(said, *data.draw(DAMAGE))
    host.add(files, answers)
    assert not crowd.examine(host, installed()).crashed
