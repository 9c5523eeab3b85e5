# SPDX-License-Identifier: GPL-3.0-or-later
"""hostkit as a person runs it: a process with words, pipes and a terminal."""

import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from typing import NamedTuple

HOSTKIT = (sys.executable, "-m", "hostkit")
PLAIN = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8", "TERM": "xterm"}
FORWARDING = "WARNING: IPv4 forwarding is disabled. Networking will not work."
TIMEOUT_S = 60


class Ended(NamedTuple):
    code: int
    out: str
    err: str


def hostkit(
    *words: str,
    stdin: bytes = b"",
    environment: Mapping[str, str] | None = None,
    wrapper: tuple[str, ...] = (),
) -> Ended:
    """Run it with pipes; `wrapper` is a command that runs it."""
    done = subprocess.run(
        [*wrapper, *HOSTKIT, *words],
        input=stdin,
        capture_output=True,
        env={**PLAIN, **(environment or {})},
        timeout=TIMEOUT_S,
        check=False,
    )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


def on_terminal(*words: str, environment: Mapping[str, str] | None = None) -> str:
    """What it shows on a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*HOSTKIT, *words],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        env={**PLAIN, **(environment or {})},
    )
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:  # how a terminal says that the other side has gone
        pass
    finally:
        os.close(ours)
        process.wait(TIMEOUT_S)
    return shown.decode().replace("\r\n", "\n")
