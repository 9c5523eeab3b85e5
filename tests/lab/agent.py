# SPDX-License-Identifier: GPL-3.0-or-later
"""The first process of a guest: makes a root of its own, then runs what it is told to.

It runs with the host's Python and the standard library alone. Orders come over a terminal
line that ends in the test's process, `spawn 7`, and answers go back there, `exit 7 0`; what
is to be run and what it said are files in the shared folder, so any bytes may be in them.
"""

import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
import tty
from typing import Any, NoReturn

_MS_RDONLY, _MS_NOSUID, _MS_MOVE, _MNT_DETACH = 1, 2, 8192, 2
_RB_POWER_OFF = 0x4321FEDC
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1
_STAGE = "/mnt"  # any folder that every host has
_LINE = "/dev/tty1"
# What belongs to the host's own services: a guest starts without.
_HIDDEN = ("/run", "/var/lib/docker", "/etc/docker", "/var/lib/containerd")
_libc = ctypes.CDLL(None, use_errno=True)


def _mount(source: str, target: str, kind: str, flags: int = 0, options: str = "") -> None:
    words = (source.encode(), target.encode(), kind.encode())
    if _libc.mount(*words, flags, options.encode()) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"mount {kind} on {target}: {os.strerror(code)}")


def make_root(setup: dict[str, Any]) -> None:
    """Leave the host's file tree for a writable one over it; the host's keeps unchanged."""
    _mount("proc", "/proc", "proc")
    _run_early([setup["kmod"], "-d", setup["modules"], "-a", "overlay", "loop"])
    _mount("tmpfs", _STAGE, "tmpfs")
    root = f"{_STAGE}/root"
    for name in ("upper", "work", "root"):
        os.mkdir(f"{_STAGE}/{name}")
    layers: list[str] = []
    for number, folder in enumerate(setup["layers"]):  # mounts of their own: layers may not nest
        layers.append(f"{_STAGE}/layer{number}")
        os.mkdir(layers[-1])
        _mount("none", layers[-1], "hostfs", _MS_RDONLY, folder)
    lower = ":".join([*layers, "/"])
    places = f"lowerdir={lower},upperdir={_STAGE}/upper,workdir={_STAGE}/work"
    _mount("overlay", root, "overlay", 0, places)
    _mount("/dev", f"{root}/dev", "none", _MS_MOVE)
    _mount("proc", f"{root}/proc", "proc")
    _mount("sysfs", f"{root}/sys", "sysfs")
    _mount("cgroup2", f"{root}/sys/fs/cgroup", "cgroup2")
    for place in _HIDDEN:
        if os.path.isdir(root + place):
            _mount("tmpfs", root + place, "tmpfs", 0, "mode=755")
    for place, kind in (("pts", "devpts"), ("shm", "tmpfs")):
        os.makedirs(f"{root}/dev/{place}", exist_ok=True)
        _mount(kind, f"{root}/dev/{place}", kind, _MS_NOSUID)
    for own, real in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1")):
        os.symlink(real, f"{root}/dev/{own}")
    os.makedirs(f"{root}/run/lock", exist_ok=True)
    os.makedirs(f"{root}/usr/lib/modules", exist_ok=True)
    version = os.uname().release
    os.symlink(f"{setup['modules']}/lib/modules/{version}", f"{root}/usr/lib/modules/{version}")
    _mount("none", root + setup["share"], "hostfs", 0, setup["share"])
    os.chdir(root)
    os.mkdir(".old")
    if _libc.pivot_root(b".", b".old") != 0:
        raise OSError(ctypes.get_errno(), "pivot_root")
    os.chroot(".")
    _libc.umount2(b"/.old", _MNT_DETACH)
    os.rmdir("/.old")


def _run_early(argv: list[str]) -> None:
    child = os.fork()
    if child == 0:
        os.execve(argv[0], ["modprobe", *argv[1:]], {})
    if os.waitpid(child, 0)[1] != 0:
        raise OSError(f"{argv} failed")


def _name_and_loopback() -> None:
    socket.sethostname("guest")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack_from("h", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request), 16)
        request = struct.pack("16sh14x", b"lo", flags | _IFF_UP)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, request)


class Agent:
    """Runs orders side by side until the line ends or it is told to power off."""

    def __init__(self, share: str) -> None:
        self._share = share
        self._jobs: dict[int, str] = {}
        self._line = os.open(_LINE, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self._line)
        self._wake, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write_end)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)

    def serve(self) -> None:
        """Until the test's process asks for the end, or is gone."""
        self._say(f"ready {os.uname().release}")
        pending = b""
        while True:
            ready, _, _ = select.select([self._line, self._wake], [], [])
            if self._wake in ready:
                os.read(self._wake, 512)
            self._reap()
            if self._line not in ready:
                continue
            chunk = os.read(self._line, 4096)
            if not chunk:
                return
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                order, _, name = line.decode().partition(" ")
                if order == "poweroff":
                    return
                if order == "flush":
                    for running in self._jobs.values():
                        self._hand_over(running)
                    self._say("flushed")
                else:
                    self._spawn(name)

    def _say(self, words: str) -> None:
        os.write(self._line, f"{words}\n".encode())

    def _spawn(self, name: str) -> None:
        base = f"{self._share}/{name}"
        with open(f"{base}.json") as file:
            order = json.load(file)
        new = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        said = [os.open(f"{base}.{stream}", new) for stream in ("stdout", "stderr")]
        files = [os.open(f"{base}.stdin", os.O_RDONLY), *said]
        child = os.fork()
        if child == 0:
            _become(order, files)
        self._jobs[child] = name
        for number in files:
            os.close(number)

    def _reap(self) -> None:
        while True:
            try:
                child, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if child == 0:
                return
            if child in self._jobs:  # not an orphan
                name = self._jobs.pop(child)
                self._hand_over(name)
                self._say(f"exit {name} {os.waitstatus_to_exitcode(status)}")

    def _hand_over(self, name: str) -> None:
        """Get what a program said out of our page cache: hostfs does that at each close.

        fsync would too, and make the host wait for its disk.
        """
        for stream in ("stdout", "stderr"):
            os.close(os.open(f"{self._share}/{name}.{stream}", os.O_WRONLY))


def _become(order: dict[str, Any], files: list[int]) -> NoReturn:
    try:
        for number, file in enumerate(files):
            os.dup2(file, number)
        os.closerange(3, 256)
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.chdir(order["cwd"])
        os.execvpe(order["argv"][0], order["argv"], order["environment"])
    except OSError as error:
        os.write(2, f"{order['argv'][0]}: {error}\n".encode())
    os._exit(127)


def power_off() -> None:
    """Write out what is dirty and end the kernel; file systems stay mounted."""
    os.sync()
    _libc.reboot(_RB_POWER_OFF)


def main() -> None:
    try:
        with open(sys.argv[1]) as file:
            setup = json.load(file)
        make_root(setup)
        _name_and_loopback()
        os.environ["PATH"] = setup["path"]
        Agent(setup["share"]).serve()
    except Exception as error:  # noqa: BLE001 - said on the console; a kernel without init panics
        print(f"guest: {type(error).__name__}: {error}", flush=True)
    power_off()


main()
