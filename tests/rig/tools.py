# SPDX-License-Identifier: GPL-3.0-or-later
"""Real programs for the tests, unpacked from Debian packages into a private cache.

The machine that runs the tests is not touched: `apt-get download` and `dpkg-deb -x`
install nothing. Where packages cannot be had, `unpack` says why and tests skip.
"""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache"
IPTABLES = (
    "iptables",
    "libip4tc2",
    "libip6tc2",
    "libxtables12",
    "libnftnl11",
    "libnetfilter-conntrack3",
    "libnfnetlink0",
    "nftables",
    "libnftables1",
    "libjansson4",
    "libmnl0",
)
DOCKER = ("docker.io", "containerd", "runc", "tini", "busybox-static")
XFS = ("xfsprogs", "libinih1", "liburcu8")


class ToolsUnavailableError(Exception):
    """The packages cannot be had here; the text says why."""


def unpack(packages: tuple[str, ...], cache: Path = CACHE) -> Path:
    """The folder with the packages' files (usr/..., etc/...), unpacked once for all runs."""
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise ToolsUnavailableError(f"no {program} on this machine")
    cache.mkdir(exist_ok=True)
    folder = cache / f"tools-{packages[0]}"
    with (cache / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test workers share the cache
        if not (folder / ".complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _download(packages, folder)
            (folder / ".complete").touch()
    return folder


def _download(packages: tuple[str, ...], folder: Path) -> None:
    archives = folder.with_suffix(".debs")
    shutil.rmtree(archives, ignore_errors=True)
    archives.mkdir(parents=True)
    folder.mkdir()
    done = _apt_download(packages, archives)
    if done.returncode != 0:  # package lists may be missing or old on a bare machine
        _run(["apt-get", "update"], archives)
        done = _apt_download(packages, archives)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ToolsUnavailableError(f"apt-get download failed: {reason}")
    for archive in sorted(archives.glob("*.deb")):
        _run(["dpkg-deb", "-x", str(archive), str(folder)], archives)
    for name in ("bin", "sbin", "lib"):  # as on a merged-usr system
        if (folder / name).is_dir():
            shutil.copytree(folder / name, folder / "usr" / name, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(folder / name)
    shutil.rmtree(archives)


def _apt_download(packages: tuple[str, ...], archives: Path) -> "subprocess.CompletedProcess[str]":
    # As root, apt hands downloads to a user who cannot write here.
    sandbox = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
    return _run(["apt-get", *sandbox, "-q", "download", *packages], archives)


def _run(argv: list[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        argv, cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )
