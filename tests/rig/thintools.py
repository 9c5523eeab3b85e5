# SPDX-License-Identifier: GPL-3.0-or-later
"""thin_dump, thin_check, thin_ls and thin_restore, from the packages of the lab."""

import os
import subprocess
from pathlib import Path

from tests.rig.tools import LAB, unpack

_LIBRARIES = "usr/lib"


class ThinTools:
    """The thin-provisioning-tools. Raises ToolsUnavailableError where they cannot be had."""

    def __init__(self) -> None:
        self._folder = unpack(LAB)
        libraries = [str(path) for path in (self._folder / _LIBRARIES).glob("*-linux-gnu*")]
        self.environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(libraries)}

    def path(self, name: str) -> str:
        """Where one of them lies."""
        return str(self._folder / "usr/sbin" / name)

    def run(self, name: str, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run one of them, however it ends."""
        return subprocess.run(
            [self.path(name), *words],
            env=self.environment,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=120,
        )

    def dump(self, metadata: Path, *options: str) -> str:
        """The XML of a pool."""
        done = self.run("thin_dump", *options, str(metadata))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def sound(self, metadata: Path) -> bool:
        """Whether thin_check finds nothing wrong."""
        return self.run("thin_check", "-q", str(metadata)).returncode == 0

    def restore(self, xml: str, metadata: Path, size: int) -> None:
        """Write metadata from XML."""
        source = metadata.with_suffix(".xml")
        source.write_text(xml)
        metadata.touch()
        os.truncate(metadata, size)
        done = self.run("thin_restore", "-i", str(source), "-o", str(metadata))
        assert done.returncode == 0, done.stderr
