# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of images: what Docker takes is taken and shown the same, all else is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.storage.image.names import names_json, parse_names
from hostkit.storage.image.reference import InvalidReference, Reference, id_prefix, parse

DIGEST = "sha256:" + "ab" * 32
IMAGE = "sha256:" + "cd" * 32


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("ubuntu", "ubuntu:latest"),
        ("library/ubuntu", "ubuntu:latest"),
        ("docker.io/ubuntu", "ubuntu:latest"),
        ("docker.io/library/ubuntu:22.04", "ubuntu:22.04"),
        ("index.docker.io/team/app", "team/app:latest"),
        ("docker.io/team/app:V1_x.y-z", "team/app:V1_x.y-z"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/app:1", "localhost:5000/app:1"),
        ("host:5000/a/b/c", "host:5000/a/b/c:latest"),
        ("quay.io/centos/centos:stream9", "quay.io/centos/centos:stream9"),
        ("[2001:db8::1]:5000/app:1", "[2001:db8::1]:5000/app:1"),
        ("HOST/app", "HOST/app:latest"),
        ("a__b/c--d.e_f", "a__b/c--d.e_f:latest"),
        (f"ubuntu@{DIGEST}", f"ubuntu@{DIGEST}"),
        (f"ubuntu:22.04@{DIGEST}", f"ubuntu@{DIGEST}"),
        ("a" * 255, "a" * 255 + ":latest"),
    ],
)
def test_a_name_is_shown_as_docker_shows_it(word: str, shown: str) -> None:
    assert str(parse(word)) == shown
    assert parse(shown) == parse(word)


@pytest.mark.parametrize(
    "word",
    [
        "",
        ":",
        ":1",
        "@",
        "app:",
        "app:-1",
        "app:a b",
        "app:" + "a" * 129,
        "a" * 256,
        "App",
        "team/App",
        "-app",
        "app-",
        "a..b",
        "a___b",
        "/app",
        "app/",
        "a//b",
        "../app",
        "a/../b",
        "app\n",
        "app:1\n",
        "app\0",
        "äpp",
        "host:x/app",
        "host:123456/app",
        "-host.x/app",
        "app@sha256:12",
        "app@md5:" + "ab" * 16,
        f"app@{DIGEST}x",
        f"{DIGEST}",
        "ab" * 32,
        "docker.io/",
        "docker.io/host.x/app",
        "a:1:2",
        "https://host/app",
    ],
)
def test_what_is_no_name_is_refused(word: str) -> None:
    with pytest.raises(InvalidReference):
        parse(word)


@given(st.text() | st.text(alphabet="aA0.:/_-@[]sha256\n", max_size=60))
def test_any_word_is_a_name_or_refused(word: str) -> None:
    try:
        found = parse(word)
    except InvalidReference:
        return
    assert parse(str(found)) == found
    assert str(found).isascii()
    assert str(found).isprintable()
    assert ".." not in str(found)


def test_the_beginning_of_an_id() -> None:
    assert id_prefix("sha256:abc") == id_prefix("abc") == "abc"
    assert id_prefix("abg") == id_prefix("") == id_prefix("a" * 65) == ""


def test_repositories_json_is_as_docker_writes_it() -> None:
    docker = {"Repositories": {"team/app": {"team/app:1": IMAGE, f"team/app@{DIGEST}": IMAGE}}}
    known = parse_names(json.dumps(docker).encode())
    assert known == {
        Reference("team/app", "1"): IMAGE,
        Reference("team/app", digest=DIGEST): IMAGE,
    }
    assert json.loads(names_json(known)) == docker
    assert parse_names(b'{"Repositories":null}') == {}


@given(
    st.binary()
    | st.recursive(
        st.none() | st.text() | st.just(IMAGE),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("Repositories"), inner),
    ).map(lambda tree: json.dumps(tree).encode())
)
def test_any_repositories_json_is_read_or_refused(data: bytes) -> None:
    try:
        parse_names(data)
    except ValueError:
        return
