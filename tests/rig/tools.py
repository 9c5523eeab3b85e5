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
LAB = (
    "lvm2",
    "dmsetup",
    "libdevmapper1.02.1",
    "libdevmapper-event1.02.1",
    "liblvm2cmd2.03",
    "libaio1",
    "libreadline8",
    "thin-provisioning-tools",
    "kmod",
    "libkmod2",
    "e2fsprogs",
    "btrfs-progs",
    "liblzo2-2",
    *XFS,
)
# User-Mode Linux: the suite that has each kernel; its modules fit no other.
# 5.10 (bullseye) serves for nothing here: its overlay opens no file that lies on hostfs.
KERNELS = {"6.1": "bookworm", "6.12": "trixie", "7.2": "forky"}
LIBRARIES = "usr/lib/x86_64-linux-gnu"
_LOADER = "/lib64/ld-linux-x86-64.so.2"
_MIRROR = "http://deb.debian.org/debian"

# 20.10.24 needs no root of its own: DOCKER above. bullseye (20.10.5) has too old a C library
# for the Python that runs the tests.
ENGINES = {"trixie": "26.1.5", "forky": "28.5.2"}
_ENGINE_ROOT = "docker.io,docker-cli,iptables,nftables,iproute2,procps,busybox-static"


class ToolsUnavailableError(Exception):
    """The packages cannot be had here; the text says why."""


def unpack(packages: tuple[str, ...], cache: Path = CACHE, suite: str | None = None) -> Path:
    """The folder with the packages' files (usr/..., etc/...), unpacked once for all runs.

    They are those of this machine's own suite, or of a named one.
    """
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise ToolsUnavailableError(f"no {program} on this machine")
    cache.mkdir(exist_ok=True)
    folder = cache / (f"tools-{packages[0]}" + (f"-{suite}" if suite else ""))
    with (cache / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test workers share the cache
        if not (folder / ".complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            _download(packages, folder, suite)
            (folder / ".complete").touch()
    return folder


def unpack_kernel(version: str, cache: Path = CACHE) -> Path:
    """User-Mode Linux of a version, with the C library of its suite.

    To be run as ./linux.uml in this folder, its LIBRARIES on LD_LIBRARY_PATH; its modules are
    lib/modules/RELEASE, as modprobe asks.
    """
    folder = unpack(("libc6", "user-mode-linux"), cache, KERNELS[version])
    with (cache / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kernel = folder / "linux.uml"
        if not kernel.exists():
            (folder / "lib").mkdir(exist_ok=True)
            (folder / "lib/modules").symlink_to("../usr/lib/uml/modules")
            (folder / "ld.so").symlink_to(LIBRARIES + "/ld-linux-x86-64.so.2")
            # It finds its physical memory behind its own brk, so a loader cannot start it.
            own = b"./ld.so".ljust(len(_LOADER), b"\0")
            program = (folder / "usr/bin/linux.uml").read_bytes()
            fresh = kernel.with_suffix(".new")
            fresh.write_bytes(program.replace(_LOADER.encode(), own))
            fresh.chmod(0o755)
            fresh.rename(kernel)
    return folder


def engine_root(suite: str, cache: Path = CACHE) -> Path:
    """A whole root file system of a Debian suite with its docker.io; 20 s, 320 MB, once."""
    builder = unpack(("mmdebstrap",), cache) / "usr/bin/mmdebstrap"
    folder = cache / f"root-{suite}"
    with (cache / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            done = _run(_mmdebstrap(builder, suite, folder), cache)
            if done.returncode != 0:
                raise ToolsUnavailableError(f"{suite}: {done.stderr.strip()[-200:]}")
            (folder / ".complete").touch()
    return folder


def _mmdebstrap(builder: Path, suite: str, folder: Path) -> list[str]:
    options = ["--mode=root", "--variant=minbase", f"--include={_ENGINE_ROOT}"]
    unexpired = '--aptopt=Acquire::Check-Valid-Until "false"'  # a testing suite's list ages
    return ["perl", str(builder), *options, unexpired, suite, str(folder)]


def _download(packages: tuple[str, ...], folder: Path, suite: str | None) -> None:
    archives = folder.with_suffix(".debs")
    shutil.rmtree(archives, ignore_errors=True)
    archives.mkdir(parents=True)
    folder.mkdir()
    done = None if suite else _apt("download", archives, *packages)
    if done is None or done.returncode != 0:  # lists may be missing or old on a bare machine
        own = [f"-oDir::State::Lists={archives}/lists", f"-oDir::Cache={archives}/cache"]
        if suite:
            (archives / "sources.list").write_text(f"deb {_MIRROR} {suite} main\n")
            own += [f"-oDir::Etc::SourceList={archives}/sources.list"]
            own += ["-oDir::Etc::SourceParts=/dev/null", "-oAcquire::Check-Valid-Until=false"]
        (archives / "lists/partial").mkdir(parents=True)
        (archives / "cache/archives/partial").mkdir(parents=True)
        _apt("update", archives, *own)
        done = _apt("download", archives, *own, *packages)
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


def _apt(command: str, folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    # As root, apt hands downloads to a user who cannot write here.
    sandbox = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
    return _run(["apt-get", *sandbox, "-q", command, *words], folder)


def _run(argv: list[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        argv, cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )
