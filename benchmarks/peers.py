# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs a person would run instead; unpacked into .cache, never installed."""

from benchmarks.measure import Contestant
from tests.rig import tools

CHECK_CONFIG = "usr/share/docker.io/contrib/check-config.sh"
LXC_CHECKCONFIG = "usr/bin/lxc-checkconfig"


def peers() -> tuple[Contestant, ...]:
    """Docker's and LXC's own scripts that judge a kernel."""
    return (
        _peer("check-config.sh", tools.DOCKER, CHECK_CONFIG, "bash"),
        _peer("lxc-checkconfig", ("lxc",), LXC_CHECKCONFIG, "sh"),
    )


def _peer(name: str, packages: tuple[str, ...], path: str, shell: str) -> Contestant:
    try:
        script = tools.unpack(packages) / path
    except tools.ToolsUnavailableError as error:
        return Contestant(name, (), f"{packages[0]} cannot be had: {error}")
    if not script.is_file():
        return Contestant(name, (), f"{packages[0]} has no {path}")
    return Contestant(name, (shell, str(script)))
