# SPDX-License-Identifier: GPL-3.0-or-later
"""A long file searched by several processes holds what one process finds in it."""

import os
import threading
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from hostkit.cli import reading
from hostkit.diagnosis.doctor import suspects
from hostkit.diagnosis.parts import Part, scan_parts
from hostkit.diagnosis.scan import Hit, scan
from hostkit.diagnosis.signature import Signature

SIGNATURES = (
    Signature("one", ("trouble of the first kind",), summary="one"),
    Signature("two", ("trouble of the second kind",), summary="two"),
    Signature("three", ("trouble of the third kind",), summary="three"),
)
HEALTHY = 'level=info msg="nothing to see" id=%d'


def text(trouble: dict[int, str], lines: int = 6000) -> bytes:
    return b"".join(f"{trouble.get(at, HEALTHY % at)}\n".encode() for at in range(lines))


def split(data: bytes, cuts: list[int]) -> tuple[Part, ...]:
    edges = [0, *cuts, len(data)]
    return tuple(
        Part(partial(list, [data[a : b - 1]]), [], data[:a], data[b:]) for a, b in pairwise(edges)
    )


def _three_processors(_: int) -> set[int]:
    return {0, 1, 2}


def whole(data: bytes) -> tuple[Hit, ...]:
    return scan([data[:-1]], SIGNATURES, "log")


@pytest.mark.parametrize("count", [2, 3, 5])
def test_parts_find_what_one_pass_finds_at_the_same_lines(count: int) -> None:
    data = text({7: "a trouble of the first kind", 5990: "trouble of the second kind"})
    size = len(data) // count
    cuts = [data.index(b"\n", size * number) + 1 for number in range(1, count)]
    found = scan_parts(split(data, cuts), SIGNATURES, "log")
    assert found == whole(data)
    assert [hit.position for hit in found] == [8, 5991]


def test_a_message_that_lies_across_a_cut_is_found_once() -> None:
    data = text({3000: "it is trouble of", 3001: "the third kind"})
    cut = data.index(b"the third kind")
    found = scan_parts(split(data, [cut]), SIGNATURES, "log")
    assert found == whole(data)
    assert len(found) == 1


def test_the_first_of_many_parts_that_hold_a_message_is_shown() -> None:
    data = text(dict.fromkeys(range(500, 6000, 500), "trouble of the first kind"))
    half = data.index(b"\n", len(data) // 2) + 1
    (hit,) = scan_parts(split(data, [half]), SIGNATURES, "log")
    assert hit.position == 501


def test_a_part_whose_process_dies_is_searched_by_us() -> None:
    data = text({5000: "trouble of the second kind"})
    cut = data.index(b"\n", len(data) // 2) + 1
    first, second = split(data, [cut])
    us = os.getpid()

    def dies() -> list[bytes]:
        if os.getpid() != us:
            os._exit(7)
        return [data[cut:-1]]

    found = scan_parts((first, second._replace(lines=dies)), SIGNATURES, "log")
    assert found == whole(data)


def test_beside_other_threads_no_process_is_copied() -> None:
    data = text({5000: "trouble of the second kind"})
    cut = data.index(b"\n", len(data) // 2) + 1
    go_on = threading.Event()
    other = threading.Thread(target=go_on.wait)
    other.start()
    try:
        assert scan_parts(split(data, [cut]), SIGNATURES, "log") == whole(data)
    finally:
        go_on.set()
        other.join()


def test_notes_of_every_part_reach_the_report() -> None:
    data = text({})
    cut = data.index(b"\n", len(data) // 2) + 1
    first, second = split(data, [cut])

    def noting() -> list[bytes]:
        second.notes.append("a line was cut")
        return [data[cut:-1]]

    scan_parts((first, second._replace(lines=noting)), SIGNATURES, "log")
    assert first.notes == ["a line was cut"]


def test_a_long_file_is_cut_at_ends_of_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_PART", 1 << 12)
    monkeypatch.setattr(os, "sched_getaffinity", _three_processors)
    data = text({10: "trouble of the first kind", 5999: "trouble of the third kind"})
    path = tmp_path / "log"
    path.write_bytes(data)
    given = reading.from_file(str(path))
    assert len(given.text.parts) == 3
    read = [b"\n".join(part.lines()) + b"\n" for part in given.text.parts]
    assert b"".join(read) == data
    findings = suspects([given.text], SIGNATURES)
    assert [(one.problem, one.evidence[0].line) for one in findings] == [
        ("one", 11),
        ("three", 6000),
    ]


@pytest.mark.parametrize("begin", [b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b"])
def test_what_is_no_plain_text_is_read_in_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begin: bytes
) -> None:
    monkeypatch.setattr(reading, "_PART", 1 << 12)
    path = tmp_path / "log"
    path.write_bytes(begin + text({}))
    assert not reading.from_file(str(path)).text.parts
