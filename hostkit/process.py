# SPDX-License-Identifier: GPL-3.0-or-later
"""The only door to other programs: argument lists, a time-out, a cap, a clean environment.

A program that hangs, floods or forks into the background cannot hold us: it runs in a
session of its own, which is killed whole at the time-out or at the cap.
"""

import atexit
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import IO

from hostkit.value import NamedTuple

# Fixed, so that a caller's PATH cannot choose which iptables runs as root.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin"
ENVIRONMENT: Mapping[str, str] = {
    "PATH": PATH,
    "LC_ALL": "C",
    "LANGUAGE": "C",
    "HOME": "/nonexistent",
    "PAGER": "cat",
    "SYSTEMD_PAGER": "",
    "SYSTEMD_COLORS": "0",
    "LVM_SUPPRESS_FD_WARNINGS": "1",
}
_CHUNK = 65536
NOBODY = 65534
_running: "set[subprocess.Popen[bytes]]" = set()
_REAP_S = 0.5  # a killed process in uninterruptible sleep is left behind after this


class Completed(NamedTuple):
    """How a program ended; `status` is negative for a signal, as in subprocess."""

    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes
    timed_out: bool = False
    truncated: bool = False


def find_program(name: str) -> str | None:
    """The path of an executable on the fixed PATH, or None."""
    if "/" in name:
        return name if os.access(name, os.X_OK) else None
    for folder in PATH.split(":"):
        path = f"{folder}/{name}"
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def run(
    argv: Sequence[str],
    *,
    timeout: float,
    limit: int = 4 << 20,
    stdin: bytes = b"",
    environment: Mapping[str, str] | None = None,
    user: int | None = None,
) -> Completed:
    """Run a program and return all it said, at most `limit` bytes of each stream.

    Raises FileNotFoundError when the program is not installed and OSError when it
    cannot be started. A time-out or an overflow is not an error: see `Completed`.
    `user`: who it runs as, without any group's rights; only root may choose.
    """
    program = find_program(argv[0])
    if program is None:
        raise FileNotFoundError(f"{argv[0]} is not installed")
    process = subprocess.Popen(
        argv,
        executable=program,
        stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**ENVIRONMENT, **(environment or {})},
        cwd="/",
        start_new_session=True,
        user=user,
        group=user,
        extra_groups=None if user is None else (),
    )
    _running.add(process)
    deadline = time.monotonic() + timeout
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        stdout, stderr, ended = _converse(process, stdin, deadline, limit)
        timed_out = ended == "timeout"
        if ended == "eof":
            timed_out = not _reaped(process, max(0.0, deadline - time.monotonic()))
        if timed_out or ended == "overflow":
            _kill_session(process)
    except BaseException:
        _kill_session(process)
        raise
    finally:
        _running.discard(process)
        for pipe in (process.stdin, process.stdout, process.stderr):
            _close(pipe)
    status = process.returncode if process.returncode is not None else -signal.SIGKILL
    return Completed(tuple(argv), status, stdout, stderr, timed_out, ended == "overflow")


def _converse(
    process: "subprocess.Popen[bytes]", stdin: bytes, deadline: float, limit: int
) -> tuple[bytes, bytes, str]:
    """Feed stdin and read both outputs until "eof", "timeout" or "overflow"."""
    out, err = bytearray(), bytearray()
    pending = memoryview(stdin)
    with selectors.DefaultSelector() as selector:
        for pipe, sink in ((process.stdout, out), (process.stderr, err)):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
            selector.register(pipe, selectors.EVENT_READ, sink)
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                return bytes(out), bytes(err), "timeout"
            for key, _ in selector.select(left):
                if key.data is None:
                    pending = _feed(process.stdin, pending)
                    if not pending:
                        selector.unregister(key.fileobj)
                        _close(process.stdin)
                    continue
                more = _drain(key.fd, key.data, limit)
                if more is None:
                    return bytes(out), bytes(err), "overflow"
                if not more:
                    selector.unregister(key.fileobj)
    return bytes(out), bytes(err), "eof"


def _drain(descriptor: int, sink: bytearray, limit: int) -> bool | None:
    """Read once; False at the end of the stream, None when there is more than `limit`."""
    try:
        data = os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return True
    room = limit - len(sink)
    sink.extend(data[:room])
    return None if len(data) > room else bool(data)


def _feed(pipe: IO[bytes] | None, pending: memoryview) -> memoryview:
    assert pipe is not None
    try:
        return pending[os.write(pipe.fileno(), pending[:_CHUNK]) :]
    except BlockingIOError:
        return pending
    except BrokenPipeError:  # it does not want the rest
        return pending[:0]


def _reaped(process: "subprocess.Popen[bytes]", seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _kill_session(process: "subprocess.Popen[bytes]") -> None:
    # The group outlives its leader, so it is killed also when the leader has ended.
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    _reaped(process, _REAP_S)


@atexit.register
def _kill_running() -> None:
    """What threads that nobody waits for any more have started, after Ctrl-C or a time-out."""
    for process in tuple(_running):
        _kill_session(process)


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None and not pipe.closed:
        try:
            pipe.close()
        except OSError:  # a write buffered for a program that is gone
            pass
