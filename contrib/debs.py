# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian packages as files: `apt-get download` and `dpkg-deb -x` install nothing on this machine.

Where packages cannot be had, `unpack_debs` says why.
"""

import os
import shutil
import subprocess  # noqa: TID251 - no part of hostkit runs here
from collections.abc import Sequence
from pathlib import Path

_MIRROR = "http://deb.debian.org/debian"
_SECURITY = "http://deb.debian.org/debian-security"
_TIMEOUT_S = 300


class ToolsUnavailableError(Exception):
    """The packages cannot be had here; the text says why."""


def unpack_debs(
    packages: Sequence[str],
    folder: Path,
    suite: str | None = None,
    *,
    architecture: str = "",
    security: bool = False,
) -> tuple[str, ...]:
    """Put the packages' files below a new folder and return the names of the archives.

    They are those of this machine's own suite, or of a named one, which has security updates if
    asked for. Raises ToolsUnavailableError.
    """
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise ToolsUnavailableError(f"no {program} on this machine")
    archives = folder.with_suffix(".debs")
    shutil.rmtree(archives, ignore_errors=True)
    archives.mkdir(parents=True)
    folder.mkdir()
    done = None if suite else _apt("download", archives, *packages)
    if done is None or done.returncode != 0:  # lists may be missing or old on a bare machine
        own = _own_lists(archives, suite, architecture, security=security)
        _apt("update", archives, *own)
        done = _apt("download", archives, *own, *packages)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ToolsUnavailableError(f"apt-get download failed: {reason}")
    found = sorted(archives.glob("*.deb"))
    for archive in found:
        run(["dpkg-deb", "-x", str(archive), str(folder)], archives)
    for name in ("bin", "sbin", "lib"):  # as on a merged-usr system
        if (folder / name).is_dir():
            shutil.copytree(folder / name, folder / "usr" / name, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(folder / name)
    shutil.rmtree(archives)
    return tuple(archive.name for archive in found)


def _own_lists(
    archives: Path, suite: str | None, architecture: str, *, security: bool
) -> list[str]:
    """Options that keep apt's lists and cache in a folder of ours."""
    own = [f"-oDir::State::Lists={archives}/lists", f"-oDir::Cache={archives}/cache"]
    if suite:
        lines = [f"deb {_MIRROR} {suite} main"]
        lines += [f"deb {_SECURITY} {suite}-security main"] if security else []
        (archives / "sources.list").write_text("\n".join(lines) + "\n")
        own += [f"-oDir::Etc::SourceList={archives}/sources.list"]
        own += ["-oDir::Etc::SourceParts=/dev/null", "-oAcquire::Check-Valid-Until=false"]
    if architecture:
        own += [f"-oAPT::Architecture={architecture}", f"-oAPT::Architectures={architecture}"]
    (archives / "lists/partial").mkdir(parents=True)
    (archives / "cache/archives/partial").mkdir(parents=True)
    return own


def _apt(command: str, folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    # As root, apt hands downloads to a user who cannot write here.
    sandbox = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
    return run(["apt-get", *sandbox, "-q", command, *words], folder)


def run(argv: Sequence[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a program of the building machine in a folder, its output kept."""
    return subprocess.run(
        argv, cwd=folder, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S
    )
