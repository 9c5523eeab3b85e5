# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder that becomes the bundle.

hostkit                  the launcher, a shell script; python3 is a link to it
lib/ld-linux-...         the loader, with the libraries beside it
lib/python               the interpreter
lib/python3.11/          the standard library, hostkit and its dependencies
share/doc/               what it is made of, and the licences
"""

import compileall
import py_compile
import shutil
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from contrib.bundle import recipe
from contrib.bundle.recipe import Architecture
from contrib.debs import run, unpack_debs
from hostkit import __version__

_HERE = Path(__file__).resolve().parent
_OURS = {"hostkit": ".", "hostkit_drivers": "drivers", "hostkit_checks": "checks"}
_NOT_COPIED = ("__pycache__", "*.pyc", "*.pyi", "py.typed", "*.po")
_ABOUT_AN_INSTALLATION = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "WHEEL")


class NotPossibleError(Exception):
    """The bundle cannot be made; the text says why."""


def debian_files(work: Path, architecture: Architecture) -> tuple[Path, tuple[str, ...]]:
    """Debian's part below a folder, and the archives it came from. Raises ToolsUnavailableError."""
    folder = work / "debian"
    name = architecture.debian
    found = unpack_debs(recipe.PACKAGES, folder, recipe.SUITE, architecture=name, security=True)
    return folder, found


def fill(stage: Path, debian: Path, checkout: Path, architecture: Architecture) -> list[str]:
    """Make the folder and return what of Python is in it. Raises NotPossibleError."""
    modules = stage / "lib" / "python{}.{}".format(*recipe.PYTHON)
    project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    _interpreter(stage, modules, debian, architecture)
    _hostkit(modules, checkout, project)
    versions = list(_dependencies(modules, architecture, project["dependencies"]))
    _strip(stage)
    _compile(modules)
    _launcher(stage, architecture)
    return versions


def document(stage: Path, debian: Path, checkout: Path, made_of: Iterable[str]) -> None:
    """Put beside it what it is made of, under which licences."""
    folder = stage / "share/doc"
    for package in recipe.PACKAGES:
        (folder / package).mkdir(parents=True)
        # It may be a link to the folder of a package from the same source.
        for copyright_file in (debian / "usr/share/doc" / package).glob("copyright"):
            shutil.copy(copyright_file, folder / package)
    for name in ("LICENSE", "README.md", "README.zh-CN.md"):
        shutil.copy(checkout / name, folder)
    (folder / "MADE_OF").write_text("".join(f"{one}\n" for one in sorted(made_of)))


def _interpreter(stage: Path, modules: Path, debian: Path, architecture: Architecture) -> None:
    name = "python{}.{}".format(*recipe.PYTHON)
    shutil.copytree(
        debian / "usr/lib" / name,
        modules,
        symlinks=False,
        ignore=shutil.ignore_patterns(*recipe.STDLIB_LEFT_OUT),
    )
    for extension in (modules / "lib-dynload").iterdir():
        if extension.name.partition(".")[0] in recipe.EXTENSIONS_LEFT_OUT:
            extension.unlink()
    shutil.copy(debian / "usr/bin" / name, stage / "lib/python")
    folder = debian / "usr/lib" / architecture.triplet
    for library in (architecture.loader, *recipe.LIBRARIES):
        shutil.copy(folder / library, stage / "lib" / library)
        (stage / "lib" / library).chmod(0o755)


def _hostkit(modules: Path, checkout: Path, project: dict[str, Any]) -> None:
    """Copy ours, with the entry points by which hostkit finds its checks and drivers."""
    for package, folder in _OURS.items():
        ignored = shutil.ignore_patterns(*_NOT_COPIED)
        shutil.copytree(checkout / folder / package, modules / package, ignore=ignored)
    for path in recipe.DISTRIBUTIONS_LEFT_OUT:
        if path.startswith("hostkit"):
            shutil.rmtree(modules / path)
    about = modules / f"hostkit-{__version__}.dist-info"
    about.mkdir()
    lines: list[str] = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {target}" for name, target in entries.items())]
    (about / "entry_points.txt").write_text("".join(f"{line}\n" for line in lines))


def _dependencies(modules: Path, architecture: Architecture, required: list[str]) -> Iterator[str]:
    """Copy all that is required, and what that requires; gives names and versions."""
    seen: set[str] = set()
    pending = _names(required)
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            raise NotPossibleError(f"{name} is not installed for {sys.executable}") from None
        pending += _names(found.requires or ())
        files = [str(path) for path in found.files or ()]
        compiled = any(path.endswith(".so") for path in files)
        if compiled and architecture.triplet != sysconfig.get_config_var("MULTIARCH"):
            _download(found, modules, architecture)
        else:
            _copy(found, modules, files)
        yield f"{found.name} {found.version}"


def _names(required: Iterable[str]) -> list[str]:
    """The names of what is required on this system, without extras."""
    parsed = map(Requirement, required)
    return [
        canonicalize_name(one.name)
        for one in parsed
        if one.marker is None or one.marker.evaluate({"extra": ""})
    ]


def _copy(found: metadata.Distribution, modules: Path, files: list[str]) -> None:
    for path in files:
        name = path.rpartition("/")[2]
        outside = path.startswith(("..", "/")) or ("/" not in path and path.endswith(".pth"))
        waste = name in _ABOUT_AN_INSTALLATION or name.endswith((".pyc", ".pyi"))
        if outside or waste or path.startswith(recipe.DISTRIBUTIONS_LEFT_OUT):
            continue
        target = modules / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(str(found.locate_file(path)), target)


def _download(found: metadata.Distribution, modules: Path, architecture: Architecture) -> None:
    """The compiled wheel of another architecture, through pip."""
    platforms = [f"--platform={kind}_{architecture.name}" for kind in recipe.PLATFORMS]
    options = ["--no-deps", "--only-binary=:all:", "--python-version={}.{}".format(*recipe.PYTHON)]
    with tempfile.TemporaryDirectory() as folder:
        wanted = [f"--target={folder}", f"{found.name}=={found.version}"]
        pip = [sys.executable, "-m", "pip", "install", "-q"]
        done = run([*pip, *options, *platforms, *wanted], Path(folder))
        if done.returncode != 0:
            raise NotPossibleError(f"{found.name} for {architecture.name}: {done.stderr.strip()}")
        one = next(iter(metadata.distributions(path=[folder])))
        _copy(one, modules, [str(path) for path in one.files or ()])


def _strip(stage: Path) -> None:
    """Take symbols for debuggers out: zstandard has 10 MB of them.

    What the strip of this machine cannot read, of another architecture, stays as it is.
    """
    if shutil.which("strip") is None:
        raise NotPossibleError("no strip on this machine (Debian: binutils)")
    for library in sorted(stage.rglob("*.so")):
        run(["strip", "--strip-unneeded", str(library)], stage)


def _compile(modules: Path) -> None:
    """Bytecode that is used unasked: unpacking may change the times of the files."""
    done = compileall.compile_dir(
        modules,
        quiet=1,
        stripdir=str(modules),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    if not done:
        raise NotPossibleError("a module does not compile")


def _launcher(stage: Path, architecture: Architecture) -> None:
    words = (_HERE / "launcher.sh").read_text(encoding="utf-8")
    for mark, text in (
        ("@LOADER@", architecture.loader),
        ("@ARCHITECTURE@", architecture.name),
        ("@START@", recipe.START),
        ("@OPTIONS@", " ".join(recipe.OPTIONS)),
    ):
        words = words.replace(mark, text)
    (stage / "hostkit").write_text(words, encoding="utf-8")
    (stage / "hostkit").chmod(0o755)
    (stage / "python3").symlink_to("hostkit")
