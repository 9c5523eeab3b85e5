# SPDX-License-Identifier: GPL-3.0-or-later
"""The corpus of messages: each names its cause, however it was copied; healthy ones none."""

import json
import textwrap
from collections.abc import Callable, Iterator
from functools import cache

import pytest

from benchmarks.accuracy import UNSEEN, Judge
from hostkit.diagnosis.doctor import Text, suspects
from hostkit.diagnosis.finding import Severity
from tests.corpus.reading import Message, healthy, messages

FOREIGN = (
    "3月 05 06:12:01 主机 systemd[1]: 正在启动网络服务…\n"
    "Mär 05 06:12:02 rechner kernel: Gerät wurde erkannt\n"
)
QUIET = 'level=info msg="API listen on /run/docker.sock"\n'
# What a person sees of any dockerd that does not start.
CONSEQUENCES = (
    "# systemctl start docker\n"
    "Job for docker.service failed because the control process exited with error code. See"
    ' "systemctl status docker.service" and "journalctl -xe" for details.\n'
    "# docker ps\n"
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon"
    " running?\n"
)
FRAME = (
    "systemd[1]: docker.service: Main process exited, code=exited, status=1/FAILURE\n"
    "systemd[1]: docker.service: Failed with result 'exit-code'.\n"
    "systemd[1]: docker.service: Start request repeated too quickly.\n"
)
WIDTH = 80
RED, PLAIN = "\x1b[31m", "\x1b[0m"


def wrapped_at_words(text: str) -> str:
    wrapper = textwrap.TextWrapper(WIDTH, break_long_words=False, break_on_hyphens=False)
    return "\n".join(wrapper.fill(line) for line in text.splitlines())


def cut_by_a_terminal(text: str) -> str:
    return "\n".join(
        line[at : at + WIDTH]
        for line in text.splitlines()
        for at in range(0, len(line) or 1, WIDTH)
    )


def prefixed(prefix: str) -> Callable[[str], str]:
    return lambda text: "\n".join(prefix + line for line in text.splitlines())


def truncated(text: str) -> str:
    words = text.rstrip()
    return words[: len(words) * 9 // 10]


def in_json(text: str) -> str:
    return json.dumps({"log": text, "stream": "stderr", "time": "2024-05-05T05:05:05.5Z"})


def coloured(text: str) -> str:
    return "\n".join(RED + line + PLAIN for line in text.splitlines())


# What may happen to a message on its way here, and the share of those found bare that must
# be found then. Tables (df, lvs, docker info) do not survive everything, and many a message
# has its point in its last words.
VARIATIONS: dict[str, tuple[Callable[[str], str], float]] = {
    "lines end with CR LF": (lambda text: text.replace("\n", "\r\n"), 1.0),
    "coloured": (coloured, 0.99),
    "lines of other locales around it": (lambda text: FOREIGN + text + FOREIGN, 0.99),
    "a healthy log around it": (lambda text: QUIET * 40 + text + QUIET * 40, 0.99),
    "wrapped at words": (wrapped_at_words, 0.97),
    "cut by a terminal": (cut_by_a_terminal, 0.95),
    "in syslog": (prefixed("Mar  4 12:00:00 web1 dockerd[812]: "), 0.93),
    "in a French journal": (prefixed("mars 04 12:00:00 hôte dockerd[812]: "), 0.93),
    "in a log with ISO times": (prefixed("2024-03-04T12:00:00.123456+01:00 web1 app: "), 0.93),
    "by compose": (prefixed("agent-1  | "), 0.93),
    "quoted in a mail": (prefixed("> "), 0.93),
    "by a build": (prefixed("#12 41.22 "), 0.93),
    "in JSON": (in_json, 0.97),
    "in JSON twice": (lambda text: in_json(in_json(text)), 0.95),
    "truncated": (truncated, 0.60),
}


@cache
def judge() -> Judge:
    return Judge()


def wrong(cases: tuple[Message, ...]) -> Iterator[str]:
    """A line for each message whose first finding is neither its code nor accepted."""
    for one in cases:
        found = judge().codes(one.text)
        if not found or found[0] not in one.right:
            yield f"{one.name} ({one.origin}): found {', '.join(found) or 'nothing'}"


def test_every_message_has_a_problem_that_the_catalogue_explains() -> None:
    explained = set(judge().catalogue.codes())
    assert {code for one in messages() for code in one.right} <= explained


def test_every_problem_has_four_wordings_and_a_fifth_of_all_is_held_out() -> None:
    corpus = messages()
    codes = [one.code for one in corpus]
    assert {code for code in codes if codes.count(code) < 4} == set()
    held_out = sum(one.unseen for one in corpus)
    assert len(corpus) / 5 <= held_out


def test_every_message_says_where_its_words_stand_and_none_is_there_twice() -> None:
    corpus = messages()
    assert all(one.origin and one.text.strip() for one in corpus)
    texts = [one.text for one in corpus]
    assert len(set(texts)) == len(texts)


def test_each_message_names_its_problem() -> None:
    missed = list(wrong(tuple(one for one in messages() if not one.unseen)))
    assert not missed, "\n".join(missed)


def test_most_of_the_messages_that_were_held_out_name_their_problem() -> None:
    held_out = tuple(one for one in messages() if one.unseen)
    missed = len(list(wrong(held_out)))  # not named: nothing is to be written for these
    assert missed <= len(held_out) * (1 - UNSEEN), f"{missed} of {len(held_out)} missed"


@cache
def found_bare() -> tuple[Message, ...]:
    return tuple(one for one in messages() if judge().codes(one.text)[:1] == (one.code,))


@pytest.mark.parametrize("kind", VARIATIONS)
def test_a_message_is_found_however_it_was_copied(kind: str) -> None:
    vary, rate = VARIATIONS[kind]
    start = list(VARIATIONS).index(kind) % 2  # every other message: all would take too long
    corpus = found_bare()[start::2]
    missed = list(wrong(tuple(one._replace(text=vary(one.text)) for one in corpus)))
    assert len(missed) <= len(corpus) * (1 - rate), (
        f"{kind}: {len(missed)} of {len(corpus)} are no longer found:\n" + "\n".join(missed)
    )


def test_a_message_is_found_between_other_outputs() -> None:
    around = [one.text for one in healthy()]
    between = tuple(
        one._replace(text=around[at % len(around)] + one.text + around[-1 - at % len(around)])
        for at, one in enumerate(found_bare())
    )
    missed = list(wrong(between))
    assert len(missed) <= len(between) * 0.01, "\n".join(missed)


def is_an_error(message: Message) -> bool:
    """Whether it may be why dockerd does not start: no warning, and no consequence itself."""
    lines = message.text.splitlines()
    found = suspects([Text("text", lines)], judge().signatures)
    return message.code not in ("daemon-failed-generic", "daemon-not-running") and any(
        one.problem == message.code and one.severity is Severity.ERROR for one in found
    )


def test_a_cause_comes_before_its_consequences() -> None:
    framed = tuple(
        one._replace(text=CONSEQUENCES + one.text + FRAME)
        for one in found_bare()
        if is_an_error(one)
    )
    missed = list(wrong(framed))
    assert len(missed) <= len(framed) * 0.01, "\n".join(missed)


def test_consequences_alone_lead_to_the_log() -> None:
    assert judge().codes(CONSEQUENCES + FRAME)[0] == "daemon-failed-generic"


def test_a_truncated_message_is_not_taken_for_another() -> None:
    cut = tuple(one._replace(text=truncated(one.text)) for one in found_bare())
    wrongly = [line for line in wrong(cut) if not line.endswith("found nothing")]
    assert len(wrongly) <= len(cut) * 0.03, "\n".join(wrongly)


def test_there_are_hundreds_of_healthy_outputs_each_of_its_own() -> None:
    corpus = healthy()
    assert len(corpus) >= 200
    assert len({one.text for one in corpus}) == len(corpus)


def test_a_healthy_output_raises_no_alarm() -> None:
    alarms = {one.name: found for one in healthy() if (found := judge().codes(one.text))}
    assert not alarms


@pytest.mark.parametrize("kind", VARIATIONS)
def test_healthy_outputs_raise_no_alarm_however_they_were_copied(kind: str) -> None:
    vary = VARIATIONS[kind][0]
    for first in range(0, len(healthy()), 20):
        some = healthy()[first : first + 20]
        found = judge().codes("\n".join(vary(one.text) for one in some))
        assert not found, [one.name for one in some]
