# SPDX-License-Identifier: GPL-3.0-or-later
"""A host of its own on this machine: private mount, network, pid and uts namespaces.

Its root is an overlay over this machine's root, so whatever a test breaks in /etc or
/var is gone with it. Real iptables, nft, dockerd and docker come from the tool cache.
Everything ends with the holder process, because the namespaces die with it; what a
namespace does not own (control groups) is removed by `__exit__`.
"""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]
SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_SMALL = 1 << 20

# $1 is the work folder, $2 the root below; $3, $4 and $5 are files in the checkout, in the
# Python installation and in the environment it runs in, each as FOLDER//FILE; $6... the tools.
# A folder that the root below does not have is laid over too, never bound: were it /usr,
# what is done to the sick host would be done to this machine.
_INIT = r"""
set -e
work=$1 below=$2 checkout=$3 python=$4 environment=$5; shift 5
mount --make-rprivate /
mount -t tmpfs -o size=1g tmpfs "$work"
mkdir "$work/upper" "$work/work" "$work/root"
mount -t overlay overlay -o "lowerdir=$below,upperdir=$work/upper,workdir=$work/work" "$work/root"
cd "$work/root"
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp  # before the checkout, which may lie there
for probe in "$checkout" "$python" "$environment"; do
    place=${probe%%//*}
    if [ ! -e "./$probe" ]; then
        own=$(mktemp -d -p "$work"); mkdir -p "$own/upper" "$own/work" "./$place"
        layers=lowerdir=$place,upperdir=$own/upper,workdir=$own/work
        mount -t overlay overlay -o "$layers" "./$place"
    fi
    while [ "$place" != / ]; do  # an ordinary user may come this way too
        place=$(dirname "$place"); chmod a+x "./$place"
    done
done
for tools in "$@"; do
    (cd "$tools" && find . -mindepth 1 -type d) | while read -r folder; do
        [ -d "$folder" ] || mkdir -p "$folder"
    done
    (cd "$tools" && find . \( -type f -o -type l \) -size -2048 ! -name .complete -print0 |
        xargs -0 cp -a --parents -t "$work/root")
    (cd "$tools" && find . -type f -size +2047) | while read -r file; do
        touch "$file"; mount --bind "$tools/$file" "$file"; mount -o remount,bind,ro "$file"
    done
done
mount -t proc proc proc
mount -t sysfs sysfs sys
[ ! -d /sys/fs/cgroup ] || mount --rbind /sys/fs/cgroup sys/fs/cgroup
mount --rbind /dev dev
mkdir -p .old var/lib/docker
truncate -s 2G tmp/docker.ext4
mkfs.ext4 -q -F -O ^has_journal -E lazy_itable_init=1 tmp/docker.ext4
mount -o loop tmp/docker.ext4 var/lib/docker
rmdir var/lib/docker/lost+found
pivot_root . .old
umount -l /.old
rmdir /.old
ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
hostname sickhost
echo ready
exec sleep infinity
"""


class SickHost:
    """Use as a context manager; `run` and `hostkit` work inside it, as root by default."""

    def __init__(self, *tools: Path, backend: str = "nft", root: Path = Path("/")) -> None:
        """`backend`: what the `iptables` program is, nft or legacy; `root`: the root below."""
        self._root = root
        self._tools = tools
        self._backend = backend
        self._holder: subprocess.Popen[str] | None = None
        self._pid = 0
        self.work = tempfile.mkdtemp(prefix="hostkit-rig-")
        self.cgroup = os.path.basename(self.work)

    def __enter__(self) -> "SickHost":
        namespaces = ["--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "--kill-child"]
        script = ["sh", "-c", _INIT, "sickhost", self.work, str(self._root)]
        python = f"{sys.base_prefix}//bin/{os.path.basename(os.path.realpath(sys.executable))}"
        places = [f"{ROOT}//pyproject.toml", python, f"{sys.prefix}//bin/hostkit"]
        self._holder = subprocess.Popen(
            ["unshare", *namespaces, *script, *places, *map(str, self._tools)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={"PATH": SYSTEM_PATH},
        )
        assert self._holder.stdout is not None
        said: list[str] = []
        for line in self._holder.stdout:
            if line == "ready\n":
                break
            said.append(line)
        else:
            self.__exit__(None, None, None)
            raise RuntimeError(f"no sick host: {''.join(said)}")
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children")
        self._pid = int(children.read_text().split()[0])
        for program in ("iptables", "ip6tables"):
            for suffix in ("", "-save", "-restore"):
                target = f"{program}-{self._backend}{suffix}"
                self.run("ln", "-sf", target, f"/usr/sbin/{program}{suffix}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._holder is not None:
            self._holder.kill()
            self._holder.wait()
            if self._holder.stdout is not None:
                self._holder.stdout.close()
        self._remove_cgroups()
        with contextlib.suppress(OSError):
            os.rmdir(self.work)

    def entering(self) -> tuple[str, ...]:
        """What runs the command that follows it inside."""
        namespaces = ("--mount", "--net", "--pid", "--uts", "--ipc", "--root", "--wd")
        return ("nsenter", f"--target={self._pid}", *namespaces)

    def run(
        self, *argv: str, check: bool = True, user: int = 0, timeout: float = 60
    ) -> "subprocess.CompletedProcess[str]":
        """Run a program inside, as root or as another user id, and return what it said."""
        become = [f"--setuid={user}", f"--setgid={user}"] if user else []
        done = subprocess.run(
            [*self.entering(), *become, *argv],
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            env={"PATH": SYSTEM_PATH, "HOME": "/root", "LC_ALL": "C.UTF-8"},
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"{argv} exited {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def hostkit(self, *args: str, user: int = 0) -> "subprocess.CompletedProcess[str]":
        """Run hostkit inside; its exit code is for the caller to judge."""
        return self.run(f"{sys.prefix}/bin/hostkit", *args, check=False, user=user)

    def shell(self, script: str, *, check: bool = True) -> str:
        """Run a shell script inside and return its standard output."""
        return self.run("sh", "-c", script, check=check).stdout

    def write(self, path: str, content: str) -> None:
        """Put a file there."""
        self.run("sh", "-c", 'mkdir -p "${1%/*}" && printf %s "$2" > "$1"', "write", path, content)

    def start_dockerd(self, *flags: str) -> None:
        """Start a real dockerd and wait until it answers; its log is /var/log/dockerd.log."""
        command = " ".join(
            ["dockerd", "--storage-driver=vfs", f"--cgroup-parent=/{self.cgroup}", *flags]
        )
        self.shell(
            f"umount -R /sys/fs/cgroup/unified 2>/dev/null; {command}"
            " </dev/null >>/var/log/dockerd.log 2>&1 &"
        )
        deadline = time.monotonic() + 30
        while self.run("docker", "version", check=False).returncode != 0:
            if time.monotonic() > deadline:
                log = self.shell("tail -n 20 /var/log/dockerd.log", check=False)
                raise RuntimeError(f"dockerd did not start: {log}")
            time.sleep(0.1)

    def stop_dockerd(self) -> None:
        """Stop it as a service manager would, and wait until it is gone."""
        self.shell(
            "pid=$(cat /var/run/docker.pid) && kill $pid &&"
            " for i in $(seq 100); do [ -e /proc/$pid/exe ] || break; sleep 0.1; done"
        )

    def import_busybox(self, name: str = "busybox") -> None:
        """Make an image of the tool cache's busybox."""
        self.shell(
            "mkdir -p /tmp/image/bin && cp $(command -v busybox) /tmp/image/bin/busybox &&"
            " for i in sh true sleep httpd; do ln -sf busybox /tmp/image/bin/$i; done &&"
            f" tar -C /tmp/image -c . | docker import - {name}"
        )

    def _remove_cgroups(self) -> None:
        for hierarchy in Path("/sys/fs/cgroup").glob(f"*/{self.cgroup}"):
            for folder, _, _ in os.walk(hierarchy, topdown=False):
                for _ in range(50):  # the kernel empties a group a moment after the kill
                    with contextlib.suppress(OSError):
                        os.rmdir(folder)
                        break
                    time.sleep(0.02)
