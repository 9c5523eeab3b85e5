# SPDX-License-Identifier: GPL-3.0-or-later
"""A function run in private network and mount namespaces, its /etc and /var/lib empty."""

import ctypes
import os
import traceback
from collections.abc import Callable

import pytest

_CLONE_NEWNS = 0x00020000
_CLONE_NEWNET = 0x40000000
_MS_REC_PRIVATE = 0x4000 | (1 << 18)
_COVERED = (
    "/etc",
    "/var/lib",
    "/run",
    "/usr/local/lib/sysctl.d",
    "/usr/lib/sysctl.d",
    "/lib/sysctl.d",
)
_libc = ctypes.CDLL(None, use_errno=True)


def run_apart(function: Callable[[], object]) -> None:
    """Run `function` in a child with the namespaces; fail with its traceback if it fails."""
    if os.geteuid() != 0:
        pytest.skip("needs root for namespaces")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            _leave_the_host()
            function()
        except BaseException:  # noqa: BLE001 - the child must end here
            os.write(writer, traceback.format_exc().encode()[-60000:])
            os._exit(1)
        os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8", errors="replace") as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    assert status == 0, said or f"the child ended with {status}"


def _leave_the_host() -> None:
    _check(_libc.unshare(_CLONE_NEWNS | _CLONE_NEWNET), "unshare")
    _check(_libc.mount(b"none", b"/", None, _MS_REC_PRIVATE, None), "mount --make-rprivate")
    for place in _COVERED:
        if os.path.isdir(place) and not os.path.islink(place):
            _check(_libc.mount(b"none", place.encode(), b"tmpfs", 0, b"mode=755"), place)
    os.mkdir("/etc/sysctl.d", 0o755)


def _check(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), what)
