# SPDX-License-Identifier: GPL-3.0-or-later
"""The layer store on top of the driver: the cases of moby's layer store."""

import hashlib
import io
import os

import pytest

from hostkit.storage.driver import StorageDriver
from hostkit.storage.errors import BadArchive, Damaged, LayerInUse, NoSuchLayer
from hostkit.storage.layerstore import LayerStore
from hostkit.testing.subject import Subject, refuses, touching
from hostkit.testing.tars import file, folder, link, tar

_BASE = tar(folder(b"etc"), file(b"etc/hosts", b"bottom"), file(b"gone", b"x" * 5000))
_TOP = tar(file(b"etc/hosts", b"top"), file(b".wh.gone"), link(b"link", b"etc"), file(b"new", b"1"))


def _store(subject: Subject, driver: StorageDriver | None = None) -> LayerStore:
    return LayerStore(subject.root, driver or subject.driver)


def _id(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _two(store: LayerStore) -> tuple[str, str]:
    base = store.register(io.BytesIO(_BASE))
    top = store.register(io.BytesIO(_TOP), base.chain_id)
    return base.chain_id, top.chain_id


def _take_away(store: LayerStore) -> None:
    store.sweep(tuple)


class Store:
    """Registered, given back byte for byte, shared, and taken away."""

    def test_a_registered_layer_is_mounted_with_all_below_it(self, subject: Subject) -> None:
        """MountAndRegister."""
        store = _store(subject)
        _, top = _two(store)
        layer = store.get(top)
        assert layer.diff_id == _id(_TOP)
        assert layer.size == len(b"top1")
        with store.mounted(layer) as path:
            assert set(os.listdir(path)) - {"lost+found"} == {"etc", "link", "new"}
        _take_away(store)

    def test_a_tar_is_given_back_byte_for_byte(self, subject: Subject) -> None:
        """TarStreamStability, also by another process' opening."""
        base, top = _two(_store(subject))
        store = _store(subject, subject.reopen())
        assert b"".join(store.read(base)) == _BASE
        assert b"".join(store.read(top)) == _TOP
        _take_away(store)

    def test_a_restored_store_has_the_same_layers(self, subject: Subject) -> None:
        """StoreRestore."""
        store = _store(subject)
        _two(store)
        before = list(store.layers())
        store = _store(subject, subject.reopen())
        assert list(store.layers()) == before
        _take_away(store)

    def test_the_same_layer_twice_is_one_layer(self, subject: Subject) -> None:
        """RegisterExistingLayer."""
        store = _store(subject)
        base, top = _two(store)
        assert _two(store) == (base, top)
        assert len(subject.layers()) == 2
        _take_away(store)

    def test_a_changed_file_is_noticed_when_the_tar_is_given_back(self, subject: Subject) -> None:
        """TarStreamVerification."""
        store = _store(subject)
        good = store.register(io.BytesIO(_BASE))
        changed = bytearray(_BASE)
        changed[changed.index(b"bottom")] ^= 1
        bad = store.register(io.BytesIO(bytes(changed)))
        assert b"".join(store.read(good.chain_id)) == _BASE
        subject.driver.remove(good.cache_id)
        with open(f"{store.place(good.chain_id)}/cache-id", "w") as name:
            name.write(bad.cache_id)
        with pytest.raises(Damaged):
            b"".join(store.read(good.chain_id))
        store.remove(good.chain_id)
        _take_away(store)

    def test_a_layer_that_is_not_the_one_that_was_named_leaves_nothing(
        self, subject: Subject
    ) -> None:
        """CommitFailure."""
        store = _store(subject)
        with pytest.raises(BadArchive):
            store.register(io.BytesIO(_BASE), diff_id=_id(_TOP))
        with pytest.raises(BadArchive):
            store.register(io.BytesIO(_BASE[:700]))
        assert subject.layers() == {}
        assert list(store.layers()) == []
        _take_away(store)

    def test_a_layer_that_others_stand_on_is_not_released(self, subject: Subject) -> None:
        """LayerRelease."""
        store = _store(subject)
        base, top = _two(store)
        refuses("bottom", lambda: store.remove(base), LayerInUse)
        store.remove(top)
        store.remove(base)
        assert subject.layers() == {}
        refuses("again", lambda: store.remove(base), NoSuchLayer)

    def test_a_layer_that_nothing_names_is_found(self, subject: Subject) -> None:
        """GetOrphan: what a crash between driver and store leaves."""
        store = _store(subject)
        base, _ = _two(store)
        orphan = "f" * 64
        subject.driver.create(orphan, store.get(base).cache_id)
        assert store.orphans() == [orphan]
        kept, _ = store.sweep(lambda: [layer.chain_id for layer in store.layers()])
        assert kept == []
        assert store.orphans() == []
        assert len(subject.layers()) == 2
        _take_away(store)

    def test_a_containers_layer_shows_its_changes(self, subject: Subject) -> None:
        """MountInit, MountSize, MountChanges, MountApply."""
        store = _store(subject)
        _, top = _two(store)
        subject.driver.create("init", store.get(top).cache_id)
        subject.write("init", touching("etc/resolv.conf"))
        subject.driver.commit("init")
        subject.driver.create("container", "init", read_write=True)
        subject.write("container", touching("new", "etc/mine", content="changed"))
        seen = [(one.kind.value, one.path) for one in subject.driver.changes("container")]
        assert seen == [("C", b"/etc"), ("A", b"/etc/mine"), ("C", b"/new")]
        assert subject.driver.usage("container").bytes > 0
        subject.driver.create("other", "init", read_write=True)
        subject.apply("other", subject.diff("container"))
        assert subject.look("other", top=False) == subject.look("container", top=False)
        for name in ("other", "container", "init"):
            subject.driver.remove(name)
        _take_away(store)
