# SPDX-License-Identifier: GPL-3.0-or-later
"""Layer tars that are meant to do harm: each is refused, or stays inside its layer."""

import os
import stat

import pytest

from hostkit.testing.subject import REFUSALS, Subject, touching
from hostkit.testing.tars import device, file, folder, hostile, tar
from hostkit.testing.trees import look

HOSTILE = [what for what, _ in hostile("/canary")]


class Hostile:
    """What an image from a stranger may hold."""

    @pytest.mark.parametrize("what", HOSTILE)
    def test_nothing_outside_of_the_layer_is_reached(self, subject: Subject, what: str) -> None:
        canary = f"{subject.root}/canary"
        touching("file", content="canary")(canary)
        subject.layer("bottom", None, touching("below", "d/below"))
        canary_before, base_before = look(canary), subject.look("bottom")
        data = dict(hostile(canary))[what]
        subject.driver.create("top", "bottom")
        try:
            subject.apply("top", data)
        except REFUSALS:
            pass
        assert look(canary) == canary_before
        assert os.listdir(canary) == ["file"]
        os.unlink(f"{canary}/file")
        os.rmdir(canary)
        with subject.driver.mount("top") as mount:
            os.listdir(mount.path)  # it still is a folder that can be mounted
        assert subject.look("bottom") == base_before
        subject.driver.remove("top")
        subject.layer("after", "bottom", touching("file"))
        assert b"/file" in subject.look("after")

    @pytest.mark.parametrize("kind", ["opaque", "redirect", "metacopy", "origin"])
    def test_attributes_that_steer_an_overlay_are_not_the_tars_to_set(
        self, subject: Subject, kind: str
    ) -> None:
        subject.layer("bottom", None, touching("d/below", "secret/file", "plain"))
        subject.driver.create("top", "bottom")
        value = b"y" if kind == "opaque" else b"/secret"
        steering = {b"trusted.overlay." + os.fsencode(kind): value}
        try:
            subject.apply(
                "top", tar(folder(b"d", xattrs=steering), file(b"plain", b"x", xattrs=steering))
            )
        except REFUSALS:
            return
        seen = subject.look("top")
        assert {b"/d", b"/d/below", b"/secret/file", b"/plain"} <= seen.keys()
        assert seen[b"/plain"].size == 1
        assert b"/d/file" not in seen

    def test_devices_are_made_inside_and_nowhere_else(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("file"))
        subject.driver.create("top", "bottom")
        subject.apply("top", tar(device(b"null", 1, 3)))
        seen = subject.look("top")[b"/null"]
        assert (seen.kind, seen.content) == ("character device", "1:3")
        assert not stat.S_ISCHR(os.stat(subject.root).st_mode)

    def test_a_device_0_0_does_not_become_a_whiteout(self, subject: Subject) -> None:
        subject.layer("bottom", None, touching("file"))
        subject.driver.create("top", "bottom")
        try:
            subject.apply("top", tar(device(b"file", 0, 0)))
        except REFUSALS:
            pass
        assert b"/file" in subject.look("top")

    def test_a_member_that_claims_much_takes_no_room(self, subject: Subject) -> None:
        subject.driver.create("bottom")
        data = dict(hostile("/canary"))["a file that claims an exbibyte"]
        with pytest.raises(REFUSALS):
            subject.apply("bottom", data)
        os.sync()
        assert subject.driver.usage("bottom").bytes < 64 << 20
