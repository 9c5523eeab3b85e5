# SPDX-License-Identifier: GPL-3.0-or-later
"""A data root with images, opened in a process of its own that sees its mounts alone."""

import io
import json
import os
import tarfile
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from hostkit import plugins
from hostkit.storage import digest
from hostkit.storage.image import load, reference, save
from hostkit.storage.image.load import Loaded
from hostkit.storage.image.store import ImageStore
from hostkit.storage.layerstore import LayerStore, untold
from hostkit.system import aside, mounts


@contextmanager
def store(
    root: Path, driver: str = "overlay2", *, read_only: bool = False
) -> Generator[ImageStore]:
    """The images below a root."""
    plugin = next(one for one in plugins.load().drivers if one.name == driver)
    assert plugin.open is not None
    if read_only:
        aside.make_read_only(str(root))
    opened = plugin.open(str(root), {}, read_only)
    try:
        yield ImageStore(str(root), LayerStore(str(root), opened, read_only=read_only))
    finally:
        opened.close()


def apart(action: Callable[[], object]) -> None:
    """Run an action in a child with a mount namespace of its own; its failure is ours."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            mounts.enter_private_namespace()
            action()
        except BaseException:  # noqa: BLE001 - the child must end here
            os.write(writer, traceback.format_exc().encode()[-60000:])
            os._exit(1)
        os._exit(0)
    os.close(writer)
    with open(reader, errors="replace") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, said


def load_file(images: ImageStore, path: Path) -> list[Loaded]:
    """Take in an archive."""
    if path.is_dir():
        with load.opened_folder(str(path)) as archive:
            return load.load(images, archive)
    with path.open("rb") as file, load.opened_tar(file.fileno(), images.root) as archive:
        return load.load(images, archive)


def import_bytes(images: ImageStore, tar: bytes, *names: str, changes: tuple[str, ...] = ()) -> str:
    """Make an image of a tar."""
    wanted = tuple(map(reference.parse, names))
    return load.import_tar(images, io.BytesIO(tar), wanted, changes=changes).id


def save_file(images: ImageStore, name: str, path: Path, kind: str = "docker") -> None:
    """Write an image as an archive."""
    image = images.find(name)
    write = save.save_oci if kind == "oci" else save.save_docker
    with path.open("wb") as sink:
        write(images, [save.Wanted(image, image.names)], sink, untold)


def archive_of(layers: list[bytes], *, name: str = "app:1", **more: object) -> dict[str, bytes]:
    """The files of a docker-archive; `more` goes into the configuration."""
    config = config_of(layers, **more)
    files = {f"{digest.of(config)[7:]}.json": config}
    paths = [f"{number}/layer.tar" for number in range(len(layers))]
    manifest = [{"Config": next(iter(files)), "RepoTags": [name], "Layers": paths}]
    files.update(zip(paths, layers, strict=True))
    return {**files, "manifest.json": json.dumps(manifest).encode()}


def config_of(layers: list[bytes], **more: object) -> bytes:
    """A configuration of these layers."""
    rootfs = {"type": "layers", "diff_ids": [digest.of(layer) for layer in layers]}
    tree = {"os": "linux", "architecture": "amd64", "config": {}, "rootfs": rootfs, **more}
    return json.dumps(tree).encode()


def packed(files: dict[str, bytes]) -> bytes:
    """A tar of files as they are named."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return made.getvalue()


def leftovers(root: Path) -> list[str]:
    """What lies in a root that should be empty: everything but folders, locks and no names."""
    found: list[str] = []
    for folder, folders, names in os.walk(root):
        place = os.path.relpath(folder, root)
        if place.count("/") and os.path.basename(folder) in ("merged", "diff", "work"):
            found.append(place)
        found.extend(
            f"{place}/{name}" for name in names if not name.endswith(("lock", "repositories.json"))
        )
        if place in ("overlay2", "vfs/dir", "overlay2/l"):
            found.extend(f"{place}/{name}" for name in folders if name not in ("l", ".hostkit"))
    return [path for path in found if "/holds/" not in path]
