# SPDX-License-Identifier: GPL-3.0-or-later
"""Images for tests: small tars of files, and skopeo unpacked from its Debian package."""

import io
import os
import subprocess
import tarfile
from pathlib import Path

from tests.rig.tools import unpack

_SKOPEO = ("skopeo", "libgpgme11", "libassuan0", "libdevmapper1.02.1")


class Skopeo:
    """The real skopeo. Raises ToolsUnavailableError where it cannot be had."""

    def __init__(self, folder: Path) -> None:
        self._tools = unpack(_SKOPEO)
        self._policy = folder / "policy.json"
        self._policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        self._folder = folder

    def run(self, *words: str) -> str:
        """What it says."""
        program = self._tools / "usr/bin/skopeo"
        libraries = next((self._tools / "usr/lib").glob("*-linux-gnu*"))
        done = subprocess.run(
            [program, f"--policy={self._policy}", f"--tmpdir={self._folder}", *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(self._folder),
                "LD_LIBRARY_PATH": str(libraries),
            },
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def layer_tar(files: dict[str, bytes | None], *, mtime: int = 1_600_000_000) -> bytes:
    """A tar of files; None makes a folder, a name with ` -> ` a link."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files.items():
            path, arrow, target = name.partition(" -> ")
            member = tarfile.TarInfo(path)
            member.mtime, member.mode = mtime, 0o755
            if arrow:
                member.type, member.linkname = tarfile.SYMTYPE, target
            elif content is None:
                member.type = tarfile.DIRTYPE
            else:
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content or b""))
    return made.getvalue()


def tree_bytes(root: str) -> dict[str, bytes]:
    """Every file below a folder, without timing what reads them."""
    found: dict[str, bytes] = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path):
                found[os.path.relpath(path, root)] = Path(path).read_bytes()
    return found
