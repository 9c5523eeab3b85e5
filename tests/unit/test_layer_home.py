# SPDX-License-Identifier: GPL-3.0-or-later
"""Records, locks and holds of a driver's folder."""

import os
import tempfile
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.storage.errors import Damaged, LayerInUse, NoSuchLayer, ReadOnlyStore, StorageError
from hostkit.storage.home import Home, Phase, Record, valid_id


def made(home: Home, layer: str, parent: str | None = None) -> Record:
    record = Record(layer, parent, Phase.CREATING, read_write=False, size=None)
    with home.changing(), home.begin(record) as mark:
        home.settle(record, record._replace(key="key"), mark)
    return home.record(layer)


@given(data=st.binary(max_size=300) | st.text(max_size=80).map(str.encode))
def test_whatever_a_record_holds_it_is_one_or_damaged(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Home(folder, read_only=False)
        Path(folder, ".hostkit/active/layer").write_bytes(data)
        try:
            assert home.record("layer").phase is Phase.ACTIVE
        except Damaged:
            pass


@given(layer=st.text(max_size=140))
def test_an_id_is_no_path_and_no_option(layer: str) -> None:
    try:
        assert valid_id(layer) == layer
    except StorageError:
        return
    assert not set(layer) & set("/:,\\@ \n\0")
    assert layer[0] not in ".-"
    assert 0 < len(layer) <= 128


def test_a_record_goes_forward_and_is_found_in_every_phase(tmp_path: Path) -> None:
    home = Home(str(tmp_path), read_only=False)
    record = made(home, "layer")
    assert record == Record("layer", None, Phase.ACTIVE, False, None, "key")
    for phase in (Phase.COMMITTED, Phase.REMOVING):
        home.advance(home.record("layer"), phase)
        assert home.record("layer").phase is phase
        assert home.ids() == ["layer"]
    home.drop("layer")
    with pytest.raises(NoSuchLayer):
        home.record("layer")


def test_a_name_in_two_phases_goes_from_both(tmp_path: Path) -> None:
    home = Home(str(tmp_path), read_only=False)
    made(home, "layer")
    os.link(tmp_path / ".hostkit/active/layer", tmp_path / ".hostkit/committed/layer")
    home.in_order = False
    home.advance(home.record("layer"), Phase.COMMITTED)
    assert home.ids(Phase.ACTIVE) == []
    os.link(tmp_path / ".hostkit/committed/layer", tmp_path / ".hostkit/active/layer")
    home.drop("layer")
    assert home.ids() == []


def test_children_of_other_processes_are_seen(tmp_path: Path) -> None:
    one, two = Home(str(tmp_path), read_only=False), Home(str(tmp_path), read_only=False)
    made(one, "base")
    with one.changing():
        assert one.children("base") == []
    made(two, "child", "base")
    with one.changing():
        assert one.children("base") == ["child"]
    with two.changing():
        two.drop("child")
    with one.changing():
        assert one.children("base") == []


def test_who_has_a_layer_alone_keeps_others_out_until_it_is_given_back(tmp_path: Path) -> None:
    home = Home(str(tmp_path), read_only=False)
    made(home, "layer")
    with home.hold("layer"), home.hold("layer"), pytest.raises(LayerInUse):
        home.claim("layer")
    with home.claim("layer"), pytest.raises(LayerInUse):
        home.hold("layer")
    home.claim("layer").close()


def test_a_thread_may_enter_again_and_another_waits(tmp_path: Path) -> None:
    home = Home(str(tmp_path), read_only=False)
    seen: list[str] = []

    def other() -> None:
        with home.changing():
            seen.append("other")

    with home.changing():
        with home.changing():
            pass
        thread = threading.Thread(target=other)
        thread.start()
        time.sleep(0.05)
        assert seen == []
        with home.paused():
            thread.join(10)
        assert seen == ["other"]


def test_a_reader_makes_nothing(tmp_path: Path) -> None:
    home = Home(str(tmp_path / "nothing"), read_only=True)
    assert list(home.records()) == []
    with pytest.raises(ReadOnlyStore), home.changing():
        pass
    assert os.listdir(tmp_path) == []
