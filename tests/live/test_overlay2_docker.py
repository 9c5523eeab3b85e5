# SPDX-License-Identifier: GPL-3.0-or-later
"""overlay2 on a data root that a real dockerd wrote: the same layers and differences."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig.sickhost import SickHost
from tests.rig.tools import DOCKER, IPTABLES, ToolsUnavailableError, unpack

pytestmark = pytest.mark.root

ROOT = Path(__file__).resolve().parents[2]

# Run inside, with the data root as Docker left it.
READ = """
import hashlib, io, json, os, sys, tarfile
sys.path[:0] = sys.argv[1:4]
from hostkit.system import mounts
from hostkit.system.aside import mounted_aside
from hostkit_drivers.overlay2 import PLUGIN

root = "/var/lib/docker"
container = json.loads(sys.argv[4])
everything = [f"{a}/{n}" for a, b, c in os.walk(f"{root}/overlay2") for n in (*b, *c)]
def stamps():
    return {path: (i.st_atime_ns, i.st_mtime_ns, i.st_ctime_ns)
            for path in everything for i in (os.lstat(path),)
            if "/diff/" not in path}
before = stamps()
driver = PLUGIN.open(root, {}, True)
mount = open(f"{root}/image/overlay2/layerdb/mounts/{container}/mount-id").read()
out = {
    "layers": [[one.id, one.parent, one.state.value] for one in driver.layers()],
    "changes": [[one.kind.value, os.fsdecode(one.path)] for one in driver.changes(mount)],
    "issues": [str(one) for one in driver.check()],
    "status": driver.status(),
    "metadata": dict(driver.metadata(mount)),
    "mount": mount,
}
tar = io.BytesIO()
driver.diff(mount, tar)
out["diff"] = tarfile.open(fileobj=io.BytesIO(tar.getvalue())).getnames()
out["untouched"] = stamps() == before
mounts.enter_private_namespace()
def tree(top):
    found = {}
    for folder, names, files in os.walk(top):
        for name in (*names, *files):
            path = os.path.join(folder, name)
            info = os.lstat(path)
            plain = os.path.isfile(path) and not os.path.islink(path)
            data = open(path, "rb").read() if plain else b""
            found[path[len(top):]] = [oct(info.st_mode), hashlib.sha256(data).hexdigest()]
    return found
with mounted_aside(driver.mount_spec(mount, read_only=True)) as path:
    out["tree"] = tree(path)
os.mkdir("/tmp/exported")
tarfile.open("/tmp/export.tar").extractall("/tmp/exported")
out["exported"] = tree("/tmp/exported")
print(json.dumps(out))
"""


@pytest.fixture
def host() -> Iterator[SickHost]:
    try:
        tools = unpack(IPTABLES), unpack(DOCKER)
    except ToolsUnavailableError as error:
        pytest.skip(f"no real engine to test with: {error}")
    with SickHost(*tools) as sick:
        yield sick


def test_a_real_data_root_is_read_as_docker_reads_it(host: SickHost) -> None:
    host.start_dockerd("--storage-driver=overlay2")
    host.import_busybox("app:1")
    host.shell(
        "docker run --name one --net none app:1 sh -c"
        " 'busybox mkdir -p /etc/x /data && echo a >/data/a && echo b >/etc/x/b' &&"
        " docker commit one app:2 &&"
        " docker run --name two --net none app:2 sh -c"
        " 'busybox rm -r /data && busybox mkdir /data && echo c >/data/c &&"
        " busybox chmod 600 /etc/x/b && busybox ln /data/c /data/d && busybox rm /bin/httpd'"
    )
    container = host.shell("docker inspect -f '{{.Id}}' two").strip()
    told = [line.split(" ", 1) for line in host.shell("docker diff two").splitlines()]
    data = json.loads(host.shell("docker inspect two"))[0]["GraphDriver"]["Data"]
    host.shell("docker export two >/tmp/export.tar")
    host.stop_dockerd()
    paths = [str(ROOT), f"{ROOT}/drivers", f"{ROOT}/checks"]
    done = host.run(sys.executable, "-c", READ, *paths, json.dumps(container))
    seen = json.loads(done.stdout)
    assert seen["untouched"]
    assert seen["issues"] == []
    assert sorted(seen["changes"]) == sorted(told)
    assert {"data/.wh..wh..opq", "data/c", "data/d", "bin/.wh.httpd"} <= set(seen["diff"])
    assert seen["tree"] == seen["exported"]
    assert seen["metadata"] == data
    states = {layer: (parent, state) for layer, parent, state in seen["layers"]}
    chain: list[str] = []
    at = seen["mount"]
    while at is not None:
        chain.append(at)
        assert states[at][1] == "foreign"
        at = states[at][0]
    assert chain[:2] == [seen["mount"], f"{seen['mount']}-init"]
    assert len(chain) == 4
