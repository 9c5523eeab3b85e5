# SPDX-License-Identifier: GPL-3.0-or-later
"""`hostkit image` and `hostkit storage` as a person types them."""

import json
import os
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # its types are a package of their own
import pytest

from hostkit import report
from hostkit.cli import image, storage
from tests.e2e.command import Ended, hostkit
from tests.rig.images import layer_tar

SCHEMA = Path(report.__file__).parent / "schema/hostkit.storage-1.schema.json"
VALIDATOR: Any = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
ACTIONS = [
    *(("image", action) for action in image.ACTIONS),
    *(("storage", action) for action in storage.ACTIONS),
]
as_root = pytest.mark.root


@pytest.mark.parametrize(("command", "action"), ACTIONS)
def test_help_of_each_action_has_an_example_and_fits(command: str, action: str) -> None:
    ended = hostkit(command, action, "--help")
    assert ended.code == 0
    assert f"hostkit {command} {action}" in ended.out.partition("examples:")[2]
    assert max(map(len, ended.out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("image",), ""),
        (("image", "lst"), "invalid choice: 'lst'"),
        (("image", "import"), "required: FILE"),
        (("image", "ls", "--root", "/nonexistent"), "there is no data root /nonexistent"),
        (("image", "ls", "--root", "/"), "cannot be a data root"),
        (("image", "ls", "--root", "/etc/passwd"), "is no folder"),
        (("image", "ls", "--driver", "floppy"), "there is no driver floppy"),
        (("storage", "chek"), "invalid choice"),
    ],
)
def test_usage_errors_exit_2_and_say_what_is_wrong(words: tuple[str, ...], said: str) -> None:
    ended = hostkit(*words)
    assert ended.code == 2
    assert said in ended.err
    assert "Traceback" not in ended.err


def test_an_ordinary_user_is_told_who_can(tmp_path: Path) -> None:
    tar = tmp_path / "x.tar"
    tar.write_bytes(layer_tar({"a": b""}))
    setpriv = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    wrapper = setpriv if os.geteuid() == 0 else ()
    ended = hostkit("image", "import", "-", "--root", "/tmp/x", stdin=b"x", wrapper=wrapper)
    assert (ended.code, "only root can change images" in ended.err) == (5, True)


def read(ended: Ended) -> Any:
    """JSON that is what the schema says."""
    assert ended.err == ""
    data = json.loads(ended.out)
    VALIDATOR.validate(data)
    return data


@as_root
def test_json_of_every_action_is_what_the_schema_says(tmp_path: Path) -> None:
    root = ("--root", str(tmp_path / "root"), "--format", "json")
    tar, saved = tmp_path / "x.tar", str(tmp_path / "saved.tar")
    tar.write_bytes(layer_tar({"a": b"text"}))
    made = read(hostkit("image", "import", str(tar), "app:1", "--change", "USER a", *root))
    found = made["images"][0]["id"]
    read(hostkit("image", "tag", "app:1", "app:2", *root))
    assert read(hostkit("image", "ls", *root))["images"][0]["names"] == ["app:1", "app:2"]
    inspected = json.loads(hostkit("image", "inspect", "app:1", *root).out)
    assert (inspected[0]["Id"], inspected[0]["Config"]["User"]) == (found, "a")
    assert len(read(hostkit("image", "history", found[:20], *root))["steps"]) == 1
    assert read(hostkit("image", "save", "app:1", "-o", saved, *root))["images"] == [found]
    read(hostkit("image", "export", "app:1", "-o", saved + "x", *root))
    status = read(hostkit("storage", "status", *root))
    assert (status["images"], status["layers"]) == (1, 1)
    assert read(hostkit("storage", "check", *root))["issues"] == []
    assert read(hostkit("storage", "repair", "--yes", *root))["repaired"] == []
    assert read(hostkit("image", "rm", "-f", found, *root))["images"] == [found]
    assert read(hostkit("image", "load", "-i", saved, *root))["images"][0]["id"] == found
    assert read(hostkit("image", "gc", *root))["layers"] == []
    trials = {
        one["driver"]: one["trial"] for one in read(hostkit("storage", "probe", *root))["drivers"]
    }
    assert trials["vfs"] == ""
    assert [name for name in os.listdir(tmp_path / "root") if "trial" in name] == []


@as_root
def test_layers_of_another_driver_are_never_passed_over(tmp_path: Path) -> None:
    root = ("--root", str(tmp_path / "root"))
    tar = tmp_path / "x.tar"
    tar.write_bytes(layer_tar({"a": b"text"}))
    assert hostkit("image", "import", str(tar), "app:1", "--driver", "vfs", *root).code == 0
    refused = hostkit("image", "import", str(tar), "app:2", "--driver", "overlay2", *root)
    assert refused.code == 5
    assert "holds layers of vfs, not of overlay2" in refused.err
    assert "app:1" in hostkit("image", "ls", *root).out
    other = tmp_path / "root/overlay2/0123/diff"
    other.mkdir(parents=True)
    refused = hostkit("image", "ls", *root)
    assert refused.code == 5
    assert "holds layers of overlay2 and vfs" in refused.err
    named = hostkit("image", "ls", "--driver", "vfs", *root)
    assert "app:1" in named.out
    assert "also holds layers of overlay2" in named.err


@as_root
def test_an_archive_goes_through_pipes_both_ways(tmp_path: Path) -> None:
    wrapper = (
        "sh",
        "-c",
        '"$@" image import - app:1 --root "$0/a" && "$@" image save app:1 --root'
        ' "$0/a" | gzip | "$@" image load --root "$0/b"',
        str(tmp_path),
    )
    ended = hostkit(stdin=layer_tar({"a": b"text"}), wrapper=wrapper)
    assert ended.code == 0, ended.err
    first, second = ended.out.splitlines()
    assert first == second


@as_root
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("load", "-i", "/nonexistent"), "cannot be read"),
        (("import", "/etc"), "is a folder"),
        (("import", "/dev/null", "x"), "it is empty"),
        (("import", "/dev/null", "X:1"), "cannot be an image's name"),
        (("import", "/etc/passwd"), "no tar"),
        (("load", "-i", "/etc/passwd"), "no tar"),
        (("load", "-i", "/etc"), "no images in it"),
        (("rm", "nothing"), "there is no image nothing"),
        (("save", "nothing", "-o", "/nonexistent/x"), "there is no data root"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    ended = hostkit("image", *words, "--root", str(tmp_path / "root"))
    assert ended.code == 2
    assert said in ended.err
    assert len(ended.err.splitlines()) <= 2
