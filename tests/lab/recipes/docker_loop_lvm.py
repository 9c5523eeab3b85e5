# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in a guest: a real Docker 20.10 fills /dev/ubda with a data root on loop-lvm.

An image with awkward files, a second one committed from a container, two stopped
containers with layers of their own, a volume. All defaults of the field are kept:
100 GB of data and 2 GB of metadata in sparse files, 64 KiB blocks, 10 GB of base device.
"""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

from tests.lab.faults import command

ROOT = Path("/var/lib/docker")
IMAGE, CHILD = "app:1", "app:2"
_FLAGS = (
    "--storage-driver=devicemapper",
    "--storage-opt=dm.override_udev_sync_check=true",  # there is no udevd
    "--iptables=false",
    "--bridge=none",
)
_WRITE = (
    "echo written > /own; echo changed > /etc/settings; rm /gone; rm -r /dir; mkdir /dir;"
    " echo new > /dir/new; dd if=/dev/zero of=/holes bs=1 count=1 seek=20971520 2>/dev/null;"
    " ln -s own /link; ln /own /hard; mknod /device c 1 3; mkfifo /fifo; chmod 4755 /own;"
    " chown 1000:1001 /dir/new; i=0; while [ $i -lt 200 ]; do echo $i > /dir/$i; i=$((i+1)); done"
)


class Dockerd:
    """The daemon, started and stopped as a service manager would."""

    def __init__(self, log: Path) -> None:
        self._log = log
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                ["dockerd", *_FLAGS], stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )
        deadline = time.monotonic() + 120
        while subprocess.run(["docker", "version"], capture_output=True, check=False).returncode:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"dockerd did not start: {log.read_text()[-3000:]}")
            time.sleep(0.3)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(60)


def image() -> bytes:
    """A tar of busybox and of files that a driver may get wrong."""
    busybox = shutil.which("busybox")
    assert busybox is not None
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:

        def add(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, **more: object) -> None:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.mtime = kind, len(content), 1_500_000_000
            info.mode = 0o755
            for key, value in more.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content))

        for folder in ("bin", "etc", "dir", "data", "tmp"):
            add(folder, kind=tarfile.DIRTYPE)
        add("bin/busybox", Path(busybox).read_bytes())
        for name in "sh echo rm mkdir dd ln mknod mkfifo chmod chown true cat [".split():
            add(f"bin/{name}", kind=tarfile.SYMTYPE, linkname="busybox")
        add("etc/settings", b"as delivered\n")
        add("gone", b"removed in a container\n")
        add("dir/old", b"hidden by an opaque folder\n")
        add("etc/hard", kind=tarfile.LNKTYPE, linkname="etc/settings")
        add("attributes", b"x", pax_headers={"SCHILY.xattr.user.note": "of the image"})
        add("owned", b"y", uid=12345, gid=54321, mode=0o6711)
        add("naïve name \n here", b"z", mtime=1_500_000_000.123456789)
    return made.getvalue()


def run(name: str, script: str, *options: str) -> None:
    flags = ["--name", name, "--network=none", *options]
    command("docker", "run", *flags, IMAGE, "/bin/sh", "-ec", script)


def export(container: str) -> str:
    """The sha256 of a container's whole file system as a tar."""
    with subprocess.Popen(["docker", "export", container], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        digest = hashlib.sha256()
        while chunk := process.stdout.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def fill() -> None:
    subprocess.run(["docker", "import", "-", IMAGE], input=image(), check=True, capture_output=True)
    command("docker", "volume", "create", "kept")
    run("writer", _WRITE, "-v", "kept:/data")
    run("volume", "echo in the volume > /data/file; echo second > /second", "-v", "kept:/data")
    command("docker", "commit", "writer", CHILD)


def noted() -> dict[str, object]:
    containers: dict[str, object] = {}
    for name in ("writer", "volume"):
        (inspected,) = json.loads(command("docker", "inspect", name))
        changes = sorted(command("docker", "diff", name).splitlines())
        containers[name] = {
            "id": inspected["Id"],
            "image": inspected["Image"],
            "device": inspected["GraphDriver"]["Data"],
            "export": export(name),
            "changes": changes,
        }
    images = {
        name: json.loads(command("docker", "inspect", name))[0] for name in (IMAGE, CHILD)
    }
    return {
        "info": json.loads(command("docker", "info", "--format", "{{json .}}")),
        "images": {name: one["RootFS"] | {"id": one["Id"]} for name, one in images.items()},
        "containers": containers,
        "pool": command("dmsetup", "status", "--target", "thin-pool"),
    }


def main(share: Path) -> None:
    command("mkfs.ext4", "-q", "-E", "lazy_itable_init=1,lazy_journal_init=1", "/dev/ubda")
    ROOT.mkdir(exist_ok=True)
    command("mount", "/dev/ubda", str(ROOT))
    os.environ["DOCKER_RAMDISK"] = "1"  # no pivot_root from the overlay that is our root
    daemon = Dockerd(share / "dockerd.log")
    fill()
    (share / "expected.json").write_text(json.dumps(noted(), indent=1))
    daemon.stop()
    command("umount", str(ROOT))


main(Path(sys.argv[1]))
