# SPDX-License-Identifier: GPL-3.0-or-later
"""What Docker noted beside its thin pool, held against what the pool holds."""

import json
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.errors import InputError
from hostkit.storage.errors import Damaged
from hostkit.storage.thin.dockerpool import (
    BaseDevice,
    Note,
    Transaction,
    parse_base,
    parse_note,
    parse_transaction,
    read_pool,
)
from hostkit.storage.thin.inventory import Owner, inventory, owners
from hostkit.storage.thin.metadata import open_metadata
from tests.rig.thinpool import Pool, Thin

BLOCK = 64 << 10
GIB = 1 << 30
LAYER, MOUNT, CHAIN, CONTAINER = ("a1" * 32, "b2" * 32, "c3" * 32, "d4" * 32)


def note(folder: Path, name: str, device: int, transaction: int, **more: object) -> None:
    fields = {"device_id": device, "size": 10 * GIB, "transaction_id": transaction, **more}
    (folder / name).write_text(json.dumps(fields))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data root with a base device, a layer, a container with its init layer."""
    notes = tmp_path / "devicemapper/metadata"
    notes.mkdir(parents=True)
    note(notes, "base", 1, 1, initialized=True)
    note(notes, LAYER, 2, 2)
    note(notes, f"{MOUNT}-init", 3, 3)
    note(notes, MOUNT, 4, 4, deleted=False)
    (notes / ".tmp123").write_text("cut off")
    (notes / "old.migrated").write_text("{}")
    (notes / "deviceset-metadata").write_text(
        '{"next_device_id":4,"BaseDeviceUUID":"0099","BaseDeviceFilesystem":"xfs"}'
    )
    (notes / "transaction-metadata").write_text(
        json.dumps({"open_transaction_id": 4, "device_hash": MOUNT, "device_id": 4})
    )
    files = tmp_path / "devicemapper/devicemapper"
    files.mkdir()
    (files / "data").touch()
    devices = {
        1: Thin([(0, 0, 10, 0)]),
        2: Thin([(0, 0, 10, 0), (20, 20, 2, 1)]),
        3: Thin([(0, 0, 10, 0)]),
        4: Thin([(0, 0, 9, 0), (9, 30, 1, 2)]),
    }
    (files / "metadata").write_bytes(Pool().build(devices, transaction=4))
    layers = tmp_path / "image/devicemapper/layerdb"
    layer, mount = layers / f"sha256/{CHAIN}", layers / f"mounts/{CONTAINER}"
    for path, content in (
        (layer / "cache-id", LAYER),
        (mount / "mount-id", MOUNT),
        (mount / "init-id", f"{MOUNT}-init"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (layers / "sha256/tmp-removing").mkdir()
    return tmp_path


def test_the_notes_are_read(root: Path) -> None:
    pool = read_pool(str(root))
    assert pool.notes == (
        Note(LAYER, 2, 10 * GIB, 2),
        Note(MOUNT, 4, 10 * GIB, 4),
        Note(f"{MOUNT}-init", 3, 10 * GIB, 3),
        Note("base", 1, 10 * GIB, 1, initialized=True),
    )
    assert pool.base == BaseDevice(4, "0099", "xfs")
    assert pool.transaction == Transaction(4, MOUNT, 4)
    assert pool.data == f"{root}/devicemapper/devicemapper/data"
    assert pool.metadata == f"{root}/devicemapper/devicemapper/metadata"


def test_a_pool_on_volumes_has_no_loop_files(root: Path) -> None:
    for name in ("data", "metadata"):
        (root / "devicemapper/devicemapper" / name).unlink()
    pool = read_pool(str(root))
    assert (pool.data, pool.metadata) == ("", "")


def test_the_owner_of_each_device_is_found(root: Path) -> None:
    assert owners(str(root)) == {
        LAYER: Owner("layer", f"sha256:{CHAIN}"),
        MOUNT: Owner("container", CONTAINER),
        f"{MOUNT}-init": Owner("init", CONTAINER),
    }


def test_a_data_root_without_images_has_no_owners(tmp_path: Path) -> None:
    assert owners(str(tmp_path)) == {}


def test_each_device_is_listed_with_its_owner_and_bytes(root: Path) -> None:
    noted = read_pool(str(root))
    with open_metadata(noted.metadata) as metadata:
        found = inventory(noted, owners(str(root)), metadata)
    assert [(one.device, one.mapped, one.exclusive, one.owner) for one in found.entries] == [
        (1, 10 * BLOCK, 0, None),
        (2, 12 * BLOCK, 2 * BLOCK, Owner("layer", f"sha256:{CHAIN}")),
        (3, 10 * BLOCK, 0, Owner("init", CONTAINER)),
        (4, 10 * BLOCK, BLOCK, Owner("container", CONTAINER)),
    ]
    assert all(one.note and one.note.size == 10 * GIB for one in found.entries)
    assert (found.missing, found.doubled, found.unfinished) == ((), (), None)
    assert (found.used, found.shared) == (13 * BLOCK, 10 * BLOCK)


def test_what_notes_and_pool_disagree_about_is_said(root: Path) -> None:
    notes = root / "devicemapper/metadata"
    note(notes, "e5" * 32, 7, 5)
    note(notes, "f6" * 32, 2, 2)
    (notes / MOUNT).unlink()
    (notes / "transaction-metadata").write_text('{"open_transaction_id":5,"device_id":7}')
    noted = read_pool(str(root))
    with open_metadata(noted.metadata) as metadata:
        found = inventory(noted, {}, metadata)
    assert [one.name for one in found.missing] == ["e5" * 32]
    assert [one.name for one in found.doubled] == ["f6" * 32]
    assert [one.device for one in found.entries if one.note is None] == [4]
    assert found.unfinished == Transaction(5, "", 7)


def test_a_data_root_of_another_driver_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="devicemapper/metadata: No such file"):
        read_pool(str(tmp_path))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"device_id":"2"}', '{"device_id":-1}', "9"])
def test_a_note_that_was_cut_off_is_named(root: Path, content: str) -> None:
    (root / "devicemapper/metadata" / LAYER).write_text(content)
    with pytest.raises(Damaged, match=LAYER):
        read_pool(str(root))


@given(st.text() | st.binary())
def test_any_content_is_a_note_or_refused(content: str | bytes) -> None:
    for parse in (partial(parse_note, "base"), parse_base, parse_transaction):
        try:
            parse(content)
        except ValueError:
            continue
