# SPDX-License-Identifier: GPL-3.0-or-later
"""Every parser of hostkit by its name, and samples of what each one reads.

A parser is a function called parse_*: text in, a value or ValueError out. It is found by its
name alone, and its samples are what the examples in its docstring give it, what is listed
below, and captures of real programs.
"""

import contextlib
import doctest
import gzip
import hashlib
import inspect
import json
import re
from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, cast

from hostkit.errors import HostkitError
from hostkit.facts.ruleset import Backend, Family
from hostkit.facts.unitfiles import Word
from tests.hosts import CAPTURES, capture, library

ROOT = Path(__file__).resolve().parents[1]
EXPLAINED = ROOT / "checks/hostkit_checks/network/explain"
Sample: TypeAlias = str | bytes
# What the parameters after the text are given, by their names; every other one gets a word.
_BESIDES: dict[str, Any] = {"family": Family.IPV4, "backend": Backend.NFT, "pid": 1, "kind": "yum"}
_FILES = {
    "facts.daemonjson.parse_daemon_json": "lab/*-daemon-json.txt",
    "facts.dataroot.parse_repositories": "lab/*-repositories.txt",
    "facts.devicemapper.parse_misc": "lab/*-proc-misc.txt",
    "facts.devicemapper.parse_targets": "lab/*-dmsetup-targets.txt",
    "facts.firewalld.parse_conf": "firewalld/fw-conf.txt",
    "facts.iptables.parse_save": "*/*-save.txt",
    "facts.iptables.parse_version": "engine-rules/*-iptables-version.txt",
    "facts.loop.parse_block_majors": "lab/*-proc-devices.txt",
    "facts.lvm.parse_config": "lab/*-profile.txt",
    "facts.nft.parse_json": "engine-rules/*-nft.json",
    "facts.nft.parse_text": "*/*nft*.txt",
    "facts.thinpool.parse_pool_status": "lab/*-dmsetup-status.txt",
    "facts.thinpool.parse_pool_table": "lab/*-dmsetup-table.txt",
    "facts.unitfiles.parse_unit_file": "engine/systemctl-cat-*.txt",
    "facts.units.parse_systemctl_show": "engine/systemctl-show-*.txt",
}
_TEXT = {"diagnosis.problem.parse_problem": "source"}  # the others take it first
_TAKES = {str: "text", bytes: "bytes", Any: "value", tuple[Word, ...]: "words"}
_KERNEL = b"#\n# Linux/x86 6.1.0\n#\nCONFIG_X86=y\n# CONFIG_AUFS_FS is not set\nCONFIG_VETH=m\n"


def _journal() -> bytes:
    """The journal of a run called word, with the sums that it must have."""
    chain, lines = "word", b""
    values: tuple[dict[str, Any], ...] = (
        {"format": "hostkit.journal/1", "id": "word", "title": "t", "created": "c", "steps": [{}]},
        {"event": "applying", "at": "c", "step": 0, "note": ""},
        {"event": "undo", "at": "c", "step": None, "note": "why"},
    )
    for value in values:
        body = json.dumps(value).encode()[:-1]
        chain = hashlib.sha256(chain.encode() + body).hexdigest()[:16]
        lines += body + f',"sum":"{chain}"}}\n'.encode()
    return lines


_SAMPLES: dict[str, tuple[Sample, ...]] = {
    "facts.block.parse_native": (
        '[{"name": "dm-0", "number": [253, 0], "size": 1024, "type": "disk", "read_only": false,'
        ' "removable": false, "below": ["vda"], "dm_name": "v-r", "dm_uuid": "LVM-1"}]',
    ),
    "facts.kernelconfig.parse_config": (_KERNEL,),
    "facts.kernelconfig.parse_config_gz": (gzip.compress(_KERNEL, mtime=0),),
    "facts.libdevmapper.parse_library": (library(("dm_task_create",), ("Base", "DM_1_02_97")),),
    "facts.links.parse_native": (
        '[{"name": "docker0", "kind": "bridge", "type": 1, "mtu": 1500, "state": "up",'
        ' "mac": "02:42:00:00:00:01", "master": ""}]',
    ),
    "facts.memory.parse_native": (
        '{"memory": {"total": 8, "available": 4}, "swap": {"total": 2, "free": 1}}',
    ),
    "plan.journal.parse_journal": (_journal(),),
}


class Parser(NamedTuple):
    """A parser to be called with a text alone, whatever else it wants."""

    name: str
    parse: Callable[[Any], Any]
    takes: str
    samples: tuple[Sample, ...]

    def __call__(self, sample: Sample) -> object:
        """What the parser makes of it, to the end; raises only what a parser must not."""
        given: Any = sample
        if self.takes == "bytes":
            given = sample.encode() if isinstance(sample, str) else sample
        elif isinstance(sample, bytes):
            given = sample.decode("utf-8", "replace")
        allowed: tuple[type[Exception], ...] = (ValueError, HostkitError)
        if self.takes == "words":
            given = tuple(Word(word, "f", 1) for word in given.split())
        elif self.takes == "value":  # of a library: what it lacks is refused by its lookup
            allowed = (ValueError, LookupError, TypeError)
            with contextlib.suppress(ValueError, RecursionError):
                given = json.loads(given)
        try:
            value: object = self.parse(given)
            return list(cast("Iterator[object]", value)) if isinstance(value, Iterator) else value
        except allowed:
            return None


@cache
def parsers() -> dict[str, Parser]:
    """All of them but those of storage, which read blocks of a fixed size."""
    found: dict[str, Parser] = {}
    for root in ("", "drivers", "checks"):
        for path in sorted((ROOT / root).glob("hostkit*/**/*.py")):
            if "storage" in path.parts:
                continue
            module = ".".join(path.relative_to(ROOT / root).with_suffix("").parts)
            for name in re.findall(r"(?m)^def (parse_\w+)", path.read_text()):
                full = f"{module}.{name}".removeprefix("hostkit.")
                found[full] = _parser(full, getattr(import_module(module), name))
    return found


def _parser(name: str, function: Callable[..., Any]) -> Parser:
    wanted = inspect.signature(function, eval_str=True).parameters
    text = _TEXT.get(name, next(iter(wanted)))
    besides = {one: _BESIDES.get(one, "word") for one in wanted if one != text}
    return Parser(
        name,
        partial(_call, function, text, besides),
        _TAKES[wanted[text].annotation],
        (*_examples(function), *_SAMPLES.get(name, ()), *_captured(name)),
    )


def _call(
    function: Callable[..., Any], text: str, besides: dict[str, Any], given: object
) -> object:
    return function(**{**besides, text: given})


def _examples(function: Callable[..., Any]) -> Iterator[Sample]:
    """What the examples in a docstring give the function they are of."""
    given: list[Any] = []

    def noting(first: Any, *rest: Any, **named: Any) -> Any:
        given.append(first)
        return function(first, *rest, **named)

    name = function.__name__
    globs = {**vars(inspect.getmodule(function) or object()), name: noting}
    for test in doctest.DocTestFinder(recurse=False).find(function, name, globs=globs):
        test.globs[name] = noting
        doctest.DocTestRunner(verbose=False).run(test, out=lambda _: None)
    for one in given:
        if isinstance(one, str | bytes):
            yield one
        elif isinstance(one, tuple):
            yield " ".join(word.text for word in cast("tuple[Word, ...]", one))
        else:
            yield json.dumps(one)


def _captured(name: str) -> Iterator[Sample]:
    if name in _FILES:
        for path in sorted(CAPTURES.glob(_FILES[name])):
            lines = capture(str(path.relative_to(CAPTURES))).splitlines(keepends=True)
            pools = [line for line in lines if " thin-pool " in line]
            yield "".join(pools if ".thinpool." in name else lines)
    if name == "diagnosis.problem.parse_problem":
        for path in sorted(EXPLAINED.glob("*.md"))[:8]:
            yield path.read_text()
