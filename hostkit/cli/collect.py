# SPDX-License-Identifier: GPL-3.0-or-later
"""`hostkit collect`: all that the checks read, in one file for another machine."""

import sys
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from hostkit import files, plugins
from hostkit.cli import common, invocation, paste
from hostkit.diagnosis.runner import facts_of
from hostkit.errors import InputError
from hostkit.facts.dataroot import VOLUMES
from hostkit.facts.engine import CONTAINERD, DOCKER, PODMAN
from hostkit.facts.fact import Fact, Facts
from hostkit.facts.kernel import KERNEL
from hostkit.facts.logs import LOGS
from hostkit.facts.osrelease import OS_RELEASE
from hostkit.facts.target import ENGINES, TARGET, Target
from hostkit.host.answer import Known
from hostkit.host.local import LocalHost
from hostkit.host.record import Recorder, pack, write_snapshot
from hostkit.report.model import plural
from hostkit.text import printable

EXAMPLES = (
    "sudo hostkit collect",
    "sudo hostkit collect -o web07.tar.gz",
    "ssh root@web07 hostkit collect -o - > web07.tar.gz",
    "hostkit preflight --snapshot web07.tar.gz",
)
STDOUT = "-"
# What no check declares and a report shows all the same.
SHOWN: tuple[Fact[Any], ...] = (OS_RELEASE, KERNEL, DOCKER, PODMAN, CONTAINERD, LOGS)


def options() -> ArgumentParser:
    """The options of this command."""
    made = common.parser(
        "collect",
        "Writes everything that preflight and doctor would read of this host into one\n"
        "file, for `--snapshot` on another machine. Passwords and tokens are taken out,\n"
        "and only its owner may read it. It changes nothing else.",
        EXAMPLES,
    )
    made.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        default="",
        help="default: hostkit-HOST-TIME.tar.gz here; - is standard output",
    )
    return made


def run(arguments: Sequence[str]) -> int:
    """Ask everything once and keep the answers."""
    parsed = options().parse_args(arguments)
    piped = parsed.output == STDOUT
    if piped and sys.stdout.isatty():
        raise InputError("a snapshot is not for a terminal", "pipe it on, or name a file: -o FILE")
    recorder = Recorder(LocalHost())
    record(recorder)
    path = "standard output" if piped else parsed.output or _default_name(recorder)
    secrets = _pipe(recorder) if piped else write_snapshot(recorder, path)
    answers = plural(len(recorder.answers()), "answer")
    said = f"{printable(path)}: {answers}, {plural(secrets, 'secret')} taken out"
    print(said, file=sys.stderr if piped else sys.stdout)
    if not recorder.privileged:
        as_root = invocation.again(("collect", *arguments), root=True)
        print(f"not everything can be read without root: sudo {as_root}", file=sys.stderr)
    return 0


def _pipe(recorder: Recorder) -> int:
    """Write the snapshot to whoever reads our output; return the number of secrets."""
    data, secrets = pack(recorder)
    try:
        files.write_all(sys.stdout.fileno(), data)
    except OSError as error:
        raise InputError(f"standard output cannot be written: {error.strerror}") from error
    return secrets


def record(recorder: Recorder) -> None:
    """Gather every fact, from its text source and from its native one."""
    loaded = plugins.load()
    facts = Facts(recorder)
    wanted = tuple(dict.fromkeys((*facts_of(one for _, one in loaded.checks()), *SHOWN)))
    facts.prefetch(wanted)
    for fact in wanted:
        facts.get(fact)
    loaded.fitness(facts)
    for engine in ENGINES:  # what depends on --for, whichever is asked for later
        Facts(recorder, {TARGET: Known(Target(engine), "--for")}).get(VOLUMES)
    for _ in paste.parts(facts):  # what `doctor --paste` would ask
        pass
    native = Facts(recorder, prefer_native=True)
    for fact in wanted:
        if fact.native is not None:
            native.get(fact)


def _default_name(recorder: Recorder) -> str:
    name = "".join(c if c.isalnum() or c in "-." else "_" for c in recorder.name)
    taken = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(recorder.taken_at))
    return f"hostkit-{name}-{taken}.tar.gz"
