# SPDX-License-Identifier: GPL-3.0-or-later
"""Layer tars that are hard to keep, exchanged with a real dockerd through its data root."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig.sickhost import SickHost
from tests.rig.tools import DOCKER, IPTABLES, ToolsUnavailableError, unpack

pytestmark = pytest.mark.root
ROOT = Path(__file__).resolve().parents[2]

# Made inside: members of every dialect, without an end but with garbage behind the first zeros.
MAKE = """
import io, os, sys, tarfile
sys.path[:0] = sys.argv[1:]
from tests.tars import file, folder, hard_link, node, symlink, tar

def body(data):
    return data.rstrip(b"\\0") + bytes(-len(data.rstrip(b"\\0")) % 512)

made, data = file("bin/tool", b"x" * 3000, mode=0o6755, mtime_ns=1_500_000_000_123_456_789)
made.xattrs = {b"security.capability": b"\\1\\0\\0\\2" + bytes(16), b"user.k": b"\\0\\xff"}
own = body(tar(
    folder("./"), folder("bin/"), (made, data), hard_link("sbin/tool", b"bin/tool"),
    file(b"names/\\xff\\xfe", b"bytes"), file("names/a\\nb", b"line"), file("n" * 255, b"long"),
    file("d/" * 100 + "deep", b"deep"), symlink("lib", b"/usr/lib"), folder("usr/lib/"),
    symlink("long", b"t" * 300), node("dev/sda", b"4", 8, 1), node("pipe", b"6"),
    file("empty"), file("sparse", bytes(1 << 20) + b"end"),
    file("lib/inside", b"behind a link"),
))
gnu = io.BytesIO()
with tarfile.open(fileobj=gnu, mode="w", format=tarfile.GNU_FORMAT) as archive:
    for name, uid in (("gnu/" + "l" * 200, 3_000_000), ("gnu/short", 0)):
        info = tarfile.TarInfo(name)
        info.uid, info.size, info.mtime = uid, 5, 1_600_000_000
        archive.addfile(info, io.BytesIO(b"gnu!!"))
with open("/tmp/hard.tar", "wb") as target:
    target.write(own + body(gnu.getvalue()) + bytes(1024) + b"what nobody reads" * 99)
"""

LAYER_OF = """
import hashlib, json, sys, tarfile
with tarfile.open(sys.argv[1]) as archive:
    manifest = json.load(archive.extractfile("manifest.json"))
    layers = [archive.extractfile(name).read() for name in manifest[0]["Layers"]]
print(json.dumps([hashlib.sha256(one).hexdigest() for one in layers]))
"""


@pytest.fixture
def host() -> Iterator[SickHost]:
    try:
        tools = unpack(IPTABLES), unpack(DOCKER)
    except ToolsUnavailableError as error:
        pytest.skip(f"no real engine to test with: {error}")
    with SickHost(*tools) as sick:
        yield sick


def python(host: SickHost, script: str, *words: str) -> str:
    return host.run(sys.executable, "-c", script, *words).stdout


def hostkit(host: SickHost, *words: str) -> None:
    done = host.hostkit(*words)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("driver", ["overlay2", "vfs"])
def test_docker_gives_again_what_we_took_in_and_we_what_docker_did(
    host: SickHost, driver: str
) -> None:
    python(host, MAKE, str(ROOT))
    wanted = host.shell("sha256sum </tmp/hard.tar").split()[0]
    ours = ("--root", "/var/lib/docker", "--driver", driver)
    hostkit(host, "image", "import", "/tmp/hard.tar", "hard:1", *ours)
    host.start_dockerd(f"--storage-driver={driver}")
    host.run("docker", "save", "hard:1", "-o", "/tmp/theirs.tar")
    assert json.loads(python(host, LAYER_OF, "/tmp/theirs.tar")) == [wanted]
    host.run("docker", "rmi", "hard:1")
    host.run("docker", "load", "-i", "/tmp/theirs.tar")
    host.stop_dockerd()
    hostkit(host, "image", "save", "hard:1", "-o", "/tmp/ours.tar", "--root", "/var/lib/docker")
    assert json.loads(python(host, LAYER_OF, "/tmp/ours.tar")) == [wanted]
