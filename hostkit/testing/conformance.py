# SPDX-License-Identifier: GPL-3.0-or-later
"""Every case that a storage driver must pass.

class TestMine(Conformance):
@pytest.fixture
def driver_plugin(self) -> DriverPlugin:
return MINE
"""

from hostkit.testing.cases.content import Content
from hostkit.testing.cases.crashes import Crashes
from hostkit.testing.cases.differences import Differences
from hostkit.testing.cases.files import Files
from hostkit.testing.cases.hostile import Hostile
from hostkit.testing.cases.layers import Layers, ReadOnly
from hostkit.testing.cases.many import Many
from hostkit.testing.cases.space import Space
from hostkit.testing.cases.store import Store
from hostkit.testing.cases.use import Use


class Conformance(
    Layers, ReadOnly, Files, Content, Differences, Hostile, Use, Many, Crashes, Space, Store
):
    """All cases; a class that derives from it names the driver."""


class TestDriver(Conformance):
    """The driver that --driver names."""
