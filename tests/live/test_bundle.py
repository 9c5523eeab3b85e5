# SPDX-License-Identifier: GPL-3.0-or-later
"""The bundle runs where nothing is installed, and takes nothing from where something is."""

import os
import platform
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from contrib.bundle import recipe
from contrib.bundle.stage import NotPossibleError, fill
from hostkit import __version__, process
from hostkit.cli.main import FAULT
from tests.e2e.command import FORWARDING
from tests.rig.sickhost import SickHost
from tests.rig.tools import DOCKER, IPTABLES, LAB, ToolsUnavailableError, engine_root, unpack

CHECKOUT = Path(__file__).resolve().parents[2]
OLD_KERNEL = (sys.executable, "-m", "tests.rig.oldkernel")
# In a private mount namespace $1 gets /proc and the devices that programs expect; $2 is who runs.
INSIDE = (
    'root=$1 user=$2; shift 2; mount -t proc proc "$root/proc"; '
    'for one in null zero urandom; do mount --bind "/dev/$one" "$root/dev/$one"; done; '
    'exec chroot --userspec="$user" "$root" "$@"'
)
TIMEOUT_S = 120
NOTE_ABI = struct.pack("=III", 4, 16, 1) + b"GNU\0" + struct.pack("=I", 0)  # then the kernel
COLLECTED = "/tmp/collected.tar.gz"
COMMANDS = [
    (("--version",), {0}),
    (("list", "problems"), {0}),
    (("explain", "loop-lvm-in-use"), {0}),
    (("doctor", FORWARDING, "--host", "none"), {1}),
    (("doctor", "--text", "/no/such/file"), {FAULT}),
    (("preflight",), {0, 1}),
    (("doctor",), {0, 1}),
    (("collect", "-o", COLLECTED), {0}),
]

pytestmark = pytest.mark.skipif(
    platform.machine() not in recipe.ARCHITECTURES or sys.version_info[:2] != recipe.PYTHON,
    reason=f"a bundle of {platform.machine()} cannot be made by Python {sys.version_info[:2]}",
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle as it lies unpacked, at a path with spaces."""
    folder = tmp_path_factory.mktemp("a bundle") / f"hostkit-{__version__}"
    try:
        debian = unpack(recipe.PACKAGES, suite=recipe.SUITE)
        fill(folder, debian, CHECKOUT, recipe.ARCHITECTURES[platform.machine()])
    except (ToolsUnavailableError, NotPossibleError) as problem:
        pytest.skip(str(problem))
    for above in (folder.parent, folder.parent.parent):
        above.chmod(0o755)  # an ordinary user comes here too
    return folder


@pytest.fixture(scope="module")
def empty_root(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with the bundle, /proc, a few devices and nothing else: no shell, no library."""
    return _root(tmp_path_factory.mktemp("empty"), bundle)


@pytest.fixture(scope="module")
def busybox_root(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with busybox as its shell."""
    try:
        busybox = unpack(DOCKER) / "usr/bin/busybox"
    except ToolsUnavailableError as problem:
        pytest.skip(str(problem))
    root = _root(tmp_path_factory.mktemp("busybox"), bundle)
    (root / "bin").mkdir()
    shutil.copy(busybox, root / "bin/busybox")
    for name in ("sh", "readlink", "ln"):
        (root / "bin" / name).symlink_to("busybox")
    return root


def _root(root: Path, bundle: Path) -> Path:
    for name in ("proc", "dev", "tmp", "opt"):
        (root / name).mkdir()
    for name in ("null", "zero", "urandom"):
        (root / "dev" / name).touch()
    shutil.copytree(bundle, root / "opt/host kit", symlinks=True)
    root.chmod(0o755)
    (root / "tmp").chmod(0o1777)
    return root


def inside(
    root: Path, *words: str, user: int = 0, wrapper: tuple[str, ...] = ()
) -> "subprocess.CompletedProcess[str]":
    """Run words with another root; the mounts go with the namespace."""
    enter = ["unshare", "--mount", "--propagation=private", "sh", "-ec", INSIDE, "sh"]
    return _ran([*wrapper, *enter, str(root), f"{user}:{user}", *words])


def _ran(argv: list[str], folder: Path = CHECKOUT) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=TIMEOUT_S,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "zh_CN.UTF-8"},
    )
    for wrong in ("Traceback", "fault of hostkit", "cannot open shared object", "GLIBC_"):
        assert wrong not in done.stdout + done.stderr
    return done


def without_shell(home: str) -> list[str]:
    """What the launcher executes, for where there is no shell."""
    loader = recipe.ARCHITECTURES[platform.machine()].loader
    named = ["--argv0", f"{home}/python3", f"{home}/lib/python"]
    words = [f"{home}/lib/{loader}", "--inhibit-cache", "--library-path", f"{home}/lib", *named]
    return [*words, *recipe.OPTIONS, "-c", recipe.START, f"{home}/hostkit"]


@pytest.mark.root
@pytest.mark.parametrize("kernel", [(), OLD_KERNEL], ids=["this-kernel", "old-kernel"])
@pytest.mark.parametrize(("words", "codes"), COMMANDS)
def test_it_runs_in_an_empty_root(
    empty_root: Path, words: tuple[str, ...], codes: set[int], kernel: tuple[str, ...]
) -> None:
    done = inside(empty_root, *without_shell("/opt/host kit"), *words, wrapper=kernel)
    (empty_root / COLLECTED[1:]).unlink(missing_ok=True)
    assert done.returncode in codes, done.stderr
    assert done.stdout if FAULT not in codes else done.stderr


@pytest.mark.root
@pytest.mark.parametrize("user", [0, 65534])
def test_busybox_is_shell_enough(busybox_root: Path, user: int) -> None:
    done = inside(busybox_root, "/opt/host kit/hostkit", "preflight", "--format", "text", user=user)
    assert done.returncode in {0, 1}, done.stderr
    assert "容器" in done.stdout or "exit code" in done.stdout
    assert inside(busybox_root, "/opt/host kit/hostkit", "--version", user=user).returncode == 0


@pytest.mark.root
def test_a_link_to_it_finds_it(busybox_root: Path) -> None:
    script = 'ln -sf "/opt/host kit/hostkit" /bin/hostkit && hostkit --version && cd /opt && '
    script += '"host kit/hostkit" --version && cd "host kit" && sh hostkit --version'
    done = inside(busybox_root, "/bin/sh", "-c", script)
    assert done.stdout == f"hostkit {__version__}\n" * 3, done.stderr


def test_commands_that_it_prints_can_be_typed(bundle: Path) -> None:
    done = _ran([f"{bundle}/hostkit", "explain", "ipv4-forwarding-disabled"])
    unwrapped = " ".join(done.stdout.replace("\\\n", "").split())
    assert f"'{bundle}/hostkit' fix ipv4-forwarding-disabled --dry-run" in unwrapped


def test_it_says_why_it_cannot_start(bundle: Path, tmp_path: Path) -> None:
    half = tmp_path / "half"
    half.mkdir()
    shutil.copy(bundle / "hostkit", half)
    colon = tmp_path / "a:b"
    colon.mkdir()
    shutil.copy(bundle / "hostkit", colon)
    assert "unpacked whole" in _ran([f"{half}/hostkit"]).stderr
    assert "cannot read a path with :" in _ran([f"{colon}/hostkit"]).stderr
    assert _ran([f"{colon}/hostkit"]).returncode == FAULT


def test_every_library_is_found_in_it(bundle: Path) -> None:
    loader = str(bundle / "lib" / recipe.ARCHITECTURES[platform.machine()].loader)
    objects = [path for path in bundle.rglob("*") if re.search(r"\.so(\.|$)", path.name)]
    assert len(objects) > 40
    for path in (bundle / "lib/python", *objects):
        listed = [loader, "--inhibit-cache", "--library-path", f"{bundle}/lib", "--list", str(path)]
        found = subprocess.run(listed, capture_output=True, text=True, check=False).stdout
        places = re.findall(r"=> (.+?)(?: \(0x|$)", found, re.MULTILINE)
        outside = [one for one in places if not one.startswith(f"{bundle}/lib")]
        assert outside == [], path.name


def test_it_is_made_for_linux_3_10(bundle: Path) -> None:
    asked: dict[str, tuple[int, ...]] = {}
    for path in bundle.rglob("*"):
        if path.is_file() and (content := path.read_bytes()).startswith(b"\x7fELF"):
            at = content.find(NOTE_ABI)
            if at >= 0:
                asked[path.name] = struct.unpack_from("=III", content, at + len(NOTE_ABI))
    assert "libc.so.6" in asked
    assert max(asked.values()) <= (3, 10, 0), asked


@pytest.fixture
def python(bundle: Path) -> Callable[[str], str]:
    """Runs a program text with the bundle's interpreter."""

    def run(program: str) -> str:
        done = _ran([f"{bundle}/python3", "-c", program])
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_nothing_of_this_machine_is_loaded(python: Callable[[str], str], bundle: Path) -> None:
    modules = "psutil, pyudev, pyroute2, blkinfo, tabulate, isal.igzip, fastcrc, ahocorasick_rs"
    used = f"{modules}, zstandard, ssl, hashlib, sqlite3, lzma, bz2, ctypes, tomllib"
    program = f"import {used}\npyudev.Context()\nhashlib.new('sha512')\nhashlib.sha256()\n"
    program += "import pwd; pwd.getpwuid(0)\nprint(open('/proc/self/maps').read())"
    mapped = {line.split(maxsplit=5)[5] for line in python(program).splitlines() if "/" in line}
    assert [path for path in mapped if not path.startswith(str(bundle))] == []


def test_programs_it_starts_get_our_plain_environment(python: Callable[[str], str]) -> None:
    program = "from hostkit import process; print(process.run(['env'], timeout=9).stdout.decode())"
    got = dict(line.split("=", 1) for line in python(program).split("\n") if line)
    assert got == dict(process.ENVIRONMENT)


def test_it_starts_itself_again_by_what_python_calls_itself(python: Callable[[str], str]) -> None:
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(6 * 7)'])"
    assert python(program) == "42\n"


def test_a_locale_that_is_not_there_breaks_no_letter(python: Callable[[str], str]) -> None:
    assert python("import os, sys; print(os.fsencode('\\u5bb9'), sys.stdout.encoding)") == (
        "b'\\xe5\\xae\\xb9' utf-8\n"
    )


@pytest.mark.root
def test_programs_of_the_host_are_not_broken_by_our_libraries(bundle: Path) -> None:
    try:
        tools = (unpack(IPTABLES), unpack(LAB))
    except ToolsUnavailableError as problem:
        pytest.skip(str(problem))
    program = "from hostkit import process\nfor argv in %r: r = process.run(argv, timeout=9); "
    program += "print(argv[0], r.status, r.stderr.decode())"
    argvs = [["iptables-save", "-V"], ["lvs", "--version"], ["dmsetup", "help"], ["nft", "-v"]]
    with SickHost(bundle.parent, *tools) as host:
        said = host.run(f"/{bundle.name}/python3", "-c", program % argvs).stdout
        assert re.findall(r"^(\S+) 0 ", said, re.MULTILINE) == [argv[0] for argv in argvs], said
        done = host.run(f"/{bundle.name}/hostkit", "preflight", "--select", "firewall", check=False)
        assert done.returncode in {0, 1}
        assert "iptables is not installed" not in done.stdout


@pytest.mark.root
@pytest.mark.skipif("HOSTKIT_BUNDLE" not in os.environ, reason="`make bundle-test` runs it")
def test_it_runs_on_a_newer_distribution(bundle: Path, tmp_path: Path) -> None:
    try:
        newer = engine_root("trixie")
    except ToolsUnavailableError as problem:
        pytest.skip(str(problem))
    with SickHost(bundle.parent, root=newer) as host:
        for words, codes in COMMANDS:
            done = host.run(f"/{bundle.name}/hostkit", *words, check=False)
            assert done.returncode in codes, done.stderr
