# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples in docstrings are true."""

import doctest
import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import hostkit
import hostkit_checks
import hostkit_drivers


def _modules() -> Iterator[str]:
    for package in (hostkit, hostkit_checks, hostkit_drivers):
        for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if not found.name.endswith("__main__"):
                yield found.name


@pytest.mark.parametrize("name", sorted(_modules()))
def test_examples_of(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0
