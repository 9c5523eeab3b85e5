# SPDX-License-Identifier: GPL-3.0-or-later
"""The exports of libdevmapper, read from ELF files made here, and from broken ones."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostkit.facts.libdevmapper import BASE, DEFERRED_REMOVE, LIBDEVMAPPER, parse_library
from hostkit.host.answer import Absent, Unreadable
from tests.fakes import make_facts

SYMBOLS = ((DEFERRED_REMOVE, 2), ("dm_task_create", 0x8002), ("dm_new", 3), ("dm_plain", 1))
VERSIONS = ("libdevmapper.so.1.02", BASE, "DM_1_02_97")
ELVES = [(bits, order) for bits in (32, 64) for order in "<>"]


def elf(bits: int = 64, order: str = "<", symbols: tuple[tuple[str, int], ...] = SYMBOLS) -> bytes:
    """A shared library with nothing in it but dynamic symbols and their versions."""
    wide = bits == 64
    strings = bytearray(b"\0")

    def name(text: str) -> int:
        at = len(strings)
        strings.extend(text.encode() + b"\0")
        return at

    def symbol(at: int, where: int) -> bytes:
        if wide:
            return struct.pack(order + "IBBHQQ", at, 0x12, 0, where, 0x1000, 8)
        return struct.pack(order + "IIIBBH", at, 0x1000, 8, 0x12, 0, where)

    # The null symbol, one that is only wanted (section 0), then the exported ones.
    table = symbol(0, 0) + symbol(name("malloc"), 0)
    table += b"".join(symbol(name(text), 7) for text, _ in symbols)
    indexes = struct.pack(f"{order}{len(symbols) + 2}H", 0, 4, *(index for _, index in symbols))
    verdef = b""
    for at, text in enumerate(VERSIONS, 1):
        following = 0 if at == len(VERSIONS) else 28
        verdef += struct.pack(order + "4H3I", 1, at == 1, at, 1, 0, 20, following)
        verdef += struct.pack(order + "2I", name(text), 0)
    bodies = [(0, b"", 0, 0), (3, bytes(strings), 0, 0), (11, table, 1, 0)]
    bodies += [(0x6FFFFFFF, indexes, 2, 0), (0x6FFFFFFD, verdef, 1, len(VERSIONS))]
    start = 64 if wide else 52
    headers, data = b"", b""
    for kind, body, link, info in bodies:
        fields = (0, kind, 0, 0, start + len(data), len(body), link, info, 1, 0)
        headers += struct.pack(order + ("IIQQQQIIQQ" if wide else "10I"), *fields)
        data += body
    ident = b"\x7fELF" + bytes((2 if wide else 1, 1 if order == "<" else 2, 1)) + bytes(9)
    rest = struct.pack(
        order + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH"),
        3, 62, 1, 0, 0, start + len(data), 0, start, 0, 0, 64 if wide else 40, len(bodies), 1,
    )  # fmt: skip
    return ident + rest + data + headers


@pytest.mark.parametrize(("bits", "order"), ELVES)
def test_exports_in_every_word_size_and_byte_order(bits: int, order: str) -> None:
    library = parse_library(elf(bits, order), "lib")
    assert library.bits == bits
    assert library.versions == (BASE, "DM_1_02_97")
    assert library.exports(DEFERRED_REMOVE, BASE)
    assert library.exports("dm_task_create", BASE)  # hidden, and found by this version
    assert library.exports("dm_new", "DM_1_02_97")
    assert not library.exports("dm_new", BASE)
    assert library.exports("dm_plain", "")
    assert "malloc" not in {name for name, _ in library.symbols}


def test_a_symbol_with_another_version_is_not_the_one_docker_wants() -> None:
    assert not parse_library(elf(symbols=((DEFERRED_REMOVE, 3),))).exports(DEFERRED_REMOVE, BASE)


def test_a_library_of_before_the_symbol() -> None:
    assert not parse_library(elf(symbols=(("dm_task_create", 2),))).exports(DEFERRED_REMOVE, BASE)


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"MZ" * 64, b"\x7fELF\x03\x01", bytes(200)])
def test_what_is_no_elf_file_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"ELF|cut off"):
        parse_library(data)


@given(
    st.sampled_from(ELVES),
    st.lists(st.tuples(st.integers(0, 1200), st.integers(0, 255)), max_size=6),
    st.integers(0, 1200),
)
def test_a_damaged_library_is_parsed_or_refused(
    kind: tuple[int, str], damage: list[tuple[int, int]], kept: int
) -> None:
    data = bytearray(elf(*kind))
    for at, value in damage:
        data[at % len(data)] = value
    for content in (bytes(data), bytes(data[:kept])):
        try:
            parse_library(content)
        except ValueError:
            continue


def test_the_library_is_found_once_through_its_links() -> None:
    facts = make_facts({"/usr/lib64/libdevmapper.so.1.02": elf()}, links={"/lib64": "/usr/lib64"})
    (library,) = facts.value(LIBDEVMAPPER)
    assert library.path == "/lib64/libdevmapper.so.1.02"


def test_no_library_is_absent_and_a_broken_one_is_unreadable() -> None:
    assert isinstance(make_facts().get(LIBDEVMAPPER), Absent)
    broken = make_facts({"/lib64/libdevmapper.so.1.02": b"truncated"}).get(LIBDEVMAPPER)
    assert isinstance(broken, Unreadable)
