# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds one tar.gz that holds hostkit and all it needs, down to the loader.

    python -m contrib.bundle [--architecture x86_64|aarch64] [--output FOLDER]

Debian's packages are downloaded and unpacked, never installed. The same versions of them and of
the checkout give the same bytes.
"""

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path

from contrib.bundle.archive import pack
from contrib.bundle.recipe import ARCHITECTURES, PYTHON
from contrib.bundle.stage import NotPossibleError, debian_files, document, fill
from contrib.debs import ToolsUnavailableError
from hostkit import __version__

CHECKOUT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Build the bundle and say how large it is."""
    parser = argparse.ArgumentParser(prog="python -m contrib.bundle", description=__doc__)
    parser.add_argument("--architecture", choices=ARCHITECTURES, default=platform.machine())
    parser.add_argument("--output", type=Path, default=CHECKOUT / "dist", metavar="FOLDER")
    asked = parser.parse_args()
    if sys.version_info[:2] != PYTHON:
        parser.error("needs Python {}.{}, whose bytecode goes into the bundle".format(*PYTHON))
    architecture = ARCHITECTURES[asked.architecture]
    name = f"hostkit-{__version__}-{architecture.name}"
    asked.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="hostkit-bundle-") as work:
        stage = Path(work, name)
        try:
            debian, archives = debian_files(Path(work), architecture)
            versions = fill(stage, debian, CHECKOUT, architecture)
            document(stage, debian, CHECKOUT, (*archives, *versions))
        except (ToolsUnavailableError, NotPossibleError) as problem:
            sys.stderr.write(f"no bundle: {problem}\n")
            return 1
        packed = asked.output / f"{name}.tar.gz"
        size = pack(stage, packed)
    sys.stdout.write(
        f"{os.path.relpath(packed)}: {packed.stat().st_size / 1e6:.1f} MB, "
        f"{size / 1e6:.1f} MB unpacked\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
