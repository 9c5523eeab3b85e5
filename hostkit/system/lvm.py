# SPDX-License-Identifier: GPL-3.0-or-later
"""LVM told what to do, and the proof that a disk is blank before it is given to LVM."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from hostkit import process
from hostkit.errors import HostkitError, Refused
from hostkit.system import blocks, mounts
from hostkit.system.dm import UDEV

_TIMEOUT_S = 300.0
_PROBE_S = 60.0
_NOTHING_FOUND = 2  # blkid(8)
_SEPARATOR = "|"
_NO_REPORTS = "unrecognized option"
_SAID = 600


class LvmFailed(HostkitError):
    """A command of LVM did not do its work: what it said."""


def run(*argv: str, timeout: float = _TIMEOUT_S) -> str:
    """Run a command of LVM. Raises LvmFailed with its own words."""
    try:
        done = process.run(argv, timeout=timeout, environment=_environment())
    except FileNotFoundError:
        raise LvmFailed(f"{argv[0]} is not installed", "install lvm2") from None
    if done.status != 0:
        said = done.stderr.decode("utf-8", "replace").strip()[-_SAID:]
        how = "was too slow and was ended" if done.timed_out else f"exited {done.status}"
        raise LvmFailed(f"{' '.join(argv)} {how}: {said}")
    return done.stdout.decode("utf-8", "replace")


def _environment() -> dict[str, str]:
    """Without udevd nobody makes nodes; libdevmapper does when it is told so."""
    return {} if os.path.exists(UDEV) else {"DM_DISABLE_UDEV": "1"}


def report(command: str, fields: Sequence[str], *arguments: str) -> list[dict[str, str]]:
    """What lvs, vgs or pvs report, one mapping a line; sizes are bytes. Raises LvmFailed."""
    asked = (command, "--units", "b", "--nosuffix", "-o", ",".join(fields), *arguments)
    try:
        return rows_of_json(run(*asked, "--reportformat", "json"), command)
    except LvmFailed as problem:
        if _NO_REPORTS not in problem.message.lower():  # it came with 2.02.158
            raise
    except ValueError as problem:
        raise LvmFailed(f"{command} printed what is no report: {problem}") from None
    return rows_of_columns(run(*asked, "--noheadings", "--separator", _SEPARATOR), fields)


def rows_of_json(content: str, command: str) -> list[dict[str, str]]:
    """What --reportformat json prints. Raises ValueError.

    >>> rows_of_json('{"report":[{"lv":[{"lv_name":"pool","lv_size":"1"}]}]}', "lvs")
    [{'lv_name': 'pool', 'lv_size': '1'}]
    """
    tree: object = json.loads(content)
    found: list[dict[str, str]] = []
    for part in _listed(_field(tree, "report")):
        for row in _listed(_field(part, command.removesuffix("s"))):
            if not isinstance(row, dict):
                raise ValueError("a row is no object")
            fields = cast("Mapping[str, object]", row)
            found.append({name: str(value) for name, value in fields.items()})
    return found


def _field(tree: object, name: str) -> object:
    if not isinstance(tree, dict):
        raise ValueError("not an object")
    return cast("Mapping[str, object]", tree).get(name)


def _listed(value: object) -> list[object]:
    if not isinstance(value, list):
        raise ValueError("not a list")
    return cast("list[object]", value)


def rows_of_columns(content: str, fields: Sequence[str]) -> list[dict[str, str]]:
    r"""What --separator prints. Raises LvmFailed.

    >>> rows_of_columns("  pool|1 \n", ("lv_name", "lv_size"))
    [{'lv_name': 'pool', 'lv_size': '1'}]
    """
    found: list[dict[str, str]] = []
    for line in content.splitlines():
        if not line.strip():
            continue
        words = [word.strip() for word in line.split(_SEPARATOR)]
        if len(words) != len(fields):
            raise LvmFailed(f"LVM printed {len(words)} columns for {len(fields)}: {line[:80]}")
        found.append(dict(zip(fields, words, strict=True)))
    return found


def refuse_used(device: str) -> None:
    """Raises Refused with every sign that a disk is in use or holds something."""
    found = list(signs_of_use(device))
    if found:
        raise Refused(
            f"{device} is not blank: {'; '.join(found)}",
            "name another disk; only when nothing on it is needed: wipefs -a, then again",
        )


def signs_of_use(device: str) -> Iterator[str]:
    """Everything that says that a disk is somebody's; what cannot be asked says so too."""
    number = blocks.device_number(device)
    if number is None:
        yield "it is no block device"
        return
    folder = f"/sys/dev/block/{number[0]}:{number[1]}"
    yield from _kept_by_kernel(folder)
    name = os.path.basename(os.path.realpath(device))
    for point in mounts.points_of(number):
        yield f"it is mounted at {point}"
    with open("/proc/swaps") as table:
        if any(os.path.realpath(line.split()[0]) == f"/dev/{name}" for line in list(table)[1:]):
            yield "it is swap space"
    yield from _signatures(device)
    try:
        descriptor = os.open(device, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC)
    except OSError as problem:
        yield f"the kernel does not give it to us alone: {problem.strerror}"
    else:
        os.close(descriptor)


def _kept_by_kernel(folder: str) -> Iterator[str]:
    holders = os.listdir(f"{folder}/holders") if os.path.isdir(f"{folder}/holders") else []
    if holders:
        yield f"it is a part of {', '.join(sorted(holders))}"
    parts = [one for one in os.listdir(folder) if os.path.exists(f"{folder}/{one}/partition")]
    if parts:
        yield f"it has partitions: {', '.join(sorted(parts))}"
    if _flag(f"{folder}/ro"):
        yield "it is read-only"


def _flag(path: str) -> bool:
    try:
        with open(path) as file:
            return file.read().strip() == "1"
    except FileNotFoundError:
        return False


def _signatures(device: str) -> Iterator[str]:
    """What blkid and wipefs find; one of them must be there and answer."""
    looked = False
    for argv, none in (
        (("blkid", "-p", "-o", "export", device), (_NOTHING_FOUND,)),
        (("wipefs", "--no-act", device), (0,)),
    ):
        try:
            done = process.run(argv, timeout=_PROBE_S)
        except FileNotFoundError:
            continue
        said = done.stdout.decode("utf-8", "replace").strip()
        if said:
            yield f"{argv[0]} finds on it: {_in_short(argv[0], said)}"
        elif done.status not in none:
            yield f"{argv[0]} could not look at it (it exited {done.status})"
        looked = True
    if not looked:
        yield "neither blkid nor wipefs is installed, so what is on it is unknown"


def _in_short(program: str, said: str) -> str:
    lines = said.splitlines()
    if program == "blkid":
        lines = [line for line in lines if "TYPE=" in line] or lines
    return ", ".join(" ".join(line.split()) for line in lines)[:200]
