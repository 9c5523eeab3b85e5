# SPDX-License-Identifier: GPL-3.0-or-later
"""Which file decides a sysctl at the next boot."""

import pytest

from hostkit.facts.sysctl import CONFIGURED
from tests.fakes import make_facts

KEY = "net.ipv4.ip_forward"
FILES = {"/etc/sysctl.conf": f"{KEY}=0\n", "/etc/sysctl.d/50-on.conf": f"{KEY}=1\n"}
LINK = {"/etc/sysctl.d/99-sysctl.conf": "../sysctl.conf"}


@pytest.mark.parametrize(
    ("booted", "links", "winner"),
    [
        ("/run/systemd/system", {}, "/etc/sysctl.d/50-on.conf"),
        ("/run/systemd/system", LINK, "/etc/sysctl.d/99-sysctl.conf"),
        ("/run/upstart", {}, "/etc/sysctl.conf"),
    ],
)
def test_systemd_reads_the_main_file_only_through_its_link(
    booted: str, links: dict[str, str], winner: str
) -> None:
    configured = make_facts(FILES, links=links, folders={booted: ()}).value(CONFIGURED)
    decides = configured.winner(KEY)
    assert decides is not None
    assert decides.file == winner
