# SPDX-License-Identifier: GPL-3.0-or-later
"""How a storage operation fails: nothing is half done after any of these."""

from hostkit.errors import HostkitError


class StorageError(HostkitError):
    """A storage operation could not be done."""


class NoSuchLayer(StorageError):
    """There is no layer of that name."""


class LayerExists(StorageError):
    """There is a layer of that name already."""


class LayerInUse(StorageError):
    """The layer is mounted or held by a process, or other layers stand on it."""


class WrongState(StorageError):
    """The layer is committed and would be written, or the other way round."""


class ReadOnlyStore(StorageError):
    """The store was opened to be read and would be changed."""


class Damaged(StorageError):
    """What lies on the disk contradicts itself; `storage check` says more."""


class BadArchive(StorageError):
    """A layer or image archive is damaged, truncated or hostile."""


class Unsupported(StorageError):
    """This driver, kernel or file system cannot do that."""
