# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Linux kernel as an ordinary process: guests that start in seconds and can lose power.

    with Lab() as lab:
        disk = lab.disk("64M")
        with lab.boot(disks=[disk]) as guest:
            guest.run("mkfs.ext4", "-q", disk.device)
            guest.cut()
        with lab.boot(disks=[disk]) as guest:
            ...

User-Mode Linux comes from a Debian package and needs no root. A guest sees this machine's
files through a writable layer of its own, so the checkout and the Python that runs the
tests are at the same paths inside; what it writes is gone with it. Only the lab's folder
is shared.
"""

import contextlib
import fcntl
import json
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, TextIO

from tests.rig.tools import CACHE, LAB, LIBRARIES, unpack, unpack_kernel

ROOT = Path(__file__).resolve().parents[2]
KERNEL = os.environ.get("HOSTKIT_LAB_KERNEL", "6.1")
SIDE_BY_SIDE = 2
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BOOT_S = 60.0  # on a machine that does much else; a quiet one needs 2 to 3
_POWER_OFF_S = 30.0
_FLUSH_S = 5.0
_TAIL = 3000
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}

# What a guest could reach through its kernel's view of our files is made read-only for it
# where we may: $1 is the one folder that is not.
_ENCLOSURE = r"""
mount --bind "$1" "$1"
while read -r _ place _; do
    case $place in "$1"|/proc*|/dev/shm) ;; *) mount -o remount,bind,ro "$place" ;; esac
done </proc/self/mounts 2>/dev/null
mount -t tmpfs -o size="$2" tmpfs /dev/shm
shift 2
"$@" &
wait $!
"""


class GuestLostError(Exception):
    """The guest ended, or was ended, before it answered; the text has its last words."""


class CommandError(Exception):
    """A program in the guest failed, and it was not expected to."""


class Completed(NamedTuple):
    """How a program in a guest ended."""

    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output as text."""
        return self.stdout.decode(errors="replace")


class Disk(NamedTuple):
    """A sparse file that is a block device of the guests that are booted with it."""

    path: Path

    def written(self) -> int:
        """The bytes that take room on this machine."""
        return self.path.stat().st_blocks * 512


def size_in_bytes(size: str) -> int:
    """`64M` is 67108864."""
    return int(size[:-1]) * _UNITS[size[-1]] if size[-1] in _UNITS else int(size)


def copy_sparse(source: Path, target: Path) -> None:
    """Copy a file with its holes; blocks are shared where the file system can."""
    subprocess.run(
        ["cp", "--sparse=auto", "--reflink=auto", str(source), str(target)], check=True, timeout=300
    )


class Lab:
    """The disks of one test and the guests that were booted; `close` leaves nothing behind."""

    def __init__(self, kernel: str = KERNEL) -> None:
        """Raises ToolsUnavailableError where Debian's packages cannot be had."""
        self.kernel = unpack_kernel(kernel)
        self.tools = unpack(LAB)
        self.folder = Path(tempfile.mkdtemp(prefix="hostkit-lab-"))
        self._guests: list[Guest] = []
        self._disks = 0

    def __enter__(self) -> "Lab":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every guest and remove every file."""
        for guest in self._guests:
            guest.cut()
        shutil.rmtree(self.folder)

    def disk(self, size: str | None = None, golden: Path | None = None) -> Disk:
        """An empty disk of a size, or a copy of a golden one, grown to `size` if given."""
        self._disks += 1
        path = self.folder / f"disk{self._disks}"
        if golden is not None:
            copy_sparse(golden, path)
        else:
            path.touch()
        if size is not None:
            os.truncate(path, size_in_bytes(size))
        return Disk(path)

    def boot(
        self, disks: Sequence[Disk] = (), mem: str = "512M", tools: Sequence[Path] = ()
    ) -> "Guest":
        """Start a guest; its disks are /dev/ubda, /dev/ubdb, and so on, in this order.

        `tools`: folders of `tests.rig.tools.unpack` whose programs it shall have too.
        """
        guest = Guest(self, disks, mem, tools)
        self._guests.append(guest)
        guest.wait_until_ready()
        return guest


class Job:
    """A program that was started in a guest."""

    def __init__(self, guest: "Guest", name: str, argv: tuple[str, ...]) -> None:
        self._guest = guest
        self._base = guest.share / name
        self.name = name
        self.argv = argv
        self.status: int | None = None

    def wait(self, timeout: float = 60) -> Completed:
        """Until it ends; at the time-out the whole guest is cut off."""
        deadline = time.monotonic() + timeout
        while self.status is None:
            self._guest.listen(deadline, self)
        return Completed(self.argv, self.status, self._read("stdout"), self._read("stderr"))

    def said(self) -> str:
        """What it has said so far, as far as that has left the guest."""
        return (self._read("stdout") + self._read("stderr")).decode(errors="replace")

    def _read(self, stream: str) -> bytes:
        path = self._base.with_suffix(f".{stream}")
        return path.read_bytes() if path.exists() else b""


class Guest:
    """One running kernel. Leaving its `with` block cuts its power if it still runs."""

    def __init__(self, lab: Lab, disks: Sequence[Disk], mem: str, tools: Sequence[Path]) -> None:
        self._slot = _wait_for_a_slot()
        self.share = lab.folder / f"guest-{secrets.token_hex(4)}"
        self.share.mkdir()
        self.release = ""
        self._jobs: dict[str, Job] = {}
        self._count = 0
        self._heard = b""
        self._flushed = False
        setup = {
            "kmod": str(lab.tools / "usr/bin/kmod"),
            "modules": str(lab.kernel),
            "layers": [str(folder) for folder in (*tools, lab.tools)],
            "share": str(self.share),
            "path": SYSTEM_PATH,
        }
        (self.share / "setup.json").write_text(json.dumps(setup))
        ours, theirs = socket.socketpair()
        argv = [
            f"env LD_LIBRARY_PATH={lab.kernel / LIBRARIES} ./linux.uml",
            f"mem={mem}",
            *(f"ubd{number}={disk.path}" for number, disk in enumerate(disks)),
            "rootfstype=hostfs rootflags=/ ro quiet loglevel=4",
            "con=null con0=null,fd:1 ssl=null",
            f"con1=fd:{theirs.fileno()}",
            f"uml_dir={self.share}/ umid=uml",
            # Measuring xor speeds takes most of a second and only btrfs' raid6 would use it.
            "initcall_blacklist=raid6_select_algo,raid6_init",
            f"init={os.path.realpath(sys.executable)}",
        ]
        words = [word for line in argv for word in line.split()]
        init = ["--", "-I", "-S", "-B", f"{Path(__file__).parent}/agent.py"]
        command = [*words, *init, f"{self.share}/setup.json"]
        with (self.share / "console").open("wb") as console, theirs:
            self._process = subprocess.Popen(
                [*_enclosed(lab.folder, mem), *command],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                cwd=lab.kernel,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                env={"PATH": SYSTEM_PATH, "HOME": str(self.share)},
            )
        self._line = ours
        # Should we be killed, its standard input ends, and it ends the guest.
        self._watcher = subprocess.Popen(
            ["sh", "-c", 'read -r _; kill -9 -- "-$1"', "watcher", str(self._process.pid)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def __enter__(self) -> "Guest":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cut()

    def wait_until_ready(self) -> None:
        """Until it takes commands."""
        deadline = time.monotonic() + BOOT_S
        while not self.release:
            self.listen(deadline, None)

    def start(
        self,
        *argv: str,
        stdin: bytes = b"",
        cwd: str = "/",
        environment: Mapping[str, str] | None = None,
    ) -> Job:
        """Start a program and go on."""
        self._count += 1
        job = Job(self, str(self._count), argv)
        self._jobs[job.name] = job
        base = self.share / job.name
        order = {"argv": argv, "cwd": cwd, "environment": {**_ENVIRONMENT, **(environment or {})}}
        base.with_suffix(".stdin").write_bytes(stdin)
        base.with_suffix(".json").write_text(json.dumps(order))
        self._tell(f"spawn {job.name}")
        return job

    def run(
        self,
        *argv: str,
        check: bool = True,
        timeout: float = 60,
        stdin: bytes = b"",
        cwd: str = "/",
        environment: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run a program to its end; one that fails raises CommandError unless `check` is off."""
        done = self.start(*argv, stdin=stdin, cwd=cwd, environment=environment).wait(timeout)
        if check and done.status != 0:
            said = (done.stdout + done.stderr).decode(errors="replace")[-_TAIL:]
            raise CommandError(f"{' '.join(argv)} exited {done.status}:\n{said}")
        return done

    def shell(self, script: str, *, check: bool = True, timeout: float = 60) -> str:
        """Run a shell script, ended by the first command that fails; what it printed."""
        return self.run("sh", "-ec", script, check=check, timeout=timeout).text

    def python(self, code: str, *args: str, timeout: float = 60) -> str:
        """Run code with the checkout's own Python; what it printed."""
        return self.run(sys.executable, "-c", code, *args, cwd=str(ROOT), timeout=timeout).text

    def console(self) -> str:
        """What the kernel said."""
        return (self.share / "console").read_text(errors="replace")

    def poweroff(self) -> None:
        """Write out what is dirty, then end. File systems that are mounted are not unmounted."""
        self._tell("poweroff")
        try:
            self._process.wait(_POWER_OFF_S)
        except subprocess.TimeoutExpired:
            self.cut()
            raise GuestLostError(self._last_words("it did not power off")) from None
        self.cut()

    def cut(self) -> None:
        """Cut the power: what the guest's kernel had not yet written is lost."""
        if self._slot.closed:
            return
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._line.settimeout(_POWER_OFF_S)
        with contextlib.suppress(ConnectionError):
            while self._line.recv(65536):  # ends when the last of its processes is gone
                pass
        self._line.close()
        self._watcher.kill()
        self._watcher.communicate()
        self._slot.close()

    def cut_after_writes(self, disk: Disk, amount: int, timeout: float = 60) -> None:
        """Cut the power once `disk` takes so many bytes more of room on this machine."""
        until = disk.written() + amount
        deadline = time.monotonic() + timeout
        while disk.written() < until:
            if time.monotonic() > deadline:
                raise GuestLostError(self._last_words(f"it did not write {amount} bytes"))
            time.sleep(0.001)
        self.cut()

    def listen(self, deadline: float, job: Job | None) -> None:
        """Take in one answer; at the deadline the guest is cut off and GuestLostError raised."""
        left = deadline - time.monotonic()
        ready = left > 0 and select.select([self._line], [], [], left)[0]
        if not ready:
            self._give_up(job)
        chunk = self._line.recv(65536)
        if not chunk:
            words = self._last_words("it ended")
            self.cut()
            raise GuestLostError(words)
        *lines, self._heard = (self._heard + chunk).split(b"\n")
        for line in lines:
            self._take(line.decode().split())

    def _take(self, words: list[str]) -> None:
        match words:
            case ["ready", release]:
                self.release = release
            case ["exit", name, status]:
                self._jobs.pop(name).status = int(status)
            case ["flushed"]:
                self._flushed = True
            case _:
                raise GuestLostError(self._last_words(f"it said {words}"))

    def _tell(self, order: str) -> None:
        try:
            self._line.sendall(f"{order}\n".encode())
        except OSError as error:
            raise GuestLostError(self._last_words(f"it takes no orders: {error}")) from None

    def _give_up(self, job: Job | None) -> None:
        if job is None:
            words = self._last_words(f"it did not start in {BOOT_S:.0f} s")
        else:
            self._ask_for_output()
            words = self._last_words(f"time-out of {' '.join(job.argv)}\n{job.said()[-_TAIL:]}")
        self.cut()
        raise GuestLostError(words)

    def _ask_for_output(self) -> None:
        """What a program said lies in the guest's page cache while it runs."""
        deadline = time.monotonic() + _FLUSH_S
        with contextlib.suppress(GuestLostError):
            self._tell("flush")
            while not self._flushed and select.select([self._line], [], [], _FLUSH_S)[0]:
                self.listen(deadline, None)

    def _last_words(self, reason: str) -> str:
        return (
            f"guest {self.release or 'not yet up'}: {reason}\nconsole:\n{self.console()[-_TAIL:]}"
        )


_ENVIRONMENT = {
    "PATH": f"{sys.prefix}/bin:{SYSTEM_PATH}",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "DM_DISABLE_UDEV": "1",  # there is none: libdevmapper and LVM make their device nodes
    "LVM_SUPPRESS_FD_WARNINGS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}


def _enclosed(folder: Path, mem: str) -> list[str]:
    """What goes before the kernel's command: namespaces of its own where we may make them."""
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if subprocess.run([*namespaces, "true"], capture_output=True, check=False).returncode != 0:
        return []
    return [*namespaces, "sh", "-c", _ENCLOSURE, "lab", str(folder), mem]


def _wait_for_a_slot() -> TextIO:
    """Only so many guests run at once, whichever test workers boot them; closing it frees it."""
    CACHE.mkdir(exist_ok=True)
    while True:
        for number in range(SIDE_BY_SIDE):
            slot = (CACHE / f"lab-slot-{number}").open("w")
            try:
                fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                slot.close()
            else:
                return slot
        time.sleep(0.05)
