# SPDX-License-Identifier: GPL-3.0-or-later
"""Our drivers against the conformance suite, in memory; on real file systems in tests/live."""

import pytest

from hostkit.storage.plugin import DriverPlugin
from hostkit.testing.conformance import Conformance
from tests.conformance.ours import plugin


class TestVfs(Conformance):
    @pytest.fixture
    def driver_plugin(self) -> DriverPlugin:
        return plugin("vfs")


class TestOverlay2(Conformance):
    @pytest.fixture
    def driver_plugin(self) -> DriverPlugin:
        return plugin("overlay2")
