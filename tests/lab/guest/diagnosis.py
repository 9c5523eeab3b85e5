# SPDX-License-Identifier: GPL-3.0-or-later
"""Inside a guest: what hostkit says of it."""

import json
import subprocess
import sys
from typing import Any


def preflight(*arguments: str) -> dict[str, dict[str, Any]]:
    """The findings by the code of their problem."""
    argv = [sys.executable, "-m", "hostkit", "preflight", "--format", "json", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return {one["problem"]: one for one in json.loads(done.stdout)["findings"] if not one["past"]}
