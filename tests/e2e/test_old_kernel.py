# SPDX-License-Identifier: GPL-3.0-or-later
"""Without the system calls that are newer than Linux 3.10, as on CentOS 7, all goes on.

What starts programs, reads the machine, writes files durably, copies and packs is tried here;
`make old-kernel` runs every test so.
"""

import ctypes
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rig import oldkernel

CHECKOUT = Path(__file__).resolve().parents[2]
TESTS = [
    f"tests/unit/test_{name}.py"
    for name in (
        *("process", "files", "local", "plan_engine", "plan_journal", "system_steps"),
        *("image_streams", "snapshot", "data", "sockets"),
    )
]
OPTIONS = ("-q", "-n", "0", "-p", "no:cacheprovider")
MEMFD_CREATE = {"x86_64": 319, "aarch64": 279}

pytestmark = pytest.mark.skipif(
    not oldkernel.known(), reason="the numbers of this architecture's system calls are not known"
)


def _on_an_old_kernel(*words: str) -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "tests.rig.oldkernel", sys.executable, *words]
    return subprocess.run(argv, capture_output=True, text=True, check=False, cwd=CHECKOUT)


def test_the_filter_takes_new_calls_and_leaves_old_ones() -> None:
    number = MEMFD_CREATE[os.uname().machine]
    program = (
        "import ctypes, os; libc = ctypes.CDLL(None, use_errno=True); "
        f"print(libc.syscall({number}, b'x', 0), ctypes.get_errno(), os.getpid() > 0)"
    )
    assert _on_an_old_kernel("-c", program).stdout == f"-1 {errno.ENOSYS} True\n"
    assert ctypes.CDLL(None).getpid() == os.getpid()  # this process keeps all of them


def test_what_the_kernel_is_asked_for_is_old_enough() -> None:
    there = [path for path in TESTS if (CHECKOUT / path).exists()]
    assert len(there) >= 8
    ended = _on_an_old_kernel("-m", "pytest", *OPTIONS, *there)
    assert ended.returncode == 0, ended.stdout[-6000:]
