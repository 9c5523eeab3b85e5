# SPDX-License-Identifier: GPL-3.0-or-later
"""Which symbols the installed libdevmapper really exports, read from the library itself.

The package's version does not answer: distributions backport. The dynamic linker looks for
a name with a version, and so do we (ELF: System V gABI chapter 4; versions: LSB core 10.7).
"""

import struct

from hostkit.facts.fact import Fact, Facts, parsed, refuse
from hostkit.host.answer import Absent, Answer, Known, Unreadable
from hostkit.host.base import Host
from hostkit.value import NamedTuple

DEFERRED_REMOVE = "dm_task_get_info_with_deferred_remove"
BASE = "Base"
NAMES = ("libdevmapper.so.1.02", "libdevmapper.so.1.02.1")  # RHEL's and Debian's soname
FOLDERS = (
    "/lib64",
    "/usr/lib64",
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib/powerpc64le-linux-gnu",
    "/usr/lib/powerpc64le-linux-gnu",
    "/lib/s390x-linux-gnu",
    "/usr/lib/s390x-linux-gnu",
    "/lib/arm-linux-gnueabihf",
    "/usr/lib/arm-linux-gnueabihf",
    "/lib/i386-linux-gnu",
    "/usr/lib/i386-linux-gnu",
    "/lib",
    "/usr/lib",
)
_SECTION_LIMIT = 4096
_SYMBOL_LIMIT = 1 << 14
_VERSION_LIMIT = 4096
_NAME_LIMIT = 256
_DYNSYM, _VERDEF, _VERSYM = 11, 0x6FFFFFFD, 0x6FFFFFFF
_WIDE = 2  # the class ELFCLASS64
_HIDDEN = 0x8000  # of a version index: not the default one, found all the same
_GLOBAL = 1  # index of what has no version; as a definition it names the library itself
_LOCAL = 0  # binding STB_LOCAL, section SHN_UNDEF, version index of what is not exported


class Library(NamedTuple):
    """The dynamic symbols a library defines, as (name, version), and the versions it defines."""

    path: str
    bits: int
    versions: tuple[str, ...]
    symbols: frozenset[tuple[str, str]]

    def exports(self, name: str, version: str) -> bool:
        """Whether the dynamic linker finds this name with this version here."""
        return (name, version) in self.symbols


class _Section(NamedTuple):
    name_at: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int


class _Image(NamedTuple):
    """An ELF file: its bytes, byte order, whether it is of 64 bits, and sections."""

    data: bytes
    order: str
    wide: bool
    sections: tuple[_Section, ...]

    def body(self, section: _Section) -> bytes:
        """The bytes of a section."""
        end = section.offset + section.size
        if end > len(self.data):
            refuse("a section lies beyond the end of the file")
        return self.data[section.offset : end]

    def only(self, kind: int) -> _Section | None:
        """The section of a kind of which a file has one."""
        return next((section for section in self.sections if section.kind == kind), None)

    def linked(self, section: _Section) -> bytes:
        """The section that another one refers to: its strings."""
        if section.link >= len(self.sections):
            refuse("a section links to none")
        return self.body(self.sections[section.link])


def parse_library(data: bytes, path: str = "") -> Library:
    """The exports of an ELF shared library. Raises ValueError for anything else."""
    try:
        image = _image(data)
        table = image.only(_DYNSYM)
        if table is None:
            refuse("no dynamic symbols")
        versions = _versions(image)
        symbols = frozenset(_symbols(image, table, versions))
    except (struct.error, OverflowError) as error:  # an offset beyond any file
        raise ValueError(f"cut off: {error}") from error
    own = tuple(name for index, name in sorted(versions.items()) if index > _GLOBAL)
    return Library(path, 64 if image.wide else 32, own, symbols)


def _image(data: bytes) -> _Image:
    if data[:4] != b"\x7fELF" or data[4:5] not in (b"\1", b"\2") or data[5:6] not in (b"\1", b"\2"):
        refuse("not an ELF file")
    wide, order = data[4] == _WIDE, "<>"[data[5] - 1]
    header, entry = ("HHIQQQIHHHHHH", "IIQQQQIIQQ") if wide else ("HHIIIIIHHHHHH", "10I")
    fields = struct.unpack_from(order + header, data, 16)
    offset, entry_size, count = fields[5], fields[10], fields[11]
    size = struct.calcsize(order + entry)
    if not 0 < count <= _SECTION_LIMIT or entry_size < size:
        refuse("no table of sections, or one too long")
    sections = tuple(
        _Section(*struct.unpack_from(order + entry, data, offset + at * entry_size))
        for at in range(count)
    )
    return _Image(data, order, wide, sections)


def _versions(image: _Image) -> dict[int, str]:
    """The names of the versions that the library defines, by their index."""
    section = image.only(_VERDEF)
    if section is None:
        return {}
    body, strings = image.body(section), image.linked(section)
    names: dict[int, str] = {}
    at = 0
    for _ in range(min(section.info, _VERSION_LIMIT)):
        _, _, index, _, _, names_at, following = struct.unpack_from(image.order + "4H3I", body, at)
        (name_at,) = struct.unpack_from(image.order + "I", body, at + names_at)
        names[index] = _string(strings, name_at)
        if not following:
            break
        at += following
    return names


def _symbols(image: _Image, table: _Section, versions: dict[int, str]) -> list[tuple[str, str]]:
    layout = image.order + ("IBBHQQ" if image.wide else "IIIBBH")
    entries = image.body(table)
    strings = image.linked(table)
    size = struct.calcsize(layout)
    count = len(entries) // size
    if count > _SYMBOL_LIMIT:
        refuse("too many symbols")
    marks = image.only(_VERSYM)
    indexes = struct.unpack_from(f"{image.order}{count}H", image.body(marks)) if marks else ()
    narrow = not image.wide  # there, value and size stand before info and section
    found: list[tuple[str, str]] = []
    for at, entry in enumerate(struct.iter_unpack(layout, entries[: count * size])):
        name_at, info, where = entry[0], entry[1 + 2 * narrow], entry[3 + 2 * narrow]
        if info >> 4 == _LOCAL or where == _LOCAL:
            continue
        index = indexes[at] & ~_HIDDEN if indexes else _GLOBAL
        if index != _LOCAL:
            version = versions.get(index, "") if index > _GLOBAL else ""
            found.append((_string(strings, name_at), version))
    return found


def _string(strings: bytes, at: int) -> str:
    end = strings.find(b"\0", at, at + _NAME_LIMIT)
    if end < 0:
        refuse("a name without an end")
    return strings[at:end].decode("ascii", "replace")


def _gather(facts: Facts) -> Answer[tuple[Library, ...]]:
    found: dict[tuple[int, int], Library] = {}
    for folder in FOLDERS:
        for name in NAMES:
            library = _read(facts.host, f"{folder}/{name}", found)
            if isinstance(library, Unreadable):
                return library
    if not found:
        return Absent(NAMES[0], "in none of the folders of libraries")
    return Known(tuple(found.values()), next(iter(found.values())).path)


def _read(host: Host, path: str, found: dict[tuple[int, int], Library]) -> Answer[Library] | None:
    """Read one library, unless it is one already found under another name."""
    stat = host.stat(path)
    if not isinstance(stat, Known) or (stat.value.device, stat.value.inode) in found:
        return stat if isinstance(stat, Unreadable) else None
    data = host.read(path)
    if not isinstance(data, Known):
        return data
    library = parsed(data.value, path, lambda said: parse_library(said, path))
    if isinstance(library, Known):
        found[stat.value.device, stat.value.inode] = library.value
    return library


LIBDEVMAPPER: Fact[tuple[Library, ...]] = Fact("libdevmapper", _gather, waits=False)
