# SPDX-License-Identifier: GPL-3.0-or-later
"""Changing what the files of sysctl.d say of one key, and not one byte more."""

import re

from hostkit.facts.sysctl import ALIASES, canonical_key

# dash and blanks, key, equals sign, value, blanks and a carriage return
_ASSIGNMENT = rb"(?s)(\s*-?\s*)([^\s=#;-][^\s=]*)(\s*=[^\S\n]*)(.*?)(\s*)"


def set_in_line(content: bytes, key: str, value: str) -> bytes:
    r"""Give the last assignment of a key another value. Raises ValueError if there is none.

    >>> set_in_line(b"# mine\n net/ipv4/ip_forward=0\r\nx = 1", "net.ipv4.ip_forward", "1")
    b'# mine\n net/ipv4/ip_forward=1\r\nx = 1'
    """
    lines = content.split(b"\n")
    for number in range(len(lines) - 1, -1, -1):
        found = re.fullmatch(_ASSIGNMENT, lines[number])
        if found and same_key(found[2].decode("utf-8", "replace"), key):
            before, name, equals, _, after = found.groups()
            lines[number] = before + name + equals + value.encode() + after
            return b"\n".join(lines)
    raise ValueError(f"no line assigns {key}")


def append_line(content: bytes, line: str) -> bytes:
    r"""Add a line at the end of a file.

    >>> append_line(b"a = 1", "b = 2")
    b'a = 1\nb = 2\n'
    """
    gap = b"\n" if content and not content.endswith(b"\n") else b""
    return content + gap + line.encode() + b"\n"


def same_key(written: str, key: str) -> bool:
    """Whether a key as a file has it is this one, or another name of it."""
    name = canonical_key(written)
    return ALIASES.get(name, name) == ALIASES.get(key, key)
