# SPDX-License-Identifier: GPL-3.0-or-later
"""What every test may ask for, and what a test must not leave behind."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from hostkit import process

# A machine that is busy is no fault of the code: slowness is what benchmarks are for. What
# `make test` says today it says tomorrow; `make soak` looks for what is new.
settings.register_profile("hostkit", deadline=None, derandomize=True)
settings.register_profile("soak", deadline=None, max_examples=3000, print_blob=True)
settings.load_profile("soak" if os.environ.get("HOSTKIT_SOAK") else "hostkit")

ROOT = Path(__file__).resolve().parent.parent
_SETTLE_S = 5.0  # a loop device goes a little after the last mount of it


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of outputs collected from other hosts; not part of the project."""
    named = os.environ.get("HOSTKIT_SHARED_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no collected outputs at {folder} (HOSTKIT_SHARED_DATA names another place)")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need root are skipped without it, and say so."""
    for item in items:
        if os.geteuid() != 0 and item.get_closest_marker("root") is not None:
            item.add_marker(
                pytest.mark.skip(reason="needs root (namespaces, mounts, loop devices)")
            )


class _Grouped(LoadScopeScheduling):
    """Tests that belong together run in one worker.

    Those that touch the machine: none shall take the loop device of another for its own
    leftover. And those of one guest of the lab.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        if path.startswith("tests/live/"):
            return "live"
        return path if path.startswith("tests/lab/guest/") else nodeid


# By hand, not by the mark xdist_group: xdist 3.8 does not see it with pytest 9.2.
@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    return _Grouped(config, log)


@pytest.fixture(autouse=True, scope="module")
def no_leftovers(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a module of tests/live or tests/rig that leaves mounts, devices or cgroups."""
    if not {"live", "rig"} & set(request.path.relative_to(ROOT).parts[:-1]):
        yield
        return
    before = _machine_state()
    yield
    left = _left_behind(before)
    assert not left, "left behind on this machine:\n" + "\n".join(left)


def _left_behind(before: dict[str, set[str]]) -> list[str]:
    """What is there now and was not before; the kernel gets a moment to take it away."""
    deadline = time.monotonic() + _SETTLE_S
    while True:
        after = _machine_state()
        left = [f"{kind}: {line}" for kind in after for line in sorted(after[kind] - before[kind])]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.1)


def _machine_state() -> dict[str, set[str]]:
    with open("/proc/self/mountinfo") as mounts:
        mounted = {line.split(" - ")[0].split(" ", 3)[3] for line in mounts}
    return {
        "mount": mounted,
        "loop device": _lines("losetup", "-a"),
        # Not by dmsetup: opening /dev/mapper/control would load dm_mod.
        "device-mapper device": {name for name in os.listdir("/sys/block") if "dm-" in name},
        "network namespace": _lines("ip", "netns"),
        "cgroup": {folder for folder, _, _ in os.walk("/sys/fs/cgroup")},
    }


def _lines(*argv: str) -> set[str]:
    try:
        done = process.run(argv, timeout=10)
    except OSError:
        return set()
    return set(done.stdout.decode(errors="replace").splitlines()) if done.status == 0 else set()
