# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in a guest: a real Docker 20.10 fills /dev/ubda with a data root on loop-lvm.

An image with awkward files, a second one committed from a container, two stopped
containers with layers of their own, a volume. All defaults of the field are kept:
100 GB of data and 2 GB of metadata in sparse files, 64 KiB blocks, 10 GB of base device.
"""

import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from tests.lab.docker import DATA_ROOT, Dockerd, mount_data_root
from tests.lab.faults import command

DISK = "/dev/ubda"
IMAGE, CHILD = "app:1", "app:2"
_PROGRAMS = ("sh", "rm", "mkdir", "dd", "ln", "mknod", "mkfifo", "chmod", "chown", "cat")
_WRITE = (
    "echo written > /own; echo changed > /etc/settings; rm /gone; rm -r /dir; mkdir /dir;"
    " echo new > /dir/new; dd if=/dev/zero of=/holes bs=1 count=1 seek=20971520 2>/dev/null;"
    " ln -s own /link; ln /own /hard; mknod /device c 1 3; mkfifo /fifo; chmod 4755 /own;"
    " chown 1000:1001 /dir/new; i=0; while [ $i -lt 20 ]; do echo $i > /dir/$i; i=$((i+1)); done"
)


def member(name: str, kind: bytes = tarfile.REGTYPE, **attributes: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = kind, 0o755, 1_500_000_000
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


def noted_by(who: str) -> dict[str, str]:
    return {"SCHILY.xattr.user.note": who}


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return made.getvalue()


def image() -> bytes:
    """A tar of busybox and of files that a driver may get wrong."""
    busybox = shutil.which("busybox")
    assert busybox is not None
    folders = [member(name, tarfile.DIRTYPE) for name in ("bin", "etc", "dir", "data", "tmp")]
    links = [member(f"bin/{name}", tarfile.SYMTYPE, linkname="busybox") for name in _PROGRAMS]
    hard = member("etc/hard", tarfile.LNKTYPE, linkname="etc/settings")
    return archive(
        *((folder, b"") for folder in folders),
        (member("bin/busybox"), Path(busybox).read_bytes()),
        *((link, b"") for link in links),
        (member("etc/settings"), b"as delivered\n"),
        (hard, b""),
        (member("gone"), b"removed in a container\n"),
        (member("dir/old"), b"hidden by an opaque folder\n"),
        (member("attributes", pax_headers=noted_by("of the image")), b"x"),
        (member("owned", uid=12345, gid=54321, mode=0o6711), b"y"),
        (member("naïve name \n here", mtime=1_500_000_000.123456789), b"z"),
    )


def run(name: str, script: str) -> None:
    flags = ["--name", name, "--network=none", "-v", "kept:/data"]
    command("docker", "run", *flags, IMAGE, "/bin/sh", "-ec", script)


def put(content: bytes, *argv: str) -> None:
    subprocess.run(["docker", *argv], input=content, check=True, capture_output=True)


def fill() -> None:
    put(image(), "import", "-", IMAGE)
    command("docker", "volume", "create", "kept")
    run("writer", _WRITE)
    # No shell of a busybox can set an extended attribute.
    put(
        archive((member("copied", pax_headers=noted_by("of the container")), b"c")),
        "cp",
        "-",
        "writer:/",
    )
    run("volume", "echo in the volume > /data/file; echo second > /second")
    command("docker", "commit", "writer", CHILD)


def export(container: str) -> str:
    """The sha256 of a container's whole file system as a tar."""
    with subprocess.Popen(["docker", "export", container], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        digest = hashlib.sha256()
        while chunk := process.stdout.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def noted() -> dict[str, object]:
    containers: dict[str, object] = {}
    for name in ("writer", "volume"):
        (inspected,) = json.loads(command("docker", "inspect", name))
        containers[name] = {
            "id": inspected["Id"],
            "image": inspected["Image"],
            "device": inspected["GraphDriver"]["Data"],
            "export": export(name),
            "changes": sorted(command("docker", "diff", name).splitlines()),
        }
    images = {name: json.loads(command("docker", "inspect", name))[0] for name in (IMAGE, CHILD)}
    return {
        "info": json.loads(command("docker", "info", "--format", "{{json .}}")),
        "images": {name: one["RootFS"] | {"id": one["Id"]} for name, one in images.items()},
        "containers": containers,
        "pool": command("dmsetup", "status", "--target", "thin-pool"),
    }


def main(share: Path) -> None:
    command("mkfs.ext4", "-q", "-E", "lazy_itable_init=1,lazy_journal_init=1", DISK)
    mount_data_root(DISK)
    with Dockerd(log=share / "dockerd.log"):
        fill()
        (share / "expected.json").write_text(json.dumps(noted(), indent=1))
    command("umount", str(DATA_ROOT))


main(Path(sys.argv[1]))
