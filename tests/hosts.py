# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole hosts as test data: tests/captures/hosts/NAME.toml becomes a FakeHost.

A description says what is special about a host; `like` names the one that it is made
from, tables are merged, and `false` takes something away. What a kernel and its tools
would print of it (mountinfo, /proc/cgroups, `systemctl show`) is written here.
"""

import json
import struct
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

from hostkit.facts import lvm, packages, units
from hostkit.files import READ_LIMIT
from hostkit.host import commands
from hostkit.host.answer import Answer, Unreadable
from hostkit.host.base import FileStat, Output, SourceKind, Space, Tail
from hostkit.host.commands import Command
from tests.fakes import FakeHost, Said, fake_stat

FOLDER = Path(__file__).parent / "captures" / "hosts"
CAPTURES = FOLDER.parent
ELF = b"\x7fELF\x02\x01\x01" + bytes(57)
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
# What the root of each v1 hierarchy has besides, on every kernel that people run.
V1_FILES = {
    "cpuset": ("cpuset/cpuset.cpus", "cpuset/cpuset.mems"),
    "cpu,cpuacct": tuple(
        f"cpu,cpuacct/cpu.{one}" for one in ("shares", "cfs_period_us", "cfs_quota_us")
    ),
    "cpu": tuple(f"cpu/cpu.{one}" for one in ("shares", "cfs_period_us", "cfs_quota_us")),
    "memory": tuple(
        f"memory/memory.{one}"
        for one in ("oom_control", "kmem.limit_in_bytes", "kmem.tcp.limit_in_bytes")
    ),
    "blkio": tuple(
        f"blkio/blkio.throttle.{way}_{what}_device"
        for way in ("read", "write")
        for what in ("bps", "iops")
    ),
}
CONTROLLERS = "cpuset cpu,cpuacct memory devices freezer net_cls,net_prio blkio perf_event hugetlb"

Table = dict[str, Any]


@cache
def names() -> tuple[str, ...]:
    """Every host that is described; those named base-* are only made from."""
    return tuple(
        sorted(path.stem for path in FOLDER.glob("*.toml") if not path.stem.startswith("base-"))
    )


def load(name: str) -> FakeHost:
    """The host of that name."""
    return _Builder(name, describe(name)).build()


def describe(name: str) -> Table:
    """A description with all that it is made from."""
    own = tomllib.loads((FOLDER / f"{name}.toml").read_text())
    return _merged(describe(own["like"]), own) if "like" in own else own


def capture(name: str) -> str:
    """What a command of the laboratory printed, without the lines that frame it."""
    lines = (CAPTURES / name).read_text().splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(("$ ", "[exit ")))


def size(written: str | int) -> int:
    """Bytes, from a number or from words such as 40G."""
    if isinstance(written, int):
        return written
    return int(float(written[:-1]) * UNITS[written[-1]]) if written[-1] in UNITS else int(written)


def _merged(base: Table, own: Table) -> Table:
    merged = dict(base)
    for key, value in own.items():
        before = merged.get(key)
        if value is False and key not in ("memsw", "folder"):
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(before, dict):
            merged[key] = _merged(cast("Table", before), cast("Table", value))
        else:
            merged[key] = value
    return merged


def library(symbols: tuple[str, ...], versions: tuple[str, ...]) -> bytes:
    """An ELF shared library that exports these symbols with the first of these versions."""
    strings = bytearray(b"\0")

    def name(word: str) -> int:
        strings.extend(word.encode() + b"\0")
        return len(strings) - len(word) - 1

    table = bytes(24) + b"".join(
        struct.pack("<IBBHQQ", name(one), 0x12, 0, 7, 0x1000, 8) for one in symbols
    )
    marks = struct.pack(f"<{len(symbols) + 1}H", 0, *(2 for _ in symbols))
    defined = b""
    listed = ("libdevmapper.so.1.02", *versions)
    for at, one in enumerate(listed, 1):
        following = 0 if at == len(listed) else 28
        defined += struct.pack("<4H5I", 1, at == 1, at, 1, 0, 20, following, name(one), 0)
    bodies = [(0, b"", 0, 0), (3, bytes(strings), 0, 0), (11, table, 1, 0)]
    bodies += [(0x6FFFFFFF, marks, 2, 0), (0x6FFFFFFD, defined, 1, len(listed))]
    headers, data = b"", b""
    for kind, body, link, info in bodies:
        headers += struct.pack(
            "<IIQQQQIIQQ", 0, kind, 0, 0, 64 + len(data), len(body), link, info, 1, 0
        )
        data += body
    rest = struct.pack(
        "<HHIQQQIHHHHHH", 3, 62, 1, 0, 0, 64 + len(data), 0, 64, 0, 0, 64, len(bodies), 1
    )
    return ELF[:16] + rest + data + headers


class _Builder:
    """Writes the files and the answers of one host."""

    def __init__(self, name: str, said: Table) -> None:
        self.name = name
        self.said = said
        self.kernel: str = said["kernel"]
        self.files: dict[str, str | bytes] = {}
        self.folders: dict[str, list[str]] = {}
        self.links: dict[str, str] = dict(said.get("symlinks", {}))
        self.stats: dict[str, Any] = {}
        self.answers: dict[str, Said] = {}

    def build(self) -> FakeHost:
        self._kernel()
        self._cgroups()
        self._mounts()
        self._packages()
        self._units()
        self._processes()
        self._network()
        self._blocks()
        self._logs()
        self._files()
        for command, said in self.said.get("commands", {}).items():
            self.answers[command] = self._content(said) if isinstance(said, str) else tuple(said)
        return FakeHost(
            self.files,
            folders=self.folders,
            links=self.links,
            stats=self.stats,
            spaces=dict(self._spaces()),
            commands=self.answers,
            name=self.name,
            taken_at=float(self.said["taken_at"]),
        )

    def _kernel(self) -> None:
        said, release = self.said, self.kernel
        self.files["/proc/sys/kernel/osrelease"] = release + "\n"
        self.files["/proc/cmdline"] = said["cmdline"] + "\n"
        listed = said["filesystems"].split()
        disks = ("ext2", "ext3", "ext4", "xfs", "btrfs", "iso9660")
        self.files["/proc/filesystems"] = "".join(
            f"\t{one}\n" if one in disks else f"nodev\t{one}\n" for one in listed
        )
        self.folders["/proc/self/ns"] = said["namespaces"].split()
        modules = said.get("modules")
        if modules is not None:
            self._modules(modules)
        if "config" in said:
            own = {one.partition("=")[0]: one for one in said["config"].split()}
            besides = {one.partition("=")[0]: one for one in said["config_besides"].split()}
            words = (besides | own).values()
            self.files[f"/boot/config-{release}"] = "".join(f"CONFIG_{one}\n" for one in words)

    def _modules(self, modules: Table) -> None:
        release = self.kernel
        self.files["/proc/modules"] = "".join(
            f"{one} 16384 0 - Live 0x0000000000000000\n" for one in modules["loaded"].split()
        )
        if modules.get("folder", True):
            folder = f"/lib/modules/{release}"
            self.files[f"{folder}/modules.dep"] = _module_paths(modules["on_disk"])
            self.files[f"{folder}/modules.builtin"] = _module_paths(modules.get("builtin", ""))
            self.folders[f"{folder}/kernel"] = ["net"]
        for other in modules.get("others", ()):
            self.files[f"/lib/modules/{other}/modules.dep"] = _module_paths(modules["on_disk"])
            self.folders[f"/lib/modules/{other}/kernel"] = ["net"]

    def _cgroups(self) -> None:
        said = self.said["cgroups"]
        version, groups = said["version"], said.get("controllers", CONTROLLERS).split()
        mounts = list[str]()
        if version in ("v1", "hybrid"):
            root = said.get("root", "/sys/fs/cgroup")
            mounts += [f"cgroup {root}/{one} cgroup rw,relatime,{one} 0 0" for one in groups]
            if said.get("systemd", True):
                mounts.append(f"cgroup {root}/systemd cgroup rw,relatime,xattr,name=systemd 0 0")
            memory = f"{root}/memory/memory"
            self.files[f"{memory}.limit_in_bytes"] = "9223372036854771712\n"
            for path in (f"{root}/{one}" for group in groups for one in V1_FILES.get(group, ())):
                self.files[path] = "0\n"
            if said.get("memsw", True):
                self.files[f"{memory}.memsw.limit_in_bytes"] = "9223372036854771712\n"
        if version == "hybrid":
            mounts.append("cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0")
            self.files["/sys/fs/cgroup/unified/cgroup.controllers"] = "\n"
        if version == "v2":
            mounts.append("cgroup2 /sys/fs/cgroup cgroup2 rw,relatime 0 0")
            offered = "cpuset cpu io memory hugetlb pids rdma misc"
            self.files["/sys/fs/cgroup/cgroup.controllers"] = offered + "\n"
            for group in ("system.slice", "user.slice"):
                self.files[f"/sys/fs/cgroup/{group}/memory.max"] = "max\n"
                self.files[f"/sys/fs/cgroup/{group}/memory.swap.max"] = "max\n"
        rows = [
            f"{one}\t{0 if version in ('v2', 'none') else at}\t1\t1"
            for at, group in enumerate(groups, 2)
            for one in group.split(",")
        ]
        head = "#subsys_name\thierarchy\tnum_cgroups\tenabled"
        self.files["/proc/cgroups"] = "\n".join((head, *rows, ""))
        self.files["/proc/self/mounts"] = "\n".join((*mounts, ""))

    def _mounts(self) -> None:
        rows: list[str] = []
        for at, (target, fstype, source, *options) in enumerate(self.said["mounts"]):
            device = f"254:{at}"
            ident, parent = 20 + at, 1 if at == 0 else 20
            shared = options[0] if options else "rw,relatime"
            rows.append(
                f"{ident} {parent} {device} / {target} {shared} shared:{at + 1}"
                f" - {fstype} {source} rw"
            )
        self.files["/proc/self/mountinfo"] = "\n".join((*rows, ""))
        for target, info in self.said.get("xfs_ftype", {}).items():
            self.answers[f"xfs_info {target}"] = (
                "meta-data=/dev/x isize=512 agcount=4, agsize=3276800 blks\n"
                f"naming   =version 2              bsize=4096   ascii-ci=0 ftype={info}\n"
            )

    def _spaces(self) -> Iterator[tuple[str, Space]]:
        for path, one in self.said["spaces"].items():
            total, free = size(one["total"]), size(one["free"])
            inodes = int(one.get("inodes", total // 16384))
            left = int(one.get("inodes_free", inodes - inodes // 20))
            yield path, Space(total, free, free, inodes, left)

    def _packages(self) -> None:
        rows: list[str] = []
        rpm = self.said["packages"]["manager"] == "rpm"
        for name, written in self.said["packages"].items():
            if name == "manager":
                continue
            if not rpm:
                rows.append(
                    f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\n"
                    f"Version: {written}\n\n"
                )
                continue
            for one in written.split():
                epoch, _, rest = one.rpartition(":")
                version, _, release = rest.partition("-")
                rows.append(f"{name}\t{epoch or 0}\t{version}\t{release}\tx86_64\n")
        if not rpm:
            status = "Package: dpkg\nStatus: install ok installed\nVersion: 1.16\n\n"
            self.files["/var/lib/dpkg/status"] = status + "".join(rows)
            return
        self.files["/var/lib/rpm/Packages"] = ""
        absent = [one for one in packages.NAMES if one not in self.said["packages"]]
        rows += [f"package {one} is not installed\n" for one in absent]
        query = " ".join((*commands.RPM_QUERY.argv, *packages.NAMES))
        self.answers[query] = ("".join(rows), min(len(absent), 255))

    def _units(self) -> None:
        said = self.said.get("units")
        if said is None:
            return
        self.folders["/run/systemd/system"] = []
        blocks: list[str] = []
        for name in units.NAMES:
            one = said.get(name)
            if one is None:
                blocks.append(
                    f"Id={name}\nLoadState=not-found\nActiveState=inactive\nSubState=dead"
                )
                continue
            at = round(float(one.get("at", 0)) * 1e6)
            blocks.append(
                f"Id={name}\nLoadState=loaded\nActiveState={one['state']}\n"
                f"SubState={one.get('sub', 'running')}\n"
                f"UnitFileState={one.get('enabled', 'enabled')}\n"
                f"Result={one.get('result', 'success')}\nActiveEnterTimestampMonotonic={at}\n"
                f"MainPID={one.get('pid', 0)}\nExecMainStatus={one.get('status', 0)}"
            )
        wanted = (word for name in units.PROPERTIES for word in ("-p", name))
        command = " ".join((*commands.SYSTEMCTL_SHOW.argv, *units.NAMES, *wanted))
        self.answers[command] = "\n\n".join(blocks) + "\n"

    def _processes(self) -> None:
        self.files["/proc/1/comm"] = self.said["init"] + "\n"
        self.files["/proc/1/cgroup"] = "1:name=systemd:/\n"
        for pid, command in self.said.get("processes", {}).items():
            argv = command.split()
            self.files[f"/proc/{pid}/comm"] = argv[0].rpartition("/")[2][:15] + "\n"
            self.files[f"/proc/{pid}/cmdline"] = "\0".join((*argv, ""))
            self.files[f"/proc/{pid}/status"] = f"Name:\t{argv[0]}\nNSpid:\t{pid}\n"
            self.files[f"/proc/{pid}/limits"] = (
                "Limit                     Soft Limit           Hard Limit           Units     \n"
                "Max processes             unlimited            unlimited            processes \n"
                "Max open files            1048576              1048576              files     \n"
            )
        listening = self.said.get("listening", "").split()
        self.files["/proc/net/unix"] = (
            "Num       RefCount Protocol Flags    Type St Inode Path\n"
            + "".join(
                f"0000000000000000: 00000002 00000000 00010000 0001 01 {20000 + at} {path}\n"
                for at, path in enumerate(listening)
            )
        )
        for path in listening:
            group = 994 if "docker.sock" in path else 0
            self.stats[path] = fake_stat("socket", mode=0o660, gid=group)

    def _network(self) -> None:
        routes = [
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT"
        ]
        trie = ["Local:"]
        for at, (name, link) in enumerate(self.said["links"].items(), 1):
            folder = f"/sys/class/net/{name}"
            self.files[f"{folder}/mtu"] = f"{link.get('mtu', 1500)}\n"
            self.files[f"{folder}/operstate"] = link.get("state", "up") + "\n"
            self.files[f"{folder}/address"] = f"52:54:00:00:00:{at:02x}\n"
            self.files[f"{folder}/type"] = "772\n" if name == "lo" else "1\n"
            kind = link.get("kind", "hardware")
            self.files[f"{folder}/uevent"] = (
                f"DEVTYPE={kind}\n" if kind == "bridge" else f"INTERFACE={name}\n"
            )
            if kind == "bridge":
                self.folders[f"{folder}/bridge"] = ["bridge_id"]
            elif name != "lo":
                self.folders[f"{folder}/device"] = ["vendor"]
            if "address" not in link:
                continue
            address, _, length = link["address"].partition("/")
            trie += [f"     |-- {address}", "        /32 host LOCAL"]
            if name != "lo":
                mask = (0xFFFFFFFF << (32 - int(length))) & 0xFFFFFFFF
                network = _number(address) & mask
                routes.append(_route(name, network, 0, 1, mask))
            if "gateway" in link:
                routes.append(_route(name, 0, _number(link["gateway"]), 3, 0))
        self.files["/proc/net/route"] = "\n".join((*routes, ""))
        self.files["/proc/net/fib_trie"] = "\n".join((*trie, ""))

    def _blocks(self) -> None:
        for name, one in self.said.get("blocks", {}).items():
            for folder in (f"/sys/class/block/{name}", f"/sys/block/{name}"):
                self.files[f"{folder}/size"] = f"{size(one['size']) // 512}\n"
                self.files[f"{folder}/dev"] = one["number"] + "\n"
                major, _, minor = one["number"].partition(":")
                self.files[f"{folder}/uevent"] = (
                    f"MAJOR={major}\nMINOR={minor}\nDEVNAME={name}\nDEVTYPE=disk\n"
                )
                self.files[f"{folder}/ro"] = "0\n"
                self.files[f"{folder}/removable"] = "0\n"
                self.folders[f"{folder}/slaves"] = one.get("on", "").split()
                if "dm" in one:
                    self.files[f"{folder}/dm/name"] = one["dm"] + "\n"
                    self.files[f"{folder}/dm/uuid"] = one.get("uuid", "") + "\n"
                if "file" in one:
                    self.files[f"{folder}/loop/backing_file"] = one["file"] + "\n"
                    self.files[f"{folder}/loop/offset"] = "0\n"
                    self.files[f"{folder}/loop/sizelimit"] = "0\n"
                    self.files[f"{folder}/loop/autoclear"] = "1\n"
        mapper = self.said.get("dmsetup")
        if mapper is not None:
            for what in ("status", "table"):
                lines = capture(f"lab/{mapper}-dmsetup-{what}.txt").splitlines(keepends=True)
                pools = "".join(line for line in lines if " thin-pool " in line)
                flag = " --noflush" if what == "status" else ""
                self.answers[f"dmsetup {what}{flag} --target thin-pool"] = pools
            self.answers["dmsetup targets"] = capture("lab/loop-dmsetup-targets.txt")
            self.answers["dmsetup version"] = capture("lab/loop-dmsetup-version.txt")
        volumes = self.said.get("lvs")
        if volumes is not None:
            head = " ".join(commands.LVS.argv)
            self.answers[f"{head} {lvm.FIELDS},seg_monitor"] = volumes
            bare = "".join(line.rpartition("|")[0] + "\n" for line in volumes.splitlines())
            self.answers[f"{head} {lvm.FIELDS}"] = bare

    def _logs(self) -> None:
        said = self.said.get("logs", {})
        entries: list[str] = []
        for seconds, unit, identifier, message in said.get("journal", ()):
            entry: Table = {
                "__REALTIME_TIMESTAMP": str(int((self.said["taken_at"] - 600 + seconds) * 1e6)),
                "SYSLOG_IDENTIFIER": identifier,
                "MESSAGE": message,
                "_PID": "1" if identifier == "systemd" else "1234",
                "UNIT" if identifier == "systemd" else "_SYSTEMD_UNIT": unit,
            }
            if message.startswith("Starting "):
                entry["MESSAGE_ID"] = "7d4958e842da4a758f6c1cdc7b36dcc5"
            entries.append(json.dumps(entry))
        if self.said.get("units") is not None:
            newest_first = "".join(f"{line}\n" for line in reversed(entries))
            self.answers[" ".join(commands.JOURNAL_UNITS.argv)] = newest_first
        self.answers["dmesg"] = said.get("dmesg", "[    0.000000] Linux version\n")

    def _content(self, written: str) -> str:
        """What is written, or with @ before it what is in the captures."""
        return capture(written[1:]) if written.startswith("@") else written

    def _files(self) -> None:
        for program in ("/bin/true", *self.said.get("programs", "").split()):
            self.files[program] = ELF
        for path, one in self.said.get("libraries", {}).items():
            self.files[path] = library(
                tuple(one["symbols"].split()), tuple(one["versions"].split())
            )
        for path, content in self.said.get("files", {}).items():
            self.files[path] = self._content(content)
        for path, content in self.said.get("folders", {}).items():
            self.folders[path] = content.split()
        for path, one in self.said.get("stats", {}).items():
            fields = {key: size(value) for key, value in one.items() if key != "kind"}
            self.stats[path] = fake_stat(one.get("kind", "file"), **fields)


def _module_paths(words: str) -> str:
    return "".join(f"kernel/{one}.ko.xz:\n" for one in words.split())


def _number(address: str) -> int:
    return int.from_bytes(bytes(map(int, address.split("."))))


def _route(name: str, network: int, gateway: int, flags: int, mask: int) -> str:
    words = [int.from_bytes(one.to_bytes(4), "little") for one in (network, gateway, mask)]
    return f"{name}\t{words[0]:08X}\t{words[1]:08X}\t{flags:04X}\t0\t0\t0\t{words[2]:08X}\t0\t0\t0"


def stray(said: Mapping[str, Any]) -> set[str]:
    """Keys that no part of the loader reads: a slip of the pen in a description."""
    known = {
        "about", "like", "kernel", "cmdline", "filesystems", "namespaces", "modules", "config",
        "config_besides",
        "cgroups", "mounts", "xfs_ftype", "spaces", "packages", "units", "init", "processes",
        "listening", "links", "blocks", "dmsetup", "lvs", "logs", "programs", "libraries", "files",
        "folders", "stats", "symlinks", "commands", "taken_at", "target",
    }  # fmt: skip
    return set(said) - known


class OrdinaryUser:
    """The same host, asked by somebody who is not root."""

    kind: SourceKind = "live"
    privileged = False
    _CLOSED = ("/proc/net/ip_tables_names", "/proc/net/ip6_tables_names", "/var/lib/docker/")

    def __init__(self, host: FakeHost) -> None:
        self._host = host
        self.name = host.name
        self.taken_at = host.taken_at

    def _refused(self, path: str) -> Unreadable | None:
        return (
            Unreadable(path, "Permission denied", True) if path.startswith(self._CLOSED) else None
        )

    def read(self, path: str, limit: int = READ_LIMIT) -> Answer[bytes]:
        return self._refused(path) or self._host.read(path, limit)

    def tail(self, path: str, limit: int) -> Answer[Tail]:
        return self._refused(path) or self._host.tail(path, limit)

    def listdir(self, path: str) -> Answer[tuple[str, ...]]:
        return self._refused(f"{path}/") or self._host.listdir(path)

    def stat(self, path: str, *, follow: bool = True) -> Answer[FileStat]:
        return self._refused(path) or self._host.stat(path, follow=follow)

    def space(self, path: str) -> Answer[Space]:
        return self._host.space(path)

    def run(self, command: Command, *args: str) -> Answer[Output]:
        if command.root:
            return Unreadable(" ".join((*command.argv, *args)), "exit status 4", True)
        return self._host.run(command, *args)

    def native(self, source: str) -> Answer[Any]:
        return self._host.native(source)
