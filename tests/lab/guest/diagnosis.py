# SPDX-License-Identifier: GPL-3.0-or-later
"""Inside a guest: what hostkit says of it."""

import json
import subprocess
import sys
from typing import Any

Findings = dict[str, dict[str, Any]]  # by the code of their problem


def preflight(*arguments: str) -> Findings:
    return _findings("preflight", *arguments)


def doctor(*arguments: str) -> Findings:
    return _findings("doctor", *arguments)


def _findings(*words: str) -> Findings:
    argv = [sys.executable, "-m", "hostkit", *words, "--format", "json"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return {one["problem"]: one for one in json.loads(done.stdout)["findings"] if not one["past"]}
