# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine that is changed."""

from hostkit.value import NamedTuple


class Machine(NamedTuple):
    """`root` is "" for the machine we run on; a test gives a folder that stands for /."""

    root: str = ""

    def at(self, path: str) -> str:
        """Where an absolute path of the machine is for us."""
        return self.root + path
