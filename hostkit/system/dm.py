# SPDX-License-Identifier: GPL-3.0-or-later
"""device-mapper by its own ioctls: the kernel's errno, and no semaphore that may leak.

libdevmapper waits for udev with System V semaphores ("cookies"); what is killed while it
waits leaves one behind, until there are no more (moby issue 33603). We need no link of udev's:
the kernel's own node /dev/dm-MINOR is there when a table is. Where no devtmpfs makes it, it is
made as /dev/mapper/NAME. udev is told, by the flags that libdevmapper uses, to keep its hands
off our devices, so that it does not hold one open while we remove it.

The layout is that of include/uapi/linux/dm-ioctl.h.
"""

import errno
import fcntl
import os
import re
import stat
import struct
import time
from collections.abc import Iterator, Sequence

from hostkit import process
from hostkit.value import NamedTuple

CONTROL = "/dev/mapper/control"
SECTOR = 512
_FOLDER = "/dev/mapper"
UDEV = "/run/udev/control"
_VERSION = (4, 0, 0)
HEADER = struct.Struct("=3IIIIiIIIQ128s129s7s")
TARGET = struct.Struct("=QQiI16s")
_DEPENDENCY = struct.Struct("=Q")
_NAME = r"[A-Za-z0-9#+.:=@_-]{1,127}"
_UUID = r"[A-Za-z0-9#+.:=@_-]{1,128}"
_NUMBER = 0xC138FD00  # _IOWR(0xfd, command, struct dm_ioctl), the same on every architecture

# Commands.
_GET_VERSION, _LIST, _CREATE, _REMOVE, _SUSPEND, _STATUS = 0, 2, 3, 4, 6, 7
_LOAD, _CLEAR, _DEPS, _TABLE_STATUS, _LIST_VERSIONS, _MESSAGE = 9, 10, 11, 12, 13, 14
# Flags.
_READ_ONLY, _SUSPENDED, _TABLE, _LIVE, _FULL = 1, 1 << 1, 1 << 4, 1 << 5, 1 << 8
_SKIP_LOCKFS, _NO_FLUSH, _DATA_OUT, _DEFERRED = 1 << 10, 1 << 11, 1 << 16, 1 << 17
# libdevmapper.h: no rules for subsystems, disks and others, no fallback; we are who made it.
_UDEV_FLAGS = (0x2 | 0x4 | 0x8 | 0x20 | 0x40) << 16

_SMALLEST, _LARGEST = 16 << 10, 16 << 20
_WORDS_LIMIT = 4096
_NODE_WAIT_S = 5.0
_MODPROBE_S = 30.0
DEFERRED_SINCE = (4, 27, 0)


class Device(NamedTuple):
    """A device as the kernel has it. `live`: it has a table; `doomed`: goes when closed."""

    name: str
    uuid: str
    number: tuple[int, int]
    opened: int
    live: bool
    suspended: bool
    read_only: bool
    doomed: bool


class Target(NamedTuple):
    """A part of a table: sectors, and the target's own words."""

    start: int
    length: int
    kind: str
    words: str


class Answer(NamedTuple):
    """What an ioctl gave: the header's fields that count, and the data behind it."""

    version: tuple[int, int, int]
    targets: int
    opened: int
    flags: int
    number: tuple[int, int]
    name: str
    uuid: str
    data: bytes


def pack(
    name: str,
    uuid: str = "",
    *,
    flags: int = 0,
    event: int = 0,
    data: bytes = b"",
    targets: int = 0,
) -> bytearray:
    """A request with room for the answer. Raises ValueError for a name that cannot be one."""
    if name and not re.fullmatch(_NAME, name):
        raise ValueError(f"{name!r} cannot be the name of a device")
    if uuid and not re.fullmatch(_UUID, uuid):
        raise ValueError(f"{uuid!r} cannot be the UUID of a device")
    size = HEADER.size + len(data)
    head = HEADER.pack(
        *_VERSION, size, HEADER.size, targets, 0, flags, event, 0, 0, name.encode(), uuid.encode(),
        b"",
    )  # fmt: skip
    return bytearray(head + data)


def unpack(buffer: bytes | bytearray) -> Answer:
    """What the kernel put into a request. Raises ValueError."""
    if len(buffer) < HEADER.size:
        raise ValueError(f"{len(buffer)} bytes are no answer of device-mapper")
    fields = HEADER.unpack_from(buffer)
    size, start = fields[3], fields[4]
    number: int = fields[10]
    data = bytes(buffer[start:size]) if HEADER.size <= start <= size <= len(buffer) else b""
    # By place: naming the fields costs as much as all else here.
    return Answer(
        fields[:3],
        fields[5],
        fields[6],
        fields[7],
        _number(number),
        _text(fields[11]),
        _text(fields[12]),
        data,
    )


def pack_targets(targets: Sequence[Target]) -> bytes:
    """A table as TABLE_LOAD takes it: `next` counts from the target before."""
    found = bytearray()
    for one in targets:
        words = one.words.encode() + b"\0"
        words += b"\0" * (-len(words) % 8)
        found += TARGET.pack(one.start, one.length, 0, TARGET.size + len(words), one.kind.encode())
        found += words
    return bytes(found)


def unpack_targets(data: bytes, count: int) -> list[Target]:
    """A table or a status as TABLE_STATUS gives it: `next` counts from the first target.

    Raises ValueError.
    """
    found: list[Target] = []
    at = 0
    for _ in range(count):
        if at < 0 or at + TARGET.size > len(data):
            raise ValueError("a target lies outside of the answer")
        start, length, _, following, kind = TARGET.unpack_from(data, at)
        found.append(Target(start, length, _text(kind), _text(data[at + TARGET.size :])))
        if following <= at:
            break
        at = following
    return found


def unpack_names(data: bytes) -> list[tuple[str, tuple[int, int]]]:
    """The devices in the answer to LIST. Raises ValueError."""
    return [(_text(rest), _number(number)) for number, rest in _chain(data, 8, "=Q")]


def unpack_versions(data: bytes) -> dict[str, tuple[int, int, int]]:
    """The targets in the answer to LIST_VERSIONS. Raises ValueError."""
    found: dict[str, tuple[int, int, int]] = {}
    at = 0
    while at + 16 <= len(data):
        following, *version = struct.unpack_from("=4I", data, at)
        found[_text(data[at + 16 :])] = (version[0], version[1], version[2])
        if following == 0:
            return found
        at += following
    if at:
        raise ValueError("a target lies outside of the answer")
    return found


def _chain(data: bytes, size: int, layout: str) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + size + 4 <= len(data):
        value, following = struct.unpack_from(layout + "I", data, at)
        if value == 0 and following == 0:  # no device at all
            return
        yield value, data[at + size + 4 :]
        if following == 0:
            return
        at += following
    if at:
        raise ValueError("a device lies outside of the answer")


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("ascii", "replace")


def _number(packed: int) -> tuple[int, int]:
    return (packed >> 8) & 0xFFF, (packed & 0xFF) | ((packed >> 12) & 0xFFF00)


class DeviceMapper:
    """The kernel's device-mapper. Opens its control device when it is first asked something.

    Every method raises OSError with the kernel's errno, what was being done and the device.
    """

    def __init__(self) -> None:
        self._control = -1
        self._event = _UDEV_FLAGS if os.path.exists(UDEV) else 0

    def close(self) -> None:
        """Give the control device back; it is opened again when it is needed."""
        if self._control >= 0:
            os.close(self._control)
            self._control = -1

    def version(self) -> tuple[int, int, int]:
        """The version of the ioctls."""
        return self._ask(_GET_VERSION, "asking for the version").version

    def targets(self) -> dict[str, tuple[int, int, int]]:
        """The targets that are loaded, with their versions."""
        return unpack_versions(self._asked(_LIST_VERSIONS, "listing targets").data)

    def devices(self) -> list[tuple[str, tuple[int, int]]]:
        """Every device's name and number."""
        return unpack_names(self._asked(_LIST, "listing devices").data)

    def info(self, name: str) -> Device | None:
        """A device, None when there is none of that name."""
        try:
            answer = self._ask(_STATUS, "asking for the state", name)
        except OSError as problem:
            if problem.errno == errno.ENXIO:
                return None
            raise
        return _device(answer)

    def create(self, name: str, uuid: str = "") -> Device:
        """A device without a table."""
        return _device(self._ask(_CREATE, "creating", name, uuid=uuid))

    def load(self, name: str, targets: Sequence[Target], *, read_only: bool = False) -> None:
        """Give a device a table, which is in force after the next `resume`."""
        data, flags = pack_targets(targets), _READ_ONLY if read_only else 0
        self._ask(_LOAD, "loading a table", name, flags=flags, data=data, targets=len(targets))

    def clear(self, name: str) -> None:
        """Forget a table that was loaded and is not in force."""
        self._ask(_CLEAR, "clearing the loaded table", name)

    def suspend(self, name: str, *, flush: bool = True, lockfs: bool = True) -> None:
        """Hold a device's requests back; a file system on it is made clean with `lockfs`."""
        flags = _SUSPENDED | (0 if flush else _NO_FLUSH) | (0 if lockfs else _SKIP_LOCKFS)
        while True:
            try:
                self._ask(_SUSPEND, "suspending", name, flags=flags)
            except InterruptedError:  # nothing was suspended
                continue
            return

    def resume(self, name: str) -> Device:
        """Put a loaded table in force and let requests through."""
        return _device(self._ask(_SUSPEND, "resuming", name, event=self._event))

    def remove(self, name: str, *, deferred: bool = False) -> bool:
        """Remove a device; `deferred`: when it is closed. Whether it is gone already."""
        flags = _DEFERRED if deferred else 0
        answer = self._ask(_REMOVE, "removing", name, flags=flags, event=self._event)
        gone = not answer.flags & _DEFERRED
        if gone:
            _drop_node(name)
        return gone

    def status(self, name: str) -> list[Target]:
        """What each target of a device says of itself."""
        answer = self._asked(_TABLE_STATUS, "asking for the status", name)
        return unpack_targets(answer.data, answer.targets)

    def table(self, name: str) -> list[Target]:
        """The table in force."""
        answer = self._asked(_TABLE_STATUS, "asking for the table", name, flags=_TABLE)
        return unpack_targets(answer.data, answer.targets)

    def dependencies(self, name: str) -> list[tuple[int, int]]:
        """The numbers of the devices below."""
        data = self._asked(_DEPS, "asking for the devices below", name).data
        (count,) = struct.unpack_from("=I", data)
        return [_number(_DEPENDENCY.unpack_from(data, 8 + 8 * at)[0]) for at in range(count)]

    def message(self, name: str, words: str, sector: int = 0) -> str:
        """Send a target a message; what it answers, "" for nothing."""
        data = struct.pack("=Q", sector) + words.encode() + b"\0"
        room = data + b"\0" * (_WORDS_LIMIT - len(data))
        answer = self._ask(_MESSAGE, f'the message "{words}"', name, data=room)
        return _text(answer.data) if answer.flags & _DATA_OUT else ""

    def activate(
        self, name: str, targets: Sequence[Target], uuid: str = "", *, read_only: bool = False
    ) -> Device:
        """A device with its table in force; nothing is left when that fails."""
        self.create(name, uuid)
        try:
            self.load(name, targets, read_only=read_only)
            found = self.resume(name)
            self.node(found)
        except BaseException:
            self.remove(name)
            raise
        return found

    def node(self, device: Device) -> str:
        """The path of a device's node, made where nobody else does."""
        path = f"/dev/dm-{device.number[1]}"
        deadline = time.monotonic() + (_NODE_WAIT_S if os.path.exists(UDEV) else 0)
        while not _is_node(path, device.number):
            if time.monotonic() >= deadline:
                return _make_node(device)
            time.sleep(0.01)
        return path

    def _asked(self, command: int, doing: str, name: str = "", *, flags: int = 0) -> Answer:
        """An ioctl whose answer has no bound: with more room until it is whole."""
        room = _SMALLEST
        while True:
            answer = self._ask(command, doing, name, flags=flags, data=bytes(room))
            if not answer.flags & _FULL or room >= _LARGEST:
                return answer
            room *= 4

    def _ask(  # noqa: PLR0913 - the fields of one structure
        self,
        command: int,
        doing: str,
        name: str = "",
        *,
        uuid: str = "",
        flags: int = 0,
        event: int = 0,
        data: bytes = b"",
        targets: int = 0,
    ) -> Answer:
        request = pack(name, uuid, flags=flags, event=event, data=data, targets=targets)
        try:
            fcntl.ioctl(self._opened(), _NUMBER | command, request, True)
        except OSError as problem:
            number = problem.errno or errno.EIO
            words = f"device-mapper: {doing}: {os.strerror(number)}"
            raise OSError(number, words, name) from None
        return unpack(request)

    def _opened(self) -> int:
        if self._control < 0:
            if not os.path.exists(CONTROL):
                _load_module()
            self._control = os.open(CONTROL, os.O_RDWR | os.O_CLOEXEC)
        return self._control


def _device(answer: Answer) -> Device:
    return Device(
        answer.name,
        answer.uuid,
        answer.number,
        answer.opened,
        bool(answer.flags & _LIVE),
        bool(answer.flags & _SUSPENDED),
        bool(answer.flags & _READ_ONLY),
        bool(answer.flags & _DEFERRED),
    )


def _load_module() -> None:
    """The control device is there once the module is; without devtmpfs we make it."""
    try:
        process.run(("modprobe", "dm_mod"), timeout=_MODPROBE_S)
    except FileNotFoundError:  # built in, or it cannot be had: the node tells
        pass
    if os.path.exists(CONTROL):
        return
    with open("/proc/misc") as table:
        minors = [line.split()[0] for line in table if line.split()[1:] == ["device-mapper"]]
    if not minors:
        raise OSError(errno.ENODEV, "this kernel has no device-mapper", CONTROL)
    os.makedirs(_FOLDER, exist_ok=True)
    os.mknod(CONTROL, stat.S_IFCHR | 0o600, os.makedev(10, int(minors[0])))


def _is_node(path: str, number: tuple[int, int]) -> bool:
    try:
        info = os.stat(path)
    except FileNotFoundError:
        return False
    return stat.S_ISBLK(info.st_mode) and info.st_rdev == os.makedev(*number)


def _make_node(device: Device) -> str:
    path = f"{_FOLDER}/{device.name}"
    if not _is_node(path, device.number):
        _drop_node(device.name)
        os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(*device.number))
    return path


def _drop_node(name: str) -> None:
    """Remove a node that we, and not udev, made."""
    path = f"{_FOLDER}/{name}"
    try:
        if stat.S_ISBLK(os.lstat(path).st_mode):
            os.unlink(path)
    except FileNotFoundError:
        pass
