# SPDX-License-Identifier: GPL-3.0-or-later
"""Inside a guest: devices that fail on purpose, and block devices in general.

with Mapped("sick", flakey("/dev/ubda")) as sick:
    sick.load(healthy("/dev/ubda"))
"""

import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

SECTOR = 512
_FOREVER_S = 1 << 20


def command(*argv: str, check: bool = True) -> str:
    """Run a program; what it printed. One that fails raises with what it said."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)} exited {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def sectors(device: str) -> int:
    """The size of a block device."""
    return int(command("blockdev", "--getsz", device))


def healthy(device: str) -> str:
    """The table of a device that does what the one below does."""
    return f"0 {sectors(device)} linear {device} 0"


def flakey(device: str, *features: str) -> str:
    """A device that fails: every request, or what `drop_writes`, `error_writes` and so on say."""
    table = f"0 {sectors(device)} flakey {device} 0 0 {_FOREVER_S}"
    return " ".join([table, str(len(features)), *features]) if features else table


def dust(device: str) -> str:
    """A device whose blocks of 512 bytes can be made bad: `message("addbadblock", "8")`."""
    return f"0 {sectors(device)} dust {device} 0 {SECTOR}"


def log_writes(device: str, log: str) -> str:
    """A device whose writes are logged on another; see tests/lab/writelog.py."""
    return f"0 {sectors(device)} log-writes {device} {log}"


class Mapped:
    """A device-mapper device with a table; removed at the end of its `with` block."""

    def __init__(self, name: str, table: str) -> None:
        self.name = name
        self.path = f"/dev/mapper/{name}"
        command("dmsetup", "create", name, "--table", table)

    def __enter__(self) -> "Mapped":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()

    def remove(self) -> None:
        command("dmsetup", "remove", "--retry", self.name)

    def load(self, table: str) -> None:
        """Put another table in its place at once; what is dirty above stays dirty."""
        command("dmsetup", "suspend", "--nolockfs", "--noflush", self.name)
        command("dmsetup", "load", self.name, "--table", table)
        command("dmsetup", "resume", self.name)

    def message(self, *words: str, sector: int = 0) -> str:
        return command("dmsetup", "message", self.name, str(sector), *words)

    def status(self) -> str:
        return command("dmsetup", "status", self.name).strip()


@contextmanager
def mounted(device: str, place: Path, *options: str) -> Generator[Path]:
    """The device's file system, mounted; `options` as mount takes them."""
    place.mkdir(exist_ok=True)
    command("mount", *(["-o", ",".join(options)] if options else []), device, str(place))
    try:
        yield place
    finally:
        command("umount", str(place))


def write_durably(path: Path, content: bytes) -> None:
    """Write a file so that it outlives a power cut."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
