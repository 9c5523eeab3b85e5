# SPDX-License-Identifier: GPL-3.0-or-later
"""Later real engines, 26.1.5 and 28.5.2: healthy ones raise no alarm, a flush is named.

Their root file systems take a minute and 700 MB to build, so this lane is asked for with
`make engines`; 20.10.24 is in every run (test_sick_hosts).
"""

import os
from collections.abc import Iterator

import pytest

from tests.live.test_sick_hosts import FLUSH, Report, errors
from tests.rig.sickhost import SickHost
from tests.rig.tools import ENGINES, ToolsUnavailableError, engine_root

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        os.environ.get("HOSTKIT_ENGINES") != "1",
        reason="builds two root file systems (1 min, 700 MB): `make engines` runs it",
    ),
]


@pytest.fixture(params=sorted(ENGINES))
def engine_host(request: pytest.FixtureRequest) -> Iterator[SickHost]:
    suite = str(request.param)
    try:
        root = engine_root(suite)
    except ToolsUnavailableError as error:
        pytest.skip(f"no root file system of {suite}: {error}")
    with SickHost(root=root) as host:
        host.start_dockerd()
        version = host.run("docker", "version", "-f", "{{.Server.Version}}").stdout
        assert version.startswith(ENGINES[suite])
        yield host


def test_a_healthy_engine_raises_no_error(engine_host: SickHost) -> None:
    assert errors(Report(engine_host, "doctor")) == []


def test_a_flush_is_named_and_a_restart_mends_it(engine_host: SickHost) -> None:
    engine_host.import_busybox()
    engine_host.shell(FLUSH)
    failed = engine_host.run(
        "docker", "run", "-d", "-p", "8080:80", "busybox", "sleep", "9", check=False
    )
    assert Report(engine_host, "doctor", failed.stderr).first()["problem"] == (
        "iptables-chains-flushed"
    )
    engine_host.stop_dockerd()
    engine_host.start_dockerd()
    assert "iptables-chains-flushed" not in Report(engine_host, "doctor").codes
