# SPDX-License-Identifier: GPL-3.0-or-later
"""Many layers, and many processes at once."""

import os
import random
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from hostkit.storage.driver import StorageDriver
from hostkit.storage.errors import StorageError
from hostkit.testing.faults import in_child
from hostkit.testing.subject import REFUSALS, THOROUGH, Subject, touching
from hostkit.testing.tars import file, tar
from hostkit.testing.trees import look

_PROCESSES = 8
_STEPS = 60 if THOROUGH else 12
_ENOUGH = 500  # what the kernel joins; more is not tried
# Where each layer is a copy, the files in all layers grow with the square of the depth.
_COPIED_DEPTH = 128 if THOROUGH else 24


def _depth(subject: Subject, wanted: int) -> int:
    most = subject.driver.capabilities.max_depth
    if most < wanted:
        pytest.skip(f"{subject.plugin.name} stacks {most} layers at most")
    cheap = subject.driver.capabilities.native_diff or subject.driver.capabilities.block_backed
    return wanted if cheap or THOROUGH else min(wanted, _COPIED_DEPTH)


def _stack(subject: Subject, depth: int) -> None:
    """Moby's deep read: each layer overwrites one file and adds a folder of its own."""
    for number in range(depth):
        name = f"layer-{number}"
        subject.driver.create(name, f"layer-{number - 1}" if number else None)
        own = name.encode()
        parts = (
            file(b"top-id", b"%d" % number),
            file(own + b"/id", b"%d" % number),
            file(own + b"/parent", b"%d" % (number - 1)),
        )
        subject.apply(name, tar(*parts))
        subject.driver.commit(name)


def _walk_down(path: str, depth: int) -> None:
    at = int(Path(path, "top-id").read_text())
    assert at == depth - 1
    for number in reversed(range(depth)):
        assert at == number
        assert Path(path, f"layer-{at}/id").read_text() == str(at)
        at = int(Path(path, f"layer-{at}/parent").read_text())


class Many:
    """Depth and storms."""

    @pytest.mark.parametrize("wanted", [128, "the most"])
    def test_every_layer_of_a_deep_stack_is_seen(self, subject: Subject, wanted: int | str) -> None:
        most = subject.driver.capabilities.max_depth
        depth = _depth(subject, wanted if isinstance(wanted, int) else min(most, _ENOUGH))
        _stack(subject, depth)
        top = f"layer-{depth - 1}"
        with subject.driver.mount(top) as mount:
            _walk_down(mount.path, depth)
        assert len(subject.layers()) == depth
        if depth < most:
            subject.driver.create("top", top)
            subject.write("top", lambda path: _walk_down(path, depth))
        else:
            with pytest.raises(StorageError):
                subject.driver.create("more", top)
            assert not subject.driver.exists("more")

    def test_a_stack_equals_a_plain_folder_after_each_layer(self, subject: Subject) -> None:
        """Containerd's 128LayersMount: one folder is removed and made anew in each layer."""
        depth = min(_depth(subject, 125), 125 if THOROUGH else 32)
        flat = f"{subject.root}/flat"
        os.mkdir(flat)
        shaken = random.Random(4)
        for number in range(depth):
            name = f"layer-{number}"
            subject.driver.create(name, f"layer-{number - 1}" if number else None)
            seed = shaken.random()
            with subject.driver.mount(name) as mount:
                for path in (mount.path, flat):
                    _step(path, number, random.Random(seed))
                seen = {key: one[:3] + one[4:6] for key, one in look(mount.path, top=False).items()}
            subject.driver.commit(name)
            assert seen == {key: one[:3] + one[4:6] for key, one in look(flat, top=False).items()}
        shutil.rmtree(flat)

    def test_8_processes_at_once_leave_a_sound_store(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("file"))
        children: list[int] = []
        readers: list[int] = []
        for number in range(_PROCESSES):
            reader, writer = os.pipe()
            child = os.fork()
            if child == 0:
                said = b""
                try:
                    _storm(subject, number)
                except BaseException as problem:  # noqa: BLE001 - told by the parent
                    said = repr(problem).encode()
                os.write(writer, said)
                os._exit(0)
            os.close(writer)
            children.append(child)
            readers.append(reader)
        problems: list[str] = []
        for reader in readers:
            with os.fdopen(reader) as words:
                problems.append(words.read())
        for child in children:
            os.waitpid(child, 0)
        assert [problem for problem in problems if problem] == []
        assert subject.issues() == []
        for layer in subject.layers().values():
            if layer.id.startswith("own-"):
                assert b"/file" in subject.look(layer.id)
        assert in_child(lambda: len(list(subject.open().layers()))) == len(subject.layers())


def _step(path: str, number: int, shaken: random.Random) -> None:
    """The same change to two folders."""
    shutil.rmtree(f"{path}/again", ignore_errors=True)
    touching(f"again/{number}", f"kept/{number}", content=str(number))(path)
    for name in sorted(os.listdir(f"{path}/kept")):
        if shaken.random() < 0.1:
            os.unlink(f"{path}/kept/{name}")
    os.chmod(f"{path}/kept", 0o755 if number % 2 else 0o711)


def _storm(subject: Subject, number: int) -> None:
    """What many programs do at once: with layers of their own, and with each other's."""
    shaken = random.Random(number)
    driver = subject.open()
    own: list[str] = []
    for step in range(_STEPS):
        name = f"own-{number}-{step}"
        driver.create(name, shaken.choice(["bottom", *own]))
        with driver.mount(name) as mount:
            touching(f"{name}")(mount.path)
            assert Path(mount.path, "file").read_text() == "file"
        driver.commit(name)
        own.append(name)
        shared = f"shared-{shaken.randrange(4)}"
        actions: tuple[Callable[[], object], ...] = (
            partial(driver.create, shared, "bottom"),
            partial(_mount, driver, shared),
            partial(driver.remove, shared),
            driver.cleanup,
        )
        for action in actions:
            if shaken.random() < 0.5:
                try:
                    action()
                except REFUSALS:  # another one had it, or had it not yet
                    continue
        if shaken.random() < 0.3:
            last = own.pop()
            try:
                driver.remove(last)
            except REFUSALS:
                own.append(last)
    driver.close()


def _mount(driver: StorageDriver, layer: str) -> None:
    driver.mount(layer).close()
