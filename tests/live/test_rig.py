# SPDX-License-Identifier: GPL-3.0-or-later
"""The sick hosts are made sick apart from this machine: nothing they write arrives on it."""

import os
import sys
import sysconfig
import uuid
from pathlib import Path

import pytest

from hostkit.facts.mounts import PATH, Mount, Mounts, lies_under, parse_mountinfo
from tests.rig.sickhost import ROOT, SickHost
from tests.rig.tools import DOCKER, IPTABLES, ToolsUnavailableError, unpack

# What the kernel has once for all namespaces, and what engines and loop files need of it.
_KERNELS_OWN = ("proc", "sysfs")
_SHARED_ON_PURPOSE = ("/dev", "/sys")
_PLACES = (
    "/boot",
    "/etc",
    "/home",
    "/opt",
    "/root",
    "/run",
    "/srv",
    "/tmp",
    "/usr",
    "/usr/bin",
    "/usr/lib",
    "/usr/local/bin",
    "/usr/sbin",
    "/var/cache",
    "/var/lib",
    "/var/lib/docker",
    "/var/log",
    sys.base_prefix,
    sys.prefix,
    f"{sys.prefix}/bin",
    sysconfig.get_path("purelib"),
    str(ROOT),
    str(ROOT / ".cache"),
    str(ROOT / "hostkit"),
    str(ROOT / "tests" / "rig"),
)


def shared_and_writable(inside: Mounts, outside: Mounts, own: str) -> list[Mount]:
    """Mounts of the rig through which this machine's files could be written.

    Those of a file system that is mounted outside too, and overlays that keep their
    changes elsewhere than in the rig's `own` folder.
    """
    devices = {mount.device for mount in outside.table}
    return [
        mount
        for mount in inside.table
        if not mount.read_only
        and mount.fstype not in _KERNELS_OWN
        and not any(lies_under(mount.target, place) for place in _SHARED_ON_PURPOSE)
        and (mount.device in devices or not _kept_in(mount, own))
    ]


def _kept_in(mount: Mount, own: str) -> bool:
    upper = [word[9:] for word in mount.super_options if word.startswith("upperdir=")]
    return all(lies_under(folder, own) for folder in upper)


HOST = parse_mountinfo("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n23 22 0:30 / /run rw - tmpfs t rw\n")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("50 40 8:1 /usr /usr rw - ext4 /dev/sda1 rw", True),
        ("50 40 8:1 /usr /usr ro - ext4 /dev/sda1 rw", False),
        ("50 40 0:30 /x /run rw - tmpfs t rw", True),
        ("50 40 0:90 / /run rw - tmpfs t rw", False),
        ("50 40 7:0 / /var/lib/docker rw - ext4 /dev/loop0 rw", False),
        ("50 40 0:91 / / rw - overlay o rw,lowerdir=/,upperdir=/tmp/rig/upper", False),
        ("50 40 0:91 / / rw - overlay o rw,lowerdir=/,upperdir=/usr", True),
    ],
)
def test_a_bind_that_could_be_written_is_seen(line: str, *, found: bool) -> None:
    inside = parse_mountinfo(f"{line}\n")
    assert bool(shared_and_writable(inside, HOST, "/tmp/rig")) is found


def _tools() -> tuple[Path, ...]:
    try:
        return unpack(IPTABLES), unpack(DOCKER)
    except ToolsUnavailableError:
        return ()  # the rig itself is the same without


@pytest.mark.root
def test_nothing_of_this_machine_can_be_written_from_inside() -> None:
    outside = parse_mountinfo(Path(PATH).read_text())
    mark = f".hostkit-rig-{uuid.uuid4().hex}"
    with SickHost(*_tools()) as host:
        inside = parse_mountinfo(host.run("cat", PATH).stdout)
        assert shared_and_writable(inside, outside, host.work) == []
        assert inside.of_type("overlay")

        script = 'for place; do [ ! -d "$place" ] || : >"$place/$0" && echo "$place"; done'
        written = host.run("sh", "-c", script, mark, *_PLACES, check=False).stdout.split("\n")
        assert {"/usr", "/etc", "/var/lib", str(ROOT), sys.prefix} <= set(written)
        arrived = [place for place in _PLACES if os.path.lexists(f"{place}/{mark}")]
        for place in arrived:
            os.unlink(f"{place}/{mark}")
        assert arrived == []


@pytest.mark.root
def test_what_is_changed_or_deleted_inside_is_still_there_outside() -> None:
    kept = [ROOT / "pyproject.toml", Path(sys.prefix) / "pyvenv.cfg", Path("/etc/passwd")]
    before = {path: _as_it_is(path) for path in kept if path.exists()}
    assert before
    with SickHost() as host:
        first, *others = map(str, before)
        host.run("sh", "-c", 'echo broken >>"$1"; shift; rm -f "$@"', "sh", first, *others)
        assert "broken" in host.run("cat", first).stdout
        assert {path: _as_it_is(path) for path in before} == before


def _as_it_is(path: Path) -> tuple[int, int, bytes]:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, path.read_bytes()
