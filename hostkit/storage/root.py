# SPDX-License-Identifier: GPL-3.0-or-later
"""A data root as a whole: whose it is, which drivers have layers in it, who is using it."""

import errno
import fcntl
import os
from collections.abc import Iterable

from hostkit import files
from hostkit.errors import HostkitError
from hostkit.storage.errors import StorageError
from hostkit.storage.plugin import DriverPlugin
from hostkit.storage.tar.member import CHARACTER, FILE, FOLDER, Member
from hostkit.storage.tar.reader import TarReader
from hostkit.storage.tar.writer import TarWriter
from hostkit.system.tree import remove_tree

# dockerd keeps these open and locked as long as it runs (bbolt takes flock(2)).
_DATABASES = ("volumes/metadata.db", "network/files/local-kv.db", "buildkit/cache.db")
_DOCKERS = ("engine-id", "network/files", "volumes/metadata.db")
_NOT_LAYERS = (".hostkit", "l")
_PATH_LIMIT = 1 << 12


def occupied(root: str, names: Iterable[str]) -> list[str]:
    """Which of the drivers' folders hold layers or images. Raises OSError.

    What an engine leaves in the folder of a driver that it only tried does not count.
    """
    return sorted(name for name in set(names) if _holds_something(root, name))


def _holds_something(root: str, name: str) -> bool:
    image = f"{root}/image/{name}"
    for folder in (f"{image}/imagedb/content/sha256", f"{image}/layerdb/sha256"):
        if _names(folder):
            return True
    return any(
        below not in _NOT_LAYERS and _names(f"{root}/{name}/{below}")
        for below in _names(f"{root}/{name}")
    )


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def is_dockers(root: str) -> bool:
    """Whether a dockerd has run on the root."""
    return any(os.path.exists(f"{root}/{name}") for name in _DOCKERS)


def engine_on(root: str) -> str:
    """The file that a running engine holds locked below the root, "" for none. Raises OSError."""
    for name in _DATABASES:
        path = f"{root}/{name}"
        try:
            descriptor = files.open_regular(path)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as problem:
            if problem.errno != errno.EWOULDBLOCK:
                raise
            return path
        finally:
            os.close(descriptor)
    return ""


def refuse_unfit(root: str) -> str:
    """The root as the kernel names it. Raises StorageError for what cannot be one."""
    path = os.path.realpath(root)
    if not root or path == "/" or len(path) > _PATH_LIMIT:
        raise StorageError(f"{root!r} cannot be a data root", "name a folder of its own")
    if os.path.exists(path) and not os.path.isdir(path):
        raise StorageError(f"{path} is no folder")
    return path


def trial(plugin: DriverPlugin, root: str) -> str:
    """Why a driver does not work below a root, "" when it does: two layers made and read.

    All of it happens in a folder of its own there, which is taken away again.
    """
    if plugin.open is None:
        return "it can judge a host, not keep layers yet"
    folder = f"{root}/.hostkit-trial-{os.urandom(6).hex()}"
    try:
        os.makedirs(folder, mode=0o700)
        try:
            _try(plugin, folder)
        finally:
            remove_tree(folder)
    except (OSError, HostkitError) as problem:
        return str(problem)
    return ""


def _try(plugin: DriverPlugin, folder: str) -> None:
    assert plugin.open is not None
    driver = plugin.open(folder, {}, False)
    try:
        driver.create("base")
        driver.apply_diff("base", TarReader(_Sample()))
        driver.commit("base")
        driver.create("top", "base", read_write=True)
        with driver.mount("top") as mount:
            with open(f"{mount.path}/folder/file", "ab") as file:
                file.write(b" more")
            os.rename(f"{mount.path}/folder/file", f"{mount.path}/file")
            os.unlink(f"{mount.path}/gone")
        found = [(change.kind.value, change.path) for change in driver.changes("top")]
        wanted = [("A", b"/file"), ("C", b"/folder"), ("D", b"/folder/file"), ("D", b"/gone")]
        if found != wanted:
            raise StorageError(f"it shows the changes of a layer wrongly: {found}")
        for layer in ("top", "base"):
            driver.remove(layer)
        driver.cleanup()
    finally:
        driver.close()


class _Sample:
    """A small layer with what not every file system and kernel can keep."""

    def __init__(self) -> None:
        self._data = bytearray()
        tar = TarWriter(self)
        for name, kind, size in (
            ("folder/", FOLDER, 0),
            ("folder/file", FILE, 4),
            ("gone", FILE, 0),
        ):
            member = Member(name.encode(), kind)
            member.mode, member.uid, member.size = 0o755, 0 if os.geteuid() else 1, size
            tar.add(member)
            tar.content(b"text"[:size])
            tar.end_content(size)
        if not os.geteuid():
            null = Member(b"null", CHARACTER)
            null.devmajor, null.devminor = 1, 3
            tar.add(null)
        tar.close()

    def write(self, data: bytes | memoryview, /) -> None:
        self._data += data

    def read(self, size: int, /) -> bytes:
        data = bytes(self._data[:size])
        del self._data[:size]
        return data
