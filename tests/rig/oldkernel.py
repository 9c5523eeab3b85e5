# SPDX-License-Identifier: GPL-3.0-or-later
"""A program as on Linux 3.10: system calls that are newer answer ENOSYS, in all that it starts.

    python -m tests.rig.oldkernel PROGRAM [ARGUMENT...]

A seccomp filter does it, which stays until the process ends. It sees the numbers of calls and
not their arguments: flags and ioctls that are newer it lets through.
"""

import ctypes
import errno
import os
import platform
import struct
import sys

# The first number that Linux 3.10 had not given out, and the audit name of the architecture.
# x86-64: finit_module is 313. arm64: kcmp is 272, finit_module 273.
FIRST_NEW = {"x86_64": (314, 0xC000003E), "aarch64": (274, 0xC00000B7)}
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_LOAD, _JUMP_EQUAL, _JUMP_NOT_LESS, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER_AT, _ARCHITECTURE_AT = 0, 4  # in struct seccomp_data
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000


def known() -> bool:
    """Whether the numbers of this machine's architecture are known here."""
    return platform.machine() in FIRST_NEW


def become() -> None:
    """Take the newer system calls from this process and its children. Raises OSError."""
    first, architecture = FIRST_NEW[platform.machine()]
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_JUMP_EQUAL, 0, 2, architecture),  # programs of 32 bits have other numbers
        (_LOAD, 0, 0, _NUMBER_AT),
        (_JUMP_NOT_LESS, 1, 0, first),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _FAIL | errno.ENOSYS),
    ]
    code = b"".join(struct.pack("=HBBI", *step) for step in program)
    steps = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("@HP", len(program), ctypes.addressof(steps))
    libc = ctypes.CDLL(None, use_errno=True)
    words = (ctypes.c_ulong(_SECCOMP_MODE_FILTER), header, 0, 0)
    if libc.prctl(_PR_SET_SECCOMP, *words) == 0:
        return
    # Who has not CAP_SYS_ADMIN must first give up what set-user-ID programs could do.
    ours = libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    if not ours or libc.prctl(_PR_SET_SECCOMP, *words) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "seccomp")


if __name__ == "__main__":
    become()
    os.execvp(sys.argv[1], sys.argv[1:])
