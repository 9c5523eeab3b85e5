# SPDX-License-Identifier: GPL-3.0-or-later
"""Inside a guest: a real dockerd, as `tests.rig.tools.DOCKER` has it."""

import os
import subprocess
import time
from pathlib import Path
from types import TracebackType

from tests.lab.faults import command

DATA_ROOT = Path("/var/lib/docker")
_FLAGS = (
    "--storage-opt=dm.override_udev_sync_check=true",  # there is no udevd
    "--iptables=false",
    "--bridge=none",
)
_START_S = 120


def mount_data_root(device: str) -> None:
    """Put a disk where dockerd keeps its data."""
    DATA_ROOT.mkdir(exist_ok=True)
    command("mount", device, str(DATA_ROOT))


class Dockerd:
    """The daemon on devicemapper without a network; stopped at the end of its `with` block."""

    def __init__(self, *flags: str, log: Path) -> None:
        self._log = log
        # Without it containers are started by pivot_root, which our root, an overlay, refuses.
        environment = {**os.environ, "DOCKER_RAMDISK": "1"}
        argv = ["dockerd", "--storage-driver=devicemapper", *_FLAGS, *flags]
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment
            )
        deadline = time.monotonic() + _START_S
        while subprocess.run(["docker", "version"], capture_output=True, check=False).returncode:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"dockerd did not start: {log.read_text()[-3000:]}")
            time.sleep(0.3)

    def __enter__(self) -> "Dockerd":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """As a service manager would."""
        self._process.terminate()
        self._process.wait(60)
