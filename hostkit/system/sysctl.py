# SPDX-License-Identifier: GPL-3.0-or-later
"""Run-time values of the kernel, written with plain system calls.

A file object would report a refused write when it is closed, or not at all.
"""

import difflib
import errno
import os

from hostkit import files, text
from hostkit.errors import InputError
from hostkit.system.machine import Machine
from hostkit.value import NamedTuple

_LIMIT = 1 << 16


def read(machine: Machine, key: str) -> str:
    """The value, its words separated by one space. Raises OSError."""
    data, _ = files.read_bounded(_path(machine, key), _LIMIT)
    return " ".join(text.decode(data).split())


def write(machine: Machine, key: str, value: str) -> None:
    """Set the value. Raises OSError with the path when the kernel does not take all of it."""
    path = _path(machine, key)
    data = f"{value}\n".encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        written = os.write(descriptor, data)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        os.close(descriptor)
    if written != len(data):
        raise OSError(errno.EIO, f"took {written} of {len(data)} bytes", path)


def _path(machine: Machine, key: str) -> str:
    """The file of a key; a slash in a key stands for a dot in a name (eth0/100)."""
    parts = key.translate(str.maketrans("./", "/.")).split("/")
    if any(part in ("", ".", "..") or not part.isprintable() for part in parts):
        raise InputError(f"{text.printable(key)} is not the name of a sysctl")
    return machine.at(f"/proc/sys/{'/'.join(parts)}")


class Reset(NamedTuple):
    """Another value that the kernel sets by itself when a switch is turned, and to what."""

    key: str
    before: str
    after: str


class SetSysctl(NamedTuple):
    """Set one value now; it is lost at the next boot. `resets`: what follows from it."""

    key: str
    value: str
    before: str
    resets: tuple[Reset, ...] = ()
    kind: str = "set-sysctl"
    version: int = 1

    def describe(self) -> str:
        """One sentence."""
        changed = sum(reset.before != reset.after for reset in self.resets)
        also = f" (the kernel changes {changed} related values with it)" if changed else ""
        return f"set {self.key} from {self.before} to {self.value} at run time{also}"

    def diff(self) -> str:
        """The values that change."""
        every = (Reset(self.key, self.before, self.value), *self.resets)
        changed = [one for one in every if one.before != one.after]
        old = [f"{one.key} = {one.before}" for one in changed]
        new = [f"{one.key} = {one.after}" for one in changed]
        lines = difflib.unified_diff(old, new, "now", "then", lineterm="", n=0)
        return "\n".join(lines)

    def conflicts(self, machine: Machine) -> tuple[str, ...]:
        """Values that are neither as they were nor as this step leaves them."""
        now = read(machine, self.key)
        if now not in (self.before, self.value):
            return (f"{self.key} is {now}: something else has set it",)
        found: list[str] = []
        for reset in self.resets:
            value = _read_if_there(machine, reset.key)
            fits = {reset.before, reset.after} if now == self.value else {reset.before}
            if value is not None and value not in fits:
                found.append(f"{reset.key} is {value}: something else has set it")
        return tuple(found)

    def apply(self, machine: Machine) -> None:
        """One write, which the kernel does whole or not at all."""
        write(machine, self.key, self.value)

    def verify(self, machine: Machine) -> tuple[str, ...]:
        """The value is there."""
        now = read(machine, self.key)
        return () if now == self.value else (f"{self.key} is {now}, not {self.value}",)

    def undo(self, machine: Machine) -> None:
        """The switch first, because turning it sets the others."""
        if read(machine, self.key) == self.value:
            write(machine, self.key, self.before)
        for reset in self.resets:
            value = _read_if_there(machine, reset.key)
            if value is not None and value != reset.before:
                write(machine, reset.key, reset.before)

    def restored(self, machine: Machine) -> tuple[str, ...]:
        """Every value is as before; those of an interface that has gone do not count."""
        every = ((self.key, self.before), *((one.key, one.before) for one in self.resets))
        values = ((key, _read_if_there(machine, key), before) for key, before in every)
        return tuple(
            f"{key} is {value}, it was {before}"
            for key, value, before in values
            if value is not None and value != before
        )


def _read_if_there(machine: Machine, key: str) -> str | None:
    try:
        return read(machine, key)
    except FileNotFoundError:
        return None
