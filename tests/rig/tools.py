# SPDX-License-Identifier: GPL-3.0-or-later
"""Real programs for the tests, unpacked from Debian packages into a private cache.

The machine that runs the tests is not touched: `apt-get download` and `dpkg-deb -x`
install nothing. Where packages cannot be had, `unpack` says why and tests skip.
"""

import fcntl
import shutil
from pathlib import Path

from contrib.debs import ToolsUnavailableError as ToolsUnavailableError  # noqa: PLC0414 - says that it is re-exported
from contrib.debs import run, unpack_debs

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

# 20.10.24 needs no root of its own: DOCKER above. bullseye (20.10.5) has too old a C library
# for the Python that runs the tests.
ENGINES = {"trixie": "26.1.5", "forky": "28.5.2"}
_ENGINE_ROOT = "docker.io,docker-cli,iptables,nftables,iproute2,procps,busybox-static"


def unpack(packages: tuple[str, ...], cache: Path = CACHE, suite: str | None = None) -> Path:
    """The folder with the packages' files (usr/..., etc/...), unpacked once for all runs.

    They are those of this machine's own suite, or of a named one.
    """
    cache.mkdir(exist_ok=True)
    folder = cache / (f"tools-{packages[0]}" + (f"-{suite}" if suite else ""))
    with (cache / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test workers share the cache
        if not (folder / ".complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            unpack_debs(packages, folder, suite)
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
            done = run(_mmdebstrap(builder, suite, folder), cache)
            if done.returncode != 0:
                raise ToolsUnavailableError(f"{suite}: {done.stderr.strip()[-200:]}")
            (folder / ".complete").touch()
    return folder


def _mmdebstrap(builder: Path, suite: str, folder: Path) -> list[str]:
    options = ["--mode=root", "--variant=minbase", f"--include={_ENGINE_ROOT}"]
    unexpired = '--aptopt=Acquire::Check-Valid-Until "false"'  # a testing suite's list ages
    return ["perl", str(builder), *options, unexpired, suite, str(folder)]
