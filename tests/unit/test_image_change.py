# SPDX-License-Identifier: GPL-3.0-or-later
"""`--change`: the lines of a Dockerfile, as `docker import` applies them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.storage.image.change import InvalidChange, apply_changes


@pytest.mark.parametrize(
    ("lines", "config"),
    [
        (['CMD ["a", "b c"]'], {"Cmd": ["a", "b c"]}),
        (["cmd a b"], {"Cmd": ["/bin/sh", "-c", "a b"]}),
        (["CMD []"], {"Cmd": []}),
        (["CMD [a"], {"Cmd": ["/bin/sh", "-c", "[a"]}),
        (['ENTRYPOINT ["/init"]'], {"Entrypoint": ["/init"]}),
        (["ENV A=1 B=2", "ENV A=3"], {"Env": ["B=2", "A=3"]}),
        (["ENV A one  two"], {"Env": ["A=one  two"]}),
        (["ENV A=\"x y\" B='$A' C=a\\ b"], {"Env": ["A=x y", "B=$A", "C=a b"]}),
        (["ENV A=1", "ENV B=$A-${A}-${X:-2}-${A:+3}"], {"Env": ["A=1", "B=1-1-2-3"]}),
        (["ENV A=1 B=$A"], {"Env": ["A=1", "B="]}),
        (["WORKDIR /a", "WORKDIR b/../c"], {"WorkingDir": "/a/c"}),
        (["WORKDIR //x"], {"WorkingDir": "/x"}),
        (["USER app:staff"], {"User": "app:staff"}),
        (["EXPOSE 80 53/udp"], {"ExposedPorts": {"80/tcp": {}, "53/udp": {}}}),
        (["EXPOSE 8-10/tcp"], {"ExposedPorts": {"8/tcp": {}, "9/tcp": {}, "10/tcp": {}}}),
        (['VOLUME ["/a b"]', "VOLUME /c /d"], {"Volumes": {"/a b": {}, "/c": {}, "/d": {}}}),
        (['LABEL a.b="c d" e=f', "LABEL a.b=g"], {"Labels": {"a.b": "g", "e": "f"}}),
        (["STOPSIGNAL SIGTERM", "STOPSIGNAL 9"], {"StopSignal": "9"}),
        (["ONBUILD RUN a", "ONBUILD COPY . /"], {"OnBuild": ["RUN a", "COPY . /"]}),
        (["HEALTHCHECK NONE"], {"Healthcheck": {"Test": ["NONE"]}}),
        (
            ["HEALTHCHECK --interval=1m30s --retries=3 CMD a b"],
            {"Healthcheck": {"Interval": 90 * 10**9, "Retries": 3, "Test": ["CMD-SHELL", "a b"]}},
        ),
    ],
)
def test_what_a_line_does(lines: list[str], config: dict[str, Any]) -> None:
    assert apply_changes({}, lines) == config


@pytest.mark.parametrize(
    "line",
    [
        "",
        "RUN a",
        "FROM x",
        "CMD",
        "ENV",
        "ENV A",
        "ENV =x",
        'ENV A="x',
        "EXPOSE",
        "EXPOSE 0-70000",
        "EXPOSE x",
        "EXPOSE 9-8",
        "USER",
        "WORKDIR",
        "VOLUME",
        'VOLUME [""]',
        "LABEL a",
        "STOPSIGNAL",
        "STOPSIGNAL no signal",
        "ONBUILD",
        "ONBUILD ONBUILD RUN x",
        "ONBUILD FROM x",
        "HEALTHCHECK",
        "HEALTHCHECK --x=1 CMD a",
        "HEALTHCHECK --interval=soon CMD a",
        "CMD a\nRUN b",
        "CMD " + "a" * 70000,
    ],
)
def test_what_cannot_be_applied_is_refused(line: str) -> None:
    with pytest.raises(InvalidChange):
        apply_changes({}, [line])


WORDS = ("ENV", "LABEL", "EXPOSE", "VOLUME", "HEALTHCHECK", "WORKDIR", "CMD", "USER")
PIECES = st.sampled_from(
    ["A=", "$A", "${", "}", ":-", '"', "'", "\\", " ", "[", "]", ",", "80-", "a"]
)


@given(st.sampled_from(WORDS), st.text() | st.lists(PIECES, max_size=40).map("".join))
def test_any_line_is_applied_or_refused(word: str, rest: str) -> None:
    try:
        apply_changes({"Env": ["A=1"]}, [f"{word} {rest}"])
    except InvalidChange:
        return
